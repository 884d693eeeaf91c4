"""Simulated curves as a document."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from lockscape.experiments.curve import Point
from lockscape.experiments.result import Failure, Removal, RunResult, RunSpec, plan_digest
from lockscape.machine.costs import preset
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.workloads.choose import AnyWorkload
from lockscape.workloads.postmark import PostmarkOptions

MODES = ("user", "kernel", "interrupt", "spin", "idle", "hypervisor")


class Workload(msgspec.Struct, frozen=True):
    """What ran: so many processes, each with PostMark's options, or `mixed`; `seeding`, see `RunSpec`."""

    name: Literal["postmark", "mixed"]
    processes: int
    seeding: str
    libc: str
    postmark: PostmarkOptions
    mixed: AnyWorkload | None = None


class MachineRecord(msgspec.Struct, frozen=True):
    """On what it ran. `cost_sample` is the number of the draw of costs, 0 for the stated ones."""

    name: str
    title: str
    clock_mhz: int
    cost_sample: int


class CurvePoint(msgspec.Struct, frozen=True):
    """A run on so many processors.

    `speedup` is over the same system on one processor, `speedup_over_baseline` over the baseline on one;
    `steady_per_s` operations per simulated second while all processes were in their transactions;
    `time_shares` of all processors' time. `host_s` is how long the run took here, `kept` whether it was
    taken from an earlier experiment.
    """

    cpus: int
    makespan_s: float
    speedup: float
    speedup_over_baseline: float | None
    steady_per_s: float | None
    time_shares: dict[str, float]
    result: RunResult
    host_s: float
    kept: bool


class SystemCurve(msgspec.Struct, frozen=True):
    """A system over numbers of processors, on a `machine`. `plan_sha256` identifies its locking plan."""

    name: str
    title: str
    method: str
    machine: str
    plan_sha256: str
    points: tuple[CurvePoint, ...]


class Baseline(msgspec.Struct, frozen=True):
    """The system that speedups are also given over, and its makespan on one processor."""

    name: str
    makespan_s: float


class SimulateDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape simulate``: curves, or with ``--without`` what a missing lock leads to, or
    with ``--fail`` what the failure of a kernel instance does."""

    schema_version: int
    document: Literal["simulate"]
    manifest: Manifest
    workload: Workload
    machines: tuple[MachineRecord, ...]
    baseline: Baseline | None
    systems: tuple[SystemCurve, ...]
    without: tuple[Removal, ...]
    failures: tuple[Failure, ...]


def simulate_document(
    points: Sequence[Point], baseline: Point | None, manifest: Manifest, removals: Sequence[Removal] = (),
    about: RunSpec | None = None, failures: Sequence[Failure] = (),
) -> SimulateDocument:  # fmt: skip
    """Return the document of finished runs; every system among them has run on one processor.

    `baseline`: a run on one processor. `about`: a specification that says what ran, when there are no points.
    """
    spec = about or points[0].spec
    names = list(dict.fromkeys(point.spec.system for point in points))
    over = baseline.result.makespan_s if baseline else None
    curves = tuple(_curve([p for p in points if p.spec.system == name], over) for name in names)
    machines = dict.fromkeys([*(point.spec.machine for point in points), spec.machine])
    return SimulateDocument(
        SCHEMA_VERSION, "simulate", manifest,
        Workload("mixed" if spec.workload else "postmark", spec.processes, spec.seeding, spec.libc,
                 spec.postmark, spec.workload),
        tuple(_machine(name, spec.cost_sample) for name in machines),
        Baseline(baseline.spec.system, baseline.result.makespan_s) if baseline else None,
        curves, tuple(removals), tuple(failures),
    )  # fmt: skip


def _machine(name: str, sample: int) -> MachineRecord:
    machine = preset(name)
    return MachineRecord(name, machine.title, machine.clock_mhz, sample)


def _curve(points: Sequence[Point], over: float | None) -> SystemCurve:
    plan = points[0].spec.plan
    alone = next(point.result.makespan_s for point in points if point.spec.cpus == 1)
    return SystemCurve(
        points[0].spec.system, plan.title, plan.method, points[0].spec.machine, plan_digest(plan),
        tuple(_point(point, alone, over) for point in sorted(points, key=lambda each: each.spec.cpus)),
    )  # fmt: skip


def _point(point: Point, alone: float, over: float | None) -> CurvePoint:
    result = point.result
    return CurvePoint(
        cpus=point.spec.cpus,
        makespan_s=result.makespan_s,
        speedup=alone / result.makespan_s,
        speedup_over_baseline=over / result.makespan_s if over is not None else None,
        steady_per_s=result.steady_per_s,
        time_shares={mode: result.share(mode) for mode in MODES},
        result=result,
        host_s=round(point.host_s, 3),
        kept=point.kept,
    )
