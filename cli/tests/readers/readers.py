"""One function for each way to read an event type's table.

Each is a context that gives a function from the table's folder and its columns (name: kind) to the
figures. Those of Delta follow the table's log; those of plain Parquet read every file in the folder,
which is the same once replaced files are removed.
"""

import datetime
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Figures = dict[str, object]
Read = Callable[[Path, dict[str, str]], Figures]

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def plain(value: object) -> object:
    """A value as JSON has it: time stamps are microseconds since 1970."""
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.timezone.utc)
        return (value - EPOCH) // datetime.timedelta(microseconds=1)
    return value


# --- pyarrow --------------------------------------------------------------------------------------


def arrow_figures(table, columns: dict[str, str]) -> Figures:
    import pyarrow as pa
    import pyarrow.compute as pc

    figures: Figures = {
        "rows": table.num_rows,
        "events": pc.count_distinct(table["event_id"]).as_py(),
    }
    for name, kind in columns.items():
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if kind == "timestamp":
            column = column.cast(pa.timestamp("us", "UTC"))
        figures[f"{name}.values"] = pc.count(column).as_py()
        if kind == "boolean":
            figures[f"{name}.true"] = pc.sum(column).as_py()
            continue
        if kind == "text":
            figures[f"{name}.bytes"] = pc.sum(pc.binary_length(column)).as_py()
        elif kind in ("integer", "double", "decimal"):
            figures[f"{name}.sum"] = pc.sum(column).as_py()
        if kind == "timestamp":
            # As numbers: Python's own time stamps need a time zone database.
            column = column.cast(pa.int64())
        ends = pc.min_max(column).as_py()
        figures[f"{name}.min"], figures[f"{name}.max"] = ends["min"], ends["max"]
    return figures


@contextmanager
def pyarrow_parquet() -> Iterator[Read]:
    import pyarrow as pa
    import pyarrow.dataset as ds

    days = ds.partitioning(pa.schema([("event_date", pa.date32())]), flavor="hive")

    def read(folder: Path, columns: dict[str, str]) -> Figures:
        table = ds.dataset(folder, format="parquet", partitioning=days).to_table()
        return arrow_figures(table, columns)

    yield read


@contextmanager
def deltalake() -> Iterator[Read]:
    from deltalake import DeltaTable

    def read(folder: Path, columns: dict[str, str]) -> Figures:
        return arrow_figures(DeltaTable(str(folder)).to_pyarrow_table(), columns)

    yield read


# --- Polars ---------------------------------------------------------------------------------------


@contextmanager
def polars_delta() -> Iterator[Read]:
    import polars as pl

    def read(folder: Path, columns: dict[str, str]) -> Figures:
        wanted = [pl.len().alias("rows"), pl.col("event_id").n_unique().alias("events")]
        for name, kind in columns.items():
            column = pl.col(name)
            wanted.append(column.count().alias(f"{name}.values"))
            if kind == "boolean":
                # The sum of nothing is 0 here.
                wanted.append(or_null(pl, column, column.sum()).alias(f"{name}.true"))
                continue
            if kind == "text":
                length = column.str.len_bytes().cast(pl.Int64)
                wanted.append(or_null(pl, column, length.sum()).alias(f"{name}.bytes"))
            elif kind == "integer":
                total = column.cast(pl.Int64).sum()
                wanted.append(or_null(pl, column, total).alias(f"{name}.sum"))
            elif kind in ("double", "decimal"):
                wanted.append(or_null(pl, column, column.sum()).alias(f"{name}.sum"))
            if kind == "timestamp":
                column = column.dt.timestamp("us")
            wanted.append(column.min().alias(f"{name}.min"))
            wanted.append(column.max().alias(f"{name}.max"))
        row = pl.scan_delta(str(folder)).select(wanted).collect().row(0, named=True)
        return {name: plain(value) for name, value in row.items()}

    yield read


def or_null(pl, column, total):
    return pl.when(column.count() > 0).then(total)


# --- SQL ------------------------------------------------------------------------------------------


def sql_figures(columns: dict[str, str], length: str, micros: str) -> str:
    """The figures as SQL; `length` and `micros` are functions of texts and of time stamps."""
    figures = ["count(*) AS `rows`", "count(DISTINCT event_id) AS `events`"]
    for name, kind in columns.items():
        column = f"`{name}`"
        figures.append(f"count({column}) AS `{name}.values`")
        if kind == "boolean":
            figures.append(f"sum(CAST({column} AS INT)) AS `{name}.true`")
            continue
        if kind == "text":
            figures.append(f"sum({length}({column})) AS `{name}.bytes`")
        elif kind in ("integer", "double", "decimal"):
            figures.append(f"sum({column}) AS `{name}.sum`")
        for end in ("min", "max"):
            value = f"{end}({column})"
            value = f"{micros}({value})" if kind == "timestamp" else value
            figures.append(f"{value} AS `{name}.{end}`")
    return ", ".join(figures)


def duckdb_figures(connection, source: str, columns: dict[str, str]) -> Figures:
    figures = sql_figures(columns, "strlen", "epoch_us").replace("`", '"')
    cursor = connection.execute(f"SELECT {figures} FROM {source}")
    names = [column[0] for column in cursor.description]
    # All rows, though there is one: a result that is not read to its end keeps the connection.
    (row,) = cursor.fetchall()
    return {name: plain(value) for name, value in zip(names, row, strict=True)}


@contextmanager
def duckdb_parquet() -> Iterator[Read]:
    import duckdb

    with duckdb.connect() as connection:

        def read(folder: Path, columns: dict[str, str]) -> Figures:
            files = f"read_parquet('{folder}/event_date=*/*.parquet', hive_partitioning = true)"
            return duckdb_figures(connection, files, columns)

        yield read


@contextmanager
def duckdb_delta() -> Iterator[Read]:
    """DuckDB's own Delta extension is not a Python package; the log is read by deltalake."""
    import duckdb
    from deltalake import DeltaTable

    with duckdb.connect() as connection:

        def read(folder: Path, columns: dict[str, str]) -> Figures:
            connection.register("delta", DeltaTable(str(folder)).to_pyarrow_dataset())
            return duckdb_figures(connection, "delta", columns)

        yield read


@contextmanager
def pyspark_parquet() -> Iterator[Read]:
    from pyspark.sql import SparkSession

    # Nothing but this machine, and nothing left behind: no cluster's file system, either.
    os.environ.pop("HADOOP_CONF_DIR", None)
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    with tempfile.TemporaryDirectory() as scratch:
        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.local.dir", scratch)
            .config("spark.sql.warehouse.dir", f"{scratch}/warehouse")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.shuffle.partitions", "2")
            # To compile each query would take longer than to run it.
            .config("spark.sql.codegen.wholeStage", "false")
            .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("ERROR")

        def read(folder: Path, columns: dict[str, str]) -> Figures:
            session.read.parquet(str(folder)).createOrReplaceTempView("events")
            figures = sql_figures(columns, "octet_length", "unix_micros")
            row = session.sql(f"SELECT {figures} FROM events").first().asDict()
            return {name: plain(value) for name, value in row.items()}

        try:
            yield read
        finally:
            session.stop()


READERS: dict[str, Callable] = {
    "deltalake": deltalake,
    "polars": polars_delta,
    "duckdb-delta": duckdb_delta,
    "duckdb-parquet": duckdb_parquet,
    "pyarrow": pyarrow_parquet,
    "pyspark": pyspark_parquet,
}
