"""Tables as Markdown."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from lockscape.report.table import Table


def table(
    heads: Sequence[str], rows: Iterable[Sequence[object]], left: int | Collection[int] = 1
) -> Iterator[str]:
    """Yield the lines of a Markdown table; the columns `left`, or so many first ones, are text."""
    text = range(left) if isinstance(left, int) else left
    yield f"| {' | '.join(heads)} |"
    yield f"|{'|'.join(' :-- ' if number in text else ' --: ' for number in range(len(heads)))}|"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")


def markdown(printed: Table, title: bool = False) -> Iterator[str]:
    """Yield a table of lockscape's as Markdown, its notes below it."""
    if title:
        yield from (f"**{printed.title}**", "")
    yield from table(printed.columns, printed.rows, printed.left)
    yield ""
    for note in printed.notes:
        yield from (note, "")
