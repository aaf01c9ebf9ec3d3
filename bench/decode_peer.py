"""Reads a file of events into typed columns with DuckDB or Polars, and prints the time.

    decode_peer.py duckdb|polars FILE PROJECT THREADS
"""

import json
import os
import sys
import time
from pathlib import Path

from contracts import ENVELOPE, Column, read_contracts, union_of_properties

DUCKDB_TYPES = {
    "BOOLEAN": "BOOLEAN",
    "SMALLINT": "SMALLINT",
    "INTEGER": "INTEGER",
    "BIGINT": "BIGINT",
    "DOUBLE": "DOUBLE",
    "TEXT": "VARCHAR",
    "VARCHAR": "VARCHAR",
    "TIMESTAMP": "TIMESTAMP",
    "DATE": "DATE",
    "JSON": "JSON",
}


def duckdb_type(column: Column) -> str:
    if column.kind == "DECIMAL":
        return f"DECIMAL({column.precision},{column.scale})"
    return DUCKDB_TYPES[column.kind]


# Some clients send RFC 3339 and some epoch milliseconds, so the readers take a text and convert it.
DUCKDB_EVENT_TIME = """CASE WHEN contains(event_time, '-') THEN CAST(event_time AS TIMESTAMP)
     ELSE make_timestamp_ms(CAST(event_time AS BIGINT)) END AS event_time"""


def duckdb_reader(file: str, properties: list[Column]) -> str:
    """`read_ndjson` with every type given, so that nothing is guessed."""
    columns = {name: "VARCHAR" for name in ENVELOPE}
    fields = ", ".join(f"{column.name} {duckdb_type(column)}" for column in properties)
    columns["properties"] = f"STRUCT({fields})"
    listed = ", ".join(f"{name}: '{kind}'" for name, kind in columns.items())
    return f"read_ndjson('{file}', columns = {{{listed}}})"


def run_duckdb(file: str, properties: list[Column], threads: int) -> tuple[float, int]:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}")
    # Rows may come in any order, which is faster; a table in memory is its cheapest typed result.
    connection.execute("SET preserve_insertion_order = false")
    query = f"""CREATE TABLE events AS
        SELECT * REPLACE ({DUCKDB_EVENT_TIME}) FROM {duckdb_reader(file, properties)}"""
    started = time.perf_counter()
    connection.execute(query)
    seconds = time.perf_counter() - started
    return seconds, connection.execute("SELECT count(*) FROM events").fetchone()[0]


def run_polars(file: str, properties: list[Column], threads: int) -> tuple[float, int]:
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars

    kinds = {
        "BOOLEAN": polars.Boolean,
        "SMALLINT": polars.Int16,
        "INTEGER": polars.Int32,
        "BIGINT": polars.Int64,
        "DOUBLE": polars.Float64,
        "TIMESTAMP": polars.Datetime("us"),
        "DATE": polars.Date,

        # It refuses to read JSON numbers as decimals.
        "DECIMAL": polars.Float64,
    }
    schema = {name: polars.String for name in ENVELOPE}
    schema["properties"] = polars.Struct(
        {column.name: kinds.get(column.kind, polars.String) for column in properties}
    )
    text = polars.col("event_time")
    started = time.perf_counter()
    frame = (
        polars.scan_ndjson(file, schema=schema)
        .with_columns(
            polars.when(text.str.contains("-", literal=True))
            .then(text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False))
            .otherwise(polars.from_epoch(text.cast(polars.Int64, strict=False) * 1000, "us"))
            .alias("event_time")
        )
        .collect()
    )
    return time.perf_counter() - started, frame.height


def main() -> None:
    peer, file, project, threads = sys.argv[1:]
    properties = union_of_properties(read_contracts(Path(project)))
    runner = {"duckdb": run_duckdb, "polars": run_polars}[peer]
    seconds, rows = runner(file, properties, int(threads))
    print(json.dumps({"seconds": seconds, "rows": rows, "bytes": os.path.getsize(file)}))


if __name__ == "__main__":
    main()
