"""Writes landed segments as Parquet with DuckDB, and prints the times.

    archive_peer.py LANDING TARGET

DuckDB reads the very segments that Questlake reads, mapped into memory as Arrow, which it scans
without copying. One COPY per event type: all columns, the same order, zstd, a folder per day. What
else COPY can be told (row groups, level 3 of zstd) is left as DuckDB has it. Its files are neither
synchronized with the disk nor compared with anything; reading them back, as Questlake must before
it commits, is timed apart.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import duckdb

from segments import landed_tables


def main() -> None:
    landing, target = map(Path, sys.argv[1:])
    tables = landed_tables(landing)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for event_type, table in tables.items():
        connection.register(event_type, table)
    by_type = {}
    for event_type in tables:
        started = time.perf_counter()
        connection.execute(
            f"""COPY (
                SELECT * FROM {event_type} ORDER BY event_date, player_id, event_time, event_id
            ) TO '{target}/{event_type}'
            (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_date))"""
        )
        by_type[event_type] = time.perf_counter() - started
    started = time.perf_counter()
    archived = {event_type: keys(connection, stored(target / event_type)) for event_type in tables}
    read_seconds = time.perf_counter() - started
    landed = {event_type: keys(connection, event_type) for event_type in tables}
    files = list(target.glob("*/*/*.parquet"))
    print(
        json.dumps({
            "seconds": sum(by_type.values()),
            "seconds_by_type": by_type,
            "read_back_seconds": read_seconds,
            "rows": sum(rows for rows, _ in archived.values()),
            "same_keys": archived == landed,
            "files": len(files),
            "bytes": sum(file.stat().st_size for file in files),
        })
    )


def stored(folder: Path) -> str:
    return f"read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"


def keys(connection: duckdb.DuckDBPyConnection, source: str) -> tuple:
    """Number and checksum of the events."""
    return connection.execute(f"SELECT count(*), sum(hash(event_id)) FROM {source}").fetchone()


if __name__ == "__main__":
    main()
