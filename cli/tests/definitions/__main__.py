"""Computes every mart from the lines that were sent, and compares it with what the pipeline made.

    python3 definitions --project FOLDER --sent FILE --landed FILE --marts FOLDER

FOLDER of the project holds sql/; of it the contracts are read, and the names of the marts. The
lines that were sent may come twice, late, or be malformed. The landed events are the rows of

    SELECT event_id, received_at FROM events.envelope

and each mart is a file such as mart_retention.ndjson, as `questlake query` writes them. Differences
are printed, and end the program with 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import compare
from contracts import is_whole, parse_line, parse_time, read_contracts
from history import History, read_event
from marts import MARTS


def arguments():
    parser = argparse.ArgumentParser(prog="definitions")
    for name in ("project", "sent", "landed", "marts"):
        parser.add_argument("--" + name, type=Path, required=True)
    parser.add_argument("--max-future", type=float, default=24, help="ingest.max_future in hours")
    return parser.parse_args()


def whole_events(sent, contracts, latest):
    """The whole events among the lines, each once, by event_id; and the number of the lines."""
    events, lines = {}, 0
    with sent.open("rb") as file:
        for line in file:
            lines += 1
            event = parse_line(line)
            if event is not None and is_whole(event, contracts, latest):
                same = events.setdefault(event["event_id"], event)
                if same != event:
                    sys.exit("two events have the event_id %s" % event["event_id"])
    return events, lines


def landed_differences(sent, landed):
    """Whether exactly the whole events have landed, each once."""
    found = [row["event_id"] for row in landed]
    problems = ["%s has not landed" % name for name in sorted(sent.keys() - set(found))]
    foreign = sorted(set(found) - sent.keys())
    problems += ["%s landed and is no whole event" % name for name in foreign]
    if len(set(found)) != len(found):
        text = "%d events landed, but only %d of them are different ones"
        problems.append(text % (len(found), len(set(found))))
    return problems


def report(name, rows, problems):
    """Prints what was compared, and whether there are differences."""
    verdict = "%d differences" % len(problems) if problems else "same"
    print("%s: %d rows, %s" % (name, rows, verdict))
    for problem in problems[: compare.SHOWN]:
        print("    " + problem)
    return bool(problems)


def mart_names(project):
    return {path.stem for path in (project / "sql" / "marts").glob("*.sql")}


def main():
    options = arguments()
    landed = compare.read_rows(options.landed)
    received_last = max(parse_time(row["received_at"]) for row in landed)
    latest = received_last + int(options.max_future * 3_600_000_000)
    contracts = read_contracts(options.project / "sql" / "events")
    sent, lines = whole_events(options.sent, contracts, latest)
    print("%d lines, %d whole events" % (lines, len(sent)))
    failed = report("events", len(landed), landed_differences(sent, landed))
    history = History([read_event(event) for event in sent.values()], received_last)

    names = mart_names(options.project)
    for name in sorted(names - MARTS.keys()):
        failed = report(name, 0, ["this mart has no definition"])
    for name in sorted(MARTS.keys() - names):
        failed = report(name, 0, ["the project has no such mart"])
    for name in sorted(MARTS.keys() & names):
        expected = list(MARTS[name].rows(history))
        found = compare.read_rows(options.marts / (name + ".ndjson"))
        failed |= report(name, len(found), compare.table_differences(MARTS[name], expected, found))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
