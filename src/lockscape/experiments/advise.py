"""Advice for a user's kernel: every way ranked, with what it would give and take, and why.

The ways come from `advise_ways`, the mixes of workloads that stand for the kernel from `advise_mix`, the
figures from `advise_predict`, the reasons from `advise_rules`. Nothing here runs anything.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from lockscape.errors import InputError, unknown
from lockscape.experiments.advise_kernel import Kernel, check
from lockscape.experiments.advise_mix import Mixes, mixes
from lockscape.experiments.advise_predict import (
    Calibration,
    Effort,
    Estimate,
    amdahl_bounds,
    at_nearest,
    calibration,
    effort,
    predicted,
)
from lockscape.experiments.advise_record import Record
from lockscape.experiments.advise_rules import Case, Reason, reasons
from lockscape.experiments.advise_ways import WAYS, Way, members
from lockscape.experiments.effort_axis import SourceEffort
from lockscape.experiments.tradeoff import Item


class Ranked(msgspec.Struct, frozen=True):
    """A way with its place among all. `rank` is from 1, None for one that is excluded.

    `best`: the port or system of it that is fastest in the nearest mix, and its speedup there. `on_front`:
    no other way that is left takes no more effort and gives no less, and is better in one of the two.
    """

    rank: int | None
    way: str
    method: str
    title: str
    members: tuple[str, ...]
    speedup: Estimate
    best: str
    best_speedup: float
    effort: Effort
    reasons: tuple[Reason, ...]
    on_front: bool

    @property
    def excluded(self) -> bool:
        """Say whether something rules it out."""
        return any(each.verdict == "excluded" for each in self.reasons)


class Advice(msgspec.Struct, frozen=True):
    """What is advised: the ways in order, excluded ones last, and what the figures rest on.

    `serial`, `parallel`: the speedup if the kernel did one thing at a time, and if nothing did (Amdahl).
    `size`: lines of the kernel that efforts are for, the user's or, if these are not known, those of
    `size_of`. `missing`: ways for which nothing was run, with the reason.
    """

    kernel: Kernel
    size: int
    size_of: str
    mixes: Mixes
    serial: float
    parallel: float
    ways: tuple[Ranked, ...]
    calibration: Calibration
    missing: dict[str, str]


class _Scene(NamedTuple):
    """What every way is judged by."""

    kernel: Kernel
    size: int
    mixes: Mixes
    scale: Calibration
    record: Record


def advise(
    kernel: Kernel, record: Record, kernels: Sequence[SourceEffort], new_code: Mapping[str, int]
) -> Advice:
    """Return advice for a kernel.

    `record`: a map with as many processors as the kernel is for; `kernels`, `new_code`: as `calibration` has
    them. Raises `InputError` for what contradicts itself, and if every way that was asked for is excluded.
    """
    check(kernel)
    found = mixes(kernel, record.shares)
    scale = calibration(record.tradeoff.items, kernels, new_code)
    size, size_of = _size(kernel, kernels)
    scene = _Scene(kernel, size, found, scale, record)
    ranked, missing = [], {}
    for way in _asked(kernel):
        items = members(way, record.tradeoff.items)
        made = _judged(way, items, scene) if items else None
        if made is None:
            missing[way.id] = "no port of it ran every workload of the mix"
        else:
            ranked.append(made)
    ordered = _ordered(ranked)
    if ordered and ordered[0].rank is None and kernel.methods:
        first = next(each for each in ordered[0].reasons if each.verdict == "excluded")
        raise InputError(
            f"method {', '.join(kernel.methods)}: nothing is left of it: {first.text} ({first.source})"
        )
    serial, parallel = amdahl_bounds(found.kernel if kernel.share is None else kernel.share, kernel.cpus)
    return Advice(kernel, size, size_of, found, serial, parallel, tuple(ordered), scale, missing)


def _asked(kernel: Kernel) -> list[Way]:
    known = {name for way in WAYS for name in (way.id, way.method)}
    for name in kernel.methods:
        if name not in known:
            raise InputError(unknown("method", name, sorted(known)))
    return [w for w in WAYS if not kernel.methods or {w.id, w.method} & {*kernel.methods}]


def _judged(way: Way, items: Sequence[Item], scene: _Scene) -> Ranked | None:
    """Return a way with everything but its rank, None if nothing of it ran."""
    kernel, found = scene.kernel, scene.mixes
    able = [item for item in items if item.most_processors >= kernel.cpus] or list(items)
    if way.id == "lock-free" and kernel.hardware is not None and "cas2" not in kernel.hardware:
        able = [item for item in able if item.name == "lock-free-single"] or able
    speedup = predicted(able, found, kernel.cpus)
    if speedup is None:
        return None
    taken = effort(able, scene.scale, scene.size)
    at = {each.name: value for each in able if (value := at_nearest(each, found, kernel.cpus)) is not None}
    best = max(at, key=lambda name: at[name])
    why = reasons(Case(kernel, way, tuple(items), taken, scene.record))
    return Ranked(
        None, way.id, way.method, way.title, tuple(each.name for each in able), speedup, best, at[best],
        taken, why, False,
    )  # fmt: skip


def _size(kernel: Kernel, kernels: Sequence[SourceEffort]) -> tuple[int, str]:
    """Return the lines of a kernel, or of the real one of middle size, and whose they are."""
    if kernel.lines is not None:
        return kernel.lines, "the kernel"
    middle = sorted(kernels, key=lambda each: each.lines_uniprocessor)[(len(kernels) - 1) // 2]
    return middle.lines_uniprocessor, f"Linux {middle.version}"


def _ordered(ranked: Sequence[Ranked]) -> list[Ranked]:
    """Return those that are left by speedup, to a tenth, and of equal ones that with less effort first."""
    left = sorted(
        (each for each in ranked if not each.excluded),
        key=lambda each: (-round(each.speedup.middle, 1), each.effort.lines.middle),
    )
    placed = [
        msgspec.structs.replace(each, rank=number, on_front=not any(_beats(other, each) for other in left))
        for number, each in enumerate(left, 1)
    ]
    out = sorted((each for each in ranked if each.excluded), key=lambda each: -each.speedup.middle)
    return [*placed, *out]


def _beats(one: Ranked, other: Ranked) -> bool:
    faster, cheaper = (
        one.speedup.middle - other.speedup.middle,
        other.effort.lines.middle - one.effort.lines.middle,
    )
    return faster >= 0 and cheaper >= 0 and (faster > 0 or cheaper > 0)
