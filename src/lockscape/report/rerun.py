"""Whether a result could be repeated: as a document, for people."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Literal, TextIO

import msgspec

from lockscape import __version__
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.repeated import ABOUT, NOT_COMPARED, ChangedInput, Comparison, Difference, Result
from lockscape.report.table import Row, Table, print_tables

SHOWN = 20
"""Differences that people see; JSON and CSV have more."""

Verdict = Literal["identical", "differs", "inputs changed"]
"""What came of repeating a result."""


class NotCompared(msgspec.Struct, frozen=True):
    """A place of a document that is not the same twice by its nature; ``[]`` is any number."""

    where: str
    what: str


class RerunDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape rerun``: `file` holds a document of the kind `result`, which `command` made.

    `made_by` is the version of lockscape that made it, `started` when. `verdict`: ``inputs changed`` if what
    was read then is another one now, whatever the values are. `values` were compared; `differing` of them are
    not the same, of which `differences` are the first. `left_out`: options of the command that were not
    followed, for they write, or connect to others.
    """

    schema_version: int
    document: Literal["rerun"]
    manifest: Manifest
    file: str
    result: str
    command: tuple[str, ...]
    made_by: str
    started: str
    verdict: Verdict
    values: int
    differing: int
    differences: tuple[Difference, ...]
    inputs: tuple[ChangedInput, ...]
    inputs_known: bool
    left_out: tuple[str, ...]
    not_compared: tuple[NotCompared, ...]


def rerun_document(
    file: str, recorded: Result, found: Comparison, left_out: Sequence[str], manifest: Manifest
) -> RerunDocument:
    """Return the document of a result that was made again."""
    made = recorded.manifest
    verdict: Verdict = "inputs changed" if found.inputs else "differs" if found.differing else "identical"
    skipped = (NotCompared(each, NOT_COMPARED[recorded.kind][each]) for each in found.skipped)
    return RerunDocument(
        SCHEMA_VERSION, "rerun", manifest, file, recorded.kind, made.command, made.lockscape, made.started,
        verdict, found.values, found.differing, found.differences, found.inputs, made.inputs is not None,
        tuple(left_out), tuple(skipped),
    )  # fmt: skip


def print_rerun(document: RerunDocument, out: TextIO) -> None:
    """Write the verdict and what it rests on."""
    print_prose((Paragraph(line, "note") for line in _about(document)), out)
    print_prose([Paragraph(_verdict(document), "heading")], out)
    if document.inputs:
        out.write("\n")
        print_tables((_inputs_table(document),), out)
    if document.differences:
        out.write("\n")
        print_tables((_differences_table(document, SHOWN),), out)
    print_prose((Paragraph(line, "note") for line in _notes(document)), out)


def _about(document: RerunDocument) -> Iterator[str]:
    yield f"{document.file}: a result of {shlex.join(document.command) or 'lockscape sweep'}"
    other = "" if document.made_by == __version__ else f"; this is lockscape {__version__}"
    when = f", {document.started}" if document.started else ""
    yield f"Made by lockscape {document.made_by}{when}{other}."


def _verdict(document: RerunDocument) -> str:
    if document.verdict == "identical":
        return f"identical: all {document.values:,} values"
    values = f"{document.differing:,} of {document.values:,} values" if document.differing else "no value"
    if document.verdict == "differs":
        return f"differs in {values}"
    return f"inputs changed, so that it is no repetition; it differs in {values}"


def _notes(document: RerunDocument) -> Iterator[str]:
    if document.left_out:
        yield f"Not followed, since nothing of yours is written: {', '.join(document.left_out)}."
    if document.not_compared:
        told = "; ".join(f"{each.where} ({each.what})" for each in document.not_compared)
        yield f"Not compared, for it is not the same twice: {told}."
    if not document.inputs_known:
        yield "Which files it was made from was not recorded: whether they are the same is not known."
    if document.result in ABOUT:
        yield ABOUT[document.result]


def _inputs_table(document: RerunDocument) -> Table:
    rows: tuple[Row, ...] = tuple(
        (each.name, _short(each.recorded), _short(each.now)) for each in document.inputs
    )
    return Table("Inputs, by their SHA-256", ("input", "recorded", "now"), rows, frozenset({0, 1, 2}))


def _short(identity: str | None) -> str:
    """Return the beginning of a SHA-256."""
    return identity.removeprefix("sha256:")[:16] + "…" if identity else "not read"


def _differences_table(document: RerunDocument, most: int | None = None) -> Table:
    shown = document.differences[:most]
    rows: tuple[Row, ...] = tuple(
        (each.where, each.recorded or "nothing", each.now or "nothing") for each in shown
    )
    more = document.differing - len(shown)
    notes = (f"And {more:,} more: --json has the first {len(document.differences):,}.",) if more else ()
    return Table("Values", ("where", "recorded", "now"), rows, frozenset({0, 1, 2}), notes)


def rerun_csv(document: RerunDocument) -> Table:
    """Return one table of the differences, and of inputs that changed."""
    inputs: list[Row] = [("input", e.name, e.recorded, e.now) for e in document.inputs]
    values: list[Row] = [("value", e.where, e.recorded, e.now) for e in document.differences]
    return Table("", ("what", "where", "recorded", "now"), (*inputs, *values))
