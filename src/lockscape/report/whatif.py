"""What changes of locks would gain: a document, a ranking, what cannot be done and why, and what to do."""

from typing import Literal, TextIO

import msgspec

from lockscape.experiments.result import LockStatistics, plan_digest
from lockscape.experiments.whatif import Change, WhatIf
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.simulate import MachineRecord, Workload, simulate_document
from lockscape.report.simulate_tables import about
from lockscape.report.table import Row, Table, print_tables

LEAST_GAIN = 1.02
"""A smaller gain may come from another order of events, which any change makes."""

STILL_WAITED = 0.01
"""Share of the wait for a lock that may be left where it costs nothing; above, its bound is no full one."""

LEFT = {"unsafe": "Unsafe, and not run", "none": "No such change"}
"""What has no run, by verdict, with its title."""

LEGEND = (
    "A gain is the makespan as it is over that of a run with the change. Bound: the lock costs nothing, and "
    "what is done under it keeps nobody waiting; no kernel can do that. Safe: the fault detector found "
    "nothing in its trials. A gain below 1.02 may come from another order of events."
)
"""What the gains mean, for readers."""


class WhatIfDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape whatif``. `next` says what to do; `plan_sha256` identifies the locking plan.

    `locks`: those looked at, in the run as it is. `changes`: the greatest gain first, then those not run.
    """

    schema_version: int
    document: Literal["whatif"]
    manifest: Manifest
    system: str
    title: str
    plan_sha256: str
    cpus: int
    workload: Workload
    machine: MachineRecord
    about: tuple[str, ...]
    makespan_cycles: int
    makespan_s: float
    locks: tuple[LockStatistics, ...]
    changes: tuple[Change, ...]
    next: str


def whatif_document(found: WhatIf, manifest: Manifest) -> WhatIfDocument:
    """Return the document of what a run would gain."""
    spec = found.spec
    ran = simulate_document((), manifest, about=spec)
    return WhatIfDocument(
        SCHEMA_VERSION, "whatif", manifest, spec.system, spec.plan.title, plan_digest(spec.plan), spec.cpus,
        ran.workload, ran.machines[0], tuple(about(ran)), found.makespan_cycles,
        found.makespan_cycles / (found.clock_mhz * 1e6), found.locks, found.changes, advice(found),
    )  # fmt: skip


def advice(found: WhatIf) -> str:
    """Return what to do next, in a sentence or two."""
    safe = [c for c in found.changes if c.verdict == "safe" and (c.gain or 0) >= LEAST_GAIN]
    bounds = [c for c in found.changes if c.verdict == "bound" and (c.gain or 0) >= LEAST_GAIN]
    told = []
    if safe:
        best = safe[0]
        told.append(f"Next: {best.lock}, {best.what}: {best.gain:.2f} times as fast.")
    if not bounds:
        told.append("No lock keeps this run waiting enough to be worth a change.")
        return " ".join(told)
    if not safe:
        told.append("No change of one lock that was tried here is safe and gains something.")
    top = bounds[0]
    told.append(
        f"{top.lock} stops most: if it cost nothing, the run would be {top.gain:.2f} times as fast"
        + ("." if safe and safe[0].lock == top.lock else f"; {_obstacle(found, top.lock)}.")
    )
    return " ".join(told)


def _obstacle(found: WhatIf, lock: str) -> str:
    """Return what stands in the way of changing a lock, in words."""
    mine = [c for c in found.changes if c.lock == lock and c.kind != "free"]
    unsafe = next((c for c in mine if c.verdict == "unsafe"), None)
    small = next((c for c in mine if c.verdict == "safe"), None)
    if small is not None:
        return f"{small.what.partition(' (')[0]} it gains {small.gain:.2f}: shorten what is done under it"
    if unsafe is not None:
        return f"{unsafe.what.partition(' (')[0]} it is unsafe ({unsafe.why}): take that out of it first"
    return "shorten what is done under it"


def whatif_csv(document: WhatIfDocument) -> Table:
    """Return one row for each change."""
    columns = (
        "system", "cpus", "lock", "kind", "change", "verdict", "makespan_cycles", "with_cycles", "gain",
        "wait_cycles", "trials", "unreached", "second", "why",
    )  # fmt: skip
    rows: tuple[Row, ...] = tuple(
        (
            document.system, document.cpus, c.lock, c.kind, c.what, c.verdict, document.makespan_cycles,
            c.makespan_cycles, c.gain, c.wait_cycles, c.trials, c.unreached, ", ".join(c.second), c.why,
        )
        for c in document.changes
    )  # fmt: skip
    return Table("", columns, rows, frozenset({0, 2, 3, 4, 5, 12, 13}))


def print_whatif(document: WhatIfDocument, out: TextIO) -> None:
    """Write the ranking, what was not run, and what to do next."""
    print_prose([Paragraph(line, "note") for line in document.about], out)
    out.write("\n")
    print_tables((_ranking(document),), out)
    for verdict, title in LEFT.items():
        left = [c for c in document.changes if c.verdict == verdict]
        if left:
            told = [Paragraph(f"{c.lock}, {c.what}: {c.why}", "bullet", hang=2) for c in left]
            print_prose([Paragraph(title, "heading"), *told], out)
    out.write("\n")
    print_prose([Paragraph(document.next, "plain")], out)


def _ranking(document: WhatIfDocument) -> Table:
    ms = document.makespan_s * 1e3 / document.makespan_cycles
    waits = {lock.lock: lock.wait_cycles for lock in document.locks}
    rows: list[Row] = [("as it is", "", document.makespan_cycles * ms, "1.00", "")]
    rows += [
        (c.lock, c.what, c.makespan_cycles * ms, f"{c.gain:.2f}", _label(c, waits.get(c.lock, 0)))
        for c in document.changes
        if c.makespan_cycles is not None
    ]
    title = f"{document.system} on {document.cpus} processors: what a change of one lock would gain"
    halves = tuple(
        f"Second half of {c.lock}: {', '.join(c.second)}."
        for c in document.changes
        if c.second and c.verdict == "safe" and (c.gain or 0) >= LEAST_GAIN
    )
    heads = ("lock", "change", "makespan ms", "gain", "")
    return Table(title, heads, tuple(rows), frozenset({0, 1, 4}), notes=(*halves, LEGEND))


def _label(change: Change, waited: int) -> str:
    """Return how far a gain is to be trusted."""
    if change.verdict == "bound":
        left = (change.wait_cycles or 0) / waited if waited else 0.0
        return "bound" if left <= STILL_WAITED else f"bound, but {left:.0%} of its wait is left"
    missed = f", {change.unreached} places never reached" if change.unreached else ""
    return f"safe in {change.trials} trials{missed}"
