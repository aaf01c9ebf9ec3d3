"""mart_daily_kpi: the figures of each day."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from figures import cuts, ratio
from history import day_text, purchase_revenue

KEY = "date platform country"
COLUMNS = {
    "date": "text",
    "platform": "text",
    "country": "text",
    "new_players": "count",
    "dau": "count",
    "wau": "count",
    "mau": "count",
    "stickiness": "double",
    "sessions": "count",
    "playtime_seconds": "double",
    "avg_session_seconds": "double",
    "iap_revenue_usd": "money",
    "ad_revenue_usd": "money",
    "total_revenue_usd": "money",
    "arpdau": "double",
    "payers": "count",
    "arppu": "double",
    "conversion": "double",
    "first_time_payers": "count",
}


def active_players(history):
    """The distinct active players by (day, platform, country), each event in its own cuts."""
    players = defaultdict(set)
    for event in history.events:
        for cut in cuts(event.platform, event.country):
            players[(event.day, *cut)].add(event.player)
    return players


def active_lately(history, active, length):
    """The distinct players of the `length` days that end with a day, in the same way."""
    players = defaultdict(set)
    for (day, *cut), found in active.items():
        for later in range(day, min(day + length, history.days.stop)):
            players[(later, *cut)] |= found
    return players


def mart_daily_kpi(history):
    active = active_players(history)
    week, month = (active_lately(history, active, length) for length in (7, 30))
    new, payers, first_payers = defaultdict(set), defaultdict(set), defaultdict(set)
    sessions, playtime = defaultdict(int), defaultdict(int)
    iap, ads = defaultdict(Decimal), defaultdict(Decimal)

    def each_cut(what):
        return [(what.day, *cut) for cut in cuts(what.platform, what.country)]

    for player, event in history.first_event.items():
        for place in each_cut(event):
            new[place].add(player)
    for session in history.sessions:
        for place in each_cut(session):
            sessions[place] += 1
            playtime[place] += session.end - session.start
    have_paid = set()
    for event in history.of_type("purchase"):
        for place in each_cut(event):
            iap[place] += purchase_revenue(event)
            payers[place].add(event.player)
            if event.player not in have_paid:
                first_payers[place].add(event.player)
        have_paid.add(event.player)
    for event in history.of_type("ad_impression"):
        for place in each_cut(event):
            ads[place] += Decimal(event.properties["revenue_usd"])

    # A day and cut in which somebody was active on the 30 days has a row.
    for place in month:
        day, platform, country = place
        dau, mau = len(active.get(place, ())), len(month[place])
        seconds = playtime[place] / 1e6
        total = iap[place] + ads[place]
        yield {
            "date": day_text(day),
            "platform": platform,
            "country": country,
            "new_players": len(new[place]),
            "dau": dau,
            "wau": len(week.get(place, ())),
            "mau": mau,
            "stickiness": ratio(dau, mau),
            "sessions": sessions[place],
            "playtime_seconds": seconds,
            "avg_session_seconds": ratio(seconds, sessions[place]),
            "iap_revenue_usd": iap[place],
            "ad_revenue_usd": ads[place],
            "total_revenue_usd": total,
            "arpdau": ratio(total, dau),
            "payers": len(payers[place]),
            "arppu": ratio(iap[place], len(payers[place])),
            "conversion": ratio(len(payers[place]), dau),
            "first_time_payers": len(first_payers[place]),
        }
