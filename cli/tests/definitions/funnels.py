"""mart_funnel: how many players go how far, and how long they take."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from contracts import DAY
from figures import cuts, median, ratio
from history import day_text

KEY = "funnel cohort_date platform country step"
COLUMNS = {
    "funnel": "text",
    "cohort_date": "text",
    "platform": "text",
    "country": "text",
    "step": "count",
    "step_name": "text",
    "players": "count",
    "share_of_first": "double",
    "share_of_previous": "double",
    "median_seconds": "double",
}


def step_is(event_type, **wanted):
    """A step that is an event of this type with these properties."""

    def is_step(event):
        return all(event.properties.get(name) == value for name, value in wanted.items())

    return event_type, is_step


REGISTERED = ("registered", step_is("player_registered"))
TUTORIAL = ("welcome", "first_move", "combine_runes", "use_booster", "open_chest", "visit_village")


def level_won(level):
    return "level_%d_won" % level, step_is("level_end", result="win", level=level)


# Of each funnel the days within which it is gone through, and its steps.
FUNNELS = {
    "tutorial": (
        7,
        [REGISTERED]
        + [(name, step_is("tutorial_step", step=n + 1)) for n, name in enumerate(TUTORIAL)],
    ),
    "onboarding": (
        7,
        [
            REGISTERED,
            ("tutorial_done", step_is("tutorial_step", step=6)),
            level_won(1),
            level_won(5),
            level_won(10),
        ],
    ),
    "first_purchase": (
        30,
        [
            REGISTERED,
            level_won(5),
            ("shop_used", step_is("currency_spent", sink="shop")),
            ("purchased", step_is("purchase")),
        ],
    ),
}


def step_times(history, step):
    """When each player did it, in order; and their first event of the kind."""
    event_type, is_step = step
    times, first = defaultdict(list), {}
    for event in history.of_type(event_type):
        if is_step(event):
            times[event.player].append(event.time)
            first.setdefault(event.player, event)
    return times, first


def way_through(steps, player, begin, window):
    """The times at which a player reached the steps, as far as they went."""
    reached = [begin]
    for times in steps:
        mine = times.get(player, [])
        earliest = bisect_left(mine, reached[-1])
        if earliest == len(mine) or mine[earliest] > begin + window:
            break
        reached.append(mine[earliest])
    return reached


def mart_funnel(history):
    for funnel, (window_days, steps) in FUNNELS.items():
        _, first = step_times(history, steps[0][1])
        later = [step_times(history, step)[0] for _, step in steps[1:]]
        ways = defaultdict(list)
        for player, entry in first.items():
            way = way_through(later, player, entry.time, window_days * DAY)
            for cut in cuts(entry.platform, entry.country):
                ways[(entry.day, *cut)].append(way)
        for (day, platform, country), found in ways.items():
            for step in range(1, len(steps) + 1):
                here = [way for way in found if len(way) >= step]
                before = len([way for way in found if len(way) >= step - 1])
                seconds = [(way[step - 1] - way[step - 2]) / 1e6 for way in here]
                yield {
                    "funnel": funnel,
                    "cohort_date": day_text(day),
                    "platform": platform,
                    "country": country,
                    "step": step,
                    "step_name": steps[step - 1][0],
                    "players": len(here),
                    "share_of_first": ratio(len(here), len(found)),
                    "share_of_previous": ratio(len(here), before),
                    "median_seconds": median(seconds) if step > 1 else None,
                }
