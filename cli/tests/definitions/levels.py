"""mart_level: how the levels are played."""

from __future__ import annotations

from collections import Counter, defaultdict

from figures import cuts, median, percentile, ratio
from history import day_text

KEY = "date platform country level_id"
COLUMNS = {
    "date": "text",
    "platform": "text",
    "country": "text",
    "level_id": "text",
    "level": "count",
    "attempts": "count",
    "wins": "count",
    "losses": "count",
    "quits": "count",
    "unfinished": "count",
    "win_rate": "double",
    "median_duration_seconds": "double",
    "p90_duration_seconds": "double",
    "first_wins": "count",
    "median_attempts_to_first_win": "double",
}


def attempts(history):
    """Each attempt's first event, and its end if it has one."""
    first, end = {}, {}
    for event in sorted(history.of_type("level_start") + history.of_type("level_end")):
        attempt = event.properties["attempt_id"]
        first.setdefault(attempt, event)
        if event.type == "level_end":
            end[attempt] = event
    return [(event, end.get(attempt)) for attempt, event in first.items()]


def first_wins(history):
    """The first win of each player on each level."""
    first = {}
    for event in history.of_type("level_end"):
        if event.properties["result"] == "win":
            first.setdefault((event.player, event.properties["level_id"]), event)
    return first.values()


def mart_level(history):
    results, durations, tries = defaultdict(Counter), defaultdict(list), defaultdict(list)
    level = {}
    for begin, end in attempts(history):
        name = begin.properties["level_id"]
        level[name] = begin.properties["level"]
        for cut in cuts(begin.platform, begin.country):
            place = (begin.day, *cut, name)
            results[place][end.properties["result"] if end else "unfinished"] += 1
            if end:
                durations[place].append(end.properties["duration_ms"] / 1000)
    for event in first_wins(history):
        name = event.properties["level_id"]
        for cut in cuts(event.platform, event.country):
            tries[(event.day, *cut, name)].append(event.properties["attempt"])
    for place in results.keys() | tries.keys():
        day, platform, country, name = place
        result = results.get(place, Counter())
        number = sum(result.values())
        took = durations.get(place, [])
        won_after = tries.get(place, [])
        yield {
            "date": day_text(day),
            "platform": platform,
            "country": country,
            "level_id": name,
            "level": level[name],
            "attempts": number,
            "wins": result["win"],
            "losses": result["loss"],
            "quits": result["quit"],
            "unfinished": result["unfinished"],
            "win_rate": ratio(result["win"], number),
            "median_duration_seconds": median(took),
            "p90_duration_seconds": percentile(took, 0.9),
            "first_wins": len(won_after),
            "median_attempts_to_first_win": median(won_after),
        }
