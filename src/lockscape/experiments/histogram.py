"""Times in buckets: read out of the machine, put together, and asked for percentiles.

A bucket is known by the shortest time in it. Counts are exact; a time is known to the width of its bucket,
which is at most a sixteenth of it (`RELATIVE_ERROR`), and below 32 cycles exactly.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from lockscape.machine import layout as at

Buckets = tuple[tuple[int, int], ...]
"""Shortest time in cycles and count of each bucket that has any, ascending."""

RELATIVE_ERROR = 1 / (1 << at.EXACT_BITS)
"""A percentile is never below the time that it stands for, and above it by less than this part of it."""


def shortest(bucket: int) -> int:
    """Return the shortest time of the bucket with this number, in cycles; see `machine.latency.bucket`."""
    shift = max((bucket >> at.EXACT_BITS) - 1, 0)
    return (bucket - (shift << at.EXACT_BITS)) << shift


def longest(shortest: int) -> int:
    """Return the longest time of the bucket that has this shortest one."""
    return shortest + (1 << max(shortest.bit_length() - at.EXACT_BITS - 1, 0)) - 1


def buckets_of(counts: Sequence[int]) -> Buckets:
    """Return the buckets that have any, from the counts of all."""
    return tuple((shortest(bucket), int(count)) for bucket, count in enumerate(counts) if count)


def together(parts: Iterable[Buckets]) -> Buckets:
    """Return the buckets of several histograms together."""
    counts: Counter[int] = Counter()
    for part in parts:
        counts.update(dict(part))
    return tuple(sorted(counts.items()))


def percentile(buckets: Buckets, most: int, permille: int) -> int:
    """Return a time in cycles that so many of 1,000 times do not exceed; 0 if there are none.

    `most`: the longest time, which is known exactly. The error is that of `RELATIVE_ERROR`.
    """
    rank = max(-(-sum(count for _, count in buckets) * permille // 1000), 1)
    for cycles, count in buckets:
        rank -= count
        if rank <= 0:
            return min(longest(cycles), most)
    return 0
