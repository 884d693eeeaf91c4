"""What a simulated run depends on, and what it gives: plain data, stored, sent to workers and printed."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from lockscape.errors import InputError
from lockscape.experiments.histogram import Buckets, percentile, together
from lockscape.machine.state import MOST_PROCESSORS
from lockscape.ports.plan import Plan
from lockscape.workloads.choose import AnyWorkload
from lockscape.workloads.postmark import Libc, PostmarkOptions, Seeding
from lockscape.workloads.replay import Replay

MOST_PROCESSES = 4096
"""Processes of a run."""
MOST_OPERATIONS = 10_000_000
"""Operations of all processes of a run together: half a gigabyte of rows."""


MODES = ("user", "kernel", "interrupt", "spin", "idle", "hypervisor")
"""What a processor's time is spent in, see `ProcessorTime`."""


class RunSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a run depends on, besides lockscape itself.

    `system` is the name that the plan was asked for by; it does not change the result. `seeding`: every
    process with PostMark's seed (``same``), or the seed plus the process' number (``each``). `cost_factors`
    multiply costs by name, see `lockscape.machine.costs`; `cost_sample` is the number of the draw that they
    come from, 0 for the stated costs. `workload`: what runs instead of PostMark, whose options then say only
    how the C library reads and writes.
    """

    system: str
    plan: Plan
    cpus: int
    processes: int = 8
    postmark: PostmarkOptions = PostmarkOptions()
    seeding: Seeding = "same"
    libc: Libc = "2005"
    machine: str = "pentium4"
    cost_sample: int = 0
    cost_factors: dict[str, float] = {}
    workload: AnyWorkload | None = None

    def __post_init__(self) -> None:
        """Refuse what no machine or memory could hold."""
        if not 1 <= self.cpus <= MOST_PROCESSORS:
            raise InputError(f"{self.cpus} processors: from 1 to {MOST_PROCESSORS}")
        if not 1 <= self.processes <= MOST_PROCESSES:
            raise InputError(f"{self.processes} processes: from 1 to {MOST_PROCESSES}")
        if self.workload is not None and self.workload.processes != self.processes:
            raise InputError(f"{self.processes} processes for a workload of {self.workload.processes}")
        work = 2 * (self.postmark.files + self.postmark.transactions) * self.processes
        if work > MOST_OPERATIONS and self.workload is None:
            raise InputError(
                f"{self.processes} processes with {self.postmark.files:,} files and "
                f"{self.postmark.transactions:,} transactions: up to {work:,} operations, more than "
                f"{MOST_OPERATIONS:,}; give fewer"
            )

    @property
    def operations(self) -> int:
        """Return about how many operations all processes do."""
        if isinstance(self.workload, Replay):
            return self.workload.operations
        if self.workload is not None:
            return self.workload.operations * self.processes
        return (self.postmark.files + self.postmark.transactions) * self.processes

    def seed(self, process: int) -> int:
        """Return PostMark's seed of a process, counted from 0."""
        return self.postmark.seed + (process if self.seeding == "each" else 0)


def plan_digest(plan: Plan) -> str:
    """Return the SHA-256 of a plan's content."""
    return hashlib.sha256(msgspec.json.encode(plan, order="deterministic")).hexdigest()


class ProcessorTime(msgspec.Struct, frozen=True):
    """What a physical processor did, in cycles; together they are the makespan.

    `hypervisor_cycles`: in a hypervisor, whatever it did there but idle; the others are then the guests'.
    """

    user_cycles: int
    kernel_cycles: int
    interrupt_cycles: int
    spin_cycles: int
    idle_cycles: int
    hypervisor_cycles: int = 0

    @property
    def total_cycles(self) -> int:
        """Return all of them together."""
        return (
            self.user_cycles
            + self.kernel_cycles
            + self.interrupt_cycles
            + self.spin_cycles
            + self.idle_cycles
            + self.hypervisor_cycles
        )


class LockStatistics(msgspec.Struct, frozen=True):
    """A lock class, as /proc/lock_stat counts it.

    `contentions`: acquisitions that had to wait, and readers of a sequence lock that began again; `bounces`:
    acquisitions whose cache line came from elsewhere; `sleeps`: how often a process slept for it. Waits
    are those that ended. Nested acquisitions of a recursive lock are not counted.
    """

    lock: str
    kind: str
    object: str
    acquisitions: int
    contentions: int
    wait_cycles: int
    wait_max_cycles: int
    hold_cycles: int
    bounces: int
    sleeps: int

    @property
    def wait_mean_cycles(self) -> float:
        """Return how long an acquisition that had to wait waited."""
        return self.wait_cycles / self.contentions if self.contentions else 0.0

    @property
    def hold_mean_cycles(self) -> float:
        """Return how long it was held."""
        return self.hold_cycles / self.acquisitions if self.acquisitions else 0.0


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took: how often it was seen, cycles in all, percentiles and most of them.

    `buckets`: all times, see `lockscape.experiments.histogram`, which also says how exact percentiles are.
    """

    count: int
    total_cycles: int
    p50_cycles: int
    p90_cycles: int
    p99_cycles: int
    p999_cycles: int
    max_cycles: int
    buckets: Buckets

    @property
    def mean_cycles(self) -> float:
        """Return the mean."""
        return self.total_cycles / self.count if self.count else 0.0


PERMILLE = {"p50_cycles": 500, "p90_cycles": 900, "p99_cycles": 990, "p999_cycles": 999}
"""Of 1,000 times, how many do not exceed each percentile of `Latency`."""


def timed(total: int, most: int, buckets: Buckets) -> dict[str, Any]:
    """Return the fields of a `Latency`."""
    found = {name: percentile(buckets, most, permille) for name, permille in PERMILLE.items()}
    count = sum(count for _, count in buckets)
    return {"count": count, "total_cycles": total, "max_cycles": most, "buckets": buckets, **found}


def all_timed(parts: Sequence[Latency]) -> dict[str, Any]:
    """Return the fields of the `Latency` that several are together."""
    return timed(
        sum(part.total_cycles for part in parts),
        max((part.max_cycles for part in parts), default=0),
        together(part.buckets for part in parts),
    )


class CallLatency(Latency, frozen=True, kw_only=True):
    """How long a system call or page fault took from entry to exit, waiting and preemption included."""

    call: str


class EventLatency(Latency, frozen=True, kw_only=True):
    """How long something waited.

    `event`: ``HANDLER begins``, an interrupt from when it was due until its handler began, which masking
    delays; ``HANDLER done``, from then until the handler returned or gave the processor away, its own waits
    included; ``process runs``, a process from being woken; ``process responds``, from when the interrupt was
    due that woke it until it is back in user mode, whatever it waits for on the way.
    """

    event: str


RESPONDS = "process responds"
"""The event by which the response to interrupts is known."""


class ProcessTime(msgspec.Struct, frozen=True):
    """A process: when PostMark took the time (`lockscape.workloads.postmark.START` …), and when it ended.

    `transactions` are fewer than asked for if PostMark ran out of files.
    """

    operations: int
    transactions: int
    marks_cycles: tuple[int, int, int, int]
    end_cycles: int


class Throughput(msgspec.Struct, frozen=True):
    """Operations done while all processes were in their transactions, to the next `resolution_cycles`."""

    begin_cycles: int
    end_cycles: int
    operations: int
    resolution_cycles: int


class RunResult(msgspec.Struct, frozen=True):
    """What a run gives. `clock_mhz` turns cycles into time: microseconds = cycles / clock_mhz.

    `steps` are executed instructions of the program; `line_transfers` cache lines that came from another
    processor. `steady` is None when no moment saw every process in its transactions.
    """

    makespan_cycles: int
    clock_mhz: int
    processors: tuple[ProcessorTime, ...]
    locks: tuple[LockStatistics, ...]
    calls: tuple[CallLatency, ...]
    events: tuple[EventLatency, ...]
    processes: tuple[ProcessTime, ...]
    steady: Throughput | None
    steps: int
    line_transfers: int

    @property
    def makespan_s(self) -> float:
        """Return the time until all processes were done, in simulated seconds."""
        return self.makespan_cycles / (self.clock_mhz * 1e6)

    @property
    def steady_per_s(self) -> float | None:
        """Return operations per simulated second while all processes were in their transactions."""
        if self.steady is None:
            return None
        cycles = self.steady.end_cycles - self.steady.begin_cycles
        return self.steady.operations * self.clock_mhz * 1e6 / cycles

    @property
    def all_calls(self) -> Latency:
        """Return all system calls and faults together."""
        return Latency(**all_timed(self.calls))

    def event(self, name: str) -> Latency:
        """Return an event's latency, without any times if it did not happen; see `EventLatency`."""
        return next((each for each in self.events if each.event == name), Latency(**all_timed(())))

    @property
    def busiest_locks(self) -> list[LockStatistics]:
        """Return the locks that were taken: those waited for longest, then those acquired most, first."""
        taken = [lock for lock in self.locks if lock.acquisitions or lock.contentions]
        return sorted(taken, key=lambda lock: (-lock.wait_cycles, -lock.acquisitions, lock.lock))

    def share(self, mode: str) -> float:
        """Return the share of all processors' time in a mode, such as ``user`` or ``spin``."""
        spent: int = sum(getattr(each, f"{mode}_cycles") for each in self.processors)
        return spent / (self.makespan_cycles * len(self.processors))


class FaultRecord(msgspec.Struct, frozen=True):
    """A fault, and line by line what its parties did around it (empty for those after the first few).

    `time_cycles` is when it showed, `times_cycles` when each of `places` was executed.
    """

    kind: str
    time_cycles: int
    times_cycles: tuple[int, ...]
    objects: tuple[str, ...]
    places: tuple[str, ...]
    message: str
    interleaving: tuple[str, ...]


class Removal(msgspec.Struct, frozen=True):
    """What came of a system without one of its locks, under the fault detector; `lock` empty: as it is.

    `rules`: how many rules of the plan were left out; `repeated`: further faults at the same places; `ended`:
    empty if all processes were done, else why the run could not go on; `damage`: what is wrong with the file
    system and the memory at the end.
    """

    system: str
    lock: str
    cpus: int
    rules: int
    faults: tuple[FaultRecord, ...]
    repeated: int
    ended: str
    damage: tuple[str, ...]


class FailedProcess(msgspec.Struct, frozen=True):
    """A process of a run in which an instance failed: `lost` with it, or not.

    `operations` it did of `asked`; it ended at `end_ms` (None if lost before), and at `whole_ms` in the same
    run without the failure.
    """

    number: int
    lost: bool
    operations: int
    asked: int
    end_ms: float | None
    whole_ms: float


class Failure(msgspec.Struct, frozen=True):
    """What came of the failure of kernel instance `instance` at `at_ms`: it took `instances` down."""

    system: str
    cpus: int
    instance: int
    at_ms: float
    instances: tuple[int, ...]
    processes: tuple[FailedProcess, ...]
