"""The study as tables for a terminal: measured rows under the published ones, notes under each table."""

from collections.abc import Iterable, Sequence

from lockscape import catalog
from lockscape.report.catalog import table1
from lockscape.report.counting import (
    CHECKED,
    COMPARED,
    COUNTED_2,
    COUNTED_3,
    COUNTED_MODERN,
    IDENTITY,
    NOT_SEEN,
    own_counted,
)
from lockscape.report.figure_tables import figure_rows, figure_tables
from lockscape.report.footnotes import Footnotes
from lockscape.report.study import (
    METHOD_NAMES,
    ChangeRow,
    CheckedValue,
    ClaimRecord,
    LockRow,
    MeasuredTree,
    OwnTable,
    StudyDocument,
)
from lockscape.report.table import Row, Table

CHANGE_COLUMNS = ("files", "changed_files", "lines_without", "lines_with", "changed_lines")
"""Fields of a footprint in Table 3."""
CHANGE_TITLES = ("files", "changed files", "lines, no SMP", "lines, SMP", "modified/new/removed")
"""Their heads."""
_OWN_TITLES = (
    "files of the footprint",
    "changed files",
    "lines without",
    "lines with",
    "modified/new/removed",
)
CHANGE_CELLS = ("files", "changed_files", "lines_no_smp", "lines_smp", "modified")
"""The columns of Table 3: fields of `ChangeRow`, headings, and ids in the catalogue."""

_QUANTITIES = {
    "bkl-share": "share of the BKL",
    "bkl-places": "places with the BKL",
    "modified-lines": "lines changed",
    "modified-share": "share of lines changed",
    "changed-files-share": "share of files changed",
}
_RELATIONS = {"exactly": "", "about": "about ", "more-than": "more than ", "less-than": "less than "}


def study_tables(document: StudyDocument) -> tuple[Table, ...]:
    """Return all tables of the study, Table 1 first."""
    return (
        table1(catalog.systems()),
        _table2(document),
        _modern(document),
        _table3(document),
        _claims(document.claims),
        *figure_tables(document),
        *(_own(each) for each in document.other_families),
        _trees(document.trees),
    )


def study_csv(document: StudyDocument) -> Table:
    """Return every figure of Tables 2 and 3 and of Figures 2 and 3 in one long table, for a spreadsheet or a
    plotting program."""
    rows: list[Row] = []
    for table, locks in (("table2", document.table2), ("table2_modern", document.table2_modern)):
        profile = "linux" if table == "table2_modern" else "paper"
        for lock in locks:
            counted = profile if lock.source == "measured" else None
            rows += [(table, lock.version, lock.source, counted, kind, n) for kind, n in lock.counts.items()]
    for change in document.table3:
        values = [(name, getattr(change, name)) for name in (*CHANGE_COLUMNS, "share")]
        rows += [("table3", change.version, change.source, change.method, *pair) for pair in values]
    rows += figure_rows(document)
    for own in document.other_families:
        rows += [
            ("other_families", own.label, "measured", own.profile, kind, n) for kind, n in own.counts.items()
        ]
        if own.change:
            values = [(name, getattr(own.change, name)) for name in (*CHANGE_COLUMNS, "share")]
            rows += [("other_families", own.label, "measured", own.change.method, *pair) for pair in values]
    return Table("", ("table", "version", "source", "counted_by", "quantity", "value"), tuple(rows))


def difference(published: int, measured: int, *, in_percent: bool = False) -> str:
    """Return how a measured figure compares with the published one: ``=``, ``+2`` or ``-1.5%``."""
    if measured == published:
        return "="
    if in_percent:
        percent = 100 * (measured - published) / published
        return f"{percent:+.{1 if abs(percent) >= 0.05 else 2}f}%"
    return f"{measured - published:+,}"


def _with_tails(cells: Sequence[tuple[str, str]]) -> list[str]:
    """Return figures with what stands behind them, padded so that the figures of a column line up."""
    width = max((len(tail) for _, tail in cells), default=0)
    return [f"{figure} {tail:{width}}" if width else figure for figure, tail in cells]


def _table2(document: StudyDocument) -> Table:
    notes = Footnotes("table2")
    printed = {row.version: row for row in document.table2 if row.source == "published"}
    columns = []
    for column in catalog.table2().columns[1:]:
        cells = [
            (f"{row.counts[column.id]:,}", _lock_tail(row, column.id, printed, notes))
            for row in document.table2
        ]
        columns.append(_with_tails(cells))
    names = (("version", *(row.version for row in document.table2)), ("", *map(_source, document.table2)))
    rows = tuple(zip(*(name[1:] for name in names), *columns, strict=True))
    under = (
        *notes.lines(), f"{COMPARED}.",
        COUNTED_2, stand_in_versions(), *tree_notes(document.trees),
    )  # fmt: skip
    return Table(
        "Table 2: places that acquire or release locks in the Linux kernel",
        ("version", "", *(column.printed for column in catalog.table2().columns[1:])), rows,
        frozenset({0, 1}), tuple(note for note in under if note), _measured_rows(document.table2),
    )  # fmt: skip


def _lock_tail(row: LockRow, kind: str, printed: dict[str, LockRow], notes: Footnotes) -> str:
    if row.source == "published":
        return footnote_marks(notes.at(row.version, kind))
    return difference(printed[row.beside].counts[kind], row.counts[kind]) if row.beside else ""


def footnote_marks(letters: Sequence[str]) -> str:
    """Return the marks of a cell's notes, such as ``[b,c]``, or nothing."""
    return f"[{','.join(letters)}]" if letters else ""


def _source(row: LockRow | ChangeRow) -> str:
    return row.source


def _measured_rows(rows: Sequence[LockRow | ChangeRow]) -> frozenset[int]:
    return frozenset(number for number, row in enumerate(rows) if row.source == "measured")


def _modern(document: StudyDocument) -> Table:
    rows: list[Row] = []
    columns = document.table2_modern
    for kind, title in document.modern_kinds.items():
        counts = [row.counts.get(kind, 0) for row in columns]
        if any(counts):
            rows.append((title, *counts))
    rows.append(("all", *(sum(row.counts.values()) for row in columns)))
    rows.append(("all, per MB of source", *map(per_megabyte, columns)))
    return Table(
        "Table 2, modern counting: lock operations in code, by kind",
        ("kind", *(row.version for row in columns)), tuple(rows), frozenset({0}),
        (COUNTED_MODERN,), frozenset({len(rows) - 2}),
    )  # fmt: skip


def per_megabyte(row: LockRow) -> float | None:
    """Return the lock operations of a measured row per megabyte (10^6 bytes) of its files."""
    return sum(row.counts.values()) / (row.bytes / 1e6) if row.bytes else None


def _table3(document: StudyDocument) -> Table:
    notes = Footnotes("table3")
    printed = {row.version: row for row in document.table3 if row.source == "published"}
    headings = ["version", "", *CHANGE_TITLES, "share %"]
    columns = []
    for at, (name, cell) in enumerate(zip(CHANGE_COLUMNS, CHANGE_CELLS, strict=True)):
        headings[2 + at] += f" {footnote_marks(notes.heading(cell))}".rstrip()
        cells = [
            (f"{getattr(row, name):,}", _change_tail(row, name, cell, printed, notes))
            for row in document.table3
        ]
        columns.append(_with_tails(cells))
    sources = [row.source if row.method is None else METHOD_NAMES[row.method] for row in document.table3]
    rows = tuple(
        zip(
            (row.version for row in document.table3), sources, *columns,
            (f"{100 * row.share:.2f}" for row in document.table3), strict=True,
        )
    )  # fmt: skip
    tools = dict(tool for tree in document.trees if tree.bundled for tool in tree.tools.items())
    under = (
        *notes.lines(), f"{COMPARED} (lines in percent).",
        COUNTED_3,
        f"cpp: by the study's pipeline ({'; '.join(tools.values())}). evaluator: by lockscape's own.",
        NOT_SEEN, stand_in_versions(), *tree_notes(document.trees),
    )  # fmt: skip
    return Table(
        "Table 3: lines of code with and without SMP support in Linux", tuple(headings), rows,
        frozenset({0, 1}), tuple(note for note in under if note), _measured_rows(document.table3),
    )  # fmt: skip


def _change_tail(
    row: ChangeRow, name: str, cell: str, printed: dict[str, ChangeRow], notes: Footnotes
) -> str:
    if row.source == "published":
        return footnote_marks(notes.at(row.version, cell))
    if row.beside is None:
        return ""
    in_percent = "files" not in name
    return difference(getattr(printed[row.beside], name), getattr(row, name), in_percent=in_percent)


def stand_in_versions() -> str:
    """Return which releases were measured beside others, in a sentence; empty if there are none."""
    pairs = [v for v in catalog.versions() if v.published != v.measured]
    if not pairs:
        return ""
    which = " and ".join(f"{pair.measured} stands beside {pair.published}" for pair in pairs)
    return f"{which}: the releases at hand, and some of a difference may lie between the releases."


def tree_notes(trees: Iterable[MeasuredTree]) -> list[str]:
    """Return what was counted in place of folders a tree does not have, and which patterns found nothing."""
    notes = []
    for tree in trees:
        if tree.stand_ins:
            notes.append(f"{tree.label} has no arch/i386: counted is {', '.join(tree.stand_ins)}.")
        if tree.patterns_without_files and not tree.bundled:
            notes.append(f"{tree.label} has no file of {', '.join(tree.patterns_without_files)}.")
    return notes


def expected(record: ClaimRecord) -> str:
    """Return what a claim says in figures, such as ``share of the BKL: about 30 %``."""
    claim = record.claim
    amount = figure(record, claim.value, claim.resolution)
    return f"{_QUANTITIES[claim.quantity]}: {_RELATIONS[claim.relation]}{amount}"


def figure(record: ClaimRecord, value: float, resolution: float | None = None) -> str:
    """Return a figure of a claim with its unit: places and lines as they are, percent with its decimals."""
    if not record.claim.quantity.endswith("share"):
        return f"{value:,.0f}"
    if resolution is None:
        decimals = 2 if record.claim.quantity == "modified-share" else 1
    else:
        decimals = 0 if resolution >= 1 else len(f"{resolution:g}") - 2
    return f"{value:.{decimals}f}%"


def claim_rows(record: ClaimRecord) -> list[tuple[str, str, list[CheckedValue | None]]]:
    """Return the figures of a claim by version: (version, detail, [published, measured, own evaluator])."""
    rows = []
    for shown in record.checked:
        if shown.source == "published":
            here = (shown.version, shown.detail)
            same = [each for each in record.checked if (each.beside, each.detail) == here]
            cells = [
                next((each for each in same if (each.source, each.method == "evaluate") == wanted), None)
                for wanted in (("published", False), ("measured", False), ("measured", True))
            ]
            rows.append((shown.version, shown.detail or "", cells))
    return rows


def _claims(claims: Sequence[ClaimRecord]) -> Table:
    rows: list[Row] = []
    for number, record in enumerate(claims, 1):
        for at, (version, detail, cells) in enumerate(claim_rows(record)):
            checked = [
                f"{figure(record, each.value)} {'holds' if each.holds else 'fails'}" if each else ""
                for each in cells
            ]
            claim = f"[{number}] {expected(record)}" if at == 0 else ""
            rows.append((claim, f"{version} {detail}".strip(), *checked))
    quotes: dict[str, list[int]] = {}
    for number, record in enumerate(claims, 1):
        quotes.setdefault(f'"{record.claim.quote}" (section {record.claim.section})', []).append(number)
    return Table(
        "What the paper says of these figures, checked",
        ("claim", "Linux", "published", "measured", "evaluator"), tuple(rows), frozenset({0, 1}),
        (CHECKED, *(f"[{','.join(map(str, numbers))}] {quote}" for quote, numbers in quotes.items())),
    )  # fmt: skip


def _own(own: OwnTable) -> Table:
    rows: list[Row] = [(title, own.counts[kind]) for kind, title in own.kinds.items() if own.counts[kind]]
    rows.append(("all", sum(own.counts.values())))
    total = len(rows) - 1
    if own.change:
        rows += [
            (title, getattr(own.change, name))
            for name, title in zip(CHANGE_COLUMNS, _OWN_TITLES, strict=True)
        ]
        rows.append(("share of lines changed, %", f"{100 * own.change.share:.2f}"))
    return Table(
        f"{own.label}: lock operations and footprint (profile {own.profile})", ("", own.label), tuple(rows),
        frozenset({0}), (own_counted(own.define, own.against),), frozenset({total}),
    )  # fmt: skip


def _trees(trees: Iterable[MeasuredTree]) -> Table:
    rows: tuple[Row, ...] = tuple(
        (
            tree.label, "came with lockscape" if tree.bundled else "measured now", tree.files,
            tree.bytes / 1e6, len(tree.problems), (tree.commit or tree.identity.removeprefix("sha256:"))[:16],
        )
        for tree in trees
    )  # fmt: skip
    return Table(
        "What was measured", ("tree", "", "files", "MB", "unclear", "identity"), rows, frozenset({0, 1, 5}),
        (IDENTITY,),
    )  # fmt: skip
