"""Curves drawn with characters, for a terminal, a pipe or a mail: plain ASCII, in colour only on a terminal.

Drawn here and not by a library: those looked at draw lines in braille or blocks, hide points under their
legend, put ticks between processor counts, or change their interface with every major version.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TextIO

from lockscape.report.text import printable

if TYPE_CHECKING:
    from rich.text import Text

MARKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""Of the curves, in turn."""
SEVERAL = "*"
"""Stands where points of several curves meet."""

SHADE = ":"
"""Fills the band of a curve."""

STROKES = " .-:"
"""What a point may cover without meeting another one."""

_COLOURS = ("cyan", "yellow", "green", "magenta", "red", "blue", "bright_cyan", "bright_yellow")
HEIGHT = 16
"""Lines of a plot."""
_WIDEST = 100
PIPED = 80
"""Columns of a drawing into a pipe or a file."""

LEAST_WIDTH, MOST_RATIO = 20, 16
"""Columns that the area of a drawing has at least; ratio of largest to smallest x up to which x is
linear; it always is if there is a point at 0."""


@dataclass(frozen=True)
class Curve:
    """A named curve of points (x, y), both at least 0.

    `mark` stands at its points (default: a letter of its own), `stroke` between them. With an empty mark the
    points are those of a line alone, close together and within the others'; with an empty stroke there
    is no line. Between low and high of `band`, (x, low, high), it is shaded. Curves with the same number of a
    `colour` are alike on a terminal (default: each has its own).
    """

    name: str
    points: Sequence[tuple[float, float]]
    mark: str | None = None
    stroke: str = "."
    band: Sequence[tuple[float, float, float]] = ()
    colour: int | None = None


@dataclass
class _Area:
    """Cells of a drawing: a character, and the number of the curve that it belongs to (-1: none)."""

    width: int
    height: int
    low: float
    high: float
    top: float

    def __post_init__(self) -> None:
        self.cells: list[list[tuple[str, int]]] = [[(" ", -1)] * self.width for _ in range(self.height)]

    def column(self, x: float) -> int:
        if self.high == self.low:
            return self.width // 2
        if 0 < MOST_RATIO * self.low < self.high:
            share = math.log(x / self.low) / math.log(self.high / self.low)
        else:
            share = (x - self.low) / (self.high - self.low)
        return round(share * (self.width - 1))

    def row(self, y: float) -> int:
        return self.height - 1 - round(y / self.top * (self.height - 1))

    def line(self, number: int, one: tuple[float, float], two: tuple[float, float], stroke: str) -> None:
        first, last = self.column(one[0]), self.column(two[0])
        for column in range(first + 1, last):
            share = (column - first) / (last - first)
            row = self.row(one[1] + share * (two[1] - one[1]))
            self.dot(number, row, column, stroke)

    def shade(self, number: int, one: tuple[float, float, float], two: tuple[float, float, float]) -> None:
        first, last = self.column(one[0]), self.column(two[0])
        for column in range(first, last + 1):
            share = (column - first) / max(1, last - first)
            low, high = (self.row(one[k] + share * (two[k] - one[k])) for k in (1, 2))
            for row in range(high, low + 1):
                self.dot(number, row, column, SHADE)

    def dot(self, number: int, row: int, column: int, stroke: str) -> None:
        if self.cells[row][column][0] == " ":
            self.cells[row][column] = (stroke, number)

    def point(self, number: int, x: float, y: float, mark: str) -> None:
        row, column = self.row(y), self.column(x)
        taken, other = self.cells[row][column]
        meets = taken not in STROKES and other != number
        self.cells[row][column] = (SEVERAL, -1) if meets else (mark, number)


def draw(
    curves: Sequence[Curve], width: int, x_title: str, shaded: str = "", ticks: Sequence[float] = (),
    height: int = HEIGHT,
) -> list[list[tuple[str, int]]]:  # fmt: skip
    """Return the lines of a drawing at most `width` columns wide, as (text, number of the curve or -1).

    There must be a point. A scale of round numbers stands at the left, the x of the points below, or `ticks`,
    which then reach from end to end; the last lines tell which mark is which curve, but for those without a
    name, and with `shaded` what a band is.
    """
    xs = sorted(ticks or {x for curve in curves for x, _ in curve.points if curve.mark != ""})
    ys = [y for curve in curves for _, y in curve.points] + [high for c in curves for _, _, high in c.band]
    largest = max(ys) or 1.0
    step, top = _scale(largest)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    label = max(len(f"{top:.{digits}f}"), 3)
    area = _Area(max(LEAST_WIDTH, width - label - 2), height, xs[0], xs[-1], top)
    for number, curve in enumerate(curves):
        _stroke(area, number, curve)
    for number, curve in enumerate(curves):
        for one, two in pairwise(sorted(curve.band)):
            area.shade(number, one, two)
    for number, curve in enumerate(curves):
        for x, y in curve.points if curve.mark != "" else ():
            area.point(number, x, y, _sign(number, curve))
    scale = {area.row(value * step): f"{value * step:.{digits}f}" for value in range(round(top / step) + 1)}
    lines = [[(f"{scale.get(row, ''):>{label}} |", -1), *cells] for row, cells in enumerate(area.cells)]
    lines.append([(" " * label + " +" + "-" * area.width, -1)])
    lines.append([(" " * (label + 2) + _numbers(area, xs), -1)])
    lines.append([(f"{x_title:>{min(label + 2 + area.width, width)}}", -1)])
    meet = any(text == SEVERAL for line in area.cells for text, _ in line)
    others = [f"{SEVERAL} several"] if meet else []
    others += [f"{SHADE} {shaded}"] if any(curve.band for curve in curves) else []
    return lines + _legend(curves, width, others)


def _stroke(area: _Area, number: int, curve: Curve) -> None:
    if curve.mark == "":
        for x, y in curve.points:
            area.dot(number, area.row(y), area.column(x), curve.stroke)
    elif curve.stroke:
        points = sorted(curve.points)
        for one, two in pairwise(points):
            area.line(number, one, two, curve.stroke)


def _scale(largest: float) -> tuple[float, float]:
    """Return step and end of a scale from 0: at most 8 steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(largest / 8))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if largest <= 8 * power * factor)
    return step, step * math.ceil(largest / step - 1e-9)


def _numbers(area: _Area, xs: Sequence[float]) -> str:
    """Return the x of the points, those that have room, each ending below its column."""
    line = ""
    for x in xs:
        text = f"{x:.10g}"
        start = max(area.column(x) - len(text) + 1, 0)
        if not line or start > len(line):
            line += " " * (start - len(line)) + text
    return line


def _sign(number: int, curve: Curve) -> str:
    """Return what stands for a curve: its mark, or the stroke of a line alone."""
    if curve.mark == "":
        return curve.stroke
    return curve.mark or MARKS[number % len(MARKS)]


def _legend(curves: Sequence[Curve], width: int, others: Sequence[str]) -> list[list[tuple[str, int]]]:
    names = [
        (f"{_sign(n, curve)} {printable(curve.name)}", n) for n, curve in enumerate(curves) if curve.name
    ]
    names += [(text, -1) for text in others]
    lines: list[list[tuple[str, int]]] = [[]]
    used = 0
    for text, number in names:
        if used and used + len(text) + 3 > width:
            lines.append([])
            used = 0
        lines[-1] += [("   " if used else " ", -1), (text, number)]
        used += len(text) + 3
    return lines


def print_plot(
    title: str, curves: Sequence[Curve], x_title: str, out: TextIO, shaded: str = "",
    ticks: Sequence[float] = (), height: int = HEIGHT,
) -> None:  # fmt: skip
    """Write a drawing with its title, fitted to the terminal, or `PIPED` columns wide; see `draw`."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False, soft_wrap=True)
    width = min(console.width, _WIDEST) if out.isatty() else PIPED
    console.print(Text(printable(title), style="bold"))
    for line in draw(curves, width - 1, x_title, shaded, ticks, height):
        console.print(_coloured(line, curves))


def _coloured(line: Sequence[tuple[str, int]], curves: Sequence[Curve]) -> "Text":
    from rich.text import Text

    text = Text()
    for part, number in line:
        colour = None if number < 0 else curves[number].colour
        shown = number if colour is None else colour
        text.append(part, style=_COLOURS[shown % len(_COLOURS)] if number >= 0 else "")
    text.rstrip()
    return text
