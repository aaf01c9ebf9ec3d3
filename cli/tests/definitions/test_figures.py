"""The figures against closed forms and against cases that can be reckoned on paper."""

from __future__ import annotations

import math
import unittest
from decimal import Decimal

import compare
from contracts import parse_line, parse_time
from figures import chi_square_p_value, median, percentile, ratio, two_proportions


class Figures(unittest.TestCase):
    def test_percentiles_lie_between_the_two_nearest_values(self):
        self.assertEqual(percentile([10, 20, 40], 0.5), 20)
        self.assertAlmostEqual(percentile([40, 10, 20], 0.9), 36)
        self.assertEqual(percentile([7], 0.99), 7)
        self.assertIsNone(percentile([], 0.5))
        self.assertEqual(median([4, 1, 2, 3]), 2.5)
        self.assertEqual(median([3, 1, 2]), 2)

    def test_ratios(self):
        self.assertEqual(ratio(Decimal("0.50"), 4), 0.125)
        self.assertIsNone(ratio(1, 0))

    def test_chi_square_against_its_closed_forms(self):
        for statistic in (1e-6, 0.3, 1, 2.9, 3.1, 5, 25, 300):
            one = math.erfc(math.sqrt(statistic / 2))
            two = math.exp(-statistic / 2)
            four = two * (1 + statistic / 2)
            for freedom, expected in ((1, one), (2, two), (4, four)):
                found = chi_square_p_value(statistic, freedom)
                self.assertTrue(math.isclose(found, expected, rel_tol=1e-12), (statistic, freedom))
        self.assertEqual(chi_square_p_value(0, 3), 1)

    def test_two_proportions(self):
        # 30 of 100 against 20 of 100: the difference 0.1, its error sqrt(0.25 · 0.75 · 0.02).
        z, p_value = two_proportions(30, 100, 20, 100)
        self.assertAlmostEqual(z, 0.1 / math.sqrt(0.00375), places=12)
        self.assertAlmostEqual(p_value, 0.10247, places=5)
        self.assertEqual(two_proportions(1, 3, 2, 6), (0, 1))
        for nothing in ((0, 0, 1, 2), (1, 2, 0, 0), (0, 5, 0, 5), (5, 5, 5, 5)):
            self.assertEqual(two_proportions(*nothing), (None, None))


class Comparison(unittest.TestCase):
    def test_what_counts_as_the_same(self):
        for kind, expected, found in (
            ("count", 3, 3),
            ("money", Decimal("1.50"), Decimal("1.500000")),
            ("double", 0.1, Decimal("0.1000000000001")),
            ("double", None, None),
            ("time", 1_000_000, "1970-01-01T00:00:01.000000Z"),
            ("boolean", True, True),
        ):
            self.assertTrue(compare.same(kind, expected, found), (kind, expected, found))

    def test_what_differs(self):
        for kind, expected, found in (
            ("count", 3, 4),
            ("count", 3, Decimal("3.0")),
            ("count", 0, None),
            ("money", Decimal("1.50"), Decimal("1.500001")),
            ("double", 0.1, Decimal("0.100000001")),
            ("double", None, Decimal("0.0")),
            ("time", 1_000_000, "1970-01-01T00:00:02.000000Z"),
            ("boolean", True, 1),
            ("text", "a", "b"),
        ):
            self.assertFalse(compare.same(kind, expected, found), (kind, expected, found))


class Lines(unittest.TestCase):
    def test_lines_without_an_object(self):
        cut, twice, half = b'{"a":1', b'{"a":1,"a":2}', b'{"a":"\\ud83d"}'
        for line in (b"", b"42", b"[1]", cut, twice, half, b'{"a":"\xff"}'):
            self.assertIsNone(parse_line(line), line)
        self.assertEqual(parse_line(b'{"a":"\\ud83d\\ude00"}'), {"a": "\U0001f600"})

    def test_times(self):
        self.assertEqual(parse_time("1970-01-02T01:00:00.000001+01:00"), 86_400_000_001)
        self.assertEqual(parse_time(1_500), 1_500_000)
        for wrong in ("1970-01-02", None, True, "soon"):
            self.assertRaises(ValueError, parse_time, wrong)


if __name__ == "__main__":
    unittest.main()
