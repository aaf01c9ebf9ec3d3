"""Events that no simulated player makes: many at the same time, ends without beginnings, several
variants for one player, gaps and windows that end to the minute, in no order at all.

    python3 definitions/oddities.py SEED FIRST_DAY DAYS PLAYERS [FLAG]...

Writes them to standard output, one a line. FIRST_DAY is a date such as 2026-01-31.

    --plain-ties      events of a player at the same time agree in what is told of the first
    --short-sessions  a session goes over one midnight at most, and not over three
"""

from __future__ import annotations

import json
import random
import sys
from datetime import datetime, timedelta, timezone

# Few of everything, so that much meets. Times are multiples of this, but for the last moments of
# days.
STEP = timedelta(minutes=45)
LAST_MOMENT = timedelta(days=1) - timedelta(microseconds=1)
PLATFORMS = ("ios", "android", None)
COUNTRIES = ("DE", "JP", None)
# Days between two days with events: on both sides of a week and of four.
GAPS = (1, 1, 1, 1, 2, 3, 6, 7, 8, 21, 27, 28, 29, 35)
EXPERIMENTS = {
    "alone": ("control",),
    "pair": ("control", "treatment"),
    "three": ("a", "control", "z"),
    "without_control": ("left", "right"),
}


class Oddities:
    def __init__(self, seed, first_day, days, players, flags):
        self.random = random.Random(seed)
        self.seed = seed
        self.plain_ties = "--plain-ties" in flags
        self.days_of_session = 2 if "--short-sessions" in flags else 4
        self.begin = datetime.fromisoformat(first_day).replace(tzinfo=timezone.utc)
        self.days = days
        self.players = players

    def of_moment(self, *moment):
        """Chance; with plain ties, it decides in the same way whenever it is asked for a moment."""
        if self.plain_ties:
            return random.Random(repr((self.seed, moment)))
        return self.random

    def event_id(self):
        return "%032x" % self.random.getrandbits(128)

    def moment(self, day):
        """Some time of a day: mostly one that others have, too."""
        if self.random.random() < 0.05:
            return self.begin + timedelta(days=day) + LAST_MOMENT
        steps = timedelta(days=1) // STEP
        return self.begin + timedelta(days=day) + self.random.randrange(steps) * STEP

    def envelope(self, event_type, player, time, properties):
        if self.random.random() < 0.2:
            written = int(time.timestamp() * 1000) if time.microsecond == 0 else time.isoformat()
        else:
            written = time.isoformat().replace("+00:00", "Z")
        cut = self.of_moment(player, time)
        days = (time - self.begin) // timedelta(days=self.days_of_session)
        session = "session-%s-%d-%d" % (player, days, self.random.randrange(2))
        event = {
            "event_id": self.event_id(),
            "event_type": event_type,
            "event_time": written,
            "player_id": player,
            "session_id": session if self.random.random() < 0.9 else None,
            "platform": cut.choice(PLATFORMS),
            "country": cut.choice(COUNTRIES),
            "properties": properties,
        }
        # Absent is the same as null.
        for name in ("session_id", "platform", "country"):
            if event[name] is None and self.random.random() < 0.5:
                del event[name]
        return event

    def some_event(self, player, day):
        choose = self.random.choice
        event_type = choose(list(MAKERS))
        time = self.moment(day)
        if event_type == "experiment_exposure":
            properties = exposure(self.of_moment("variant", player, time))
        else:
            properties = MAKERS[event_type](self.random, player)
        return self.envelope(event_type, player, time, properties)

    def attempt(self, player, day):
        """The start of an attempt at a level, or its end, or both; perhaps in that order."""
        level = self.random.choice((1, 1, 5, 5, 10, 11))
        begin = self.moment(day)
        end = begin + STEP * self.random.choice((-1, 0, 0, 1, 30))
        shared = {
            "attempt_id": self.event_id(),
            "level_id": "level_%d" % level,
            "level": level,
            "attempt": self.of_moment("attempt", player, level, end).randint(1, 6),
        }
        result = self.random.choice(("win", "win", "loss", "quit"))
        ended = {**shared, "result": result, "duration_ms": self.random.choice((0, 500, 61_001))}
        events = [
            self.envelope("level_start", player, begin, shared),
            self.envelope("level_end", player, end, ended),
        ]
        return self.random.choice((events, events, events, events[:1], events[1:]))

    def life(self, player):
        events = []
        day = self.random.randrange(self.days // 2)
        while day < self.days:
            for _ in range(self.random.choice((1, 1, 3, 8, 20))):
                events.append(self.some_event(player, day))
                if self.random.random() < 0.5:
                    events += self.attempt(player, day)
            day += self.random.choice(GAPS)
        return events

    def lines(self):
        events = [event for n in range(self.players) for event in self.life("player-%d" % n)]
        lines = [json.dumps(event) for event in events]
        lines += self.random.sample(lines, len(lines) // 20)  # sent twice
        self.random.shuffle(lines)
        return lines


def flow(random, reason, reasons):
    return {
        "currency": random.choice(("coins", "gems")),
        "amount": random.choice((5, 5, 10, 1_000_000_007)),
        reason: random.choice(reasons),
        "balance_after": random.choice((0, 10, 25, 4_000_000_000)),
    }


def exposure(random):
    experiment = random.choice(list(EXPERIMENTS))
    return {"experiment_id": experiment, "variant": random.choice(EXPERIMENTS[experiment])}


# The properties of an event of each type.
MAKERS = {
    "player_registered": lambda random, player: {
        "display_name": player,
        "acquisition_channel": "organic",
    },
    "tutorial_step": lambda random, player: {
        "step": random.randint(1, 7),
        "step_name": "some step",
        "outcome": random.choice(("completed", "skipped")),
    },
    "session_start": lambda random, player: {"session_number": 1},
    "session_end": lambda random, player: {"end_reason": "timeout", "duration_ms": 0},
    "social_action": lambda random, player: {"action": "shared"},
    "currency_earned": lambda random, player: flow(random, "source", ("win", "gift", "W", "ä")),
    "currency_spent": lambda random, player: flow(random, "sink", ("shop", "shop", "booster")),
    "purchase": lambda random, player: {
        "purchase_id": "pay-%d" % random.getrandbits(60),
        "item_id": random.choice(("sword", "shield")),
        "item_category": "gear",
        "price_usd": random.choice((0, 0.99, 4.99, 10, 99999.99)),
        "quantity": random.choice((1, 1, 3, 1000)),
        "store": "steam",
    },
    "ad_impression": lambda random, player: {
        "impression_id": "ad-%d" % random.getrandbits(60),
        "network": "one",
        "placement": "map",
        "ad_format": "banner",
        "revenue_usd": random.choice((0, 0.000001, 0.0123, 0.333333)),
    },
    "experiment_exposure": lambda random, player: exposure(random),
    "client_error": lambda random, player: {
        "error_code": "E%d" % random.randrange(3),
        "fatal": random.random() < 0.3,
    },
}


def main():
    seed, first_day, days, players, *flags = sys.argv[1:]
    for line in Oddities(int(seed), first_day, int(days), int(players), flags).lines():
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
