"""Curves of the same work side by side: speedups and times, and their ratio at each point."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lockscape.errors import InputError
from lockscape.experiments.curve_file import read_curves
from lockscape.experiments.laws import Curve, Measure


class ComparedPoint(msgspec.Struct, frozen=True):
    """A curve on so many processors, and over the first curve's there; None where either has no value.

    `makespan_s`: seconds of the time that the curve's file has, simulated or real.
    """

    cpus: int
    speedup: float | None
    speedup_ratio: float | None
    makespan_s: float | None
    makespan_ratio: float | None


class Compared(msgspec.Struct, frozen=True):
    """A curve of the file `source`."""

    name: str
    source: str
    points: tuple[ComparedPoint, ...]


def compare(names: Sequence[str]) -> list[Compared]:
    """Return all curves of some files (what `read_curves` reads) against the first one of the first file.

    Raises `InputError` for a file that cannot be used, and if there is only one curve.
    """
    if "-" in names:
        raise InputError("-: curves are read twice here; give files")
    found = [
        (curve.name, name, _speedups(curve), times.get(curve.name, {}))
        for name in dict.fromkeys(names)
        for times in [_times(name)]
        for curve in read_curves(name)
    ]
    if len(found) < 2:
        raise InputError("one curve has nothing to be compared with; give another file")
    _, _, first, first_times = found[0]
    cpus = sorted({n for _, _, speedups, _ in found for n in speedups})
    return [
        Compared(
            name if len({each for each, *_ in found}) == len(found) else f"{Path(source).stem}: {name}",
            source,
            tuple(
                ComparedPoint(n, speedups.get(n), _ratio(speedups, first, n), times.get(n),
                              _ratio(times, first_times, n))
                for n in cpus
            ),
        )
        for name, source, speedups, times in found
    ]  # fmt: skip


def _times(name: str) -> dict[str, dict[int, float]]:
    """Return the makespans of a file's curves, none if it has only speedups."""
    measure: Measure = "makespan"
    try:
        return {curve.name: _by_cpus(curve) for curve in read_curves(name, measure)}
    except InputError:  # reading its speedups tells whatever else is wrong with it
        return {}


def _speedups(curve: Curve) -> dict[int, float]:
    """Return a curve's speedups, over its smallest number of processors if it has throughputs or times."""
    if curve.measure == "speedup":
        return _by_cpus(curve)
    speeds = curve.throughputs()
    return dict(zip(curve.cpus, (speeds / speeds[0]).tolist(), strict=True))


def _by_cpus(curve: Curve) -> dict[int, float]:
    return dict(zip(curve.cpus, curve.values, strict=True))


def _ratio(values: dict[int, float], first: dict[int, float], cpus: int) -> float | None:
    return values[cpus] / first[cpus] if cpus in values and cpus in first else None
