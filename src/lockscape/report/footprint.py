"""The footprint as a document and as tables."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from lockscape.report.census import problem_table
from lockscape.report.counting import build_name
from lockscape.report.manifest import Manifest, TreeRecord, Unread, tree_record
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.table import Row, Table
from lockscape.source.footprint import FileFootprint, Footprint
from lockscape.source.select import FileSet

By = Literal["all", "file"]
"""By what changed lines are added up."""

METHODS = {"evaluate": "own evaluator", "cpp": "cpp, indent, diff"}
"""How the two methods of counting are called in tables."""

COLUMNS = ("files", "changed files", "lines without", "lines with", "modified/new/removed", "share %")
"""The columns of Table 3, and the share of changed lines in those without the macros."""

_COUNTING = (
    "Lines that are not blank after the preprocessor, in one-statement-per-line form; a changed line counts "
    "once. Each file on its own; a file that it includes by a quoted name counts in both."
)
_LIMITS = (
    "Not among the changed lines: files that only one build compiles (obj-$(CONFIG_SMP) += smp.o), which "
    "count alike on both sides, and conditions in C such as if (IS_ENABLED(CONFIG_SMP))."
)


class FileRecord(msgspec.Struct, frozen=True):
    """A file of the set, see `lockscape.source.footprint.FileFootprint`. All figures are lines."""

    path: str
    sha256: str
    lines_without: int
    lines_with: int
    modified: int
    new: int
    removed: int
    changed_lines: int
    includes: tuple[str, ...]


class Totals(msgspec.Struct, frozen=True):
    """The sums over a tree's files by one method. `share` is of the lines without, from 0 to 1."""

    method: Literal["evaluate", "cpp"]
    tools: dict[str, str]
    files: int
    changed_files: int
    lines_without: int
    lines_with: int
    modified: int
    new: int
    removed: int
    changed_lines: int
    share: float | None
    by_file: tuple[FileRecord, ...]
    """Every file of the set; empty unless asked for."""


class TreeFootprint(msgspec.Struct, frozen=True):
    """The footprint of one tree, by one or both methods. `define` is the side "with"."""

    tree: TreeRecord
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    define: dict[str, str]
    against: dict[str, str]
    measured: tuple[Totals, ...]
    patterns_without_files: tuple[str, ...]
    problems: tuple[Unread, ...]


class FootprintDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape footprint``."""

    schema_version: int
    document: Literal["footprint"]
    manifest: Manifest
    trees: tuple[TreeFootprint, ...]


class Measured(msgspec.Struct, frozen=True):
    """The footprints of one tree and file set: by one method, or by both."""

    select: FileSet
    footprints: tuple[Footprint, ...]


def footprint_document(results: Sequence[Measured], by: By, manifest: Manifest) -> FootprintDocument:
    """Return the document of one or more trees."""
    trees = tuple(_tree_footprint(result, by) for result in results)
    return FootprintDocument(SCHEMA_VERSION, "footprint", manifest, trees)


def _tree_footprint(result: Measured, by: By) -> TreeFootprint:
    first = result.footprints[0]
    return TreeFootprint(
        tree=tree_record(first.tree),
        include=result.select.include,
        exclude=result.select.exclude,
        define=dict(first.defines),
        against=dict(first.against),
        measured=tuple(_totals(each, by) for each in result.footprints),
        patterns_without_files=_missing(result),
        problems=_problems(result),
    )


def _totals(each: Footprint, by: By) -> Totals:
    return Totals(
        method=each.method,
        tools=dict(each.tools),
        files=len(each.files),
        changed_files=each.changed_files,
        lines_without=each.lines_without,
        lines_with=each.lines_with,
        modified=each.modified,
        new=each.new,
        removed=each.removed,
        changed_lines=each.changed_lines,
        share=None if each.share is None else round(each.share, 6),
        by_file=tuple(map(_file_record, each.files)) if by == "file" else (),
    )


def _file_record(file: FileFootprint) -> FileRecord:
    return FileRecord(
        file.path, file.sha256, file.lines_without, file.lines_with, file.modified, file.new, file.removed,
        file.changed_lines, file.includes,
    )  # fmt: skip


def _missing(result: Measured) -> tuple[str, ...]:
    return result.select.missing([file.path for file in result.footprints[0].files])


def _problems(result: Measured) -> tuple[Unread, ...]:
    found = {problem for each in result.footprints for problem in each.problems}
    return tuple(Unread(problem.path, problem.reason) for problem in sorted(found))


def footprint_tables(results: Sequence[Measured], by: By) -> tuple[Table, ...]:
    """Return the tables for people: one for all trees, or with ``by="file"`` one a tree and method."""
    if by == "file":
        tables = [_table_of_files(result, each) for result in results for each in result.footprints]
    else:
        tables = [_table_of_trees(results)]
    problems = (
        problem_table(
            r.footprints[0].tree.label, _problems(r), "not read, or not clear and counted as it stands"
        )
        for r in results
    )
    return (*tables, *(table for table in problems if table))


def _table_of_trees(results: Sequence[Measured]) -> Table:
    builds = {build_name(each.defines, each.against) for r in results for each in r.footprints}
    several = len(builds) > 1
    rows: tuple[Row, ...] = tuple(
        (
            each.tree.label, METHODS[each.method],
            *((build_name(each.defines, each.against),) if several else ()),
            len(each.files), each.changed_files, each.lines_without, each.lines_with, each.changed_lines,
            None if each.share is None else 100 * each.share,
        )
        for result in results
        for each in result.footprints
    )  # fmt: skip
    names = ("tree", "counted by", *(("builds",) if several else ()))
    title = "Footprint" if several else f"Footprint: {next(iter(builds))}"
    notes = tuple(dict.fromkeys(note for r in results for note in _notes(r)))
    return Table(title, (*names, *COLUMNS), rows, frozenset(range(len(names))), notes)


def _table_of_files(result: Measured, each: Footprint) -> Table:
    changed = [file for file in each.files if file.changed_lines]
    rows: list[Row] = [
        (f.path, f.lines_without, f.lines_with, f.modified, f.new, f.removed, f.changed_lines,
         100 * f.changed_lines / f.lines_without if f.lines_without else None)
        for f in changed
    ]  # fmt: skip
    share = None if each.share is None else 100 * each.share
    sums = (each.lines_without, each.lines_with, each.modified, each.new, each.removed, each.changed_lines)
    rows.append((f"all {len(each.files):,} files", *sums, share))
    build = build_name(each.defines, each.against)
    columns = ("file", "lines without", "lines with", "modified", "new", "removed", "sum", "share %")
    shown = f"Shown are the {len(changed):,} of {len(each.files):,} files in which a line differs."
    return Table(
        f"{each.tree.label}: {build}, {METHODS[each.method]}", columns, tuple(rows),
        notes=(shown, *_notes(result)), emphasis=frozenset({len(rows) - 1}),
    )  # fmt: skip


def _notes(result: Measured) -> tuple[str, ...]:
    notes = [_COUNTING, _LIMITS]
    for each in result.footprints:
        if each.tools:
            versions = "; ".join(f"{name}: {version}" for name, version in each.tools.items())
            notes.append(f"The pipeline's programs: {versions}.")
    if missing := _missing(result):
        label = result.footprints[0].tree.label
        notes.append(f"Patterns without a file in {label}: {', '.join(missing)}.")
    return tuple(notes)
