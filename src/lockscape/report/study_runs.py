"""What a study ran, as a part of its document: curves, Figure 2's statements, booted kernels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from lockscape.errors import InputError, reason_of
from lockscape.experiments import figure2
from lockscape.experiments.curve import Point
from lockscape.experiments.figure2 import SampleRecord
from lockscape.experiments.result import MODES, LockStatistics, plan_digest
from lockscape.experiments.statements import SYSTEMS
from lockscape.experiments.study import BASELINE
from lockscape.inputs import read_file
from lockscape.machine.state import MOST_PROCESSORS
from lockscape.report.boot import BootDocument
from lockscape.report.figure2 import StatementRecord, figure2_document
from lockscape.report.manifest import Manifest
from lockscape.report.simulate import MachineRecord, Workload, simulate_document

Size = Literal["full", "quick", "recorded"]
"""How much was run: PostMark of the paper's size and the map, a small PostMark, or nothing."""

MOST_LOCKS = 10
"""Locks of a run that are kept: those waited for longest, then those acquired most."""

LARGEST = 64 * 2**20
"""Bytes of a booted kernel's file."""


class StudyPoint(msgspec.Struct, frozen=True):
    """A run on so many processors, see `report.simulate.CurvePoint`; `locks`: the busiest of them.

    `all_locks`: how many lock classes were taken.
    """

    cpus: int
    makespan_cycles: int
    makespan_s: float
    speedup: float
    speedup_over_baseline: float
    steady_per_s: float | None
    time_shares: dict[str, float]
    all_locks: int
    locks: tuple[LockStatistics, ...]


class StudyCurve(msgspec.Struct, frozen=True):
    """A system over numbers of processors. `plan_sha256` identifies its locking plan."""

    name: str
    title: str
    method: str
    plan_sha256: str
    points: tuple[StudyPoint, ...]

    def at(self, cpus: int) -> StudyPoint:
        """Return the run on so many processors, or on the most that there are below."""
        return max((each for each in self.points if each.cpus <= cpus), key=lambda each: each.cpus)


class StudyCurves(msgspec.Struct, frozen=True):
    """PostMark on all systems of Table 1; speedups are also over `baseline` on one processor."""

    workload: Workload
    machine: MachineRecord
    baseline: str
    baseline_s: float
    systems: tuple[StudyCurve, ...]


class StudyStatement(msgspec.Struct, frozen=True):
    """A statement of the paper about Figure 2: in the recorded samples, and in this study's runs.

    `now`: whether it holds, by makespan and by throughput; None if nothing was run.
    """

    recorded: StatementRecord
    now: dict[str, bool] | None


class BootedPoint(msgspec.Struct, frozen=True):
    """A booted kernel's speedup over its own one processor."""

    cpus: int
    speedup: float


class Booted(msgspec.Struct, frozen=True):
    """A real kernel's curve, of a file that ``lockscape boot --json`` wrote."""

    file: str
    kernel: str
    workload: str
    simulator: str
    made: str
    points: tuple[BootedPoint, ...]


def study_curves(points: Sequence[Point], manifest: Manifest) -> StudyCurves:
    """Return the curves of finished runs, the baseline's among them."""
    ran = simulate_document((), manifest, about=points[0].spec)
    over = next(p.result.makespan_s for p in points if (p.spec.system, p.spec.cpus) == (BASELINE, 1))
    names = dict.fromkeys(point.spec.system for point in points)
    curves = (_curve([p for p in points if p.spec.system == name], over) for name in names)
    return StudyCurves(ran.workload, ran.machines[0], BASELINE, over, tuple(curves))


def _curve(points: Sequence[Point], over: float) -> StudyCurve:
    plan = points[0].spec.plan
    ordered = sorted(points, key=lambda point: point.spec.cpus)
    alone = ordered[0].result.makespan_s
    return StudyCurve(
        points[0].spec.system, plan.title, plan.method, plan_digest(plan),
        tuple(_point(point, alone, over) for point in ordered),
    )  # fmt: skip


def _point(point: Point, alone: float, over: float) -> StudyPoint:
    result = point.result
    busiest = result.busiest_locks
    return StudyPoint(
        point.spec.cpus, result.makespan_cycles, result.makespan_s, alone / result.makespan_s,
        over / result.makespan_s, result.steady_per_s, {mode: result.share(mode) for mode in MODES},
        len(busiest), tuple(busiest[:MOST_LOCKS]),
    )  # fmt: skip


def four_kernels(curves: StudyCurves) -> SampleRecord:
    """Return the runs of Figure 2's four kernels, in the form in which they are recorded."""
    found = {each.name: each.points for each in curves.systems if each.name in SYSTEMS}
    return SampleRecord(
        0,
        {name: tuple(p.makespan_cycles for p in found[name]) for name in SYSTEMS},
        {name: tuple(round(p.steady_per_s or 0) for p in found[name]) for name in SYSTEMS},
    )


def study_statements(curves: StudyCurves | None, machine: str, manifest: Manifest) -> list[StudyStatement]:
    """Return the paper's statements about Figure 2, recorded and now."""
    known = figure2_document(figure2.recorded(machine), manifest).statements
    if curves is None:
        return [StudyStatement(each, None) for each in known]
    judged = figure2.verdicts(four_kernels(curves))
    return [
        StudyStatement(e, {"makespan": judged.makespan[e.name], "throughput": judged.throughput[e.name]})
        for e in known
    ]


def read_booted(name: str) -> list[Booted]:
    """Return the curves of a booted kernel's file. Raises `InputError` for what is none."""
    remedy = "give what 'lockscape boot … --json' printed"
    try:
        content = read_file(Path(name), LARGEST + 1)
    except OSError as error:
        raise InputError(f"{name}: {reason_of(error)}; {remedy}") from error
    if len(content) > LARGEST:
        raise InputError(f"{name}: more than {LARGEST:,} bytes; {remedy}")
    try:
        found = msgspec.json.decode(content, type=BootDocument)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: no booted kernel's curve ({error}); {remedy}") from error
    made = f"lockscape {found.manifest.lockscape}, {found.manifest.started}"
    return [
        Booted(name, found.kernel.release, curve.name, f"QEMU {found.simulator.qemu}", made,
               tuple(_booted(p.cpus, p.speedup, name) for p in curve.points))
        for curve in found.curves
        if curve.points
    ]  # fmt: skip


def _booted(cpus: int, speedup: float, name: str) -> BootedPoint:
    if not 1 <= cpus <= MOST_PROCESSORS or not 0 < speedup <= MOST_PROCESSORS:
        raise InputError(
            f"{name}: a speedup of {speedup:g} on {cpus} processors is none; boot the kernel again"
        )
    return BootedPoint(cpus, speedup)
