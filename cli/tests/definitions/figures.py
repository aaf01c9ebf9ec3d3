"""Shares, percentiles, p-values, and the cuts that figures are given in."""

from __future__ import annotations

import math

ALL = "all"


def cuts(platform, country):
    """The cuts that something of this platform and country counts in."""
    return ((ALL, ALL), (platform, ALL), (ALL, country), (platform, country))


def ratio(part, whole):
    """part / whole as a float; None if the whole is 0."""
    return float(part) / float(whole) if whole else None


def percentile(values, share):
    """The continuous percentile, between the two nearest values; None if there are no values."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median(values):
    """The middle value, or the mean of the two in the middle; None if there are no values."""
    if not values:
        return None
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[middle])
    return (ordered[middle - 1] + ordered[middle]) / 2


def chi_square_p_value(statistic, degrees_of_freedom):
    """The chance of a statistic that large or larger."""
    return upper_gamma(degrees_of_freedom / 2, statistic / 2)


def upper_gamma(a, x):
    """The regularised upper incomplete gamma function Q(a, x)."""
    if x <= 0:
        return 1.0
    # Both ways give the integral from x on, or up to x, divided by this.
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        # P(a, x) as a series: the sum of x^n / (a (a + 1) … (a + n)).
        term = total = 1 / a
        n = a
        while term > total * 1e-17:
            n += 1
            term *= x / n
            total += term
        return 1 - scale * total
    # Q(a, x) as a continued fraction, from the far end; so many steps are more than enough here.
    fraction = 0.0
    for n in range(500, 0, -1):
        fraction = n * (n - a) / (x + 2 * n + 1 - a - fraction)
    return scale / (x + 1 - a - fraction)


def two_proportions(successes, trials, control_successes, control_trials):
    """z of the difference of two shares by the pooled share, and the two-sided chance of one that
    large or larger. Both are None if a side has no trials or if all had the same outcome."""
    if not trials or not control_trials:
        return None, None
    all_successes, all_trials = successes + control_successes, trials + control_trials
    if all_successes in (0, all_trials):
        return None, None
    pooled = all_successes / all_trials
    error = math.sqrt(pooled * (1 - pooled) * (1 / trials + 1 / control_trials))
    # The difference from whole numbers, so that equal shares give exactly 0.
    difference = successes * control_trials - control_successes * trials
    z = difference / (trials * control_trials) / error
    return z, math.erfc(abs(z) / math.sqrt(2))
