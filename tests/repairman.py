"""The machine-repairman model: processors that think, and one server that serves them in order of arrival.

A lock is the server: a processor works outside of it for `think`, and under it for `work`, on average and in
one unit of time, cycles say. Throughputs are operations in that unit, of all processors together.
"""

import math

from lockscape.experiments.mva import solve


def mean_value_analysis(processors: int, think: float, work: float) -> float:
    """Return the throughput with exponential times, by exact mean value analysis (see `mva`)."""
    return solve(processors, think, (work,)).throughput


def birth_death(processors: int, think: float, work: float) -> float:
    """Return the same from the birth-death chain of the number that waits or is served."""
    weights = [math.perm(processors, k) * (work / think) ** k for k in range(processors + 1)]
    return (1 - weights[0] / sum(weights)) / work


def synchronous_bound(processors: int, think: float, work: float, exchange: float = 0.0) -> float:
    """Return the throughput when all processors come to the server at the same moment, the worst case.

    Each then waits for all: N operations in ``think + N work``. With `exchange` the service becomes longer by
    this share for each further processor, as when data must be fetched from it. Over one processor's it is
    Amdahl's law with sigma = work / (think + work), and the universal scalability law with alpha = sigma
    and beta = sigma * exchange (Gunther 2008, arXiv:0808.1431, theorems 1 and 2).
    """
    service = work * (1 + exchange * (processors - 1))
    return processors / (think + processors * service)
