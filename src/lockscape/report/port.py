"""A port beside its uniprocessor kernel: as a document, as tables, and line by line."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

import msgspec

from lockscape.ports.effort import KINDS, Change, Effort, Line
from lockscape.ports.plan import Plan
from lockscape.report.manifest import Manifest
from lockscape.report.mutants import MutationRecord
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.table import Row, Table
from lockscape.report.text import printable

if TYPE_CHECKING:
    from rich.text import Text

SIDE_BY_SIDE = 110
"""Columns from which two listings stand side by side."""

_TITLES = {
    "bkl": "big kernel lock", "spinlock": "spin lock", "rwlock": "rw lock", "seqlock": "seq lock",
    "rcu": "RCU", "sema": "semaphore", "rwsem": "rw semaphore", "version": "version",
    "cas": "compare-and-swap", "barrier": "barrier",
}  # fmt: skip

_SITES = (
    "Places in the listing that take or release a lock, each once, however many callers it has; the "
    "uniprocessor kernel's own semaphores are among them."
)
LINES = (
    "Lines of the listing against the uniprocessor kernel with the same build options; one statement a line. "
    "New code are functions that only the port has; they are not among the other lines."
)
"""What the lines of a listing count, for readers."""


class RuleRecord(msgspec.Struct, frozen=True):
    """A rule of the plan: its number from 0, where it stands, what it does there, and why or from where."""

    number: int
    at: str
    lock: str
    of: str
    mode: str
    source: str


class Listing(msgspec.Struct, frozen=True):
    """A function of both kernels line by line, and the rules that its lines refer to (with ``--sources``)."""

    function: str
    change: Change
    lines: tuple[Line, ...]
    rules: tuple[RuleRecord, ...]


class PortRecord(msgspec.Struct, frozen=True):
    """A port by the name that it was asked for by."""

    name: str
    effort: Effort


class PortDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape port``: the effort of some ports, or a function or the mutants of one."""

    schema_version: int
    document: Literal["port"]
    manifest: Manifest
    ports: tuple[PortRecord, ...]
    listing: Listing | None
    mutations: tuple[MutationRecord, ...]


def port_document(
    ports: Sequence[tuple[str, Effort]], manifest: Manifest, listing: Listing | None = None,
    mutations: Sequence[MutationRecord] = (),
) -> PortDocument:  # fmt: skip
    """Return the document of some ports' effort, of a function, or of the mutants of a port."""
    records = tuple(PortRecord(name, effort) for name, effort in ports)
    return PortDocument(SCHEMA_VERSION, "port", manifest, records, listing, tuple(mutations))


def listing_record(function: str, lines: Sequence[Line], change: Change, plan: Plan) -> Listing:
    """Return a compared function with the rules that its lines refer to."""
    used = sorted({number for line in lines for number in line.rules})
    rules = tuple(
        RuleRecord(n, r.at, r.lock, r.of, r.mode, r.source) for n, r in ((n, plan.rule[n]) for n in used)
    )
    return Listing(function, change, tuple(lines), rules)


# --- effort -------------------------------------------------------------------------------------------------


def effort_tables(document: PortDocument) -> tuple[Table, ...]:
    """Return sites by kind of lock (the form of Table 2) and lines (the form of Table 3) of some ports."""
    return (_sites(document.ports), _lines(document.ports))


def effort_csv(document: PortDocument) -> Table:
    """Return both tables as one."""
    sites, lines = effort_tables(document)
    rows = tuple((*a, *b[1:]) for a, b in zip(sites.rows, lines.rows, strict=True))
    return Table("", (*sites.columns, *lines.columns[1:]), rows)


def _sites(ports: Sequence[PortRecord]) -> Table:
    kinds = [kind for kind in KINDS if any(kind in p.effort.sites for p in ports)]
    rows: tuple[Row, ...] = tuple(
        (
            p.name, *(p.effort.sites.get(kind, 0) for kind in kinds), sum(p.effort.sites.values()),
            sum(p.effort.sites_uniprocessor.values()),
        )
        for p in ports
    )  # fmt: skip
    columns = ("port", *(_TITLES[kind] for kind in kinds), "all", "uniprocessor kernel")
    return Table("Places by kind of lock, as in Table 2", columns, rows, notes=(_SITES,))


def _lines(ports: Sequence[PortRecord]) -> Table:
    rows = tuple((p.name, *_change_cells(p.effort.change), p.effort.new_lines) for p in ports)
    columns = (
        "port",
        "uniprocessor",
        "ported",
        "modified",
        "new",
        "removed",
        "changed",
        "share %",
        "new code",
    )
    return Table("Lines, as in Table 3", columns, rows, notes=(LINES,))


def _change_cells(change: Change) -> Row:
    share = 100 * change.changed / change.lines_ported if change.lines_ported else 0.0
    return (
        change.lines_uniprocessor, change.lines_ported, change.modified, change.new, change.removed,
        change.changed, round(share, 1),
    )  # fmt: skip


def functions_table(record: PortRecord) -> Table:
    """Return the functions in which a port differs from the uniprocessor kernel."""
    rows: list[Row] = [
        (f"{each.name} (new)" if each.is_new else each.name, *_change_cells(each.change), _places(each.sites))
        for each in record.effort.functions
    ]
    change = record.effort.change
    rows.append(("all functions", *_change_cells(change), _places(record.effort.sites)))
    columns = (
        "function",
        "uniprocessor",
        "ported",
        "modified",
        "new",
        "removed",
        "changed",
        "share %",
        "places",
    )
    return Table(
        f"{record.name}: {record.effort.title}", columns, tuple(rows), frozenset({0, 8}),
        (f"`lockscape port {record.name} FUNCTION` shows one line by line.", LINES),
        frozenset({len(rows) - 1}),
    )  # fmt: skip


def _places(sites: dict[str, int]) -> str:
    return ", ".join(f"{count} {_TITLES[kind]}" for kind, count in sites.items())


# --- one function -------------------------------------------------------------------------------------------


def listing_csv(listing: Listing) -> Table:
    """Return a function's lines as a table."""
    rows: tuple[Row, ...] = tuple(
        (line.mark, line.text, " ".join(str(number) for number in line.rules)) for line in listing.lines
    )
    return Table("", ("mark", "line", "rules"), rows, frozenset({0, 1, 2}))


def print_listing(name: str, listing: Listing, out: TextIO) -> None:
    """Write a function of both kernels: side by side where there is room, else one listing with + and -."""
    from rich.console import Console

    console = Console(file=out, highlight=False, soft_wrap=True)
    change = listing.change
    lines = f"uniprocessor {change.lines_uniprocessor} lines, {name} {change.lines_ported} lines"
    print_prose([Paragraph(f"{listing.function}: {lines}", "title")], out)
    numbers = {rule.number: place for place, rule in enumerate(listing.rules, 1)}
    wide = out.isatty() and console.width >= SIDE_BY_SIDE
    for text in _columns(listing, numbers, console.width) if wide else _unified(listing, numbers):
        console.print(text)
    if not change.changed:
        print_prose([Paragraph("This port leaves the function as it is.", "note")], out)
    notes = [f"[{numbers[rule.number]}] {_rule_text(rule)}" for rule in listing.rules]
    print_prose([Paragraph(note, "note", hang=4) for note in notes], out)


def _rule_text(rule: RuleRecord) -> str:
    place = f" of {rule.of}" if rule.of else ""
    what = f"{rule.lock}{place}, {rule.mode}" if rule.lock else rule.mode
    return f"rule {rule.number + 1}, at {rule.at}: {what}" + (f". {rule.source}" if rule.source else "")


_STYLES = {"+": "green", "-": "red", " ": ""}


def _with_notes(line: Line, numbers: dict[int, int]) -> str:
    notes = "".join(f" [{numbers[rule]}]" for rule in line.rules if rule in numbers)
    return printable(line.text) + ("  " + notes.strip() if notes else "")


def _unified(listing: Listing, numbers: dict[int, int]) -> "Iterator[Text]":
    from rich.text import Text

    for line in listing.lines:
        yield Text(f"{line.mark} {_with_notes(line, numbers)}".rstrip(), style=_STYLES[line.mark])


def _columns(listing: Listing, numbers: dict[int, int], width: int) -> "Iterator[Text]":
    from rich.text import Text

    half = min((width - 3) // 2, max(40, *(len(line.text) for line in listing.lines)) + 2)
    for left, right in _rows(listing.lines):
        text = Text(
            _cut(left.text if left else "", half).ljust(half), style="red" if left and not right else ""
        )
        mark = " " if left and right and left.mark == right.mark == " " else "|" if left and right else (
            "+" if right else "-"
        )  # fmt: skip
        shown = _cut(_with_notes(right, numbers), width - half - 3) if right else ""
        line = Text()
        line.append(text)
        line.append(f" {mark} ", style="bold")
        line.append(shown, style="green" if right and right.mark == "+" else "")
        line.rstrip()
        yield line


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _rows(lines: Sequence[Line]) -> Iterator[tuple[Line | None, Line | None]]:
    """Yield lines left and right: equal ones together, of a place that differs one by one."""
    gone: list[Line] = []
    come: list[Line] = []
    for line in (*lines, None):
        if line is not None and line.mark == "-":
            gone.append(line)
        elif line is not None and line.mark == "+":
            come.append(line)
        else:
            for k in range(max(len(gone), len(come))):
                yield gone[k] if k < len(gone) else None, come[k] if k < len(come) else None
            gone, come = [], []
            if line is not None:
                yield line, line
