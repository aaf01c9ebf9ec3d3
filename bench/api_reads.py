"""What the API's rows read: pages of marts, each as it is asked for."""

import datetime
import random
from dataclasses import dataclass
from itertools import product

from web_servers import WebServer

WINDOW_DAYS = 30
# Days on which the larger page may begin: nearly all of its rows are left.
LATE_BEGINNINGS = 8

# Limits, and so different pages, that one run has for each page.
LIMITS_OF_A_RUN = 3_000
# No page has so many rows, so that a limit beyond it makes another request, but the same answer.
MORE_THAN_ALL = 2_000

SAMPLED = 60


@dataclass(frozen=True)
class Reads:
    name: str
    # What is read from the cache.
    page: str
    # What is not, each to be followed by a limit.
    pages: list[str]

    def first_limit(self, number: int) -> int:
        """The first limit of a run, so that no two runs ask for the same."""
        return MORE_THAN_ALL + number * LIMITS_OF_A_RUN

    def sample(self) -> list[str]:
        """Pages to be compared. No run asks for them."""
        return [self.page, *(f"{page}{MORE_THAN_ALL - 1}" for page in self.pages[:SAMPLED])]


def choose(questlake: WebServer, start: str, days: int) -> list[Reads]:
    filters = questlake.get_json("/api/v1/filters")
    first = datetime.date.fromisoformat(start)
    platforms = ["all", *filters["platforms"]]
    countries = ["all", *filters["countries"]]
    beginnings = [first + datetime.timedelta(day) for day in range(days - WINDOW_DAYS + 1)]
    daily = [
        f"{daily_page(begin, platform)}&country={country}&limit="
        for begin, platform, country in product(beginnings, platforms, countries)
    ]
    triangles = [
        f"/api/v1/marts/mart_retention?from={begin}&platform={platform}&limit="
        for begin, platform in product(beginnings[:LATE_BEGINNINGS], platforms)
    ]
    mixed = random.Random(1)
    mixed.shuffle(daily)
    mixed.shuffle(triangles)
    middle = beginnings[len(beginnings) // 2]
    return [
        Reads(
            name="30 days of one platform",
            page=daily_page(middle, filters["platforms"][0]),
            pages=daily,
        ),
        Reads(
            name="retention triangle",
            page=f"/api/v1/marts/mart_retention?limit={MORE_THAN_ALL}",
            pages=triangles,
        ),
    ]


def daily_page(begin: datetime.date, platform: str) -> str:
    end = begin + datetime.timedelta(WINDOW_DAYS - 1)
    return f"/api/v1/marts/mart_daily_kpi?from={begin}&to={end}&platform={platform}"
