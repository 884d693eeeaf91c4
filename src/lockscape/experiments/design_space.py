"""The design space of Figure 3: where ports and systems stand, the regions of methods, and who is best.

Effort goes to the right, scalability up. A port or system stands at its effort and the geometric mean of its
speedups over the workloads; a method's region is the convex hull of all its ports and systems with all
workloads, its core that of their means. The scale of effort is logarithmic, for efforts differ by orders of
magnitude.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from lockscape.experiments.scalability_axis import Over, geometric_mean, speedup
from lockscape.experiments.tradeoff import Item, Kind

Axis = Literal["lines", "sites"]
"""What effort is counted in: changed lines with new code, or places that take or release locks."""

Point = tuple[float, float]
"""Effort and speedup."""


class Place(msgspec.Struct, frozen=True):
    """Where a port or system stands, and the lowest and highest of its speedups, with the workloads.

    `cpus`: processors that it used, fewer than asked for if it can use no more. `kernels`: over which the
    processes were divided. `on_front`: nothing else takes no more effort and scales no worse, and is better
    in one of the two; `on_front_of_one`: nothing else that is one kernel, and it is one itself.
    """

    name: str
    method: str
    kind: Kind
    effort: float
    speedup: float
    low: float
    low_workload: str
    high: float
    high_workload: str
    cpus: int
    kernels: int
    on_front: bool
    on_front_of_one: bool


class Region(msgspec.Struct, frozen=True):
    """The part of the design space that a method covers, as corners in order around it.

    `corners`: of all that its ports and systems reach with any workload; `core`: of their places, which are
    means over the workloads.
    """

    method: str
    corners: tuple[Point, ...]
    core: tuple[Point, ...]
    members: tuple[str, ...]


class Space(msgspec.Struct, frozen=True):
    """The design space on `cpus` processors: by which axis of effort, and what speedups are over.

    `absent`: names that have no place, each with the reason.
    """

    cpus: int
    axis: Axis
    over: Over
    places: tuple[Place, ...]
    regions: tuple[Region, ...]
    absent: dict[str, str]


def effort_of(item: Item, axis: Axis) -> float:
    """Return an item's effort, at least 1, for a logarithmic scale has no 0."""
    return max(1.0, item.effort.lines if axis == "lines" else item.effort.added_sites)


def design_space(items: Sequence[Item], cpus: int, axis: Axis = "lines", over: Over = "one") -> Space:
    """Return the design space: places in the items' order, a region for each method."""
    known = {item.name: found for item in items if (found := _speedups(item, cpus, over))}
    points = {
        item.name: (effort_of(item, axis), _mean(known[item.name])) for item in items if item.name in known
    }
    shown = [item for item in items if item.name in known]
    best = pareto([points[item.name] for item in shown])
    best_of_one = pareto([points[item.name] for item in shown if item.kernels == 1])
    places = tuple(
        _place(item, points[item.name], known[item.name], cpus, best, best_of_one) for item in shown
    )
    absent = {
        item.name: item.missing[0].why if item.missing else "its speedup over that is not known"
        for item in items
        if item.name not in known
    }
    return Space(cpus, axis, over, places, tuple(_regions(items, known, axis)), absent)


def _speedups(item: Item, cpus: int, over: Over) -> dict[str, float]:
    """Return an item's speedups by workload."""
    found = {each.workload: speedup(each.at(cpus), over) for each in item.scaling}
    return {workload: value for workload, value in found.items() if value is not None}


def _mean(speedups: dict[str, float]) -> float:
    return geometric_mean(speedups.values())


def _place(
    item: Item, point: Point, speedups: dict[str, float], cpus: int, best: set[Point], best_of_one: set[Point]
) -> Place:
    low, high = (of(speedups, key=lambda workload: speedups[workload]) for of in (min, max))
    used = max(each.at(cpus).cpus for each in item.scaling)
    return Place(
        item.name, item.method, item.kind, *point, speedups[low], low, speedups[high], high, used,
        item.kernels, point in best, item.kernels == 1 and point in best_of_one,
    )  # fmt: skip


def _regions(items: Sequence[Item], known: dict[str, dict[str, float]], axis: Axis) -> Iterable[Region]:
    """Yield the methods' regions; files of the user's belong to none."""
    shown = [item for item in items if item.name in known and item.kind != "own"]
    for method in dict.fromkeys(item.method for item in shown):
        members = [item for item in shown if item.method == method]
        points = [(effort_of(each, axis), value) for each in members for value in known[each.name].values()]
        means = [(effort_of(each, axis), _mean(known[each.name])) for each in members]
        yield Region(method, hull(points), hull(means), tuple(each.name for each in members))


def pareto(points: Sequence[Point]) -> set[Point]:
    """Return the points that no other one beats: by no more effort, and a speedup that is no smaller."""
    return {
        (x, y) for x, y in points if not any(a <= x and b >= y and (a, b) != (x, y) for a, b in points)
    }  # fmt: skip


def hull(points: Iterable[Point]) -> tuple[Point, ...]:
    """Return the corners of the convex hull, anticlockwise from the left, efforts on a logarithmic scale.

    Of points in a line only the ends are corners. Andrew, Information Processing Letters 9(5), 1979.
    """
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return tuple(ordered)
    lower, upper = _half(ordered), _half(ordered[::-1])
    return tuple(lower[:-1] + upper[:-1])


def _half(points: Sequence[Point]) -> list[Point]:
    """Return the corners of one half of the hull, from the first to the last point."""
    found: list[Point] = []
    for point in points:
        while len(found) > 1 and _turn(found[-2], found[-1], point) <= 0:
            found.pop()
        found.append(point)
    return found


def _turn(one: Point, two: Point, three: Point) -> float:
    """Return more than 0 if the way from one by two to three turns left."""
    (ax, ay), (bx, by), (cx, cy) = ((math.log(x), y) for x, y in (one, two, three))
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
