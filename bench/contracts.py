"""The event contracts of sql/events, as much of them as the peers need: names and types."""

import re
from dataclasses import dataclass
from pathlib import Path

# Columns of every event, beside its properties.
ENVELOPE = [
    "event_id",
    "event_type",
    "event_time",
    "player_id",
    "session_id",
    "game",
    "platform",
    "country",
    "app_version",
]

_COLUMN = re.compile(r"^\s+(\w+)\s+([A-Z]+)(?:\((\d+)(?:,\s*(\d+))?\))?")

_INTEGERS = ["SMALLINT", "INTEGER", "BIGINT"]


@dataclass(frozen=True)
class Column:
    """A property: its SQL type, and for DECIMAL its precision and scale."""

    name: str
    kind: str
    precision: int = 0
    scale: int = 0


def read_contracts(project: Path) -> dict[str, list[Column]]:
    """The properties of each event type."""
    contracts = {}
    for file in sorted((project / "sql" / "events").glob("*.sql")):
        columns = []
        for line in file.read_text().splitlines():
            found = _COLUMN.match(line)
            if found:
                name, kind, first, second = found.groups()
                if kind == "DECIMAL":
                    columns.append(Column(name, kind, int(first), int(second or 0)))
                else:
                    columns.append(Column(name, kind))
        contracts[file.stem] = columns
    return contracts


def union_of_properties(contracts: dict[str, list[Column]]) -> list[Column]:
    """Every property of any event type, as a reader of one schema must know them. Where types
    differ, the widest integer is taken."""
    union: dict[str, Column] = {}
    for columns in contracts.values():
        for column in columns:
            known = union.setdefault(column.name, column)
            if known != column and known.kind in _INTEGERS and column.kind in _INTEGERS:
                wider = max(known.kind, column.kind, key=_INTEGERS.index)
                union[column.name] = Column(column.name, wider)
    return [union[name] for name in sorted(union)]
