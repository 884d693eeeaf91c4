"""Charts of horizontal bars in segments for the page: geometry only, the template draws them."""

from collections.abc import Sequence
from dataclasses import dataclass

from lockscape.report.chart import round_step

ROW, BAR = 21.0, 14.0
"""Height of a row, and of the bar in it, in units of the drawing (about pixels)."""

TOP, BOTTOM = 8.0, 34.0
CHARACTER = 6.3


@dataclass(frozen=True)
class Row:
    """A row to draw: an id for what shows and hides it, its name, its segments (kind, value), and what stands
    behind the bar."""

    id: str
    name: str
    segments: Sequence[tuple[str, float]]
    tail: str = ""


@dataclass(frozen=True)
class Segment:
    """A part of a bar, and what it says."""

    kind: str
    x: float
    width: float
    says: str


@dataclass(frozen=True)
class Bar:
    """A row that is drawn: `y` is the top of its bar, `tail_x` where the text behind it begins."""

    row: Row
    y: float
    segments: tuple[Segment, ...]
    tail_x: float


@dataclass(frozen=True)
class BarRows:
    """A chart of bars in percent of `unit`. `ticks`: labels of the scale with their places."""

    id: str
    title: str
    unit: str
    description: str
    width: float
    height: float
    left: float
    base: float
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[str, float], ...]


def bar_rows(
    id: str, title: str, unit: str, rows: Sequence[Row], *, width: float = 760.0, whole: bool = False
) -> BarRows:
    """Return a chart of shares (1 is all of `unit`); `whole`: the scale goes to 100%, else to the largest."""
    left = max((len(row.name) for row in rows), default=0) * CHARACTER + 10
    tails = max((len(row.tail) for row in rows), default=0) * CHARACTER + 12
    longest = max((sum(v for _, v in row.segments) for row in rows), default=0.0)
    top = 1.0 if whole else max(longest, 0.001)
    right = width - (tails if tails > 12 else 18)
    per_unit = (right - left) / top
    bars = tuple(_bar(row, TOP + n * ROW, left, per_unit) for n, row in enumerate(rows))
    step = round_step(100 * top)
    ticks = tuple(
        (f"{n * step:g}%", round(left + n * step / 100 * per_unit, 1))
        for n in range(int(100 * top / step + 1e-9) + 1)
    )
    base = TOP + len(rows) * ROW
    said = "; ".join(f"{row.name}: {_said(row)}" for row in rows)
    return BarRows(
        id, title, unit, f"{title}, in percent of {unit}. {said}.", width, base + BOTTOM, round(left, 1),
        base, bars, ticks,
    )  # fmt: skip


def _said(row: Row) -> str:
    parts = ", ".join(f"{kind} {100 * value:.1f}%" for kind, value in row.segments if value >= 0.0005)
    return f"{parts or '0%'}{f' ({row.tail})' if row.tail else ''}"


def _bar(row: Row, y: float, left: float, per_unit: float) -> Bar:
    at, segments = left, []
    for kind, value in row.segments:
        if value > 0:
            width = value * per_unit
            says = f"{row.name}: {kind} {100 * value:.1f}%"
            segments.append(Segment(kind, round(at, 2), round(width, 2), says))
            at += width
    return Bar(row, round(y + (ROW - BAR) / 2, 1), tuple(segments), round(at + 5, 1))
