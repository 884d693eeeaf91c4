"""Figure 2 of the paper: PostMark on four Linux kernels and 1 to 8 processors, over samples of all costs.

A sample draws every cost from its range (`lockscape.experiments.sample`), the same draw for all four systems.
Sample 0 is the stated costs. What is recorded of a sample is its makespans and throughputs, as integers; they
are the same on every computer.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import msgspec

from lockscape.errors import InputError
from lockscape.experiments.choose import check_plan, choose_plan
from lockscape.experiments.curve import Progress, run_all
from lockscape.experiments.record_file import encode_record
from lockscape.experiments.result import RunSpec
from lockscape.experiments.sample import cost_factors
from lockscape.experiments.statements import STATEMENTS, SYSTEMS, Speeds
from lockscape.ports.plan import Plan
from lockscape.systems.load import ablation_text, load_ablation
from lockscape.workloads.postmark import PAPER, PostmarkOptions, Seeding

CPUS = tuple(range(1, 9))
"""Numbers of processors of the paper's Figure 2."""

ABLATIONS = (
    "linux-2.0-fine",
    "linux-2.2-search-outside",
    "linux-2.4-search-outside",
    "linux-2.4-processor-queues",
    "linux-2.6-name-operations",
    "linux-2.6-giant",
    "linux-2.6-one-queue",
    "linux-2.6-hz-100",
    "linux-2.6-not-preemptible",
)
"""Variants of the systems that show the cause of a curve: files in `lockscape.systems.ablations`."""

FORMAT = 1
"""Raised when the files in `recorded` change their form; they are then recorded again."""


class SampleRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sample: by system, for 1, 2, … 8 processors, the makespan in cycles and operations a second.

    A throughput of 0 stands for a run in which no moment saw every process in its transactions.
    """

    sample: int
    makespan_cycles: dict[str, tuple[int, ...]]
    steady_per_s: dict[str, tuple[int, ...]]


class AblationRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A variant of a system with the stated costs, for 1, 2, … 8 processors as in a `SampleRecord`.

    `commit`: the revision whose sources ran, if it is not the record's.
    """

    name: str
    system: str
    title: str
    makespan_cycles: tuple[int, ...]
    steady_per_s: tuple[int, ...]
    commit: str = ""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figure 2 as it was run once for a release: sample 0, the stated costs, first; then samples 1, 2, …

    `commit` is the revision whose sources ran, `sources` their digest (`store.sources_digest`); `plans` are
    the digests of the systems' plans. `again`, by a later revision: samples that it gave with the same bits.
    """

    format: int
    lockscape: str
    commit: str
    sources: str
    machine: str
    processes: int
    seeding: Seeding
    postmark: PostmarkOptions
    plans: dict[str, str]
    samples: tuple[SampleRecord, ...]
    ablations: tuple[AblationRecord, ...]
    again: dict[str, tuple[int, ...]] = {}


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


def ablation_plan(name: str) -> Plan:
    """Return the plan of an ablation."""
    plan = load_ablation(name)
    check_plan(plan, name)
    return plan


def ablated_system(name: str) -> str:
    """Return the system that an ablation changes."""
    return str(tomllib.loads(ablation_text(name))["base"])


def run_ablation(
    name: str,
    machine: str = "pentium4",
    work: PostmarkOptions = PAPER,
    folder: Path | None = None,
    workers: int | None = None,
    commit: str = "",
) -> AblationRecord:
    """Make the runs of an ablation, or take from `folder` those that it has; `commit` is what is recorded."""
    plan = ablation_plan(name)
    points = run_all([RunSpec(name, plan, n, postmark=work, machine=machine) for n in CPUS], folder, workers)
    return AblationRecord(
        name, ablated_system(name), plan.title,
        tuple(point.result.makespan_cycles for point in points),
        tuple(round(point.result.steady_per_s or 0) for point in points), commit,
    )  # fmt: skip


@cache
def recorded(machine: str) -> Record:
    """Return what was recorded on a machine. Raises `InputError` for one without a record."""
    folder = resources.files("lockscape.experiments") / "recorded"
    names = (p.name for p in folder.iterdir() if p.name.startswith("figure2-"))
    known = sorted(name.removeprefix("figure2-").removesuffix(".json") for name in names)
    if machine not in known:
        raise InputError(f"Figure 2 was not recorded on machine {machine!r}: it was on {', '.join(known)}")
    record = msgspec.json.decode((folder / f"figure2-{machine}.json").read_bytes(), type=Record)
    if record.format != FORMAT:
        raise InputError(f"Figure 2 on {machine}: a record of format {record.format}, not {FORMAT}")
    return record


def encode(record: Record) -> bytes:
    """Return a record as JSON, a sample in each line."""
    return encode_record(record, ("samples", "ablations"))


def differing(one: SampleRecord, other: SampleRecord) -> str:
    """Return where two records of one sample differ first, in words, or nothing."""
    for name in SYSTEMS:
        for measure in ("makespan_cycles", "steady_per_s"):
            pairs = zip(CPUS, getattr(one, measure)[name], getattr(other, measure)[name], strict=True)
            for cpus, was, now in pairs:
                if was != now:
                    return f"in {name} on {cpus} processors ({measure} {was:,}, now {now:,})"
    return ""


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
