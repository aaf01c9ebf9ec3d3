"""Compares a table that the pipeline made with the one that follows from the definitions."""

from __future__ import annotations

import json
import math
from decimal import Decimal

from contracts import parse_time

# Relative, and for what is nearly 0.
TOLERANCE = 1e-9
NEARLY_ZERO = 1e-15

# How many of a table's differences are shown.
SHOWN = 10


ROWS = json.JSONDecoder(parse_float=Decimal)


def read_rows(path):
    """The rows of an NDJSON file, with every digit of their numbers."""
    with path.open(encoding="utf-8") as lines:
        return [ROWS.decode(line) for line in lines]


def same(kind, expected, found):
    """Whether two values of a column of this kind are the same."""
    if expected is None or found is None:
        return expected is None and found is None
    if kind in ("count", "money"):
        # Also that a count is written as one: no 3.0. Money to the last digit.
        exact = isinstance(found, int) if kind == "count" else isinstance(found, (int, Decimal))
        return exact and not isinstance(found, bool) and expected == found
    if kind == "double":
        if isinstance(found, (bool, str)):
            return False
        return math.isclose(expected, found, rel_tol=TOLERANCE, abs_tol=NEARLY_ZERO)
    if kind == "time":
        return expected == parse_time(found)
    return type(expected) is type(found) and expected == found


def by_key(mart, rows, whose, problems):
    table = {}
    for row in rows:
        key = tuple(row.get(name) for name in mart.key)
        if key in table:
            problems.append("%s: two rows with this key %s" % (shown(mart.key, row), whose))
        table[key] = row
    return table


def shown(names, row):
    return " ".join("%s=%s" % (name, row.get(name)) for name in names)


def table_differences(mart, expected, found):
    """What differs, row by row; nothing if both tables are the same."""
    problems = []
    wanted, have = set(mart.columns), set(found[0]) if found else set(mart.columns)
    for name in sorted(wanted - have):
        problems.append("the column %s is missing" % name)
    for name in sorted(have - wanted):
        problems.append("the column %s has no definition" % name)
    expected = by_key(mart, expected, "by the definition", problems)
    found = by_key(mart, found, "in the table", problems)
    for key in sorted(expected.keys() | found.keys(), key=str):
        here, there = expected.get(key), found.get(key)
        name = shown(mart.key, here or there)
        if there is None:
            problems.append("%s: the row is missing: %s" % (name, shown(mart.columns, here)))
        elif here is None:
            text = "%s: no such row by the definition: %s"
            problems.append(text % (name, shown(mart.columns, there)))
        else:
            cells = [
                "%s is %s instead of %s" % (column, there[column], here[column])
                for column, kind in mart.columns.items()
                if column in there and not same(kind, here[column], there[column])
            ]
            if cells:
                problems.append("%s: %s" % (name, ", ".join(cells)))
    return problems
