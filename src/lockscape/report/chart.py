"""Small bar charts for the page: geometry only, the template draws them as inline SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

BAR = 13.0
"""Width of a bar, in units of the drawing (about pixels)."""

_BETWEEN_GROUPS = 8.0
LEAST_GROUP = 44.0
"""Width that a group has at least, so that the labels under two groups keep apart."""

HEIGHT = 130.0
"""Of the drawing, in its units."""
TOP = 10.0
"""Room above the bars."""
BOTTOM = 20.0
"""Room below them, for names."""
DIGIT = 6.2
"""Width of a character of the scale."""

MAX_LABEL = 10
"""A longer label under a group is cut short; the table has it whole."""

Groups = Sequence[tuple[str, Sequence[tuple[str, float]]]]
"""Groups of bars: the title of each, and its bars' names and values."""


@dataclass(frozen=True)
class Bar:
    """A bar: whose figure it is (``published``, ``measured``, ``own``), and where it stands."""

    source: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Label:
    """A text and where it stands."""

    text: str
    x: float
    y: float


@dataclass(frozen=True)
class Panel:
    """One chart: bars by group over a common base line, scaled to its own largest value."""

    title: str
    unit: str
    description: str
    width: float
    height: float
    base: float
    left: float
    """Where the base line begins; the scale stands before it."""
    bars: tuple[Bar, ...]
    scale: tuple[Label, ...]
    """Round values with their heights, for lines across the chart."""
    names: tuple[Label, ...]


def panel(title: str, unit: str, groups: Groups, *, decimals: int = 0) -> Panel:
    """Return a chart of `groups`: (name, [(source, value), …]), values of at least 0."""
    largest = max((value for _, bars in groups for _, value in bars), default=0) or 1
    step = round_step(largest)
    steps = math.ceil(round(largest / step, 6))
    base = HEIGHT - BOTTOM
    height_of = (base - TOP) / (steps * step)
    texts = [f"{number * step:,.{0 if step >= 1 else decimals}f}" for number in range(steps + 1)]
    left = DIGIT * max(map(len, texts)) + 6
    scale = tuple(
        Label(text, left - 5, round(base - number * step * height_of, 2)) for number, text in enumerate(texts)
    )
    bars: list[Bar] = []
    names: list[Label] = []
    said: list[str] = []
    at = left + _BETWEEN_GROUPS / 2
    for name, figures in groups:
        width = max(LEAST_GROUP, len(figures) * (BAR + 1))
        first = at + (width - len(figures) * (BAR + 1)) / 2
        for number, (source, value) in enumerate(figures):
            high = round(value * height_of, 2)
            bars.append(Bar(source, round(first + number * (BAR + 1), 2), round(base - high, 2), BAR, high))
        shown = name if len(name) <= MAX_LABEL else f"{name[: MAX_LABEL - 1]}…"
        names.append(Label(shown, round(at + width / 2, 2), HEIGHT - 5))
        said.append(f"{name}: " + ", ".join(f"{source} {value:,.{decimals}f}" for source, value in figures))
        at += width + _BETWEEN_GROUPS
    return Panel(
        title, unit, f"{title} in {unit}. {'; '.join(said)}.", round(at - _BETWEEN_GROUPS / 2, 2), HEIGHT,
        base, left, tuple(bars), scale, tuple(names),
    )  # fmt: skip


def round_step(largest: float) -> float:
    """Return 1, 2 or 5 times a power of ten: at most 4 such steps reach `largest`, which is positive."""
    power = 10.0 ** math.floor(math.log10(largest / 4))
    return next(power * factor for factor in (1, 2, 5, 10) if largest / (power * factor) <= 4)
