"""The whole events in the order of their times, and what follows from them for players and days."""

from __future__ import annotations

from collections import defaultdict, namedtuple
from datetime import date
from decimal import Decimal

from contracts import DAY, parse_time

UNKNOWN = "unknown"
DAY_0 = date(1970, 1, 1).toordinal()

# Times in microseconds since 1970, days in days since then, both UTC.
Event = namedtuple("Event", "time id type player session platform country day properties")
Session = namedtuple("Session", "id start end day platform country")


def read_event(event):
    """An event of a whole line's object."""
    time = parse_time(event["event_time"])
    return Event(
        time,
        event["event_id"],
        event["event_type"],
        event["player_id"],
        event.get("session_id"),
        event.get("platform") or UNKNOWN,
        event.get("country") or UNKNOWN,
        time // DAY,
        event.get("properties", {}),
    )


def day_text(day):
    return date.fromordinal(DAY_0 + day).isoformat()


class History:
    """What has happened. The earliest of several events is the one with the smallest time, and of
    those the one with the smallest event_id."""

    def __init__(self, events, received_last):
        """`received_last`: when the latest event was received, in microseconds since 1970."""
        self.events = sorted(events)
        self.by_type = defaultdict(list)
        self.first_event = {}  # by player
        active_days = defaultdict(set)
        for event in self.events:
            self.by_type[event.type].append(event)
            self.first_event.setdefault(event.player, event)
            active_days[event.player].add(event.day)
        # Days on which a player did anything, on whatever platform; in order, and to ask for one.
        self.active_days = {player: sorted(days) for player, days in active_days.items()}
        self.active_on = active_days
        self.days = range(self.events[0].day, max(event.day for event in self.events) + 1)
        # The latest day that is over: something was received on a later one.
        self.horizon = min(self.days[-1], received_last // DAY - 1)
        self.sessions = sessions(self.events)
        self.exposures = exposures(self.by_type["experiment_exposure"])

    def of_type(self, name):
        return self.by_type[name]

    def is_active(self, player, day):
        return day in self.active_on[player]

    def revenues(self):
        """Each payment as (event, revenue in US dollars): purchases and ad impressions."""
        for event in self.of_type("purchase"):
            yield event, purchase_revenue(event)
        for event in self.of_type("ad_impression"):
            yield event, Decimal(event.properties["revenue_usd"])


def purchase_revenue(event):
    return Decimal(event.properties["price_usd"]) * event.properties["quantity"]


def sessions(events):
    """Sessions, from their first event to their last; `events` in order."""
    first, last = {}, {}
    for event in events:
        if event.session is not None:
            first.setdefault(event.session, event)
            last[event.session] = event
    return [
        Session(name, begin.time, last[name].time, begin.day, begin.platform, begin.country)
        for name, begin in first.items()
    ]


def exposures(events):
    """The first exposure of each (experiment, player); `events` in order."""
    first = {}
    for event in events:
        first.setdefault((event.properties["experiment_id"], event.player), event)
    return first
