"""Writes the events of a file as one Parquet file per event type, for the peers of the ETL rows.

    parquet.py FILE PROJECT FOLDER

Not part of any time. The columns are those that Questlake lands, with the same types; compression
(Snappy) and row groups are DuckDB's defaults.
"""

import json
import sys
import time
from pathlib import Path

import duckdb

from contracts import read_contracts, union_of_properties
from decode_peer import DUCKDB_EVENT_TIME, duckdb_reader

ENVELOPE_COLUMNS = """event_id, event_type, event_time, player_id, session_id, game, platform,
    country, app_version, now()::TIMESTAMP AS received_at, CAST(event_time AS DATE) AS event_date"""


def main() -> None:
    file, project, folder = sys.argv[1:]
    contracts = read_contracts(Path(project))
    reader = duckdb_reader(file, union_of_properties(contracts))
    Path(folder).mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    started = time.perf_counter()
    connection.execute(
        f"CREATE TABLE events AS SELECT * REPLACE ({DUCKDB_EVENT_TIME}) FROM {reader}"
    )
    rows = 0
    for event_type, columns in contracts.items():
        properties = "".join(f", properties.{column.name}" for column in columns)
        rows += connection.execute(
            f"""COPY (SELECT {ENVELOPE_COLUMNS}{properties} FROM events
                      WHERE event_type = '{event_type}')
                TO '{folder}/{event_type}.parquet' (FORMAT parquet)"""
        ).fetchone()[0]
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
