"""Writes tables into SQLite the way that is quickest from Python, in the layout of Questlake's own
warehouse, and compares the result with it.

Each table is created with its primary key, filled by `executemany` in one transaction, and indexed
afterwards. As in Questlake, the log is written ahead and a commit is on disk.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

TABLES = [
    "dim_date",
    "dim_item",
    "dim_player",
    "fact_ad_impression",
    "fact_player_day",
    "fact_purchase",
    "fact_session",
    "mart_daily_kpi",
    "mart_ltv",
    "mart_retention",
]

# The models behind them: one more is read by a mart.
MODELS = [*TABLES, "dim_player_return"]

# Differ from run to run, since they tell when an event was received.
VOLATILE = {"last_received_at"}

# Rows handed over at a time.
CHUNK_ROWS = 50_000


class Warehouse:
    """A new SQLite file with the tables of an existing one."""

    def __init__(self, path: str, model: str) -> None:
        Path(path).unlink(missing_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute("PRAGMA cache_size = -65536")
        self.statements: dict[str, list[str]] = {}
        self.columns: dict[str, list[tuple[str, str]]] = {}
        with sqlite3.connect(f"file:{model}?mode=ro", uri=True) as source:
            for table in TABLES:
                self.statements[table] = [
                    sql
                    for (sql,) in source.execute(
                        "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL "
                        "ORDER BY type = 'index'",
                        [table],
                    )
                ]
                self.columns[table] = source.execute(
                    "SELECT name, type FROM pragma_table_info(?)", [table]
                ).fetchall()

    def load(self, table: str, chunks: Iterator[list[tuple]]) -> int:
        """Creates and fills one table. Returns its number of rows."""
        create, *indexes = self.statements[table]
        marks = ", ".join("?" * len(self.columns[table]))
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute(create)
        rows = 0
        for chunk in chunks:
            self.connection.executemany(f"INSERT INTO {table} VALUES ({marks})", chunk)
            rows += len(chunk)
        for index in indexes:
            self.connection.execute(index)
        self.connection.execute("COMMIT")
        return rows


def timed_load(
    path: str,
    model: str,
    tables: Callable[[str, list], Iterator[list[tuple]]],
    names: list[str],
) -> dict:
    """Loads the named tables and says how long it took and how many rows there are."""
    warehouse = Warehouse(path, model)
    started = time.perf_counter()
    rows = {name: warehouse.load(name, tables(name, warehouse.columns[name])) for name in names}
    # Brings what is in the log into the file, as the end of Questlake's process does.
    warehouse.connection.close()
    return {"seconds": time.perf_counter() - started, "rows": rows}


def differing_rows(path: str, model: str) -> dict[str, int]:
    """For each table in the file at `path`, the number of its rows that the model lacks plus the
    number of the model's rows that it lacks. Doubles are compared to nine decimal places."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.execute("ATTACH ? AS model", [f"file:{model}?mode=ro"])
    found = {}
    for table in TABLES:
        columns = connection.execute(
            "SELECT name, type FROM pragma_table_info(?, 'main')", [table]
        ).fetchall()
        if not columns:
            continue
        listed = ", ".join(
            f"round({name}, 9)" if kind in ("REAL", "DOUBLE") or "DEC" in kind else name
            for name, kind in columns
            if name not in VOLATILE
        )
        one, other = f"SELECT {listed} FROM main.{table}", f"SELECT {listed} FROM model.{table}"
        found[table] = connection.execute(
            f"SELECT (SELECT count(*) FROM ({one} EXCEPT {other}))"
            f" + (SELECT count(*) FROM ({other} EXCEPT {one}))"
        ).fetchone()[0]
    return found
