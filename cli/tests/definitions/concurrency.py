"""mart_concurrency: how many sessions are open at the same time."""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate

from contracts import DAY
from figures import cuts
from history import day_text

KEY = "date platform country"
COLUMNS = {
    "date": "text",
    "platform": "text",
    "country": "text",
    "peak_sessions": "count",
    "peak_at": "time",
    "avg_sessions": "double",
}
MINUTE = 60_000_000  # microseconds
MINUTES_OF_DAY = DAY // MINUTE


def mart_concurrency(history):
    # By day and cut, how many more sessions are open in a minute than in the one before.
    changes = defaultdict(lambda: [0] * (MINUTES_OF_DAY + 1))
    for session in history.sessions:
        first, last = session.start // MINUTE, session.end // MINUTE
        for day in range(session.start // DAY, session.end // DAY + 1):
            midnight = day * MINUTES_OF_DAY
            begin = max(first - midnight, 0)
            end = min(last - midnight, MINUTES_OF_DAY - 1)
            for cut in cuts(session.platform, session.country):
                changes[(day, *cut)][begin] += 1
                changes[(day, *cut)][end + 1] -= 1
    for (day, platform, country), change in changes.items():
        open_sessions = list(accumulate(change[:MINUTES_OF_DAY]))
        peak = max(open_sessions)
        yield {
            "date": day_text(day),
            "platform": platform,
            "country": country,
            "peak_sessions": peak,
            "peak_at": day * DAY + open_sessions.index(peak) * MINUTE,
            "avg_sessions": sum(open_sessions) / MINUTES_OF_DAY,
        }
