"""Counts the events of an archive, and chooses whom the queries ask about.

    adhoc_describe.py FOLDER
"""

import json
import sys

import duckdb

# Somebody who has played a lot, but is not the first in any order.
PLACE = 100


def main() -> None:
    [folder] = sys.argv[1:]
    connection = duckdb.connect()

    def one(sql: str) -> object:
        return connection.execute(sql).fetchone()[0]

    def events(event_type: str) -> str:
        files = f"'{folder}/archive/{event_type}/*/*.parquet'"
        return f"read_parquet({files}, hive_partitioning = true, union_by_name = true)"

    player = one(
        f"""SELECT player_id FROM '{folder}/star/dim_player.parquet'
            ORDER BY events DESC, player_id LIMIT 1 OFFSET {PLACE}"""
    )
    session = one(
        f"""SELECT session_id FROM {events("level_end")} WHERE player_id = '{player}'
            GROUP BY session_id ORDER BY count(*) DESC, session_id LIMIT 1"""
    )
    print(
        json.dumps({
            "events": one(f"SELECT count(*) FROM {events('*')}"),
            "parameters": {"player": player, "session": session},
        })
    )


if __name__ == "__main__":
    main()
