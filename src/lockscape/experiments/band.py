"""The band of a curve over the uncertainty of its costs: what samples of all costs leave between them.

A sample draws every cost from its range, the same draw for all systems (`lockscape.experiments.sample`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from lockscape.errors import LockscapeError
from lockscape.experiments.curve import Point, Progress, each_run
from lockscape.experiments.result import RunSpec
from lockscape.experiments.sample import cost_factors

LOW, HIGH = 0.05, 0.95
"""Quantiles of the samples between which a band is."""


class Interval(msgspec.Struct, frozen=True):
    """What 5% and 95% of the samples do not exceed."""

    low: float
    high: float


class Band(msgspec.Struct, frozen=True):
    """The intervals of a point of a curve, see `CurvePoint`. Each speedup is within one sample.

    `steady_per_s` is None when some sample has no such throughput.
    """

    makespan_s: Interval
    speedup: Interval
    speedup_over_baseline: Interval | None
    steady_per_s: Interval | None


class Measured(NamedTuple):
    """What is kept of a run of a sample."""

    makespan_s: float
    steady_per_s: float | None


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def interval(values: Sequence[float]) -> Interval:
    """Return the interval of the samples' values."""
    return Interval(quantile(values, LOW), quantile(values, HIGH))


def in_sample(spec: RunSpec, sample: int) -> RunSpec:
    """Return a run with the costs of a sample."""
    factors = cost_factors(sample, spec.machine, spec.plan.new_code)
    return msgspec.structs.replace(spec, cost_sample=sample, cost_factors=factors)


def run_samples(
    specs: Sequence[RunSpec],
    samples: int,
    folder: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    fresh: bool = False,
) -> tuple[list[Point], list[list[Measured]]]:
    """Make all runs as they are, and in samples 1 to `samples`; return the points, and each sample's figures.

    Both are in the order of `specs`. As `run_all` otherwise; of the samples' results little is held.
    """
    drawn = [in_sample(spec, sample) for sample in range(1, samples + 1) for spec in specs]
    points: dict[int, Point] = {}
    figures: dict[int, Measured] = {}
    for number, made in each_run([*specs, *drawn], folder, workers, progress, fresh):
        if isinstance(made, LockscapeError):
            raise made
        if number < len(specs):
            points[number] = made
        else:
            figures[number - len(specs)] = Measured(made.result.makespan_s, made.result.steady_per_s)
    rows = [figures[number] for number in range(len(drawn))]
    return (
        [points[number] for number in range(len(specs))],
        [rows[start : start + len(specs)] for start in range(0, len(rows), max(1, len(specs)))],
    )


def band(column: Sequence[Measured], alone: Sequence[Measured], base: Sequence[Measured] | None) -> Band:
    """Return the band of a point from its run in each sample.

    `alone`: the runs of its system on one processor, `base`: those of the baseline, in the same samples.
    """
    steady = [each.steady_per_s for each in column if each.steady_per_s is not None]
    return Band(
        interval([each.makespan_s for each in column]),
        _over(column, alone),
        None if base is None else _over(column, base),
        interval(steady) if len(steady) == len(column) else None,
    )


def _over(column: Sequence[Measured], other: Sequence[Measured]) -> Interval:
    return interval([one.makespan_s / each.makespan_s for each, one in zip(column, other, strict=True)])
