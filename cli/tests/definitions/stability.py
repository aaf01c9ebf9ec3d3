"""mart_stability: how many sessions and players got through crashed_here a crash."""

from __future__ import annotations

from collections import defaultdict

from daily import active_players
from figures import cuts, ratio
from history import day_text

KEY = "date platform country"
COLUMNS = {
    "date": "text",
    "platform": "text",
    "country": "text",
    "sessions": "count",
    "crashed_sessions": "count",
    "crash_free_sessions": "double",
    "active_players": "count",
    "crashed_players": "count",
    "crash_free_players": "double",
    "errors": "count",
    "fatal_errors": "count",
}


def mart_stability(history):
    all_errors = history.of_type("client_error")
    fatal_errors = [event for event in all_errors if event.properties["fatal"]]
    crashed = {event.session for event in fatal_errors if event.session is not None}
    active = active_players(history)
    sessions, crashed_sessions = defaultdict(int), defaultdict(int)
    for session in history.sessions:
        for cut in cuts(session.platform, session.country):
            sessions[(session.day, *cut)] += 1
            crashed_sessions[(session.day, *cut)] += session.id in crashed
    errors, fatal, crashed_players = defaultdict(int), defaultdict(int), defaultdict(set)
    for event in all_errors:
        for cut in cuts(event.platform, event.country):
            errors[(event.day, *cut)] += 1
    for event in fatal_errors:
        for cut in cuts(event.platform, event.country):
            fatal[(event.day, *cut)] += 1
            crashed_players[(event.day, *cut)].add(event.player)
    for place in active.keys() | sessions.keys():
        day, platform, country = place
        players, crashed_here = len(active.get(place, ())), len(crashed_players.get(place, ()))
        crash_free = sessions[place] - crashed_sessions[place]
        yield {
            "date": day_text(day),
            "platform": platform,
            "country": country,
            "sessions": sessions[place],
            "crashed_sessions": crashed_sessions[place],
            "crash_free_sessions": ratio(crash_free, sessions[place]),
            "active_players": players,
            "crashed_players": crashed_here,
            "crash_free_players": ratio(players - crashed_here, players),
            "errors": errors[place],
            "fatal_errors": fatal[place],
        }
