"""Medians of repeated measurements, and how far they can be trusted, without assuming a distribution."""

from collections.abc import Sequence
from math import comb
from statistics import median

import msgspec

CONFIDENCE = 0.9
"""Least confidence of an interval of a median."""

LEAST_RUNS = 5
"""Fewer measurements have no interval of that confidence: smallest and largest of 5 have one of 93.75%."""


class Median(msgspec.Struct, frozen=True):
    """A median and the interval in which the true one lies.

    `low` and `high` are measurements of a rank such that the interval holds the true median with at least
    CONFIDENCE (order statistics, binomial); with fewer than LEAST_RUNS, the smallest and the largest.
    """

    value: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """The interval's width as a share of the median; 0 for a median of 0."""
        return (self.high - self.low) / self.value if self.value else 0.0


def median_of(values: Sequence[float]) -> Median:
    """Return the median of at least one measurement."""
    ordered, place = sorted(values), _rank(len(values))
    return Median(median(ordered), ordered[place], ordered[-1 - place])


def _rank(count: int) -> int:
    """Return the largest rank, from 0, whose interval has the confidence, 0 if none has."""
    rank, outside = 0, 0.0
    for place in range(count // 2):
        outside += comb(count, place) / 2**count
        if 1 - 2 * outside < CONFIDENCE:
            break
        rank = place
    return rank
