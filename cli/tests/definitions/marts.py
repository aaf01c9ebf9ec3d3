"""Every mart of the game: its key, the kinds of its columns, and its definition."""

from __future__ import annotations

from collections import namedtuple

import cohorts
import concurrency
import daily
import economy
import experiments
import funnels
import levels
import stability
import states

# `rows` makes the rows of a History, each a dictionary with all columns.
Mart = namedtuple("Mart", "key columns rows")


def mart(key, columns, rows):
    return Mart(tuple(key.split()), columns, rows)


MARTS = {
    "mart_concurrency": mart(concurrency.KEY, concurrency.COLUMNS, concurrency.mart_concurrency),
    "mart_daily_kpi": mart(daily.KEY, daily.COLUMNS, daily.mart_daily_kpi),
    "mart_economy": mart(economy.ECONOMY_KEY, economy.ECONOMY_COLUMNS, economy.mart_economy),
    "mart_economy_reason": mart(
        economy.REASON_KEY, economy.REASON_COLUMNS, economy.mart_economy_reason
    ),
    "mart_experiment": mart(experiments.KEY, experiments.COLUMNS, experiments.mart_experiment),
    "mart_experiment_daily": mart(
        experiments.DAILY_KEY, experiments.DAILY_COLUMNS, experiments.mart_experiment_daily
    ),
    "mart_funnel": mart(funnels.KEY, funnels.COLUMNS, funnels.mart_funnel),
    "mart_level": mart(levels.KEY, levels.COLUMNS, levels.mart_level),
    "mart_ltv": mart(cohorts.LTV_KEY, cohorts.LTV_COLUMNS, cohorts.mart_ltv),
    "mart_player_state": mart(states.KEY, states.COLUMNS, states.mart_player_state),
    "mart_retention": mart(
        cohorts.RETENTION_KEY, cohorts.RETENTION_COLUMNS, cohorts.mart_retention
    ),
    "mart_stability": mart(stability.KEY, stability.COLUMNS, stability.mart_stability),
}
