"""What a booted kernel gives: each run, a point of a curve, a curve, and what it was made with."""

from typing import Literal

import msgspec

from lockscape.real.host_result import Doubt, WorkloadName
from lockscape.real.median import Median


class ProcessorTime(msgspec.Struct, frozen=True):
    """What a processor did while was measured, in cycles. `spin_cycles` are in neither user's nor kernel's.

    A cycle is an instruction, and each turn of a repeated string instruction. Spinning is what is executed
    from a PAUSE to the same one again if that is at most 64; `pauses` counts them.
    """

    user_cycles: int
    kernel_cycles: int
    spin_cycles: int
    idle_cycles: int
    pauses: int


class CallCost(msgspec.Struct, frozen=True):
    """Instructions in the kernel from a kind of call to its return, interrupts in between included.

    `p50` and `p90`: what half of them, and nine of ten, do not exceed; at most an eighth too high.
    """

    call: str
    count: int
    mean: float
    least: int
    p50: int
    p90: int
    most: int


class BootRun(msgspec.Struct, frozen=True):
    """A guest's run; seconds are of its own clock, in which a cycle is a nanosecond.

    `steady_per_s`: operations (files created, read, appended to or deleted) while all processes were in their
    transactions, None if they never were. `timer_interrupts` of each processor and `context_switches` are the
    guest's own counts, None if its kernel has none. `late`: how often processors went on without one that the
    host let wait; `all_idle`: how often, and how long, none had anything to do. `host_s`: what the run took
    here, its boot included, and `cpu_s` of this host's processors.
    """

    makespan_cycles: int
    makespan_s: float
    steady_per_s: float | None
    processors: tuple[ProcessorTime, ...]
    calls: tuple[CallCost, ...]
    timer_interrupts: tuple[int, ...] | None
    context_switches: int | None
    late: int
    all_idle: int
    all_idle_s: float
    host_s: float
    cpu_s: float


class BootPoint(msgspec.Struct, frozen=True):
    """The runs on so many processors. `makespan_cycles` and `makespan_s` are medians; so is `speedup`'s.

    `speedup` is over one processor; `speedup_low` and `speedup_high` take the far ends of both medians'
    intervals. `time_shares`: of all processors' time, in the run with the median makespan.
    """

    cpus: int
    makespan_cycles: int
    makespan_s: float
    makespan: Median
    speedup: float
    speedup_low: float
    speedup_high: float
    steady_per_s: float | None
    time_shares: dict[str, float]
    runs: tuple[BootRun, ...]


class BootCurve(msgspec.Struct, frozen=True):
    """A workload over numbers of processors. `calls`: what calls cost on one processor."""

    name: WorkloadName
    points: tuple[BootPoint, ...]
    calls: tuple[CallCost, ...]
    doubts: tuple[Doubt, ...]


class SimulatorRecord(msgspec.Struct, frozen=True):
    """With what guests were made, and what they said of themselves.

    `quantum`: so many cycles a processor may be ahead of another one. `file_system` as the guest mounted it,
    `linear_directories` unless hashed; `security`: the active security modules, None if the kernel does not
    say. `guest_clock`: whether the guest's timers follow the simulated time, or only the host's.
    """

    qemu: str
    cpu_model: str
    quantum: int
    memory_mb: int
    command_line: str
    kernel: str
    file_system: str
    linear_directories: bool | None
    security: str | None
    modules: tuple[str, ...]
    guest_clock: Literal["simulated", "host"]
