"""mart_economy and mart_economy_reason: where currency comes from and where it goes."""

from __future__ import annotations

from collections import defaultdict

from figures import cuts, percentile, ratio
from history import day_text

ECONOMY_KEY = "date platform country currency"
ECONOMY_COLUMNS = {
    "date": "text",
    "platform": "text",
    "country": "text",
    "currency": "text",
    "earned": "count",
    "spent": "count",
    "net": "count",
    "flows": "count",
    "players": "count",
    "balance_median": "double",
    "balance_p90": "double",
    "balance_p99": "double",
}
REASON_KEY = "date platform country currency direction reason"
REASON_COLUMNS = {
    "date": "text",
    "platform": "text",
    "country": "text",
    "currency": "text",
    "direction": "text",
    "reason": "text",
    "amount": "count",
    "flows": "count",
    "players": "count",
    "share": "double",
    "place": "count",
}


def flows(history):
    """Each flow of currency in the order of time, as (event, direction, reason)."""
    earned, spent = history.of_type("currency_earned"), history.of_type("currency_spent")
    found = [(event, "earned", event.properties["source"]) for event in earned]
    found += [(event, "spent", event.properties["sink"]) for event in spent]
    return sorted(found)


def mart_economy(history):
    amounts = defaultdict(lambda: {"earned": 0, "spent": 0, "flows": 0})
    balances = defaultdict(dict)  # by player, of their last flow
    for event, direction, _ in flows(history):
        for cut in cuts(event.platform, event.country):
            place = (event.day, *cut, event.properties["currency"])
            amounts[place][direction] += event.properties["amount"]
            amounts[place]["flows"] += 1
            balances[place][event.player] = event.properties["balance_after"]
    for place, amount in amounts.items():
        day, platform, country, currency = place
        balance = list(balances[place].values())
        yield {
            "date": day_text(day),
            "platform": platform,
            "country": country,
            "currency": currency,
            **amount,
            "net": amount["earned"] - amount["spent"],
            "players": len(balance),
            "balance_median": percentile(balance, 0.5),
            "balance_p90": percentile(balance, 0.9),
            "balance_p99": percentile(balance, 0.99),
        }


def mart_economy_reason(history):
    groups = defaultdict(lambda: defaultdict(list))  # events by reason
    for event, direction, reason in flows(history):
        for cut in cuts(event.platform, event.country):
            group = (event.day, *cut, event.properties["currency"], direction)
            groups[group][reason].append(event)
    for (day, platform, country, currency, direction), reasons in groups.items():
        amounts = {
            reason: sum(event.properties["amount"] for event in events)
            for reason, events in reasons.items()
        }
        ranked = sorted(reasons, key=lambda reason: (-amounts[reason], reason))
        for place, reason in enumerate(ranked, start=1):
            yield {
                "date": day_text(day),
                "platform": platform,
                "country": country,
                "currency": currency,
                "direction": direction,
                "reason": reason,
                "amount": amounts[reason],
                "flows": len(reasons[reason]),
                "players": len({event.player for event in reasons[reason]}),
                "share": ratio(amounts[reason], sum(amounts.values())),
                "place": place,
            }
