"""A table before it is printed: the same for a terminal, CSV and the page."""

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.text import printable

if TYPE_CHECKING:
    from rich.text import Text

Cell = str | int | float | None
"""None is "not known" or "not applicable" and prints as an empty cell; floats print with one decimal."""

Row = tuple[Cell, ...]
"""The cells of a row."""

LONGEST_WORD = 12
"""On a narrow terminal a longer word of text (a path, "Reimplementation") may be broken."""

GAP = "  "
"""Between two columns."""


@dataclass(frozen=True)
class Table:
    """Rows under headings. `left` are the numbers of the columns that hold text, the rest are figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    left: frozenset[int] = frozenset({0})
    notes: tuple[str, ...] = field(default=())
    emphasis: frozenset[int] = frozenset()
    """Numbers of rows that stand out (totals, what was measured)."""


def cell_text(cell: Cell) -> str:
    """Return a cell as people read it, thousands separated, with nothing that could act on a terminal."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) else printable(cell)


def write_csv(table: Table, out: TextIO) -> None:
    """Write a table as RFC 4180 CSV, figures without separators, one heading line."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([printable(c) if isinstance(c, str) else "" if c is None else c for c in row])


def print_tables(tables: Sequence[Table], out: TextIO) -> None:
    """Print tables: fitted to a terminal's width, or as wide as they need to be into a pipe or a file."""
    from rich.console import Console
    from rich.text import Text

    terminal = out.isatty()
    console = Console(file=out, highlight=False, soft_wrap=True)
    for number, table in enumerate(tables):
        if number:
            console.print()
        if table.title:
            console.print(Text(printable(table.title), style="bold"))
        for line in _lines(table, console.width if terminal else None):
            console.print(line)
        print_prose(
            (Paragraph(note, "note", hang=4 if note.startswith("[") else 0) for note in table.notes), out
        )


def table_width(table: Table) -> int:
    """Return how many columns a table takes where there is room."""
    widths, gap = _fit(table, [[cell_text(cell) for cell in row] for row in table.rows], None)
    return sum(widths) + len(gap) * (len(widths) - 1)


def _lines(table: Table, room: int | None) -> Iterator["Text"]:
    """Yield heading, rule and rows, without blanks at their ends; `room` is in columns, None for any."""
    from rich.text import Text

    texts = [[cell_text(cell) for cell in row] for row in table.rows]
    widths, gap = _fit(table, texts, room)
    rule = "─" * min(sum(widths) + len(gap) * (len(widths) - 1), room or sys.maxsize)
    for number, row in enumerate([[printable(name) for name in table.columns], *texts]):
        style = "bold" if number == 0 or number - 1 in table.emphasis else ""
        cells = [_wrap(text, width) for text, width in zip(row, widths, strict=True)]
        height = max(map(len, cells))
        for at in range(height):
            # a heading of several lines stands on the rule, a cell hangs from its row
            pieces = [
                _pad(cell, at - (height - len(cell) if number == 0 else 0), width, index in table.left)
                for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            yield Text(gap.join(pieces).rstrip(), style=style)
        if number == 0:
            yield Text(rule, style="dim")


def _fit(table: Table, texts: list[list[str]], room: int | None) -> tuple[list[int], str]:
    """Return the width of each column and what stands between two: figures are never cut, words rarely."""
    from rich.cells import cell_len

    natural, least = [], []
    for index, name in enumerate(table.columns):
        cells = [row[index] for row in texts]
        words = [
            word for text in ([*cells, name] if index in table.left else [name]) for word in text.split()
        ]
        longest = min(max(map(cell_len, words), default=1), LONGEST_WORD)
        uncut = 0 if index in table.left else max(map(cell_len, cells), default=0)
        least.append(max(longest, uncut, 1))
        natural.append(max(least[-1], *(cell_len(text) for text in [*cells, name])))
    gap = GAP
    if room is None or sum(natural) + len(gap) * (len(natural) - 1) <= room:
        return natural, gap
    if sum(least) + len(gap) * (len(least) - 1) > room:
        gap = " "
    spare = max(room - sum(least) - len(gap) * (len(least) - 1), 0)
    for left, index in enumerate(sorted(range(len(least)), key=lambda at: natural[at] - least[at])):
        more = min(natural[index] - least[index], spare // (len(least) - left))
        least[index] += more  # what lacks little is made whole first
        spare -= more
    return least, gap


def _wrap(text: str, width: int) -> list[str]:
    from rich.cells import cell_len, chop_cells

    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(joined) <= width:
            lines[-1] = joined
        else:
            lines += chop_cells(word, width)
    return [line for line in lines if line] or [""]


def _pad(lines: list[str], at: int, width: int, left: bool) -> str:
    from rich.cells import cell_len

    text = lines[at] if 0 <= at < len(lines) else ""
    blanks = " " * (width - cell_len(text))
    return text + blanks if left else blanks + text
