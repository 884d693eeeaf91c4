"""Tables of speedups: a row for each curve, a column for each number of processors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TextIO

from lockscape.report.table import Row, Table

if TYPE_CHECKING:  # the simulator behind it takes most of the time of commands that do not simulate
    from lockscape.experiments.band import Interval

FIGURE = 7
"""Columns that a speedup takes, with the gap before it."""

PIPED = 100
"""Columns that tables are made for into a pipe or a file."""


class Line(NamedTuple):
    """A curve: its names, and by number of processors its speedup and, if it has a band, that."""

    names: tuple[str, ...]
    speedups: Mapping[int, float | None]
    band: "Mapping[int, Interval]"


def width_of(out: TextIO) -> int:
    """Return the columns that there are."""
    from rich.console import Console

    return Console(file=out).width if out.isatty() else PIPED


def speedup_tables(
    title: str, heads: tuple[str, ...], lines: Sequence[Line], width: int, notes: tuple[str, ...] = ()
) -> Iterator[Table]:
    """Yield one table, or several below each other if there are more processors than room."""
    numbers = sorted({number for line in lines for number in line.speedups})
    names = [(*heads,), *(line.names for line in lines)]
    first = sum(max(map(len, column)) + 2 for column in zip(*names, strict=True)) - 2
    many = max(1, (width - first) // FIGURE)
    parts = [numbers[k : k + many] for k in range(0, len(numbers), many)]
    for part in parts:
        yield Table(
            title if part is parts[0] else "",
            (*heads, *map(str, part)),
            tuple(row for line in lines for row in _rows(line, part)),
            frozenset(range(len(heads))),
            notes if part is parts[-1] else (),
        )


def _rows(line: Line, numbers: Sequence[int]) -> Iterator[Row]:
    yield (*line.names, *(_two(line.speedups.get(n)) for n in numbers))
    if line.band:
        from lockscape.experiments.band import HIGH, LOW

        blank = ("",) * (len(line.names) - 1)
        within = [line.band.get(n) for n in numbers]
        yield (f"- {LOW:.0%}", *blank, *(_two(each.low if each else None) for each in within))
        yield (f"- {HIGH:.0%}", *blank, *(_two(each.high if each else None) for each in within))


def _two(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"
