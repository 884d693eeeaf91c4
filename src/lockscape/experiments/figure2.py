"""Figure 2 of the paper: PostMark on four Linux kernels and 1 to 8 processors, over samples of all costs.

A sample draws every cost from its range (`lockscape.experiments.sample`), the same draw for all four systems.
Sample 0 is the stated costs. What is recorded of a sample is its makespans and throughputs, as integers; they
are the same on every computer.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from lockscape.experiments.choose import choose_plan
from lockscape.experiments.curve import Progress, run_all
from lockscape.experiments.result import RunSpec, Seeding
from lockscape.experiments.sample import cost_factors
from lockscape.experiments.statements import STATEMENTS, SYSTEMS, Speeds
from lockscape.workloads.postmark import PostmarkOptions

CPUS = tuple(range(1, 9))

PAPER = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=1000, transactions=10_000)
"""What the paper says of its PostMark: 10,000 transactions, 1,000 files, 100 bytes."""


class SampleRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sample: by system, for 1, 2, … 8 processors, the makespan in cycles and operations a second.

    A throughput of 0 stands for a run in which no moment saw every process in its transactions.
    """

    sample: int
    makespan_cycles: dict[str, tuple[int, ...]]
    steady_per_s: dict[str, tuple[int, ...]]


class Verdicts(msgspec.Struct, frozen=True):
    """Which statements hold, by name: judged by the makespan, and by the steady throughput."""

    makespan: dict[str, bool]
    throughput: dict[str, bool]


def sample_specs(
    sample: int,
    machine: str = "pentium4",
    work: PostmarkOptions = PAPER,
    processes: int = 8,
    seeding: Seeding = "same",
) -> list[RunSpec]:
    """Return the runs of one sample, system by system, each with 1 to 8 processors."""
    factors = cost_factors(sample, machine)
    return [
        RunSpec(name, choose_plan(name), cpus, processes, work, seeding, machine=machine,
                cost_sample=sample, cost_factors=factors)
        for name in SYSTEMS
        for cpus in CPUS
    ]  # fmt: skip


def run_sample(
    specs: Sequence[RunSpec],
    folder: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> SampleRecord:
    """Make the runs of one sample (`sample_specs`), or take from `folder` those that it has."""
    points = run_all(specs, folder, workers, progress)
    makespan: dict[str, list[int]] = {name: [] for name in SYSTEMS}
    steady: dict[str, list[int]] = {name: [] for name in SYSTEMS}
    for point in points:
        makespan[point.spec.system].append(point.result.makespan_cycles)
        steady[point.spec.system].append(round(point.result.steady_per_s or 0))
    return SampleRecord(
        specs[0].cost_sample,
        {name: tuple(values) for name, values in makespan.items()},
        {name: tuple(values) for name, values in steady.items()},
    )


def verdicts(record: SampleRecord) -> Verdicts:
    """Return which of the paper's statements hold in a sample."""
    by_makespan: Speeds = _speeds({n: [1 / c for c in v] for n, v in record.makespan_cycles.items()})
    by_rate: Speeds = _speeds({n: [max(r, 1) for r in v] for n, v in record.steady_per_s.items()})
    return Verdicts(
        {s.name: s.holds(by_makespan) for s in STATEMENTS}, {s.name: s.holds(by_rate) for s in STATEMENTS}
    )


def _speeds(values: Mapping[str, Sequence[float]]) -> dict[str, dict[int, float]]:
    return {name: dict(zip(CPUS, row, strict=True)) for name, row in values.items()}


def shares(records: Sequence[SampleRecord]) -> Iterator[tuple[str, float, float]]:
    """Yield each statement's name and the shares of samples in which it holds, by makespan and throughput."""
    judged = [verdicts(record) for record in records]
    for statement in STATEMENTS:
        yield (
            statement.name,
            sum(v.makespan[statement.name] for v in judged) / len(judged),
            sum(v.throughput[statement.name] for v in judged) / len(judged),
        )
