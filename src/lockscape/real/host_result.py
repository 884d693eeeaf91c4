"""What runs on this host give: each run, a point of a curve, a curve, and how the executors compare."""

from typing import Literal

import msgspec

from lockscape.real.median import Median
from lockscape.real.perf_lock import Contention

WorkloadName = Literal["postmark", "one-directory", "one-file", "compute"]
"""A workload that is run for real."""


ExecutorName = Literal["postmark", "native"]
"""Who runs it: the program PostMark, or the worker that comes with lockscape."""


class HostRun(msgspec.Struct, frozen=True):
    """One run: all processes together. Times are of all processes together, in seconds.

    `makespan_s`: from the common start to the end of the last process. `steady_per_s`: operations per second
    in the transactions, each process at its own average rate while all were in them; None from PostMark
    itself, which does not tell its times. `others_share` of these processors' time was other programs', and
    `stolen_share` the hypervisor's; None for a run too short to see it (/proc/stat counts hundredths).
    """

    makespan_s: float
    user_s: float
    system_s: float
    voluntary_switches: int
    involuntary_switches: int
    steady_per_s: float | None
    others_share: float | None
    stolen_share: float | None


class HostPoint(msgspec.Struct, frozen=True):
    """The runs on so many processors. `speedup`: the median of the makespan on one processor by the one here.

    `speedup_low` and `speedup_high` take the far ends of both intervals; on one processor they are 1.
    """

    cpus: int
    processors: tuple[int, ...]
    makespan_s: float
    makespan: Median
    speedup: float
    speedup_low: float
    speedup_high: float
    steady_per_s: float | None
    runs: tuple[HostRun, ...]


class Doubt(msgspec.Struct, frozen=True):
    """A reason not to trust a figure: its kind, and a sentence with the remedy."""

    kind: str
    text: str


class HostCurve(msgspec.Struct, frozen=True):
    """A workload over numbers of processors, and who executed it."""

    name: WorkloadName
    executor: ExecutorName
    points: tuple[HostPoint, ...]
    contention: Contention | None
    doubts: tuple[Doubt, ...]


class Overhead(msgspec.Struct, frozen=True):
    """Our executor beside PostMark: one process on one processor, in turn, medians in seconds.

    PostMark's time includes its loading, its random text and its report, which it makes inside the makespan.
    `ratio` and `system_ratio`: ours by PostMark's, of the makespan and of the time in the kernel.
    """

    native_s: Median
    postmark_s: Median
    native_system_s: Median
    postmark_system_s: Median
    ratio: float
    system_ratio: float | None
