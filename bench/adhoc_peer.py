"""Answers ad-hoc queries with a peer, in one process that lives as long as its input.

    adhoc_peer.py duckdb|polars|pyspark FOLDER MEMORY_MIB

FOLDER holds `archive/<event type>/event_date=…/*.parquet` and `star/<table>.parquet`. First a line
`{"pid": …}` is printed: of the process that reads the files, once all tables are known and nothing
of them was read but what the tool reads by itself to know their columns. Then each line of the
input, `{"sql": …}`, is answered by `{"seconds": …, "rows": […]}` or by `{"error": …}`. The time is
that of the query until its last row is there.
"""

import datetime
import decimal
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# What every event has, as far as queries ask for it.
ENVELOPE = "event_id, event_time, event_date, player_id, session_id, platform, country"

# Gives the rows of a request.
Ask = Callable[[dict], list[tuple]]


def event_types(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "archive").iterdir() if path.is_dir())


def star_tables(folder: Path) -> list[Path]:
    return sorted((folder / "star").glob("*.parquet"))


@contextmanager
def duckdb_session(folder: Path, memory_mib: int) -> Iterator[tuple[int, Ask]]:
    import duckdb
    import pyarrow

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET memory_limit = '{memory_mib}MiB'")
    connection.execute("CREATE SCHEMA events")
    connection.execute("CREATE SCHEMA star")
    envelope = []
    for event_type in event_types(folder):
        connection.execute(
            f"""CREATE VIEW events.{event_type} AS SELECT * FROM read_parquet(
                '{folder}/archive/{event_type}/*/*.parquet',
                hive_partitioning = true, hive_types = {{'event_date': DATE}})"""
        )
        envelope.append(f"SELECT {ENVELOPE} FROM events.{event_type}")
    connection.execute(f"CREATE VIEW events.envelope AS {' UNION ALL '.join(envelope)}")
    for file in star_tables(folder):
        connection.execute(f"CREATE VIEW star.{file.stem} AS SELECT * FROM '{file}'")

    def ask(request: dict) -> list[tuple]:
        table = connection.sql(request["sql"]).to_arrow_table()
        columns = []
        for column in table.columns:
            # Times with a zone become Python's only with a data base of time zones.
            if pyarrow.types.is_timestamp(column.type):
                column = column.cast(pyarrow.timestamp("us"))
            columns.append(column.to_pylist())
        return list(zip(*columns, strict=True))

    yield os.getpid(), ask


@contextmanager
def polars_session(folder: Path, memory_mib: int) -> Iterator[tuple[int, Ask]]:
    import polars

    tables = {}
    for event_type in event_types(folder):
        tables[f"events_{event_type}"] = polars.scan_parquet(
            folder / "archive" / event_type / "*" / "*.parquet",
            hive_partitioning=True,
            hive_schema={"event_date": polars.Date},
        )
    envelope = [table.select(ENVELOPE.split(", ")) for table in tables.values()]
    tables["events_envelope"] = polars.concat(envelope)
    for file in star_tables(folder):
        tables[f"star_{file.stem}"] = polars.scan_parquet(file)
    context = polars.SQLContext(tables)

    def ask(request: dict) -> list[tuple]:
        return context.execute(request["sql"]).collect(engine="streaming").rows()

    yield os.getpid(), ask


@contextmanager
def pyspark_session(folder: Path, memory_mib: int) -> Iterator[tuple[int, Ask]]:
    # Nothing but this machine, and nothing left behind.
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-memory {memory_mib}m pyspark-shell"
    from pyspark.sql import SparkSession

    cores = os.cpu_count()
    with tempfile.TemporaryDirectory() as scratch:
        session = (
            SparkSession.builder.master(f"local[{cores}]")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.local.dir", scratch)
            .config("spark.sql.warehouse.dir", f"{scratch}/warehouse")
            .config("spark.sql.session.timeZone", "UTC")
            # The default of 200 is for clusters.
            .config("spark.sql.shuffle.partitions", str(cores))
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("ERROR")
        envelope = []
        for event_type in event_types(folder):
            frame = session.read.parquet(str(folder / "archive" / event_type))
            frame.createOrReplaceTempView(f"events_{event_type}")
            envelope.append(f"SELECT {ENVELOPE} FROM events_{event_type}")
        union = session.sql(" UNION ALL ".join(envelope))
        union.createOrReplaceTempView("events_envelope")
        for file in star_tables(folder):
            session.read.parquet(str(file)).createOrReplaceTempView(f"star_{file.stem}")

        def ask(request: dict) -> list[tuple]:
            return [tuple(row) for row in session.sql(request["sql"]).collect()]

        # The files are read by the virtual machine.
        machine = session.sparkContext._jvm.java.lang.ProcessHandle.current().pid()
        try:
            yield machine, ask
        finally:
            session.stop()


def plain(value: object) -> object:
    """A value as `questlake --format ndjson` has it."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc)
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


SESSIONS = {"duckdb": duckdb_session, "polars": polars_session, "pyspark": pyspark_session}


def main() -> None:
    peer, folder, memory_mib = sys.argv[1:]
    # The answers are alone on standard output, whatever the peer prints.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.environ["TZ"] = "UTC"
    time.tzset()
    with SESSIONS[peer](Path(folder), int(memory_mib)) as (pid, ask):
        print(json.dumps({"pid": pid}), file=answers, flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            started = time.perf_counter()
            try:
                rows = ask(request)
                answer = {
                    "seconds": time.perf_counter() - started,
                    "rows": [[plain(value) for value in row] for row in rows],
                }
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"[:2000]}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
