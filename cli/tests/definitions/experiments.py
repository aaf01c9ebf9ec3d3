"""mart_experiment_daily and mart_experiment: what became of players since their exposure."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from figures import chi_square_p_value, cuts, ratio, two_proportions
from history import day_text

DAILY_KEY = "date experiment_id variant platform country"
DAILY_COLUMNS = {
    "date": "text",
    "experiment_id": "text",
    "variant": "text",
    "platform": "text",
    "country": "text",
    "exposed_players": "count",
    "d1_players": "count",
    "d7_players": "count",
    "purchases": "count",
    "payers": "count",
    "revenue_usd": "money",
}
KEY = "experiment_id platform country variant"
COLUMNS = {
    "experiment_id": "text",
    "platform": "text",
    "country": "text",
    "variant": "text",
    "exposed_players": "count",
    "converted_players": "count",
    "conversion": "double",
    "revenue_usd": "money",
    "arpu": "double",
    "d1_exposed": "count",
    "d1_players": "count",
    "d1_retention": "double",
    "d7_exposed": "count",
    "d7_players": "count",
    "d7_retention": "double",
    "is_control": "boolean",
    "srm_chi_square": "double",
    "srm_p_value": "double",
    "conversion_z": "double",
    "conversion_p_value": "double",
}
CONTROL = "control"


def exposed_groups(history):
    """The first exposures by (experiment, platform, country, variant)."""
    groups = defaultdict(list)
    for (experiment, _), event in history.exposures.items():
        for cut in cuts(event.platform, event.country):
            groups[(experiment, *cut, event.properties["variant"])].append(event)
    return groups


def payments_by_player(history):
    payments = defaultdict(list)
    for event, revenue in history.revenues():
        payments[event.player].append((event, revenue))
    return payments


def payments_since(payments, exposure):
    return [pair for pair in payments.get(exposure.player, ()) if pair[0].time >= exposure.time]


def mart_experiment_daily(history):
    payments = payments_by_player(history)
    for (experiment, platform, country, variant), exposed in exposed_groups(history).items():
        new, after_1, after_7 = defaultdict(int), defaultdict(int), defaultdict(int)
        purchases, payers, revenue = defaultdict(int), defaultdict(set), defaultdict(Decimal)
        for exposure in exposed:
            new[exposure.day] += 1
            for after, n in ((after_1, 1), (after_7, 7)):
                if history.is_active(exposure.player, exposure.day + n):
                    after[exposure.day + n] += 1
            for event, amount in payments_since(payments, exposure):
                revenue[event.day] += amount
                if event.type == "purchase":
                    purchases[event.day] += 1
                    payers[event.day].add(event.player)
        for day in history.days:
            figures = {
                "exposed_players": new[day],
                "d1_players": after_1[day],
                "d7_players": after_7[day],
                "purchases": purchases[day],
                "payers": len(payers[day]),
                "revenue_usd": revenue[day],
            }
            if any(figures.values()):
                yield {
                    "date": day_text(day),
                    "experiment_id": experiment,
                    "variant": variant,
                    "platform": platform,
                    "country": country,
                    **figures,
                }


def retained(history, exposed, n):
    """Of players, those of whom day n since their exposure is over; of these, the active ones."""
    over = [event for event in exposed if event.day + n <= history.horizon]
    return len(over), sum(history.is_active(event.player, event.day + n) for event in over)


def variants_by_experiment(history):
    """The variants that anybody ever met, on whichever exposure."""
    variants = defaultdict(set)
    for event in history.of_type("experiment_exposure"):
        variants[event.properties["experiment_id"]].add(event.properties["variant"])
    return variants


def sample_ratio(sizes):
    """Chi-square of groups' sizes against an even split, and its p-value."""
    if len(sizes) < 2:
        return None, None
    even = sum(sizes) / len(sizes)
    statistic = sum((size - even) ** 2 for size in sizes) / even
    return statistic, chi_square_p_value(statistic, len(sizes) - 1)


def mart_experiment(history):
    groups = exposed_groups(history)
    variants = variants_by_experiment(history)
    payments = payments_by_player(history)
    for experiment, platform, country in sorted({place[:3] for place in groups}):
        exposed = {
            variant: groups.get((experiment, platform, country, variant), [])
            for variant in variants[experiment]
        }
        converted = {
            variant: sum(
                any(event.type == "purchase" for event, _ in payments_since(payments, exposure))
                for exposure in exposures
            )
            for variant, exposures in exposed.items()
        }
        chi_square, srm_p_value = sample_ratio([len(players) for players in exposed.values()])
        for variant, exposures in exposed.items():
            revenue = Decimal(0)
            for exposure in exposures:
                revenue += sum(amount for _, amount in payments_since(payments, exposure))
            z = p_value = None
            if variant != CONTROL and CONTROL in exposed:
                z, p_value = two_proportions(
                    converted[variant], len(exposures), converted[CONTROL], len(exposed[CONTROL])
                )
            d1_exposed, d1_players = retained(history, exposures, 1)
            d7_exposed, d7_players = retained(history, exposures, 7)
            yield {
                "experiment_id": experiment,
                "platform": platform,
                "country": country,
                "variant": variant,
                "exposed_players": len(exposures),
                "converted_players": converted[variant],
                "conversion": ratio(converted[variant], len(exposures)),
                "revenue_usd": revenue,
                "arpu": ratio(revenue, len(exposures)),
                "d1_exposed": d1_exposed,
                "d1_players": d1_players,
                "d1_retention": ratio(d1_players, d1_exposed),
                "d7_exposed": d7_exposed,
                "d7_players": d7_players,
                "d7_retention": ratio(d7_players, d7_exposed),
                "is_control": variant == CONTROL,
                "srm_chi_square": chi_square,
                "srm_p_value": srm_p_value,
                "conversion_z": z,
                "conversion_p_value": p_value,
            }
