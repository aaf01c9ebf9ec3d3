"""Which of the lines that were sent are whole events, by the contracts in sql/events."""

from __future__ import annotations

import json
import re
from collections import namedtuple
from datetime import datetime, timedelta, timezone
from decimal import Decimal

# What a contract says about one property. `low` and `high` are limits that are allowed themselves,
# but for `above`, which is not; `accepted` are the only texts.
Property = namedtuple("Property", "kind required length low high above accepted")

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)
DAY = 86_400_000_000  # microseconds

INTEGER_LIMITS = {"SMALLINT": 15, "INTEGER": 31, "BIGINT": 63}

COLUMN = re.compile(
    r"^\s+(?P<name>\w+)\s+(?P<kind>[A-Z]+)(?:\((?P<size>[0-9, ]+)\))?"
    r"(?P<required>\s+NOT NULL)?(?:\s+CHECK \((?P<check>.*)\))?,?\s*$"
)


def read_contracts(folder):
    """The contract of each event type: its properties by name."""
    contracts = {}
    for path in sorted(folder.glob("*.sql")):
        properties = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            line = line.split("--")[0].rstrip()
            if not line or line.startswith(("CREATE TABLE", ")")):
                continue
            column = COLUMN.match(line)
            if not column:
                raise ValueError("%s: what does this line say? %s" % (path, line))
            properties[column["name"]] = read_property(column)
        contracts[path.stem] = properties
    return contracts


def read_property(column):
    name, kind, check = column["name"], column["kind"], column["check"] or ""
    sizes = [int(size) for size in (column["size"] or "0").split(",")]
    low = high = above = accepted = None
    for part in re.split(r" AND (?=%s )" % name, check) if check else []:
        operator = part[len(name) + 1 :]
        if not part.startswith(name + " "):
            raise ValueError("what does this check say? " + check)
        if operator.startswith("BETWEEN "):
            low, high = map(Decimal, operator[len("BETWEEN ") :].split(" AND "))
        elif operator.startswith("IN ("):
            accepted = set(re.findall(r"'([^']*)'", operator))
        elif operator.startswith(">= "):
            low = Decimal(operator[3:])
        elif operator.startswith("<= "):
            high = Decimal(operator[3:])
        elif operator.startswith("> "):
            above = Decimal(operator[2:])
        else:
            raise ValueError("what does this check say? " + check)
    length = sizes if kind == "DECIMAL" else sizes[0]
    return Property(kind, bool(column["required"]), length, low, high, above, accepted)


def parse_time(value):
    """Microseconds since 1970 of RFC 3339 or of milliseconds since 1970."""
    if isinstance(value, bool):
        raise ValueError("true and false are no times")
    if isinstance(value, int):
        return value * 1000
    if not isinstance(value, str) or "T" not in value:
        raise ValueError("no time: %r" % (value,))
    time = datetime.fromisoformat(value[:-1] + "+00:00" if value.endswith("Z") else value)
    return (time - EPOCH) // MICROSECOND


def no_name_twice(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


EVENTS = json.JSONDecoder(parse_float=Decimal, object_pairs_hook=no_name_twice)


def parse_line(line):
    """The object of a line, or None if there is no such thing in it. `line` is bytes."""
    try:
        text = line.decode("utf-8")
        event = EVENTS.decode(text)
        if "\\ud" in text or "\\uD" in text:
            # Half of a surrogate pair is read without a word, but cannot be written.
            json.dumps(event, ensure_ascii=False, default=str).encode("utf-8")
    except ValueError:  # also of UTF-8 and of JSON
        return None
    return event if isinstance(event, dict) else None


def is_text(value):
    return isinstance(value, str) and value != ""


def is_whole(event, contracts, latest):
    """Whether an object is an event that its contract accepts, and not later than `latest`."""
    if not all(is_text(event.get(name)) for name in ("event_id", "event_type", "player_id")):
        return False
    for name in ("session_id", "game", "platform", "country", "app_version"):
        if event.get(name) is not None and not isinstance(event[name], str):
            return False
    try:
        if parse_time(event.get("event_time")) > latest:
            return False
    except ValueError:
        return False
    contract = contracts.get(event["event_type"])
    properties = event.get("properties", {})
    if contract is None or not isinstance(properties, dict):
        return False
    return all(fits(properties.get(name), rule) for name, rule in contract.items())


def fits(value, rule):
    if value is None:
        return not rule.required
    if rule.kind in INTEGER_LIMITS:
        limit = 2 ** INTEGER_LIMITS[rule.kind]
        if type(value) is not int or not -limit <= value < limit:
            return False
    elif rule.kind in ("DECIMAL", "DOUBLE"):
        if type(value) not in (int, Decimal):
            return False
        if rule.kind == "DECIMAL" and abs(value) >= 10 ** (rule.length[0] - rule.length[1]):
            return False
    elif rule.kind in ("VARCHAR", "TEXT"):
        if not isinstance(value, str) or (rule.length and len(value) > rule.length):
            return False
    elif rule.kind == "BOOLEAN":
        if not isinstance(value, bool):
            return False
    elif rule.kind == "TIMESTAMP":
        parse_time(value)
    elif rule.kind == "DATE":
        datetime.strptime(value, "%Y-%m-%d")
    elif rule.kind != "JSON":
        raise ValueError("what is %s?" % rule.kind)
    return (
        (rule.low is None or value >= rule.low)
        and (rule.high is None or value <= rule.high)
        and (rule.above is None or value > rule.above)
        and (rule.accepted is None or value in rule.accepted)
    )
