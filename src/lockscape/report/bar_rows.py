"""Charts of horizontal bars in segments for the page: geometry only, the template draws them."""

from collections.abc import Sequence
from dataclasses import dataclass

from lockscape.report.line_chart import scale_step

ROW, BAR = 21.0, 14.0
"""Height of a row, and of the bar in it, in units of the drawing (about pixels)."""

_TOP, _BOTTOM = 8.0, 34.0
_CHARACTER = 6.3


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
    """A chart of bars, values in `unit`. `ticks`: labels of the scale with their places."""

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
    id: str, title: str, unit: str, rows: Sequence[Row], *, width: float = 1040.0, shares: bool = False
) -> BarRows:
    """Return a chart of values from 0 to the largest; `shares`: from 0 to 1, which are written in percent."""
    left = max((len(row.name) for row in rows), default=0) * _CHARACTER + 10
    tails = max((len(row.tail) for row in rows), default=0) * _CHARACTER + 12
    longest = max((sum(v for _, v in row.segments) for row in rows), default=0.0)
    top = 1.0 if shares else max(longest, 0.001)
    right = width - (tails if tails > 12 else 18)
    per_unit = (right - left) / top
    bars = tuple(_bar(row, _TOP + n * ROW, left, per_unit, shares) for n, row in enumerate(rows))
    step = scale_step(top)
    ticks = tuple(
        (f"{n * step:.0%}" if shares else f"{n * step:g}", round(left + n * step * per_unit, 1))
        for n in range(int(top / step + 1e-9) + 1)
    )
    base = _TOP + len(rows) * ROW
    said = "; ".join(f"{row.name}: {_said(row, shares)}" for row in rows)
    return BarRows(
        id, title, unit, f"{title}: {unit}. {said}.", width, base + _BOTTOM, round(left, 1), base, bars, ticks
    )  # fmt: skip


def _text(value: float, share: bool) -> str:
    return f"{value:.1%}" if share else f"{value:.2f}"


def _said(row: Row, shares: bool) -> str:
    parts = ", ".join(f"{kind} {_text(value, shares)}" for kind, value in row.segments if value >= 0.0005)
    return f"{parts or '0'}{f' ({row.tail})' if row.tail else ''}"


def _bar(row: Row, y: float, left: float, per_unit: float, share: bool) -> Bar:
    at, segments = left, []
    for kind, value in row.segments:
        if value > 0:
            width = value * per_unit
            says = f"{row.name}, {kind}: {_text(value, share)}"
            segments.append(Segment(kind, round(at, 2), round(width, 2), says))
            at += width
    return Bar(row, round(y + (ROW - BAR) / 2, 1), tuple(segments), round(at + 5, 1))
