"""Charts of curves for the page: geometry only, the template draws them as inline SVG.

A curve is told from others in four ways, so that colour is not needed: by its dashes, its marks, its name at
its end, and a line that leads there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CHARACTER = 6.3
"""Width of a character of a name at the end of a curve, in units of the drawing (about pixels)."""

LINE = 13.0
"""Distance of two names below each other."""

TOP, BOTTOM = 14.0, 40.0
"""Room above and below the curves."""
DASHES = ("", "7 3", "2 3", "9 3 2 3", "5 2 1 2 1 2", "14 4")
"""Of the curves of a chart, in turn."""
MARKS = ("circle", "square", "diamond", "up", "down", "cross")
"""The looks of curves of one method, in their order."""

Value = tuple[float, float]
"""A point of a curve in its own units."""


@dataclass(frozen=True)
class Series:
    """A curve to draw: an id for what shows and hides it, its name, and the colour (a method's id).

    `look`: its number among curves of its colour. `band`: (x, low, high) around it. `quiet`: in the
    background, without marks and name.
    """

    id: str
    name: str
    colour: str
    points: Sequence[Value]
    look: int = 0
    band: Sequence[tuple[float, float, float]] = ()
    quiet: bool = False


@dataclass(frozen=True)
class Spot:
    """A point: where it is, its mark as a path around it, and what it says."""

    x: float
    y: float
    mark: str
    says: str


@dataclass(frozen=True)
class Curve:
    """A drawn curve. `name_y` is the base line of its name, `lead` the line that leads there."""

    series: Series
    line: str
    dashes: str
    band: str
    spots: tuple[Spot, ...]
    name_y: float
    lead: str


@dataclass(frozen=True)
class Tick:
    """A line of a scale: its label and where it is."""

    text: str
    at: float


@dataclass(frozen=True)
class LineChart:
    """A chart of curves. `ideal`: the line of a speedup of N on N processors, as far as it is inside."""

    id: str
    title: str
    description: str
    x_title: str
    y_title: str
    width: float
    height: float
    left: float
    right: float
    base: float
    curves: tuple[Curve, ...]
    across: tuple[Tick, ...]
    down: tuple[Tick, ...]
    ideal: str


@dataclass(frozen=True)
class Frame:
    """How a chart is made: its size, what its axes are, and whether the ideal line is drawn.

    `longest`: room for a name of so many characters, for charts that stand side by side. `least`: the scale
    of y goes at least so far, in at most so many `steps`.
    """

    width: float = 1040.0
    height: float = 460.0
    x_title: str = "processors"
    y_title: str = "speedup"
    longest: int = 0
    ideal: bool = True
    least: float = 1.0
    steps: int = 8


@dataclass(frozen=True)
class _Scale:
    """Turns values into places of the drawing."""

    first: float
    last: float
    top: float
    left: float
    right: float
    base: float

    def x(self, value: float) -> float:
        share = (value - self.first) / ((self.last - self.first) or 1.0)
        return round(self.left + share * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        return round(self.base - value / self.top * (self.base - TOP), 1)


def line_chart(id: str, title: str, series: Sequence[Series], frame: Frame) -> LineChart:
    """Return a chart of curves with values of at least 0; every curve has a point."""
    xs = sorted({x for each in series for x, _ in each.points})
    highs = [y for each in series for _, y in each.points] + [h for s in series for _, _, h in s.band]
    step = scale_step(max(frame.least, *highs), frame.steps)
    steps = math.ceil(round(max(frame.least, *highs) / step, 6))
    longest = max([frame.longest, *(len(each.name) for each in series if not each.quiet)])
    room = longest * CHARACTER + 30
    scale = _Scale(xs[0], xs[-1], steps * step, 36.0, frame.width - room, frame.height - BOTTOM)
    across = tuple(Tick(f"{n * step:g}", scale.y(n * step)) for n in range(steps + 1))
    ticks = _ticks(xs)
    down = tuple(Tick(f"{x:,g}", scale.x(x)) for x in ticks)
    return LineChart(
        id, title, _words(title, series, frame), frame.x_title, frame.y_title, frame.width, frame.height,
        scale.left, scale.right, scale.base, _curves(series, scale, frame), across, down,
        _ideal(scale) if frame.ideal else "",
    )  # fmt: skip


def _ticks(xs: Sequence[float]) -> Sequence[float]:
    """Return where the scale of x has lines: at all points if they are few, else at round numbers."""
    if len(xs) <= 14:
        return xs
    step = scale_step(xs[-1] - xs[0])
    return [n * step for n in range(math.ceil(xs[0] / step), math.floor(xs[-1] / step) + 1)]


def scale_step(largest: float, most: int = 8) -> float:
    """Return 1, 2 or 5 times a power of ten: at most so many such steps reach `largest`, which is above 0."""
    power = 10.0 ** math.floor(math.log10(largest / most))
    return next(power * factor for factor in (1, 2, 5, 10) if largest / (power * factor) <= most)


def _words(title: str, series: Sequence[Series], frame: Frame) -> str:
    """Return the chart in words: where each curve begins, its peak, and where it ends."""
    parts = []
    for each in series:
        if not each.quiet:
            peak = max(each.points, key=lambda point: point[1])
            (first, begin), (last, end) = each.points[0], each.points[-1]
            parts.append(
                f"{each.name}: {begin:.2f} at {first:g}, at most {peak[1]:.2f} at "
                f"{peak[0]:g}, {end:.2f} at {last:g} {frame.x_title}"
            )
    return f"{title}. {'; '.join(parts)}."


def _curves(series: Sequence[Series], scale: _Scale, frame: Frame) -> tuple[Curve, ...]:
    ends = [scale.y(each.points[-1][1]) for each in series]
    named = [number for number, each in enumerate(series) if not each.quiet]
    places = dict(zip(named, spread([ends[n] + 4 for n in named], TOP, scale.base + 4), strict=True))
    return tuple(_curve(each, scale, frame, places.get(number)) for number, each in enumerate(series))


def _curve(each: Series, scale: _Scale, frame: Frame, name_y: float | None) -> Curve:
    points = [(scale.x(x), scale.y(y)) for x, y in each.points]
    spots: tuple[Spot, ...] = ()
    if not each.quiet:
        spots = tuple(
            Spot(px, py, mark(each.look, px, py),
                 f"{each.name}, {x:,g} {_unit(frame.x_title, x)}: {y:.2f}")
            for (px, py), (x, y) in zip(points, each.points, strict=True)
        )  # fmt: skip
    lead = ""
    if name_y is not None:
        px, py = points[-1]
        lead = f"{px + 5:g},{py:g} {scale.right + 8:g},{py:g} {scale.right + 18:g},{name_y - 4:g}"
    return Curve(
        each, "M" + "L".join(f"{x:g},{y:g}" for x, y in points), DASHES[each.look % len(DASHES)],
        _band(each, scale), spots, name_y or 0.0, lead,
    )  # fmt: skip


def _unit(title: str, value: float) -> str:
    return title.removesuffix("s") if value == 1 else title


def _band(each: Series, scale: _Scale) -> str:
    there = [(scale.x(x), scale.y(low)) for x, low, _ in each.band]
    back = [(scale.x(x), scale.y(high)) for x, _, high in reversed(each.band)]
    return " ".join(f"{x:g},{y:g}" for x, y in (*there, *back))


def _ideal(scale: _Scale) -> str:
    last = min(scale.last, scale.top)
    if last <= scale.first:
        return ""
    ends = ((scale.x(n), scale.y(n)) for n in (scale.first, last))
    return " ".join(f"{x:g},{y:g}" for x, y in ends)


def mark(look: int, x: float, y: float, size: float = 4.0) -> str:
    """Return the mark of a look as a path around a point."""
    s, kind = size, MARKS[look % len(MARKS)]
    i = 0.35 * s  # half the thickness of the cross
    corners = {
        "square": ((-s, -s), (s, -s), (s, s), (-s, s)),
        "diamond": ((0, -1.3 * s), (1.3 * s, 0), (0, 1.3 * s), (-1.3 * s, 0)),
        "up": ((0, -1.2 * s), (1.2 * s, s), (-1.2 * s, s)),
        "down": ((0, 1.2 * s), (1.2 * s, -s), (-1.2 * s, -s)),
        "cross": ((-s, -i), (-i, -i), (-i, -s), (i, -s), (i, -i), (s, -i), (s, i), (i, i), (i, s), (-i, s),
                  (-i, i), (-s, i)),
    }  # fmt: skip
    if kind == "circle":
        return f"M{x - s:g},{y:g}a{s:g},{s:g} 0 1 0 {2 * s:g},0a{s:g},{s:g} 0 1 0 {-2 * s:g},0z"
    return "M" + "L".join(f"{x + dx:.4g},{y + dy:.4g}" for dx, dy in corners[kind]) + "z"


def spread(wanted: Sequence[float], top: float, bottom: float, gap: float = LINE) -> list[float]:
    """Return places as near to the wanted ones as can be, `gap` apart and between top and bottom.

    Too many for the room are packed evenly into it.
    """
    if not wanted:
        return []
    gap = min(gap, (bottom - top) / max(len(wanted) - 1, 1))
    order = sorted(range(len(wanted)), key=lambda number: (wanted[number], number))
    groups: list[tuple[float, list[int]]] = []
    for number in order:
        groups.append((min(max(wanted[number], top), bottom), [number]))
        while (
            len(groups) > 1
            and groups[-1][0] - groups[-2][0] < gap * (len(groups[-1][1]) + len(groups[-2][1])) / 2
        ):
            (below, more), (above, some) = groups.pop(), groups.pop()
            both = some + more
            middle = (above * len(some) + below * len(more)) / len(both)
            half = gap * (len(both) - 1) / 2
            groups.append((min(max(middle, top + half), bottom - half), both))
    found = [0.0] * len(wanted)
    for middle, numbers in groups:
        first = middle - gap * (len(numbers) - 1) / 2
        for place, number in enumerate(numbers):
            found[number] = round(first + place * gap, 1)
    return found
