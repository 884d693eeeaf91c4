"""Costs of a real kernel for the simulated one: a document that ``simulate --costs`` reads, and tables."""

from typing import Literal

import msgspec

from lockscape.experiments.calibrate import MACHINE, USER, Calibration, CallFit, Measurement
from lockscape.experiments.result import RunSpec, plan_digest
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.table import Row, Table
from lockscape.workloads.postmark import PostmarkOptions

_NOTES = (
    "Instructions of a call, from its entry to its return. Measured: in the booted kernel. Stated: the "
    "simulated kernel with the costs that come with lockscape. Fitted: with the factors below.",
    "There are more steps than calls: of all factors with which the calls take what was measured, these are "
    "the nearest to 1. What a single step takes was not measured. Steps of calls that were not made keep "
    "their stated costs, and so do locks, timer interrupts, page faults and the scheduler.",
)


class CalibrateDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape calibrate``: `factors` multiply the stated costs of the kernel's steps.

    `kernel`: the release that was measured; `system`: whose calls were fitted, on the preset `machine`.
    """

    schema_version: int
    document: Literal["calibrate"]
    manifest: Manifest
    kernel: str
    system: str
    plan_sha256: str
    machine: str
    postmark: PostmarkOptions
    calls: tuple[CallFit, ...]
    factors: dict[str, float]


def calibrate_document(
    spec: RunSpec, measured: Measurement, found: Calibration, manifest: Manifest
) -> CalibrateDocument:
    """Return the document of a calibration."""
    return CalibrateDocument(
        SCHEMA_VERSION, "calibrate", manifest, measured.kernel, spec.system, plan_digest(spec.plan), MACHINE,
        measured.postmark, found.calls, found.factors,
    )  # fmt: skip


def calibrate_tables(document: CalibrateDocument) -> tuple[Table, ...]:
    """Return the calls, and the factors of steps' costs."""
    rows: list[Row] = [
        (
            each.call, "" if each.call == USER else each.count, f"{each.measured:,.0f}",
            f"{each.stated:,.0f}", f"{each.fitted:,.0f}", f"{each.fitted / each.measured:.3f}",
        )
        for each in document.calls
    ]  # fmt: skip
    calls = Table(
        f"Calls of Linux {document.kernel} and of {document.system}, in instructions",
        ("call", "count", "measured", "stated", "fitted", "fitted/measured"), tuple(rows), frozenset({0}),
        _NOTES,
    )  # fmt: skip
    ordered = sorted(document.factors.items(), key=lambda each: -each[1])
    factors = Table(
        "Factors of the steps' stated costs", ("step", "factor"),
        tuple((name, f"{factor:.2f}") for name, factor in ordered), frozenset({0}),
    )  # fmt: skip
    return calls, factors
