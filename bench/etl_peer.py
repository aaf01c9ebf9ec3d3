"""Computes the star schema with a peer and writes it into SQLite; prints the times.

    etl_peer.py duckdb|polars|sqlite EVENTS TARGET MODEL

EVENTS is the folder with a Parquet file per event type, TARGET the SQLite file to write, MODEL the
warehouse that Questlake made of the same events, which gives the layout. `sqlite` copies the
model's rows, which are in memory before the clock starts: no tool that goes through Python's
`sqlite3` can write them faster.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from star_sqlite import CHUNK_ROWS, TABLES, differing_rows, timed_load

# The marts are not written for Polars: its time is for fewer tables.
POLARS_TABLES = [table for table in TABLES if not table.startswith("mart_")]


def run_duckdb(events: str, target: str, model: str) -> dict:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET VARIABLE events = '{events}'")
    connection.execute("SET preserve_insertion_order = false")
    started = time.perf_counter()
    connection.execute((Path(__file__).parent / "etl_duckdb.sql").read_text())
    computed = time.perf_counter() - started

    def as_stored(name: str, kind: str) -> str:
        """Dates and times as text, decimals as doubles: as they are stored, made by DuckDB."""
        if kind == "DATE":
            return f"CAST({name} AS VARCHAR)"
        if kind.startswith(("TIMESTAMP", "DATETIME")):
            return f"strftime({name}, '%Y-%m-%d %H:%M:%S.%f')"
        if "DEC" in kind:
            return f"CAST({name} AS DOUBLE)"
        return name

    def rows_of(table: str, columns: list) -> Iterator[list[tuple]]:
        listed = ", ".join(as_stored(name, kind) for name, kind in columns)
        result = connection.execute(f"SELECT {listed} FROM {table}")
        while chunk := result.fetchmany(CHUNK_ROWS):
            yield chunk

    written = timed_load(target, model, rows_of, TABLES)
    return {**written, "seconds": computed + written["seconds"], "compute_seconds": computed}


def run_polars(events: str, target: str, model: str) -> dict:
    import polars

    from etl_polars import star_schema

    started = time.perf_counter()
    frames = star_schema(events)
    computed = time.perf_counter() - started

    def rows_of(table: str, columns: list) -> Iterator[list[tuple]]:
        selected = []
        for name, kind in columns:
            column = polars.col(name)
            if kind == "DATE":
                column = column.dt.strftime("%Y-%m-%d")
            elif kind.startswith(("TIMESTAMP", "DATETIME")):
                column = column.dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
            elif "DEC" in kind:
                column = column.cast(polars.Float64)
            selected.append(column)
        frame = frames[table].select(selected)
        for start in range(0, frame.height, CHUNK_ROWS):
            yield frame.slice(start, CHUNK_ROWS).rows()

    written = timed_load(target, model, rows_of, POLARS_TABLES)
    return {**written, "seconds": computed + written["seconds"], "compute_seconds": computed}


def run_sqlite(events: str, target: str, model: str) -> dict:
    source = sqlite3.connect(f"file:{model}?mode=ro", uri=True)
    kept = {table: source.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}

    def rows_of(table: str, columns: list) -> Iterator[list[tuple]]:
        yield kept[table]

    return timed_load(target, model, rows_of, TABLES)


def main() -> None:
    peer, events, target, model = sys.argv[1:]
    runner = {"duckdb": run_duckdb, "polars": run_polars, "sqlite": run_sqlite}[peer]
    outcome = runner(events, target, model)
    outcome["differing_rows"] = differing_rows(target, model)
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
