"""Simulated curves as a document."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from lockscape.experiments.band import Band, Measured, band
from lockscape.experiments.curve import Point
from lockscape.experiments.result import MODES, Failure, Removal, RunResult, RunSpec, plan_digest
from lockscape.machine.costs import preset
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.workloads.choose import AnyWorkload
from lockscape.workloads.postmark import PostmarkOptions


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
    taken from an earlier experiment. `band`: what samples of all costs leave, if there are any.
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
    band: Band | None = None


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
    with ``--fail`` what the failure of a kernel instance does. `samples`: of all costs, behind the bands."""

    schema_version: int
    document: Literal["simulate"]
    manifest: Manifest
    workload: Workload
    machines: tuple[MachineRecord, ...]
    baseline: Baseline | None
    systems: tuple[SystemCurve, ...]
    without: tuple[Removal, ...]
    failures: tuple[Failure, ...]
    samples: int = 0


def simulate_document(
    points: Sequence[Point], manifest: Manifest, based: bool = False, *, removals: Sequence[Removal] = (),
    about: RunSpec | None = None, failures: Sequence[Failure] = (), drawn: Sequence[Sequence[Measured]] = (),
) -> SimulateDocument:  # fmt: skip
    """Return the document of finished runs; every system among them has run on one processor.

    `based`: the last point is the baseline, on one processor. `about`: a specification that says what ran,
    when there are no points. `drawn`: what the runs gave in each sample of all costs, in the points' order.
    """
    spec = about or points[0].spec
    base = points[-1] if based else None
    bands = _bands([point.spec for point in points], based, drawn) if drawn else [None] * len(points)
    shown = list(zip(points, bands, strict=True))[: len(points) - based]
    names = list(dict.fromkeys(point.spec.system for point, _ in shown))
    over = base.result.makespan_s if base else None
    curves = tuple(_curve([each for each in shown if each[0].spec.system == name], over) for name in names)
    machines = dict.fromkeys([*(point.spec.machine for point in points), spec.machine])
    return SimulateDocument(
        SCHEMA_VERSION, "simulate", manifest,
        Workload("mixed" if spec.workload else "postmark", spec.processes, spec.seeding, spec.libc,
                 spec.postmark, spec.workload),
        tuple(_machine(name, spec.cost_sample) for name in machines),
        Baseline(base.spec.system, base.result.makespan_s) if base else None,
        curves, tuple(removals), tuple(failures), len(drawn),
    )  # fmt: skip


def _machine(name: str, sample: int) -> MachineRecord:
    machine = preset(name)
    return MachineRecord(name, machine.title, machine.clock_mhz, sample)


def _bands(specs: Sequence[RunSpec], based: bool, drawn: Sequence[Sequence[Measured]]) -> list[Band | None]:
    columns = list(zip(*drawn, strict=True))
    alone = {spec.system: column for spec, column in zip(specs, columns, strict=True) if spec.cpus == 1}
    return [
        band(column, alone[spec.system], columns[-1] if based else None)
        for spec, column in zip(specs, columns, strict=True)
    ]


def _curve(shown: Sequence[tuple[Point, Band | None]], over: float | None) -> SystemCurve:
    spec = shown[0][0].spec
    alone = next(point.result.makespan_s for point, _ in shown if point.spec.cpus == 1)
    ordered = sorted(shown, key=lambda each: each[0].spec.cpus)
    return SystemCurve(
        spec.system, spec.plan.title, spec.plan.method, spec.machine, plan_digest(spec.plan),
        tuple(_point(point, within, alone, over) for point, within in ordered),
    )  # fmt: skip


def _point(point: Point, within: Band | None, alone: float, over: float | None) -> CurvePoint:
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
        band=within,
    )
