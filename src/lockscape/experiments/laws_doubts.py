"""Where a fitted law does not hold, or says more than the curve does."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lockscape.experiments.laws import CONFIDENCE, Fits

FEW = 5
"""Different N below which a fit says little: two or three parameters are then fitted to as many points."""

FAR = 0.1
"""Share of the measured value by which a point may miss the law."""

SUPERLINEAR = 1.02
"""Throughput per processor over that of the smallest N; less than this is taken for noise."""

CHANCE = 1 - CONFIDENCE
"""Probability below which a pattern of residuals is not taken for chance."""


@dataclass(frozen=True)
class Doubt:
    """Why not to trust a fit: a name for programs, and a sentence."""

    kind: str
    text: str


def doubts(fits: Fits) -> tuple[Doubt, ...]:
    """Return every doubt about the fit of the USL (Amdahl's law is the USL without its beta)."""
    return tuple(each for check in (_points, _bounds, _peak, _far, _pattern) for each in check(fits))


def _points(fits: Fits) -> Iterator[Doubt]:
    curve = fits.curve
    different = len(set(curve.cpus))
    if different < FEW:
        yield Doubt("few-points", f"Only {different} different N: measure {FEW} or more.")
    first, *rest = _by_n(curve.cpus, curve.throughputs().tolist())
    above = [n for n, x in rest if x / n > SUPERLINEAR * first[1] / first[0]]
    if above:
        yield Doubt(
            "superlinear",
            f"More than linear at N = {_list(above)}, compared with N = {first[0]}. No law here allows that; "
            "look for caches that hold more with more processors, or for a slow first measurement.",
        )


def _bounds(fits: Fits) -> Iterator[Doubt]:
    alpha, beta = fits.usl.alpha, fits.usl.beta
    assert beta is not None
    if alpha.at_bound and alpha.value == 0:
        yield Doubt(
            "alpha-at-bound", "The best alpha is negative, so it was set to 0: no contention is seen."
        )
    if alpha.at_bound and alpha.value == 1:
        yield Doubt(
            "alpha-at-bound",
            "The best alpha is above 1, so it was set to 1: more than one processor is never faster, and the "
            "laws do not describe how much slower.",
        )
    if beta.at_bound:
        yield Doubt(
            "beta-at-bound", "The best beta is negative, so it was set to 0: the USL is Amdahl's law here."
        )


def _peak(fits: Fits) -> Iterator[Doubt]:
    peak, most = fits.peak, max(fits.curve.cpus)
    if peak.cpus is None or peak.cpus == 1:
        return
    if peak.cpus > most:
        yield Doubt(
            "extrapolated-peak",
            f"The peak at N = {peak.cpus:.1f} is extrapolated: nothing was measured beyond N = {most}.",
        )
    elif peak.cpus < min(fits.curve.cpus):
        yield Doubt(
            "extrapolated-peak",
            f"The peak at N = {peak.cpus:.1f} is extrapolated: nothing was measured below N = "
            f"{min(fits.curve.cpus)}.",
        )
    _, largest = max((x, n) for n, x in _by_n(fits.curve.cpus, fits.curve.throughputs().tolist()))
    if peak.high is not None and largest > peak.high:
        yield Doubt(
            "no-fall",
            f"The USL falls after its peak, the curve does not: its largest value is at N = {largest}. A "
            "queue that is merely full gives such a curve; its beta is then no coherency.",
        )
    if peak.high is None:
        yield Doubt("no-certain-peak", "There may be no peak: a beta of 0 is not excluded.")


def _far(fits: Fits) -> Iterator[Doubt]:
    measured = fits.curve.throughputs().tolist()
    off = [
        (-r / y, n)
        for n, y, r in zip(fits.curve.cpus, measured, fits.usl.residuals, strict=True)
        if abs(r) > FAR * y
    ]
    if off:
        share, n = max(off, key=lambda each: abs(each[0]))
        others = f", and at {len(off) - 1} more by above {FAR:.0%}" if len(off) > 1 else ""
        way = "too high" if share > 0 else "too low"
        yield Doubt("far-points", f"At N = {n} the USL is {abs(share):.0%} {way}{others}.")


def _pattern(fits: Fits) -> Iterator[Doubt]:
    scale = max(fits.usl.fitted)
    left = [(n, r) for n, r in _by_n(fits.curve.cpus, fits.usl.residuals) if abs(r) > 1e-9 * scale]
    chance = runs_chance([r > 0 for _, r in left])
    if chance < CHANCE:
        yield Doubt(
            "systematic",
            f"Residuals of one sign lie together (runs test, p = {chance:.3f}): the curve has another shape "
            "than the law.",
        )
    yield from _steps(fits)


def _steps(fits: Fits) -> Iterator[Doubt]:
    """Yield that the curve has the steps of equal processes on processors that do not divide them."""
    curve = fits.curve
    if curve.measure == "throughput":
        return
    processes = curve.processes or max(curve.cpus)
    found = [
        (idle(processes, n), r / y)
        for n, y, r in zip(curve.cpus, fits.usl.fitted, fits.usl.residuals, strict=True)
    ]
    if sum(share > 0 for share, _ in found) < 2 or falling_chance(found) >= CHANCE:
        return
    odd = [n for n in dict.fromkeys(curve.cpus) if idle(processes, n) > 0]
    known = f"{processes} processes" if curve.processes else f"{processes} equal processes, if so many ran"
    yield Doubt(
        "steps",
        f"Points are lower where N does not divide {known} (N = {_list(odd)}): a makespan shows balancing "
        "there. Fit the throughput, or run many more processes than processors.",
    )


def idle(processes: int, cpus: int) -> float:
    """Return the idle over the used time when equal processes run in rounds on so many processors."""
    return cpus * math.ceil(processes / cpus) / processes - 1


def runs_chance(above: Sequence[bool]) -> float:
    """Return the probability of so few runs of equal signs, or fewer, in random order.

    Exact (Wald and Wolfowitz 1940). Residuals of a fit change their sign more often than at random, so
    that less is found than is there.
    """
    ups = sum(above)
    downs = len(above) - ups
    if not ups or not downs:
        return 1.0
    runs = 1 + sum(one != two for one, two in pairwise(above))
    ways = sum(_ways(ups, downs, number) for number in range(2, runs + 1))
    return ways / math.comb(ups + downs, ups)


def _ways(ups: int, downs: int, runs: int) -> int:
    half, odd = divmod(runs, 2)
    more, less = half + odd - 1, half - 1
    if not odd:
        return 2 * math.comb(ups - 1, less) * math.comb(downs - 1, less)
    return sum(math.comb(a - 1, more) * math.comb(b - 1, less) for a, b in ((ups, downs), (downs, ups)))


def falling_chance(points: Sequence[tuple[float, float]]) -> float:
    """Return the probability that y falls with x by so much of a correlation, if neither tells the other."""
    from scipy.stats import pearsonr

    xs, ys = zip(*points, strict=True)
    if len(points) < 3 or len(set(xs)) < 2 or len(set(ys)) < 2:
        return 1.0
    return float(pearsonr(xs, ys, alternative="less").pvalue)


def _by_n(cpus: Sequence[int], values: Sequence[float]) -> list[tuple[int, float]]:
    """Return the mean value of each N, in ascending order."""
    found: dict[int, list[float]] = {}
    for n, value in zip(cpus, values, strict=True):
        found.setdefault(n, []).append(value)
    return [(n, sum(each) / len(each)) for n, each in sorted(found.items())]


def _list(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return f"{shown} …" if len(numbers) > 8 else shown
