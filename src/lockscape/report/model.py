"""A system as it runs here: its machine, what sets it apart and where that shows, estimates, a listing."""

from collections.abc import Iterator
from typing import Literal, TextIO

import msgspec

from lockscape import catalog
from lockscape.ports.effort import both, compare, function_change
from lockscape.ports.port import port
from lockscape.report.catalog import SystemRecord, system_record
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.port import Listing, listing_record, print_listing
from lockscape.report.prose import Paragraph, print_prose
from lockscape.systems.load import System
from lockscape.systems.model import Estimate, Mechanism, Shown


class ModelRecord(msgspec.Struct, frozen=True):
    """A system's model. `variants` are titles by id; `listing` is of the function that shows its method."""

    id: str
    title: str
    method: str
    machine: str
    machine_evidence: str
    most_processors: int
    most_evidence: str
    mechanisms: tuple[Mechanism, ...]
    estimates: tuple[Estimate, ...]
    variants: dict[str, str]
    listing: Listing


class SystemDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape systems show``: what is published of a system, and how it runs here."""

    schema_version: int
    document: Literal["system"]
    manifest: Manifest
    marks: dict[str, str]
    system: SystemRecord
    model: ModelRecord


def system_document(known: catalog.System, system: System, manifest: Manifest) -> SystemDocument:
    """Return the document of a system, or of a variant of it."""
    marks = {str(mark): meaning for mark, meaning in catalog.MARKS.items()}
    return SystemDocument(SCHEMA_VERSION, "system", manifest, marks, system_record(known), _model(system))


def _model(system: System) -> ModelRecord:
    lines = compare(both(port(system.plan)), system.listing, True)
    listing = listing_record(system.listing, lines, function_change(lines), system.plan)
    return ModelRecord(
        system.id, system.plan.title, system.plan.method, system.machine, system.machine_evidence,
        system.most_processors, system.most_evidence, system.mechanisms, system.estimates,
        dict(system.variants), listing,
    )  # fmt: skip


def print_model(model: ModelRecord, out: TextIO) -> None:
    """Write everything that is told of a system's model, wrapped for reading, and its listing."""
    print_prose(_text(model), out)
    print_prose([Paragraph("A function of it, before and after", "heading")], out)
    print_listing(model.id, model.listing, out)


def _text(model: ModelRecord) -> Iterator[Paragraph]:
    yield Paragraph("As it runs here", "heading")
    yield Paragraph(f"{model.title}.", "plain")
    yield Paragraph(f"Machine {model.machine}: {model.machine_evidence}.", "plain")
    if model.most_evidence:
        yield Paragraph(f"At most {model.most_processors} processors: {model.most_evidence}.", "plain")
    yield Paragraph("What sets it apart", "heading")
    for each in model.mechanisms:
        yield Paragraph(f"{each.id}: {each.text}", "bullet")
        yield Paragraph(f"[{each.confidence}] {each.source}", "source")
        yield Paragraph(_shown(model.id, each), "source")
    if model.estimates:
        yield Paragraph("Estimates", "heading")
    for estimate in model.estimates:
        yield Paragraph(f"{estimate.what}: {estimate.why}", "bullet")
    if model.variants:
        yield Paragraph("Variants", "heading")
    for id, title in model.variants.items():
        yield Paragraph(f"{model.id.partition('@')[0]}@{id}: {title}", "bullet")


def _shown(id: str, mechanism: Mechanism) -> str:
    """Return where a mechanism shows, and the command that shows it."""
    shown = mechanism.shown
    command = f"lockscape simulate {id} --without {mechanism.id} --workload {shown.workload}"
    return f"Makes {shown.observable} {shown.direction}{_failing(shown)}: {command} --cpus {shown.cpus}"


def _failing(shown: Shown) -> str:
    return f" when instance {shown.fails.replace('@', ' fails after ')} ms" if shown.fails else ""
