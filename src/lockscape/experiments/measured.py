"""Table 1 measured: each system's latency and scalability as `lockscape.experiments.levels` defines them.

What is recorded are cycles and counts, as integers; they are the same on every computer. Words come from them
when they are shown, by the rules that stand in `levels`.
"""

from functools import cache
from importlib import resources
from pathlib import Path

import msgspec

from lockscape.errors import InputError
from lockscape.experiments.choose import choose, choose_plan
from lockscape.experiments.curve import Progress, run_all
from lockscape.experiments.levels import PROCESSORS
from lockscape.experiments.record_file import encode_record
from lockscape.experiments.result import RESPONDS, Latency, RunResult, RunSpec, all_timed, plan_digest
from lockscape.machine.execute import RunError
from lockscape.ports.plan import Plan
from lockscape.workloads.postmark import PAPER, PostmarkOptions
from lockscape.workloads.watch import Watch

FORMAT = 1
"""Raised when the files in `recorded` change their form; they are then recorded again."""

CAUSES = ("linux-2.0-fine", "linux-2.2-search-outside", "linux-2.4-search-outside", "linux-2.6-giant",
          "linux-2.6-name-operations", "linux-2.6-not-preemptible")  # fmt: skip
"""Ablations (see `figure2`) that show what a system's latency comes from."""

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


FULL = Sizes()
"""What is recorded."""


class Tail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A latency without its buckets, in cycles."""

    count: int
    total: int
    p50: int
    p99: int
    most: int


class Alone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kernel by itself: its response to `load` processes, and PostMark's calls and makespan, with a process
    on each processor."""

    plan: str
    cpus: int
    load: int
    responds: Tail
    calls: Tail
    makespan_cycles: int


class Waits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run's processors wait for: the share of their time that is spun, and the lock waited for
    longest, if there is one, with how long in all."""

    spin_share: float
    lock: str
    lock_cycles: int


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A system on 8 loaded processors, or as many as it can use. `plan` is the digest of its plan.

    `responds`, `runs`: processes that interrupts woke until user mode, and all that were woken until they
    run; `begins`, `handled`: all interrupts; `waits` then. `calls`, `work_waits`: of PostMark on 8
    processors, and `makespan_cycles` of that on one and on 8. `against`: the kernel alone that the system is
    compared with. `commit`: the revision whose sources ran, if it is not the record's.
    """

    system: str
    plan: str
    preemptible: bool
    responds: Tail
    runs: Tail
    begins: Tail
    handled: Tail
    waits: Waits
    calls: Tail
    work_waits: Waits
    makespan_cycles: tuple[int, int]
    against: Alone | None
    commit: str = ""

    @property
    def speedup(self) -> float:
        """Return how many times faster 8 processors are than one."""
        return self.makespan_cycles[0] / self.makespan_cycles[1]

    @property
    def over_latency(self) -> float | None:
        """Return the response over that of the kernel that it is compared with, or None without one."""
        return self.responds.p99 / self.against.responds.p99 if self.against else None

    @property
    def over_speed(self) -> float | None:
        """Return the work done by each processor over that, or None without a kernel to compare with."""
        return self.against.makespan_cycles / self.makespan_cycles[1] if self.against else None


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Table 1 as it was measured once for a release, on one machine; see `figure2.Record`.

    `idle`: the uniprocessor kernel without load, whose response is the unit of all others. `failed`: why a
    system that has a model could not be measured. `causes`: systems with one thing changed.
    """

    format: int
    lockscape: str
    commit: str
    sources: str
    machine: str
    idle: Alone
    systems: tuple[Measured, ...]
    failed: dict[str, str]
    causes: tuple[Measured, ...]

    def ratio(self, measured: Measured) -> float:
        """Return a response as a multiple of the idle uniprocessor kernel's."""
        return measured.responds.p99 / self.idle.responds.p99


def measure(
    name: str, machine: str = "pentium4", reference: str | None = None, reference_cpus: int = 1,
    plan: Plan | None = None, sizes: Sizes = FULL, folder: Path | None = None, workers: int | None = None,
    progress: Progress | None = None,
) -> Measured:  # fmt: skip
    """Measure a system by its name, or by a plan; `folder` keeps finished runs, and those are taken from it.

    `reference`: the plan of the guest's or uniprocessor kernel that it is compared with, which runs alone on
    `reference_cpus`. Raises `RunError` if the load ended before the watch, or nothing responded.
    """
    work, many = sizes.postmark, PROCESSORS
    if plan is None:
        found = choose(name)
        plan, many = found.plan, min(PROCESSORS, found.most_processors)
    specs = [
        _watched(name, plan, many, machine, sizes.watch),
        *(RunSpec(name, plan, n, PROCESSORS, work, machine=machine) for n in (1, many)),
    ]
    watched, one, most = (point.result for point in run_all(specs, folder, workers, progress))
    _check_load(watched, sizes.watch, name)
    return Measured(
        name, plan_digest(plan), bool(plan.options.get("preemptible", 0)),
        _tail(watched.event(RESPONDS)), _tail(watched.event("process runs")),
        _interrupts(watched, "begins"), _interrupts(watched, "done"), _waits(watched),
        _tail(most.all_calls), _waits(most), (one.makespan_cycles, most.makespan_cycles),
        alone(reference, machine, reference_cpus, sizes, True, folder, workers) if reference else None,
    )  # fmt: skip


def alone(
    name: str, machine: str = "pentium4", cpus: int = 1, sizes: Sizes = FULL, loaded: bool = False,
    folder: Path | None = None, workers: int | None = None,
) -> Alone:  # fmt: skip
    """Measure a kernel by itself on so many processors, each `loaded` by a process or with nothing to do."""
    load = cpus if loaded else 0
    watch = msgspec.structs.replace(sizes.watch, load=load, urgent=max(cpus // 2, 1))
    plan = choose_plan(name)
    specs = [
        _watched(name, plan, cpus, machine, watch),
        RunSpec(name, plan, cpus, cpus, sizes.postmark, machine=machine),
    ]
    watched, work = (point.result for point in run_all(specs, folder, workers))
    _check_load(watched, watch, name)
    return Alone(
        name, cpus, load, _tail(watched.event(RESPONDS)), _tail(work.all_calls), work.makespan_cycles
    )


def _watched(name: str, plan: Plan, cpus: int, machine: str, watch: Watch) -> RunSpec:
    return RunSpec(name, plan, cpus, watch.processes, machine=machine, workload=watch)


def _check_load(result: RunResult, watch: Watch, name: str) -> None:
    """Refuse a run whose load ended too early, or in which not every urgent sleep has one response."""
    ends = [process.end_cycles for process in result.processes]
    if watch.load and min(ends[: watch.load]) < max(ends[watch.load :]):
        raise RunError(f"{name}: the load ended before the watch: give more transactions")
    known, asked = result.event(RESPONDS).count, watch.urgent * watch.sleeps
    if known != asked:
        raise RunError(f"{name}: {known} responses to interrupts are known of {asked}")


def _tail(latency: Latency) -> Tail:
    return Tail(
        latency.count, latency.total_cycles, latency.p50_cycles, latency.p99_cycles, latency.max_cycles
    )


def _interrupts(result: RunResult, what: str) -> Tail:
    """Return how long all interrupts together took until they began, or were done."""
    found = [each for each in result.events if each.event.endswith(f" {what}")]
    return _tail(Latency(**all_timed(found)))


def _waits(result: RunResult) -> Waits:
    """Return what a run's processors waited for."""
    lock = max(result.locks, key=lambda each: each.wait_cycles, default=None)
    named = lock is not None and lock.wait_cycles > 0
    return Waits(
        result.share("spin"), lock.lock if lock and named else "", lock.wait_cycles if lock and named else 0
    )


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
    return encode_record(record, ("systems", "causes"))


def differing(was: Measured, now: Measured) -> str:
    """Return the first field but `commit` in which two measurements differ, with both values, or nothing."""
    for name in was.__struct_fields__:
        if name != "commit" and getattr(was, name) != getattr(now, name):
            return f"{name} {getattr(was, name)}, now {getattr(now, name)}"
    return ""
