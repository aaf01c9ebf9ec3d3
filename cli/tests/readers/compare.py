"""Opens an archive with other programs' readers and compares what they find with Questlake.

    compare.py ARCHIVE EXPECTED READER...

EXPECTED is a JSON file: for each event type its columns with their kinds, and the figures that
`questlake query` gives. Each reader computes the same figures from the files. Differences are
printed, and end the program with 1.
"""

import json
import math
import os
import sys
from decimal import Decimal
from pathlib import Path

from readers import READERS

# Figures of each kind of column, beside `values`, the number of rows that have one. `bytes` is the
# length of all texts in UTF-8, `true` the number of true values.
FIGURES = {
    "boolean": ["true"],
    "integer": ["sum", "min", "max"],
    "double": ["sum", "min", "max"],
    "decimal": ["sum", "min", "max"],
    "text": ["bytes", "min", "max"],
    "date": ["min", "max"],
    "timestamp": ["min", "max"],
}

# Doubles are added in another order by each reader.
TOLERANCE = 1e-9


def same(kind: str, expected: object, found: object) -> bool:
    if expected is None or found is None:
        return expected is None and found is None
    if kind == "decimal":
        return Decimal(str(expected)) == Decimal(str(found))
    if kind == "double":
        return math.isclose(float(expected), float(found), rel_tol=TOLERANCE)
    if kind in ("date", "text"):
        return str(expected) == str(found)
    return int(expected) == int(found)


def differences(columns: dict[str, str], expected: dict, found: dict) -> list[str]:
    wanted = [("rows", "integer"), ("events", "integer")]
    for name, kind in columns.items():
        wanted.append((f"{name}.values", "integer"))
        wanted.extend((f"{name}.{figure}", kind_of(kind, figure)) for figure in FIGURES[kind])
    return [
        f"{figure}: {found.get(figure)!r} instead of {expected.get(figure)!r}"
        for figure, kind in wanted
        if figure not in found or not same(kind, expected.get(figure), found[figure])
    ]


def kind_of(kind: str, figure: str) -> str:
    """What a figure of a column of this kind is itself."""
    return "integer" if figure in ("bytes", "true") else kind


def main() -> None:
    archive, expected, *names = sys.argv[1:]
    types = json.loads(Path(expected).read_text())
    failed = False
    for name in names:
        rows = 0
        with READERS[name]() as read:
            for event_type, table in types.items():
                found = read(Path(archive) / event_type, table["columns"])
                rows += found["rows"]
                for difference in differences(table["columns"], table["figures"], found):
                    print(f"{name}: {event_type}.{difference}")
                    failed = True
        print(f"{name}: {len(types)} event types, {rows} rows")
    # Without the ends of the readers' libraries: threads that still run then abort the process, now
    # and then, after all was read.
    sys.stdout.flush()
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    main()
