"""Table 1 measured: each system's latency and scalability as `lockscape.experiments.levels` defines them.

What is recorded are cycles and counts, as integers; they are the same on every computer. Words come from them
when they are shown, by the rules that stand in `levels`.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import msgspec

from lockscape import catalog
from lockscape.catalog import System
from lockscape.errors import InputError
from lockscape.experiments.choose import UNIPROCESSOR, choose_plan
from lockscape.experiments.curve import Progress, run_all
from lockscape.experiments.figure2 import PAPER
from lockscape.experiments.levels import (
    PROCESSORS,
    is_alike,
    latency_level,
    scalability_level,
)
from lockscape.experiments.result import RESPONDS, Latency, RunResult, RunSpec, all_timed, plan_digest
from lockscape.machine.execute import RunError
from lockscape.ports.plan import plan_names
from lockscape.workloads.postmark import PostmarkOptions
from lockscape.workloads.watch import Watch

FORMAT = 1
"""Raised when the files in `recorded` change their form; they are then recorded again."""

RELATIVE = ("as-guest", "as-up", "depends-on-up")
"""Words of Table 1 that are about another kernel."""

WATCH = Watch(
    title="Urgent processes sleep and respond while PostMark's load every processor",
    evidence=("levels: the definition of latency",),
    load=PROCESSORS, urgent=PROCESSORS // 2, transactions=35_000, sleeps=50, microseconds=10_000,
)  # fmt: skip
"""The load outlasts 50 sleeps of 10 ms, two ticks of 100 a second, on the fastest kernel that is here."""


class Sizes(msgspec.Struct, frozen=True):
    """How much is run: the watch with its load, and the PostMark whose speedup is taken."""

    watch: Watch = WATCH
    postmark: PostmarkOptions = PAPER


class Tail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A latency without its buckets, in cycles."""

    count: int
    total: int
    p50: int
    p99: int
    most: int


class Alone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kernel by itself: its response, its calls, and the makespan of a PostMark process on each of `cpus`."""

    plan: str
    cpus: int
    load: int
    responds: Tail
    calls: Tail
    makespan_cycles: int


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A system on 8 loaded processors. `plan` is the digest of its plan.

    `responds`, `runs`: processes that interrupts woke until user mode, and all that were woken until they run;
    `begins`, `handled`: all interrupts. `spin_share`: of the processors' time, and `lock` the one waited for
    longest, for `lock_cycles` in all. `calls`: of PostMark on 8 processors, and `makespan_cycles` of that on one
    and on 8. `against`: the kernel alone that the system is compared with.
    """

    system: str
    plan: str
    responds: Tail
    runs: Tail
    begins: Tail
    handled: Tail
    spin_share: float
    lock: str
    lock_cycles: int
    calls: Tail
    makespan_cycles: tuple[int, int]
    against: Alone | None

    @property
    def speedup(self) -> float:
        """Return how many times faster 8 processors are than one."""
        return self.makespan_cycles[0] / self.makespan_cycles[1]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Table 1 as it was measured once for a release, on one machine; see `figure2.Record`.

    `idle`: the uniprocessor kernel without load, whose response is the unit of all others.
    """

    format: int
    lockscape: str
    commit: str
    sources: str
    machine: str
    idle: Alone
    systems: tuple[Measured, ...]


class Verdict(msgspec.Struct, frozen=True):
    """What a system's measurements say, beside the paper's words, as ids; None is *not known* there.

    `latency_ratio`: over the idle uniprocessor kernel, `speedup`: over one processor. For a system that the
    paper compares with another kernel `over_latency` and `over_speed` are the ratios to that; else None.
    """

    system: str
    latency: str
    latency_ratio: float
    scalability: str
    speedup: float
    over_latency: float | None
    over_speed: float | None
    paper_latency: str | None
    paper_scalability: str | None
    agrees_latency: bool | None
    agrees_scalability: bool | None


def can_be_measured(system: System) -> bool:
    """Say whether there is a model of a system of Table 1."""
    return system.id in plan_names()


def reference_of(system: System) -> str | None:
    """Return the plan of the kernel that the paper compares a system with, if it does."""
    return UNIPROCESSOR if {system.latency, system.scalability} & set(RELATIVE) else None


def measure(
    name: str, machine: str = "pentium4", reference: str | None = None, reference_cpus: int = 1,
    sizes: Sizes = Sizes(), folder: Path | None = None, workers: int | None = None,
    progress: Progress | None = None,
) -> Measured:  # fmt: skip
    """Measure a system, by the name of its plan, or take from `folder` the runs that it has.

    `reference`: the plan of the guest's or uniprocessor kernel that it is compared with, which runs alone on
    `reference_cpus`. Raises `RunError` if the load ended before the watch, or nothing responded.
    """
    plan, work = choose_plan(name), sizes.postmark
    specs = [
        _watched(name, PROCESSORS, machine, sizes.watch),
        *(RunSpec(name, plan, n, PROCESSORS, work, machine=machine) for n in (1, PROCESSORS)),
    ]
    watched, one, many = (point.result for point in run_all(specs, folder, workers, progress))
    _check_load(watched, sizes.watch, name)
    lock = max(watched.locks, key=lambda each: each.wait_cycles)
    return Measured(
        name, plan_digest(plan), _tail(watched.event(RESPONDS)), _tail(watched.event("process runs")),
        _interrupts(watched, "begins"), _interrupts(watched, "done"), watched.share("spin"),
        lock.lock if lock.wait_cycles else "", lock.wait_cycles, _tail(many.all_calls),
        (one.makespan_cycles, many.makespan_cycles),
        alone(reference, machine, reference_cpus, sizes, True, folder, workers) if reference else None,
    )  # fmt: skip


def alone(
    name: str, machine: str = "pentium4", cpus: int = 1, sizes: Sizes = Sizes(), loaded: bool = False,
    folder: Path | None = None, workers: int | None = None,
) -> Alone:  # fmt: skip
    """Measure a kernel by itself on so many processors, each `loaded` by a process or with nothing to do."""
    load = cpus if loaded else 0
    watch = msgspec.structs.replace(sizes.watch, load=load, urgent=max(cpus // 2, 1))
    specs = [
        _watched(name, cpus, machine, watch),
        RunSpec(name, choose_plan(name), cpus, cpus, sizes.postmark, machine=machine),
    ]
    watched, work = (point.result for point in run_all(specs, folder, workers))
    _check_load(watched, watch, name)
    return Alone(
        name, cpus, load, _tail(watched.event(RESPONDS)), _tail(work.all_calls), work.makespan_cycles
    )


def _watched(name: str, cpus: int, machine: str, watch: Watch) -> RunSpec:
    return RunSpec(name, choose_plan(name), cpus, watch.processes, machine=machine, workload=watch)


def _check_load(result: RunResult, watch: Watch, name: str) -> None:
    """Refuse a run whose load ended too early, or in which not every sleep of the urgent was responded to."""
    ends = [process.end_cycles for process in result.processes]
    if watch.load and min(ends[: watch.load]) < max(ends[watch.load :]):
        raise RunError(f"{name}: the load ended before the watch: give more transactions")
    if result.event(RESPONDS).count < watch.urgent * watch.sleeps:
        raise RunError(f"{name}: {result.event(RESPONDS).count} responses are known of "
                       f"{watch.urgent * watch.sleeps}")  # fmt: skip


def _tail(latency: Latency) -> Tail:
    return Tail(
        latency.count, latency.total_cycles, latency.p50_cycles, latency.p99_cycles, latency.max_cycles
    )


def _interrupts(result: RunResult, what: str) -> Tail:
    """Return how long all interrupts together took until they began, or were done."""
    found = [each for each in result.events if each.event.endswith(f" {what}")]
    return _tail(Latency(**all_timed(found)))


def verdict(measured: Measured, idle: Alone) -> Verdict:
    """Return the words that a system's measurements earn, and whether they are the paper's."""
    system = catalog.system(measured.system)
    ratio = measured.responds.p99 / idle.responds.p99
    slower = faster = None
    if measured.against is not None:
        other = measured.against
        slower = measured.responds.p99 / other.responds.p99
        share = PROCESSORS / other.cpus
        faster = share * other.makespan_cycles / measured.makespan_cycles[1] / share
    latency, scalability = latency_level(ratio), scalability_level(measured.speedup)
    return Verdict(
        measured.system, latency, ratio, scalability, measured.speedup, slower, faster,
        system.latency, system.scalability,
        _agrees(system.latency, latency, slower), _agrees(system.scalability, scalability, faster),
    )  # fmt: skip


def _agrees(printed: str | None, word: str, ratio: float | None) -> bool | None:
    """Say whether a word is the paper's, or a ratio *as* the other kernel; None if the paper has none."""
    if printed in RELATIVE:
        return None if ratio is None else is_alike(ratio)
    return None if printed is None else printed == word.casefold()


def verdicts(record: Record) -> Iterator[Verdict]:
    """Yield the verdict of each system that was measured."""
    for measured in record.systems:
        yield verdict(measured, record.idle)


@cache
def recorded(machine: str = "pentium4") -> Record:
    """Return what was recorded on a machine. Raises `InputError` for one without a record."""
    path = resources.files("lockscape.experiments") / "recorded" / f"table1-{machine}.json"
    try:
        content = path.read_bytes()
    except OSError:
        raise InputError(f"Table 1 was not measured on machine {machine!r}") from None
    record = msgspec.json.decode(content, type=Record)
    if record.format != FORMAT:
        raise InputError(f"Table 1 on {machine}: a record of format {record.format}, not {FORMAT}")
    return record


def encode(record: Record) -> bytes:
    """Return a record as JSON, a system in each line."""
    fields = {name: msgspec.json.encode(getattr(record, name)).decode() for name in record.__struct_fields__}
    fields["systems"] = "[\n" + ",\n".join(msgspec.json.encode(s).decode() for s in record.systems) + "\n]"
    return ("{\n" + ",\n".join(f'"{name}":{text}' for name, text in fields.items()) + "\n}\n").encode()


def differing(was: Measured, now: Measured) -> str:
    """Return the first field in which two measurements differ, with both values, or nothing."""
    for name in was.__struct_fields__:
        if getattr(was, name) != getattr(now, name):
            return f"{name} {getattr(was, name)}, now {getattr(now, name)}"
    return ""


def runnable(systems: Sequence[System] | None = None) -> list[System]:
    """Return the systems of Table 1 of which there is a model, in its order."""
    return [system for system in systems or catalog.systems() if can_be_measured(system)]
