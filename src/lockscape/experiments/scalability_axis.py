"""The scalability axis: how many times faster a kernel is on several processors, and where that ends.

A curve is over one processor of the same kernel, and over the uniprocessor build of it, which has no port at
all, where that was run. Fixed work throughout: the makespan is that of the same processes and operations on
each number of processors.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from lockscape.errors import InputError
from lockscape.experiments.laws import Curve, fit

Over = Literal["one", "uniprocessor"]
"""What speedups are over: the same kernel on one processor, or its uniprocessor build."""


class Reach(msgspec.Struct, frozen=True):
    """A point of a curve. `makespan_s` is None where only speedups are known.

    `by_seed`: the speedup with each seed, in their order, where a workload was drawn several times; makespan
    and `speedup` are of all draws together then, one after the other.
    """

    cpus: int
    speedup: float
    over_uniprocessor: float | None
    makespan_s: float | None
    by_seed: tuple[float, ...] = ()


class Usl(msgspec.Struct, frozen=True):
    """The universal scalability law fitted to a curve, see `lockscape.experiments.laws`.

    `peak_cpus` is None if the law grows without end. `degrees_of_freedom` 0: the law goes through all points
    and cannot be judged.
    """

    alpha: float
    beta: float
    peak_cpus: float | None
    r_squared: float
    degrees_of_freedom: int


class Scaling(msgspec.Struct, frozen=True):
    """How a kernel scales with a workload: points in ascending order, the first with one processor.

    `peak`: the point with the largest speedup; `usl` is None if there are too few points for a fit.
    """

    workload: str
    points: tuple[Reach, ...]
    peak: Reach
    usl: Usl | None

    def at(self, cpus: int) -> Reach:
        """Return the point with so many processors, or with the most below, if the kernel uses no more."""
        return max((each for each in self.points if each.cpus <= cpus), key=lambda each: each.cpus)


def scaling(
    workload: str, makespans_s: Mapping[int, Sequence[float]], uniprocessor_s: float | None
) -> Scaling:
    """Return the curve of simulated makespans by number of processors, 1 among them, each with every seed.

    `uniprocessor_s`: the total makespan of the uniprocessor build, None if it is not known.
    """
    one = makespans_s[1]
    points = tuple(_reach(n, one, s, uniprocessor_s) for n, s in sorted(makespans_s.items()))
    return _of_points(workload, points)


def _reach(cpus: int, one_s: Sequence[float], these_s: Sequence[float], alone_s: float | None) -> Reach:
    total = sum(these_s)
    by_seed = tuple(a / b for a, b in zip(one_s, these_s, strict=True)) if len(these_s) > 1 else ()
    over = None if alone_s is None else alone_s / total
    return Reach(cpus, sum(one_s) / total, over, total, by_seed)


def given_scaling(workload: str, curve: Curve) -> Scaling:
    """Return the scaling that a curve of a file says, booted, run or measured elsewhere.

    Raises `InputError` for a curve that does not tell its speedup over one processor.
    """
    values = curve.throughputs().tolist()
    if curve.measure == "speedup":
        one = 1.0
    elif curve.cpus[0] == 1:
        one = values[0]
    else:
        raise InputError(
            f"{curve.name}: no value for 1 of {curve.axis}, which speedups are over: measure it, or give "
            "speedups"
        )
    found = {n: value / one for n, value in zip(curve.cpus, values, strict=True)}
    return _of_points(workload, tuple(Reach(n, s, None, None) for n, s in sorted(({1: 1.0} | found).items())))


def _of_points(workload: str, points: tuple[Reach, ...]) -> Scaling:
    return Scaling(workload, points, max(points, key=lambda each: each.speedup), _usl(workload, points))


def _usl(name: str, points: Sequence[Reach]) -> Usl | None:
    """Return the law's fit to speedups: what is known of one processor by definition is no point of it."""
    if len(points) < 3:
        return None
    curve = Curve(name, "speedup", tuple(p.cpus for p in points), tuple(p.speedup for p in points))
    found = fit(curve)
    law = found.usl
    assert law.beta is not None
    return Usl(
        law.alpha.value, law.beta.value, found.peak.cpus, law.r_squared, law.degrees_of_freedom
    )  # fmt: skip


def speedup(point: Reach, over: Over) -> float | None:
    """Return a point's speedup over one processor, or over the uniprocessor build."""
    return point.speedup if over == "one" else point.over_uniprocessor


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean of positive values: that of ratios does not depend on what they are over."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def counts(cpus: int) -> tuple[int, ...]:
    """Return the numbers of processors of a curve: powers of two, and `cpus` last."""
    return (*(1 << k for k in range(cpus.bit_length()) if 1 << k < cpus), cpus)
