"""Table 1 and the seven methods: as documents, as tables, and one system or method in full."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TextIO

import msgspec

from lockscape import catalog
from lockscape.catalog import Finding, Method, Note, Reference, System
from lockscape.experiments.installed import InstalledMethod, UnusableMethod
from lockscape.report.footnotes import Footnotes
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.table import Row, Table

KIND_TITLES = {
    "mechanism": "How it works",
    "number": "Numbers",
    "correction": "Corrections",
    "model": "For a model of it",
    "unconfirmed": "Could not be confirmed",
}
"""Headings of a system's notes by kind, in the order in which they are shown."""


class SystemRecord(msgspec.Struct, frozen=True):
    """A system of Table 1: the row as printed by column, typed values (null is *not known*), and notes.

    Sizes are in lines, one for each part that the paper prints; the time is in days.
    """

    id: str
    name: str
    method: str
    variants: tuple[str, ...]
    figure1_panel: str | None
    printed: dict[str, str]
    latency: str | None
    scalability: str | None
    code_lines: tuple[int, ...] | None
    development_days: float | None
    references: tuple[Reference, ...]
    notes: tuple[Note, ...]
    findings: tuple[Finding, ...]


class SystemsDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape systems``. `marks` says what the marks of notes and findings mean."""

    schema_version: int
    document: Literal["systems"]
    manifest: Manifest
    marks: dict[str, str]
    systems: tuple[SystemRecord, ...]


class MethodRecord(msgspec.Struct, frozen=True):
    """A method and the ids of its systems in Table 1."""

    method: Method
    systems: tuple[str, ...]


class MethodsDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape methods``. `installed` come from other packages; what of these cannot be used
    is `unusable`."""

    schema_version: int
    document: Literal["methods"]
    manifest: Manifest
    methods: tuple[MethodRecord, ...]
    installed: tuple[InstalledMethod, ...] = ()
    unusable: tuple[UnusableMethod, ...] = ()


def system_record(system: System) -> SystemRecord:
    """Return a system as it stands in documents, with its references and findings."""
    return SystemRecord(
        id=system.id,
        name=system.name,
        method=system.method,
        variants=system.variants,
        figure1_panel=system.figure1_panel,
        printed=system.cells(),
        latency=system.latency,
        scalability=system.scalability,
        code_lines=system.code_lines,
        development_days=None if system.development_days is None else round(system.development_days, 1),
        references=tuple(catalog.reference(number) for number in system.references),
        notes=system.notes,
        findings=catalog.findings("table1", system.id),
    )


def systems_document(systems: Iterable[System], manifest: Manifest) -> SystemsDocument:
    """Return the document of some systems."""
    marks = {str(mark): meaning for mark, meaning in catalog.MARKS.items()}
    return SystemsDocument(SCHEMA_VERSION, "systems", manifest, marks, tuple(map(system_record, systems)))


def methods_document(
    methods: Iterable[Method], manifest: Manifest, installed: Sequence[InstalledMethod] = (),
    unusable: Sequence[UnusableMethod] = (),
) -> MethodsDocument:  # fmt: skip
    """Return the document of some methods."""
    records = tuple(MethodRecord(method, _system_ids(method)) for method in methods)
    return MethodsDocument(SCHEMA_VERSION, "methods", manifest, records, tuple(installed), tuple(unusable))


def _system_ids(method: Method) -> tuple[str, ...]:
    return tuple(system.id for system in catalog.systems(method=method.id))


def table1(systems: Sequence[System]) -> Table:
    """Return Table 1 as printed, for these systems, with marks at the cells that have notes under it."""
    printed = catalog.table1()
    notes = Footnotes("table1")
    columns = tuple(column.id for column in printed.columns)
    rows: tuple[Row, ...] = tuple(
        tuple(notes.marked(system.cells()[column], system.id, column) for column in columns)
        for system in systems
    )
    under = [
        *notes.lines(),
        f"{printed.caption} ? is not known. Numbers in brackets are the paper's references.",
        f"More of each with lockscape systems show ID; ids are {', '.join(system.id for system in systems)}."
        if systems
        else "No system of Table 1 matches.",
    ]
    return Table(
        "Table 1: multiprocessor operating systems, as the paper prints it",
        tuple(column.printed for column in printed.columns), rows,
        frozenset({0, 1, 2, 3, 4, 6}), tuple(under),
    )  # fmt: skip


def systems_csv(systems: Iterable[System]) -> Table:
    """Return systems for a spreadsheet: ids, the cells as printed, and their values (lines, days)."""
    cells = [column.id for column in catalog.table1().columns]
    rows: tuple[Row, ...] = tuple(
        (
            record.id, *(record.printed[cell] for cell in cells), record.method,
            None if record.code_lines is None else sum(record.code_lines), record.development_days,
            " ".join(finding.id for finding in record.findings),
        )
        for record in map(system_record, systems)
    )  # fmt: skip
    return Table("", ("id", *cells, "method_id", "total_code_lines", "development_days", "findings"), rows)


def methods_csv(methods: Iterable[Method], installed: Iterable[InstalledMethod] = ()) -> Table:
    """Return methods for a spreadsheet: what each is, and the ids of its systems in Table 1."""
    rows: list[Row] = [
        (method.id, method.title, method.section, method.definition, " ".join(_system_ids(method)), None)
        for method in methods
    ]
    rows += [(each.name, each.method, None, each.title, "", each.package) for each in installed]
    return Table("", ("id", "method", "section", "definition", "systems", "package"), tuple(rows))


def print_methods(methods: Iterable[Method], installed: Sequence[InstalledMethod], out: TextIO) -> None:
    """Write each method with what it is and its systems, and what packages bring, wrapped for reading."""
    print_prose(_methods_text(methods, installed), out)


def print_installed(each: InstalledMethod, out: TextIO) -> None:
    """Write what is known of a plan or a system of an installed package."""
    print_prose((Paragraph(each.name, "title"), Paragraph(f"{each.title}.", "plain"), _brought(each)), out)


def _brought(each: InstalledMethod) -> Paragraph:
    run = f"lockscape simulate {each.name}, lockscape port {each.name}"
    text = f"Method {each.method}, a {each.kind} of the package {each.package} {each.version}: {run}."
    return Paragraph(text, "source")


def _methods_text(methods: Iterable[Method], installed: Sequence[InstalledMethod]) -> Iterator[Paragraph]:
    yield Paragraph("Seven ways to make a kernel multiprocessor", "title")
    for method in methods:
        yield Paragraph(f"{method.title} ({method.id})", "heading")
        yield Paragraph(_with_place(method.definition, method.section, method.figure1_panel), "plain")
        names = ", ".join(catalog.system(id).name for id in _system_ids(method))
        yield Paragraph(f"In Table 1: {names}.", "source")
    if installed:
        yield Paragraph("From installed packages", "heading")
    for each in installed:
        yield Paragraph(f"{each.name}: {each.title}.", "bullet")
        yield _brought(each)
    yield Paragraph("More of each with lockscape methods show ID.", "heading")


def print_system(system: System, out: TextIO) -> None:
    """Write everything that is known of a system, wrapped for reading."""
    print_prose(_system_text(system), out)


def _system_text(system: System) -> Iterator[Paragraph]:
    method = catalog.method(system.method)
    yield Paragraph(f"{system.name} ({system.id})", "title")
    yield Paragraph("Table 1, as printed", "heading")
    cells = system.cells()
    for column in catalog.table1().columns[1:]:
        meant = "  (not known)" if cells[column.id] == "?" else ""
        yield Paragraph(f"{column.printed:18}{cells[column.id]}{meant}", "item", hang=18)
    kinds = [variant.title.lower() for variant in method.variants if variant.id in system.variants]
    others = [
        variant.title.lower() for each in catalog.methods() if each.id != method.id
        for variant in each.variants if variant.id in system.variants
    ]  # fmt: skip
    yield Paragraph(f"{method.title}: {method.definition}", "plain")
    if kinds or others:
        yield Paragraph(f"Kind: {', '.join(kinds + others)}.", "plain")
    if system.figure1_panel:
        yield Paragraph(f"Drawn in Figure 1{system.figure1_panel} of the paper.", "plain")
    if found := catalog.findings("table1", system.id):
        yield Paragraph("At the cells of Table 1", "heading")
        for finding in found:
            yield Paragraph(f"{finding.kind}: {finding.text}", "bullet")
            yield Paragraph(f"[{finding.confidence}] {finding.evidence}", "source")
    for kind, heading in KIND_TITLES.items():
        notes = [note for note in system.notes if note.kind == kind]
        if notes:
            yield Paragraph(heading, "heading")
        for note in notes:
            yield Paragraph(note.text, "bullet")
            yield Paragraph(f"[{note.confidence}] {note.source}", "source")
    yield from _references(system)
    yield from _marks({note.confidence for note in system.notes} | {each.confidence for each in found})


def _references(system: System) -> Iterator[Paragraph]:
    if system.references:
        yield Paragraph("References", "heading")
    for number in system.references:
        each = catalog.reference(number)
        date = f", {each.date}" if each.date else ""
        yield Paragraph(f"[{number}] {each.authors}. {each.title}. {each.venue}{date}.", "item", hang=5)


def _marks(used: set[str] | set[catalog.model.Mark]) -> Iterator[Paragraph]:
    yield Paragraph("Marks", "heading")
    for mark, meaning in catalog.MARKS.items():
        if mark in used:
            yield Paragraph(f"[{mark}] {meaning}", "item", hang=4)


def print_method(method: Method, out: TextIO) -> None:
    """Write everything that is known of a method, wrapped for reading."""
    print_prose(_method_text(method), out)


def _method_text(method: Method) -> Iterator[Paragraph]:
    yield Paragraph(f"{method.title} ({method.id})", "title")
    yield Paragraph(_with_place(method.definition, method.section, method.figure1_panel), "plain")
    for heading, statements in (("Scalability", method.scalability), ("Effort", method.effort)):
        if statements:
            yield Paragraph(heading, "heading")
        for statement in statements:
            yield Paragraph(f"{statement.text} (section {statement.section})", "bullet")
    if method.variants:
        yield Paragraph("Kinds", "heading")
    for variant in method.variants:
        text = _with_place(variant.definition, variant.section, variant.figure1_panel)
        names = ", ".join(catalog.system(id).name for id in variant.systems)
        yield Paragraph(f"{variant.title}: {text} Used by {names}.", "bullet")
    yield Paragraph("Systems in Table 1", "heading")
    for id in _system_ids(method):
        yield Paragraph(f"{catalog.system(id).name} ({id})", "bullet")


def _with_place(text: str, section: str, panel: str | None) -> str:
    figure = f", Figure 1{panel}" if panel else ""
    return f"{text} (section {section}{figure})"
