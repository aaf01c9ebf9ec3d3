"""mart_player_state: who is current, at risk and dormant, and who came and went."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict

from figures import cuts
from history import day_text

KEY = "date platform country"
STATES = ("current", "at_risk", "dormant")
TRANSITIONS = {
    (None, "current"): "new_players",
    ("current", "at_risk"): "became_at_risk",
    ("at_risk", "dormant"): "became_dormant",
    ("at_risk", "current"): "recovered",
    ("dormant", "current"): "reactivated",
}
COLUMNS = {
    "date": "text",
    "platform": "text",
    "country": "text",
    "current_players": "count",
    "at_risk_players": "count",
    "dormant_players": "count",
    **{name: "count" for name in TRANSITIONS.values()},
}


def state(active_days, day):
    """A player's state at the end of a day, None before their first event."""
    before = bisect_right(active_days, day)
    if before == 0:
        return None
    away = day - active_days[before - 1]
    if away < 7:
        return "current"
    return "at_risk" if away < 28 else "dormant"


def mart_player_state(history):
    counts = defaultdict(Counter)
    for player, first in history.first_event.items():
        days = history.active_days[player]
        for day in range(first.day, history.days.stop):
            before, now = state(days, day - 1), state(days, day)
            for cut in cuts(first.platform, first.country):
                counts[(day, *cut)][now + "_players"] += 1
                if before != now:
                    counts[(day, *cut)][TRANSITIONS[(before, now)]] += 1
    names = [name + "_players" for name in STATES] + list(TRANSITIONS.values())
    for (day, platform, country), count in counts.items():
        key = {"date": day_text(day), "platform": platform, "country": country}
        yield {**key, **{name: count[name] for name in names}}
