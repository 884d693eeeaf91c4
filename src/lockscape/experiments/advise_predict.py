"""What each way would give and take: predictions from simulated ports, with intervals that say how surely.

*Speedup* is over the uniprocessor kernel as it is, so what a way costs on one processor counts. A mix of
workloads runs them one after the other, each for its share of the time: the speedup is the harmonic mean of
theirs, weighted with the shares. Every port and system of a way, in every mix that stands for the user's
kernel, is one prediction; given are their median, and the least and greatest.

*Effort* is the model's changed lines as a share of its lines, times what that share is in real kernels over
what it is in the model: both are known of the same four versions of Linux. Least to greatest of both make
the interval. Code that a way brings does not grow with the kernel; it is scaled by the two published sizes of
such code, the application kernel's and Xen's.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median, median_low

import msgspec

from lockscape.errors import InputError
from lockscape.experiments.advise_mix import Mixes, Weights
from lockscape.experiments.effort_axis import SourceEffort
from lockscape.experiments.scalability_axis import geometric_mean
from lockscape.experiments.tradeoff import Item


class Estimate(msgspec.Struct, frozen=True):
    """A figure, and between which it is."""

    low: float
    middle: float
    high: float

    def times(self, other: "Estimate") -> "Estimate":
        """Return the product of two that do not depend on each other, at its widest."""
        return Estimate(self.low * other.low, self.middle * other.middle, self.high * other.high)

    def plus(self, other: "Estimate") -> "Estimate":
        """Return the sum, at its widest."""
        return Estimate(self.low + other.low, self.middle + other.middle, self.high + other.high)


class Calibration(msgspec.Struct, frozen=True):
    """Real kernels over their models: the factor of the share of changed lines, of sites per line, and of
    code that is brought; `basis` says from what, a sentence each."""

    lines: Estimate
    sites: Estimate
    new_code: Estimate
    basis: tuple[str, ...]


class Effort(msgspec.Struct, frozen=True):
    """What a way takes in a kernel of some size.

    `changed`: lines of the kernel; `new`: lines of code that the way brings; `lines`: both; `sites`: places
    of locks.
    """

    changed: Estimate
    new: Estimate
    lines: Estimate
    sites: Estimate


def spread(values: Iterable[float]) -> Estimate:
    """Return the least, the median and the greatest."""
    found = list(values)
    return Estimate(min(found), median(found), max(found))


def predicted(items: Sequence[Item], mixes: Mixes, cpus: int) -> Estimate | None:
    """Return the speedup of a way's ports and systems, None if none of them ran every workload."""
    made = [each for item in items if (each := _speedups(item, mixes.workloads, cpus)) is not None]
    if not made:
        return None
    return spread(_mixed(speedups, weights) for speedups in made for weights in mixes.all)


def at_nearest(item: Item, mixes: Mixes, cpus: int) -> float | None:
    """Return the speedup of one port or system in the nearest mix."""
    made = _speedups(item, mixes.workloads, cpus)
    return None if made is None else _mixed(made, mixes.nearest)


def _speedups(item: Item, workloads: Sequence[str], cpus: int) -> list[float] | None:
    """Return the speedups over the uniprocessor kernel by workload."""
    found = [item.of(name) for name in workloads]
    if any(each is None for each in found):
        return None
    points = [each.at(cpus) for each in found if each is not None]
    return [p.speedup if p.over_uniprocessor is None else p.over_uniprocessor for p in points]


def _mixed(speedups: Sequence[float], weights: Weights) -> float:
    return 1 / sum(weight / speedup for weight, speedup in zip(weights, speedups, strict=True))


def calibration(
    items: Sequence[Item], kernels: Sequence[SourceEffort], new_code: Mapping[str, int]
) -> Calibration:
    """Return the factors from models to real kernels.

    `kernels`: real ones by the id of their system; `new_code`: published lines of code that a system brings.
    Raises `InputError` if none of the models is among the items.
    """
    models = {item.name: item for item in items}
    known = [(each, models[each.system].effort) for each in kernels if each.system in models]
    brought = {
        name: size / models[name].effort.new_lines for name, size in new_code.items() if name in models
    }
    if not known or not brought:
        raise InputError(
            "the models of Linux, of the application kernel and of Xen are needed to scale effort"
        )
    lines = {e.version: e.share / counted.share for e, counted in known}
    sites = {
        e.version: (e.all_sites / e.lines_uniprocessor)
        / (sum(counted.sites.values()) / counted.change.lines_uniprocessor)
        for e, counted in known
    }
    return Calibration(
        _factor(lines.values()), _factor(sites.values()), _factor(brought.values()),
        (
            _basis("changed lines of 1,000, real over model", lines),
            _basis("sites per 1,000 lines, real over model", sites),
            _basis("code that a way brings, published over model", brought),
        ),
    )  # fmt: skip


def _factor(values: Iterable[float]) -> Estimate:
    found = list(values)
    return Estimate(min(found), geometric_mean(found), max(found))


def _basis(what: str, found: Mapping[str, float]) -> str:
    return f"{what}: {', '.join(f'{name} {value:.2g}' for name, value in found.items())}"


def effort(items: Sequence[Item], scale: Calibration, lines: int) -> Effort:
    """Return what a way takes in a kernel of so many lines."""
    counted = [item.effort for item in items]
    changed = _spread(lines * each.share for each in counted).times(scale.lines)
    sites = _spread(lines * each.added_sites / each.change.lines_uniprocessor for each in counted)
    new = _spread(each.new_lines for each in counted).times(scale.new_code)
    return Effort(changed, new, changed.plus(new), sites.times(scale.sites))


def _spread(values: Iterable[float]) -> Estimate:
    """Return the least, the greatest, and in the middle that of a port or system, not of two."""
    found = list(values)
    return Estimate(min(found), median_low(found), max(found))


def amdahl_bounds(kernel: float, cpus: int) -> tuple[float, float]:
    """Return the speedup if the kernel's share stays one at a time, and if nothing does (Amdahl's law)."""
    return 1 / (kernel + (1 - kernel) / cpus), float(cpus)
