"""mart_retention and mart_ltv: what became of the players who came on a day."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from figures import cuts, ratio
from history import day_text

RETENTION_KEY = LTV_KEY = "cohort_date platform country day_n"
RETENTION_COLUMNS = {
    "cohort_date": "text",
    "platform": "text",
    "country": "text",
    "day_n": "count",
    "cohort_size": "count",
    "active_players": "count",
    "retention": "double",
    "rolling_active_players": "count",
    "rolling_retention": "double",
}
LTV_COLUMNS = {
    "cohort_date": "text",
    "platform": "text",
    "country": "text",
    "day_n": "count",
    "cohort_size": "count",
    "cumulative_revenue_usd": "money",
    "ltv": "double",
}
LAST_DAY_N = 30


def cohorts(history):
    """Players by (day, platform, country) of their first event."""
    players = defaultdict(list)
    for player, event in history.first_event.items():
        for cut in cuts(event.platform, event.country):
            players[(event.day, *cut)].append(player)
    return players


def cells(history):
    """Each cohort with each day number whose day is over."""
    for (day, platform, country), players in cohorts(history).items():
        for n in range(LAST_DAY_N + 1):
            if day + n <= history.horizon:
                key = {
                    "cohort_date": day_text(day),
                    "platform": platform,
                    "country": country,
                    "day_n": n,
                    "cohort_size": len(players),
                }
                yield key, players, day, n


def mart_retention(history):
    for key, players, day, n in cells(history):
        active = sum(history.is_active(player, day + n) for player in players)
        rolling = sum(history.active_days[player][-1] >= day + n for player in players)
        yield {
            **key,
            "active_players": active,
            "retention": ratio(active, len(players)),
            "rolling_active_players": rolling,
            "rolling_retention": ratio(rolling, len(players)),
        }


def mart_ltv(history):
    revenue = defaultdict(Decimal)  # by player and day
    for event, amount in history.revenues():
        revenue[(event.player, event.day)] += amount
    total = Decimal(0)
    for key, players, day, n in cells(history):
        if n == 0:
            total = Decimal(0)
        for player in players:
            total += revenue.get((player, day + n), 0)
        yield {**key, "cumulative_revenue_usd": total, "ltv": ratio(total, len(players))}
