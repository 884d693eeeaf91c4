"""Workloads as a document and as tables; and what a file of strace says, with what the kernel has of it."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from lockscape.experiments.workload_run import Measured
from lockscape.kernel.entry import CALLS
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.table import Table
from lockscape.workloads.choose import AnyWorkload
from lockscape.workloads.replay import Replay
from lockscape.workloads.strace import Call, Log

SAME = {
    "openat": "open", "creat": "open", "open": "open", "close": "close", "read": "read", "pread64": "read",
    "readv": "read", "write": "write", "pwrite64": "write", "writev": "write", "lseek": "lseek",
    "fstat": "fstat", "stat": "stat", "lstat": "stat", "newfstatat": "stat", "statx": "stat",
    "access": "stat", "faccessat": "stat", "faccessat2": "stat", "unlink": "unlink", "unlinkat": "unlink",
    "mkdir": "mkdir", "mkdirat": "mkdir", "rmdir": "rmdir", "mmap": "mmap", "munmap": "munmap", "brk": "brk",
    "time": "time", "gettimeofday": "time", "clock_gettime": "time", "exit": "exit", "exit_group": "exit",
    "ioctl": "ioctl", "fork": "fork", "vfork": "fork", "clone": "fork", "clone3": "fork", "execve": "exec",
    "execveat": "exec", "wait4": "wait", "waitpid": "wait", "waitid": "wait", "readlink": "readlink",
    "readlinkat": "readlink", "pipe": "pipe", "pipe2": "pipe", "rename": "rename",
    "renameat": "rename", "renameat2": "rename", "fsync": "fsync", "fdatasync": "fsync", "sync": "sync",
    "nanosleep": "sleep", "clock_nanosleep": "sleep", "sched_yield": "yield", "rt_sigaction": "signal",
    "sigaction": "signal",
}  # fmt: skip
"""Linux' calls by name, and the simulated kernel's call that does the same, if that has it."""


class CallShare(msgspec.Struct, frozen=True):
    """A call in a workload's mix."""

    call: str
    count: int


class WorkloadRecord(msgspec.Struct, frozen=True):
    """A workload: what its file says, and what a run on the uniprocessor kernel made of it.

    `kernel_share`: of the time that is not idle.
    """

    name: str
    workload: AnyWorkload
    calls: tuple[CallShare, ...]
    kernel_share: float


class TracedCall(msgspec.Struct, frozen=True):
    """A call in a file of strace: how often, failures among them, microseconds in it, waits included.

    `simulated`: the call of the simulated kernel that does the same; null if it has none.
    """

    call: str
    count: int
    failed: int
    us: int
    simulated: str | None


class TraceRecord(msgspec.Struct, frozen=True):
    """A file of strace. `unread`: lines that were not understood, `examples` the first of them.

    `replay`: what it is as a workload, and what of it is left out.
    """

    path: str
    processes: int
    calls: tuple[TracedCall, ...]
    signals: dict[str, int]
    ends: dict[str, int]
    cut: dict[str, int]
    unread: int
    examples: tuple[str, ...]
    replay: Replay


class WorkloadsDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape workloads``."""

    schema_version: int
    document: Literal["workloads"]
    manifest: Manifest
    workloads: tuple[WorkloadRecord, ...]
    traces: tuple[TraceRecord, ...]


def workload_record(name: str, workload: AnyWorkload, measured: Measured) -> WorkloadRecord:
    """Return a workload as it stands in the document."""
    calls = sorted(measured.calls.items(), key=lambda each: (-each[1], each[0]))
    return WorkloadRecord(name, workload, tuple(CallShare(*each) for each in calls), measured.kernel_share)


def trace_record(path: str, log: Log, replay: Replay) -> TraceRecord:
    """Return a file of strace as it stands in the document."""
    by_name: dict[str, list[Call]] = {}
    for calls in log.calls.values():
        for call in calls:
            by_name.setdefault(call.name, []).append(call)
    found = [_traced(name, calls) for name, calls in by_name.items()]
    return TraceRecord(
        path, len(log.calls), tuple(sorted(found, key=lambda each: (-each.count, each.call))),
        _sorted(log.signals), _sorted(log.ends), _sorted(log.cut), log.unread,
        tuple(f"line {number}: {line}" for number, line in log.examples), replay,
    )  # fmt: skip


def _traced(name: str, calls: Sequence[Call]) -> TracedCall:
    same = SAME.get(name)
    return TracedCall(
        name, len(calls), sum(bool(call.error) for call in calls), sum(call.took_us or 0 for call in calls),
        same if same in CALLS else None,
    )  # fmt: skip


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def workloads_document(
    workloads: Sequence[WorkloadRecord], traces: Sequence[TraceRecord], manifest: Manifest
) -> WorkloadsDocument:
    """Return the document."""
    return WorkloadsDocument(SCHEMA_VERSION, "workloads", manifest, tuple(workloads), tuple(traces))


MOST_CALLS = 6
"""Calls of a mix that people are shown, the commonest."""


def workloads_table(workloads: Sequence[WorkloadRecord], whole: bool = False) -> Table:
    """Return the workloads with their mix of calls and the kernel's share; `whole`: all calls (for CSV)."""
    rows = [
        (each.name, each.workload.processes, 100 * each.kernel_share, _mix(each.calls, whole),
         *([each.workload.title] if whole else ()))
        for each in workloads
    ]  # fmt: skip
    notes = []
    for each in workloads:
        notes.append(f"{each.name}: {each.workload.title}.")
        lacks = each.workload.left_out if isinstance(each.workload, Replay) else each.workload.lacks
        notes += [f"{each.name} lacks: {what}." for what in lacks]
    columns = ("workload", "processes", "kernel %", "calls", *(["what"] if whole else ()))
    title = "" if whole else "Workloads, in a run on the uniprocessor kernel"
    text = frozenset({0, 3, 4} if whole else {0, 3})
    return Table(title, columns, tuple(rows), text, () if whole else tuple(notes))


def _mix(calls: Sequence[CallShare], whole: bool) -> str:
    """Return which share of all calls each is, the commonest first."""
    made = sum(call.count for call in calls) or 1
    shown = calls if whole else calls[:MOST_CALLS]
    more = [f"{len(calls) - len(shown)} more"] if len(calls) > len(shown) else []
    return ", ".join([*(f"{call.call} {100 * call.count / made:.0f} %" for call in shown), *more])


def trace_table(trace: TraceRecord) -> Table:
    """Return the calls of a file of strace, and in notes what was not understood."""
    rows = [(c.call, c.count, c.failed, c.us / 1000, c.simulated or "-") for c in trace.calls]
    missing = [call for call in trace.calls if call.simulated is None]
    notes = [
        f"{sum(c.count for c in missing):,} of {sum(c.count for c in trace.calls):,} calls are of "
        f"{len(missing)} kinds that the simulated kernel does not have",
        f"{trace.unread:,} lines were not understood",
        *trace.examples,
        f"as workload trace:{trace.path}: {trace.replay.title}, by {trace.replay.processes:,} simulated ones "
        f"and {trace.replay.made:,} that are made",
        *(f"left out: {what}" for what in trace.replay.left_out),
    ]
    for what, counts in (("signals", trace.signals), ("ends", trace.ends), ("did not return", trace.cut)):
        if counts:
            notes.append(f"{what}: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    return Table(
        f"{trace.path}: {trace.processes:,} processes", ("call", "count", "failed", "ms", "simulated as"),
        tuple(rows), frozenset({0, 4}), tuple(notes),
    )  # fmt: skip
