"""Copies the documents of a hot store into a new one with SQLite alone, and prints the time.

    copy_hot.py HOT_DATABASE TARGET
"""

import json
import sqlite3
import sys
import time
from pathlib import Path

# Rows of one transaction: a micro-batch.
BATCH_ROWS = 100_000


def main() -> None:
    source, target = sys.argv[1:]
    for suffix in ("", "-wal", "-shm"):
        Path(target + suffix).unlink(missing_ok=True)
    connection = sqlite3.connect(target, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("ATTACH ? AS source", [source])
    statements = connection.execute(
        "SELECT sql FROM source.sqlite_master WHERE tbl_name = 'events' AND sql IS NOT NULL"
    ).fetchall()
    for (statement,) in statements:
        connection.execute(statement)
    last = connection.execute("SELECT max(row_id) FROM source.events").fetchone()[0]
    started = time.perf_counter()
    for first in range(0, last + 1, BATCH_ROWS):
        connection.execute(
            "INSERT INTO main.events SELECT * FROM source.events WHERE row_id BETWEEN ? AND ?",
            [first, first + BATCH_ROWS - 1],
        )
    seconds = time.perf_counter() - started
    rows = connection.execute("SELECT count(*) FROM main.events").fetchone()[0]
    print(json.dumps({"seconds": seconds, "rows": rows}))


if __name__ == "__main__":
    main()
