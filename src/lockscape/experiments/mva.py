"""Closed queueing networks: customers that think, and several servers that each serve one at a time.

A customer is a processor or a thread, a server a lock: in a cycle, customers work outside of all locks for
`think` and under each lock for its demand, on average and in one unit of time. Solved by exact mean value
analysis (Reiser and Lavenberg, J. ACM 27(2), 1980; Lazowska et al., Quantitative System Performance,
Prentice-Hall 1984, section 6.4). Exact means: for customers of one kind, times that are exponential and do
not depend on each other, in order of arrival, and nobody who holds one lock asks for another.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    Floats = NDArray[np.float64]

CLOSE = 1e-6
"""Relative difference up to which waits are matched."""

LEAST = 1e-300
"""Instead of 0 under a logarithm."""


class Solution(NamedTuple):
    """A solved network: cycles in the unit of time, and for each server the time and the number there.

    `residence`: waiting and served, a cycle and customer; `queue`: customers who wait or are served. Little's
    law: population = throughput * think + sum(queue).
    """

    throughput: float
    residence: "Floats"
    queue: "Floats"


class Network(NamedTuple):
    """Think time and demands of a network that waits were measured in, see `network_of`.

    `matched`: what share of the measured waits the model has. Below 1 they are longer than in any of its
    networks with this cycle: nobody works outside of the locks there, and the rest of the waits is time in
    which a lock passes from one to the next.
    """

    think: float
    demands: "Floats"
    matched: float


def solve(population: int, think: float, demands: "Sequence[float] | Floats") -> Solution:
    """Return the exact solution for `population` customers, at least one, and demands of shape (servers,)."""
    served = np.asarray(demands, dtype=float)
    queue = np.zeros_like(served)
    throughput, residence = 0.0, served
    for n in range(1, population + 1):
        residence = served * (1 + queue)  # who arrives sees the network with one customer fewer
        throughput = n / (think + float(residence.sum()))
        queue = throughput * residence
    return Solution(throughput, residence, queue)


def network_of(population: int, cycle: float, waits: "Sequence[float] | Floats") -> Network:
    """Return the network in which customers wait as they were seen to: the inverse of `solve`.

    `waits`: of each server, a cycle and customer; all above 0, together less than the `cycle`. What is not
    waited is thought or served; which of the two follows from the waits. `population` is at least 2.
    Raises `ArithmeticError` if none is found.
    """
    seen = np.asarray(waits, dtype=float) / cycle
    active = 1 - float(seen.sum())
    begin = _schweitzer(population, seen)
    full, share = _saturated(population, seen, begin)
    if share <= 1:
        return Network(0.0, full * cycle, share)
    think, demands = _matched(population, seen, active, begin)
    return Network(think * cycle, demands * cycle, 1.0)


def _schweitzer(population: int, seen: "Floats") -> "Floats":
    """Return demands to begin with, for a cycle of 1: those of Schweitzer's approximation.

    There who arrives sees (N - 1) / N of the mean queue, so wait = demand * (demand + wait) * (N - 1).
    """
    found: Floats = (-seen + np.sqrt(seen * seen + 4 * seen / (population - 1))) / 2
    return found


def _matched(population: int, seen: "Floats", active: float, begin: "Floats") -> "tuple[float, Floats]":
    """Return think time and demands, together `active`, with which customers wait as seen."""

    def parts(x: "Floats") -> "Floats":
        weights = np.exp(np.append(x, 0.0) - max(0.0, float(x.max())))
        found: Floats = active * weights / weights.sum()
        return found

    def off(x: "Floats") -> "tuple[Floats, Floats]":
        time = parts(x)
        waits, slopes = _waits(population, float(time[-1]), time[:-1])
        slopes = np.column_stack((slopes[:, 1:], slopes[:, 0]))
        shares = np.diag(time)[:, :-1] - np.outer(time, time[:-1]) / active
        return np.log(waits / seen), slopes @ shares / waits[:, None]

    rest = max(active - float(begin.sum()), 1e-3 * active)
    time = parts(_root(off, np.log(begin / rest)))
    return float(time[-1]), time[:-1]


def _saturated(population: int, seen: "Floats", begin: "Floats") -> "tuple[Floats, float]":
    """Return the demands for a cycle of 1 with which nobody thinks, and waits have the seen proportions.

    And how long customers wait, as a share of the seen waits: in no network with this cycle is it longer.
    """

    def off(x: "Floats") -> "tuple[Floats, Floats]":
        demands = np.exp(x - x.max())
        waits, slopes = _waits(population, 0.0, demands)
        relative = slopes[:, 1:] * demands / waits[:, None]
        total = float(waits.sum())
        return np.log(waits / total / (seen / seen.sum())), relative - (waits / total) @ relative

    demands = np.exp(_root(off, np.log(begin)))
    solved = solve(population, 0.0, demands)
    scale = solved.throughput / population
    waited = float((solved.residence - demands).sum()) * scale
    return demands * scale, waited / float(seen.sum())


def _waits(population: int, think: float, demands: "Floats") -> "tuple[Floats, Floats]":
    """Return the waits of a network, and their derivatives by think time and demands: (servers, 1 + servers).

    The derivatives of `solve`, step by step.
    """
    count = len(demands)
    own = np.eye(count, count + 1, 1)
    queue, grows = np.zeros(count), np.zeros((count, count + 1))
    residence, slopes = demands, own
    for n in range(1, population + 1):
        residence = demands * (1 + queue)
        slopes = own * (1 + queue)[:, None] + demands[:, None] * grows
        throughput = n / (think + float(residence.sum()))
        falls = slopes.sum(axis=0)
        falls[0] += 1
        queue = throughput * residence
        grows = throughput * slopes - np.outer(residence, falls) * throughput * throughput / n
    return np.maximum(residence - demands, LEAST), slopes - own


def _root(off: "Callable[[Floats], tuple[Floats, Floats]]", begin: "Floats") -> "Floats":
    """Return where `off`, which returns values and their derivatives, is nearly 0 in all."""
    from scipy.optimize import least_squares

    found = least_squares(
        lambda x: off(x)[0], begin, jac=lambda x: off(x)[1], method="trf", xtol=1e-12, ftol=1e-12, gtol=1e-12
    )
    if float(np.abs(found.fun).max()) > CLOSE:
        raise ArithmeticError("no demands explain these waits")
    solution: Floats = found.x
    return solution
