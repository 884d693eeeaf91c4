"""Tables 1 to 3 on the page: cells that compare, notes at the cells, and bars below the tables."""

from collections.abc import Iterable, Sequence
from typing import Any

from lockscape import catalog
from lockscape.experiments import measured
from lockscape.experiments.tradeoff import MACHINE
from lockscape.report import counting
from lockscape.report.catalog import KIND_TITLES, SystemRecord
from lockscape.report.chart import Panel, panel
from lockscape.report.footnotes import Footnotes
from lockscape.report.study import ChangeRow, LockRow, StudyDocument
from lockscape.report.study_tables import (
    CHANGE_CELLS,
    CHANGE_COLUMNS,
    CHANGE_TITLES,
    claim_rows,
    difference,
    expected,
    figure,
    per_megabyte,
    stand_in_versions,
    tree_notes,
)
from lockscape.report.table1 import Cell, numbers_table, table1_document
from lockscape.source.profile import load_profile

MAX_PROBLEMS = 200
"""The page lists at most so many problems of a tree; all are in the JSON."""


class Figure:
    """A figure in a cell that compares: who says it, and what stands under it (notes or a difference)."""

    def __init__(self, source: str, text: str, below: str = "", notes: Sequence["Mark"] = ()) -> None:
        """`source` is ``published``, ``measured`` or ``own`` (lockscape's evaluator)."""
        self.source, self.text, self.below, self.notes = (
            source,
            text,
            below.replace("-", "\N{MINUS SIGN}"),
            notes,
        )

    @property
    def width(self) -> float:
        """The room that the figure needs, in widths of a digit."""
        return len(self.text) - 0.5 * (self.text.count(",") + self.text.count("."))

    def by(self, source: str) -> "Figure":
        """Return the same figure as said by another."""
        return Figure(source if self.text else "none", self.text, self.below, self.notes)


class Mark:
    """A mark at a cell: its letter and the ids of the note and of this mark, which link to each other."""

    def __init__(self, table: str, letter: str, number: int) -> None:
        """`number` tells apart the marks of one note."""
        self.letter, self.note, self.id = letter, f"{table}-note-{letter}", f"{table}-mark-{letter}-{number}"


class Notes:
    """The notes of a table on the page: marks that link to notes, and notes that link back."""

    def __init__(self, table: str) -> None:
        """`table` is ``table1``, ``table2`` or ``table3``."""
        self._table, self._found = table, Footnotes(table)
        self._marks: dict[str, list[Mark]] = {}

    def at(self, row: str, column: str) -> list[Mark]:
        """Return the marks at a cell."""
        return self._new(self._found.at(row, column))

    def heading(self, column: str) -> list[Mark]:
        """Return the marks at a column's heading."""
        return self._new(self._found.heading(column))

    def _new(self, letters: Iterable[str]) -> list[Mark]:
        new = []
        for letter in letters:
            marks = self._marks.setdefault(letter, [])
            marks.append(Mark(self._table, letter, len(marks) + 1))
            new.append(marks[-1])
        return new

    def used(self) -> list[dict[str, Any]]:
        """Return the notes that were used, each with its marks."""
        return [
            {"finding": finding, "letter": letter, "marks": self._marks[letter]}
            for letter, finding in self._found.used
        ]


def tables_context(document: StudyDocument) -> dict[str, Any]:
    """Return what the template needs of Tables 1 to 3, the claims about them, and other trees."""
    notes = {name: Notes(name) for name in ("table1", "table2", "table3")}
    words = table1_document(measured.recorded(MACHINE), document.manifest)
    return {
        "counting": counting,
        "table1": _table1(document, notes["table1"]),
        "table1_document": words,
        "table1_numbers": numbers_table(words),
        "table2": _table2(document, notes["table2"]),
        "table3": _table3(document, notes["table3"]),
        "modern": _modern(document),
        "claims": [
            {"record": record, "expected": expected(record), "rows": claim_rows(record)}
            for record in document.claims
        ],
        "figure": figure,
        "notes": notes,
        "note_kinds": KIND_TITLES,
        "lock_panels": _lock_panels(document),
        "change_panels": _change_panels(document),
        "stand_ins": stand_in_versions(),
        "tree_notes": tree_notes(document.trees),
        "paper": load_profile("paper"),
        "tools": dict(tool for tree in document.trees if tree.bundled for tool in tree.tools.items()),
        "max_problems": MAX_PROBLEMS,
    }


def _table1(document: StudyDocument, notes: Notes) -> list[dict[str, Any]]:
    found = {each.id: {"latency": each.latency, "scalability": each.scalability}
             for each in document.table1_measured}  # fmt: skip
    return [
        {
            "system": system,
            "cells": [
                (
                    column.id,
                    system.printed[column.id],
                    notes.at(system.id, column.id),
                    _again(found.get(system.id, {}).get(column.id), column.id),
                    _order(system, column.id),
                )
                for column in catalog.table1().columns[1:]
            ],
        }
        for system in document.table1
    ]


def _order(system: SystemRecord, column: str) -> float | None:
    """Return what a cell is sorted by, if not by its text."""
    if column == "code_lines":
        return None if system.code_lines is None else sum(system.code_lines)
    return system.development_days if column == "development_time" else None


def _again(cell: Cell | None, column: str) -> str:
    """Return a measured word of Table 1 with its number; ``=`` for the paper's word."""
    if cell is None:
        return ""
    number = (
        f"{cell.over:.2f} of it" if cell.over is not None else f"{cell.ratio:,.{1 + (column != 'latency')}f}×"
    )
    return f"{'=' if cell.agrees else cell.measured} ({number})"


def _headings(columns: Iterable[tuple[str, str, str]], notes: Notes) -> list[dict[str, Any]]:
    """Return the headings of columns, given as (id, title, meaning); marked before the cells are."""
    return [
        {
            "title": title,
            "meaning": meaning,
            "shown": (PUBLISHED, MEASURED),
            "marks": notes.heading(id) if id else [],
        }
        for id, title, meaning in columns
    ]


def _widths(rows: Sequence[dict[str, Any]]) -> list[list[float]]:
    """Return the width in characters of each figure of each column, so that they line up over the rows."""
    columns = zip(*(row["cells"] for row in rows), strict=True)
    return [
        [max(LEAST_WIDTH, *(figure.width for figure in figures)) for figures in zip(*cells, strict=True)]
        for cells in columns
    ]


PUBLISHED = ("published", "publ.")
"""What stands over published figures: a source and its short name."""

MEASURED = ("measured", "meas.")
"""The same over measured figures."""

LEAST_WIDTH = 4.0
"""Of a figure, in characters: what stands over it, such as "publ.", needs so much."""


def _table2(document: StudyDocument, notes: Notes) -> dict[str, Any]:
    columns = catalog.table2().columns[1:]
    headings = _headings([(column.id, column.printed, column.meaning) for column in columns], notes)
    rows = []
    measured = {row.beside: row for row in document.table2 if row.beside}
    for row in document.table2:
        if row.source == "measured" and row.beside:
            continue  # stands in the cells of its published row
        other = measured.get(row.version) if row.source == "published" else None
        cells = [_lock_figures(row, other, column.id, notes) for column in columns]
        rows.append({"published": row if other else None, "measured": other or row, "cells": cells})
    return {"headings": headings, "widths": _widths(rows), "rows": rows}


def _lock_figures(row: LockRow, other: LockRow | None, kind: str, notes: Notes) -> list[Figure]:
    own = row.counts[kind]
    if other is None:
        return [Figure("none", ""), Figure("measured", f"{own:,}")]
    found = other.counts[kind]
    return [
        Figure("published", f"{own:,}", notes=notes.at(row.version, kind)),
        Figure("measured", f"{found:,}", difference(own, found)),
    ]


def _table3(document: StudyDocument, notes: Notes) -> dict[str, Any]:
    meanings = {column.id: column.meaning for column in catalog.table3().columns}
    named = [(id, title, meanings[id]) for id, title in zip(CHANGE_CELLS, CHANGE_TITLES, strict=True)]
    named.append(("", "share, %", "Changed lines in percent of the lines without SMP support."))
    headings = _headings(named, notes)
    for head in headings[1:]:
        head["shown"] = (PUBLISHED, ("measured", "cpp"), ("own", "own"))
    rows = []
    for row in document.table3:
        if row.beside:
            continue
        beside = {each.method: each for each in document.table3 if each.beside == row.version}
        if row.source == "published":
            shown: list[ChangeRow | None] = [row, beside.get("cpp"), beside.get("evaluate")]
        else:
            shown = [None, None, row]
        cells = [
            [_change_figure(each, name, cell, row, notes) for each in shown]
            for name, cell in zip(CHANGE_COLUMNS, CHANGE_CELLS, strict=True)
        ]
        cells[0] = [cells[0][0], cells[0][2].by("measured")]  # the methods look at the same files
        cells.append(
            [Figure(_role(each), f"{100 * each.share:.2f}") if each else _NO_FIGURE for each in shown]
        )
        measured = next(each for each in reversed(shown) if each)
        rows.append({"published": shown[0], "measured": measured, "cells": cells})
    return {"headings": headings, "widths": _widths(rows), "rows": rows}


_NO_FIGURE = Figure("none", "")


def _role(row: ChangeRow) -> str:
    return "published" if row.method is None else "own" if row.method == "evaluate" else "measured"


def _change_figure(
    each: ChangeRow | None, name: str, cell: str, published: ChangeRow, notes: Notes
) -> Figure:
    if each is None:
        return _NO_FIGURE
    value = getattr(each, name)
    if each.source == "published":
        return Figure("published", f"{value:,}", notes=notes.at(each.version, cell))
    if each.beside is None:
        return Figure("own", f"{value:,}")
    in_percent = "files" not in name
    return Figure(
        _role(each), f"{value:,}", difference(getattr(published, name), value, in_percent=in_percent)
    )


def _modern(document: StudyDocument) -> dict[str, Any]:
    rows = document.table2_modern
    kinds = [
        (title, [row.counts.get(kind, 0) for row in rows])
        for kind, title in document.modern_kinds.items()
        if any(row.counts.get(kind, 0) for row in rows)
    ]
    return {
        "versions": [row.version for row in rows],
        "kinds": kinds,
        "totals": [sum(row.counts.values()) for row in rows],
        "per_mb": [per_megabyte(row) for row in rows],
    }


def _lock_panels(document: StudyDocument) -> list[Panel]:
    groups = _groups(document.table2)
    panels = [
        panel(
            column.printed, "places",
            [(name, [(_lock_role(row), row.counts[column.id]) for row in rows]) for name, rows in groups],
        )
        for column in catalog.table2().columns[1:]
    ]  # fmt: skip
    shares = [
        (name, [(_lock_role(r), 100 * r.counts["bkl"] / max(sum(r.counts.values()), 1)) for r in rows])
        for name, rows in groups
    ]
    return [*panels, panel("BKL, share of all kinds", "percent", shares, decimals=1)]


def _lock_role(row: LockRow) -> str:
    return row.source


def _change_panels(document: StudyDocument) -> list[Panel]:
    groups = _groups(document.table3)
    lines = [(name, [(_role(row), row.changed_lines) for row in rows]) for name, rows in groups]
    shares = [(name, [(_role(row), 100 * row.share) for row in rows]) for name, rows in groups]
    return [
        panel("Modified, new and removed lines", "lines", lines),
        panel("Share of the uniprocessor lines", "percent", shares, decimals=2),
    ]


def _groups(rows: Sequence[Any]) -> list[tuple[str, list[Any]]]:
    """Return rows by the version that they stand beside, in order, named by the series for the study's."""
    series = {each.published: each.system.removeprefix("linux-") for each in catalog.versions()}
    found: dict[str, list[Any]] = {}
    for number, row in enumerate(rows):
        key = row.beside or (row.version if row.source == "published" else f"{number} {row.version}")
        found.setdefault(key, []).append(row)
    return [(series.get(key, group[0].version), group) for key, group in found.items()]
