"""The census as a document and as tables."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from lockscape.report.manifest import Manifest, TreeRecord, Unread, tree_record
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.table import Row, Table
from lockscape.source.census import Census, Site
from lockscape.source.profile import OPERATIONS, ROLES
from lockscape.source.tree import Problem
from lockscape.source.wrappers import Wrapper

By = Literal["kind", "dir", "file", "role", "wrapper"]
"""By what places are added up."""

COUNTING = "Counted are places that acquire, try or release; each once, however often it runs."
"""What a census counts, for readers."""
_MAX_LISTED = 5


class Count(msgspec.Struct, frozen=True):
    """How many places of a kind and role stand in code or in the bodies of #define."""

    kind: str
    role: str
    place: Literal["code", "define"]
    count: int


class Group(msgspec.Struct, frozen=True):
    """Lock operations in the code of a folder or a file, by kind; kinds without any are left out."""

    name: str
    operations: dict[str, int]


class Place(msgspec.Struct, frozen=True):
    """One place in the source; line and column (bytes) count from 1."""

    path: str
    line: int
    column: int
    kind: str
    role: str
    name: str
    place: Literal["code", "define"]


class WrapperRecord(msgspec.Struct, frozen=True):
    """A macro or inline function that stands for one lock operation, see `lockscape.source.wrappers`."""

    name: str
    kind: str
    role: str
    form: str
    wraps: str
    path: str
    line: int
    scope: str
    level: int
    uses: int


class TreeCensus(msgspec.Struct, frozen=True):
    """The census of one tree."""

    tree: TreeRecord
    profile: str
    operations: dict[str, int]
    """Lock operations in code, by kind."""
    counts: tuple[Count, ...]
    groups: tuple[Group, ...]
    sites: tuple[Place, ...]
    wrappers: tuple[WrapperRecord, ...]
    patterns_without_files: tuple[str, ...]
    problems: tuple[Unread, ...]


class CensusDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape census``."""

    schema_version: int
    document: Literal["census"]
    manifest: Manifest
    trees: tuple[TreeCensus, ...]


class Measured(msgspec.Struct, frozen=True):
    """A census with what was asked for beside it."""

    census: Census
    wrappers: tuple[Wrapper, ...] = ()
    show_sites: bool = False


def census_document(results: Sequence[Measured], by: By, depth: int, manifest: Manifest) -> CensusDocument:
    """Return the document of one or more censuses."""
    return CensusDocument(
        SCHEMA_VERSION, "census", manifest, tuple(_tree_census(result, by, depth) for result in results)
    )


def _tree_census(result: Measured, by: By, depth: int) -> TreeCensus:
    census = result.census
    counts = tuple(
        Count(kind, role, place, number)
        for kind in census.kinds
        for role in ROLES
        for place in ("code", "define")
        if (number := census.count(kind, role, place))
    )
    return TreeCensus(
        tree=tree_record(census.tree),
        profile=census.profile.id,
        operations={kind: census.count(kind) for kind in census.kinds},
        counts=counts,
        groups=tuple(_groups(census, by, depth)),
        sites=tuple(_place(site) for site in census.sites()) if result.show_sites else (),
        wrappers=tuple(
            WrapperRecord(w.name, w.kind, w.role, w.form, w.wraps, w.path, w.line, w.scope, w.level, w.uses)
            for w in result.wrappers
        ),
        patterns_without_files=census.missing,
        problems=tuple(Unread(p.path, p.reason) for p in census.problems),
    )


def _place(site: Site) -> Place:
    return Place(site.path, site.line, site.column, site.kind, site.role, site.name, site.place)


def _groups(census: Census, by: By, depth: int) -> Iterator[Group]:
    if by == "dir":
        for folder, counts in census.by_folder(depth).items():
            if counts.any():
                yield Group(folder, _nonzero(census.kinds, counts.tolist()))
    elif by == "file":
        for file, counts in zip(census.files, census.by_file(), strict=True):
            if counts.any():
                yield Group(file.path, _nonzero(census.kinds, counts.tolist()))


def _nonzero(kinds: tuple[str, ...], counts: list[int]) -> dict[str, int]:
    return {kind: count for kind, count in zip(kinds, counts, strict=True) if count}


def census_tables(results: Sequence[Measured], by: By, depth: int) -> tuple[Table, ...]:
    """Return the tables for people: one for all trees where that reads well, else one a tree."""
    if by == "kind" and results[0].census.profile.style == "lines":
        tables = [_table_of_trees(results)]
    elif by == "kind" and len(results) > 1:
        tables = [_kinds_across_trees(results)]
    elif by == "kind":
        tables = [_kinds_by_role(results[0].census)]
    elif by == "role":
        tables = [_roles(result.census) for result in results]
    elif by == "wrapper":
        tables = [_wrapper_table(result) for result in results]
    else:
        tables = [_grouped(result.census, by, depth) for result in results]
    if by != "wrapper":
        tables += [_wrapper_table(result) for result in results if result.wrappers]
    return tuple(tables) + tuple(
        t for r in results if (t := problem_table(r.census.tree.label, r.census.problems))
    )


def _title(census: Census) -> str:
    tree = census.tree
    return f"{tree.label}: {census.profile.title}, {tree.files:,} files, {tree.bytes / 1e6:,.1f} MB"


def _notes(census: Census) -> tuple[str, ...]:
    notes = [" ".join(census.profile.description.split()) if census.profile.style == "lines" else COUNTING]
    if not len(census.rows):
        notes.append(f"Nothing was found: is {census.profile.id} the right --profile for this kernel?")
    if census.missing:
        notes.append(f"The set's patterns without a file here: {', '.join(census.missing)}.")
    return tuple(notes)


def _table_of_trees(results: Sequence[Measured]) -> Table:
    first = results[0].census
    titles = {kind.id: kind.title for kind in first.profile.kinds}
    rows: tuple[Row, ...] = tuple(
        (r.census.tree.label, *(r.census.count(kind) for kind in first.kinds)) for r in results
    )
    notes = tuple(dict.fromkeys(note for r in results for note in _notes(r.census)))
    return Table(
        f"Places by kind of lock ({first.profile.title})",
        ("tree", *(titles[k] for k in first.kinds)),
        rows,
        notes=notes,
    )


def _kinds_across_trees(results: Sequence[Measured]) -> Table:
    kinds = list(dict.fromkeys(kind for r in results for kind in r.census.kinds if r.census.count(kind)))
    titles = {kind.id: kind.title for r in results for kind in r.census.profile.kinds}
    rows: list[Row] = [
        (titles[kind], *(r.census.count(kind) if kind in r.census.kinds else None for r in results))
        for kind in kinds
    ]
    rows.append(("all", *(r.census.count() for r in results)))
    names = tuple(r.census.tree.label for r in results)
    notes = tuple(dict.fromkeys(note for r in results for note in _notes(r.census)))
    return Table(
        "Lock operations by kind",
        ("kind", *names),
        tuple(rows),
        notes=notes,
        emphasis=frozenset({len(kinds)}),
    )


def _kinds_by_role(census: Census) -> Table:
    rows: list[Row] = []
    titles = {kind.id: kind.title for kind in census.profile.kinds}
    for kind in (*census.kinds, None):
        code = [census.count(kind, role) for role in ROLES]
        in_define = sum(census.count(kind, role, "define") for role in OPERATIONS)
        if any(code) or in_define or kind is None:
            name = "all" if kind is None else titles[kind]
            rows.append((name, *code[:3], sum(code[:3]), in_define, *code[3:]))
    columns = ("kind", "acquire", "try", "release", "sum", "in #define", "query", "init", "declare")
    return Table(
        _title(census), columns, tuple(rows), notes=_notes(census), emphasis=frozenset({len(rows) - 1})
    )


def _roles(census: Census) -> Table:
    kinds = [k for k in census.kinds if any(census.count(k, role) for role in ROLES)]
    rows: tuple[Row, ...] = tuple(
        (
            role,
            *(census.count(k, role) for k in kinds),
            census.count(None, role),
            census.count(None, role, "define"),
        )
        for role in ROLES
    )
    return Table(_title(census), ("role", *kinds, "all", "in #define"), rows, notes=_notes(census))


def _grouped(census: Census, by: By, depth: int) -> Table:
    groups = list(_groups(census, by, depth))
    kinds = [k for k in census.kinds if any(k in g.operations for g in groups)]
    rows: tuple[Row, ...] = tuple(
        (g.name, *(g.operations.get(k, 0) for k in kinds), sum(g.operations.values())) for g in groups
    )
    column = "folder" if by == "dir" else "file"
    notes = (*_notes(census), f"Shown is each {column} with lock operations in its code.")
    return Table(_title(census), (column, *kinds, "all"), rows, notes=notes)


def _wrapper_table(result: Measured) -> Table:
    rows: tuple[Row, ...] = tuple(
        (w.name, w.uses, f"{w.kind} {w.role}", w.wraps, f"{w.path}:{w.line}")
        for w in sorted(result.wrappers, key=lambda w: -w.uses)
        if w.uses
    )
    unused = len(result.wrappers) - len(rows)
    return Table(
        f"Wrappers in {result.census.tree.label}: one lock operation each",
        ("wrapper", "uses", "operation", "wraps", "defined at"),
        rows,
        frozenset({0, 2, 3, 4}),
        (f"{unused:,} more are never called by their name where it is visible.",) if unused else (),
    )


def problem_table(
    label: str, problems: Sequence[Problem | Unread], what: str = "not read and not counted"
) -> Table | None:
    """Return a table of what could not be read (the first of each reason in full), or None."""
    if not problems:
        return None
    rows: tuple[Row, ...] = tuple((p.path, p.reason) for p in problems[:_MAX_LISTED])
    more = len(problems) - len(rows)
    notes = (f"and {more:,} more (all with --json)",) if more > 0 else ()
    return Table(
        f"{label}: {len(problems):,} {what}",
        ("path", "why"),
        rows,
        frozenset({0, 1}),
        notes,
    )


def site_lines(result: Measured) -> Iterator[tuple[str, Site]]:
    """Yield each site with the path that an editor opens: below a directory, the file itself."""
    tree = result.census.tree
    prefix = f"{tree.origin.rstrip('/')}/" if tree.kind == "directory" else f"{tree.label}/"
    for site in result.census.sites():
        yield prefix + site.path, site
