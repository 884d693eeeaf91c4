"""Text for reading on a terminal: headings, wrapped paragraphs, bullets."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TextIO

from lockscape.report.text import printable

WIDEST = 100
"""Columns at which prose is wrapped, also on a wider terminal and into a pipe: longer lines read badly."""

_INDENT = {
    "title": "",
    "heading": "",
    "plain": "  ",
    "item": "  ",
    "bullet": "  - ",
    "source": "    ",
    "note": "",
}
_STYLE = {"title": "bold", "heading": "bold", "source": "dim", "note": "dim"}


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A piece of text. `hang` indents its second and further lines by so many more columns."""

    text: str
    form: Literal["title", "heading", "plain", "item", "bullet", "source", "note"]
    hang: int = 0


def print_prose(paragraphs: Iterable[Paragraph], out: TextIO) -> None:
    """Write paragraphs, wrapped to the terminal's width."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False, soft_wrap=True)
    width = max(30, min(console.width, WIDEST)) if out.isatty() else WIDEST
    for paragraph in paragraphs:
        if paragraph.form == "heading":
            console.print()
        first = _INDENT[paragraph.form]
        rest = " " * (len(first) + paragraph.hang)
        lines = textwrap.wrap(
            printable(paragraph.text), width, initial_indent=first, subsequent_indent=rest,
            replace_whitespace=False, drop_whitespace=True, break_on_hyphens=False,
        )  # fmt: skip
        for line in lines:
            console.print(Text(line, style=_STYLE.get(paragraph.form, "")))
