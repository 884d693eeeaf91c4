"""One simulated run: from what it depends on to what it gives, checked for what must be conserved."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import msgspec
import numpy as np

from lockscape.errors import LockscapeError
from lockscape.experiments.collect import collect
from lockscape.experiments.result import ProcessTime, RunResult, RunSpec, Throughput
from lockscape.experiments.sample import steps_of
from lockscape.machine import layout as at
from lockscape.machine.costs import CostTable, preset
from lockscape.machine.execute import RunError, TraceReader, execute
from lockscape.machine.state import State
from lockscape.machine.waiting import no_progress
from lockscape.ports.lockorder import check_order
from lockscape.ports.packages import owners, told
from lockscape.ports.port import Port, port
from lockscape.program.assemble import Binary, assemble
from lockscape.workloads import fsck, postmark, stress, user
from lockscape.workloads.load import Machine, Stream, load, postmark_stream
from lockscape.workloads.replay import Replay
from lockscape.workloads.serving import Network
from lockscape.workloads.watch import Watch
from lockscape.workloads.workload_file import Workload

_POLLS_PER_S = 1000
LEAST_POLL_CYCLES = 2_000_000
"""How often, in simulated time, a run is looked at: the resolution of its throughput. On a slow machine,
whose runs last for simulated hours, less often."""

PATIENCE_S = 100
"""Simulated seconds in which no process begins a new operation and no device works, after which a run is
given up; on a slow machine as many looks at it. All processes may wait for minutes until the disk has written
what many of them left dirty."""

_SETTLING = 1000
SETTLING_CYCLES = 100_000
"""How often, and how long, the processors may go on after the end until all is quiet."""

BITS, ROUND_TRIP_US = 8, 200
"""Bits of a byte, and the network's round trip: the time that a packet and its answer take to a client in the
same network, with its own time to think (estimated, 100 to 1,000)."""

Progress = Callable[[float], None]
"""Called now and then with the share of the work that is done, 0 to 1."""


class ConservationError(LockscapeError):
    """A run that does not add up: a fault of lockscape, or of a locking plan that leaves data unprotected."""


@dataclass(frozen=True)
class Loaded:
    """A run before it begins.

    Rows of the workload, for each process: `firsts` where it begins, `begins` and `ends` where its
    transactions begin and end.
    """

    spec: RunSpec
    port: Port
    costs: CostTable
    machine: Machine
    streams: tuple[Stream, ...]
    transactions: tuple[int, ...]
    firsts: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]


def simulate(
    spec: RunSpec, progress: Progress | None = None, watch: Callable[[Loaded], TraceReader] | None = None
) -> RunResult:
    """Run to the end. The result is the same on every computer, whatever `progress` and `watch` are.

    `watch` is called before the run begins, and returns what reads its trace.
    Raises `InputError` for a plan or a machine that cannot be used, `RunError` for a run that cannot go on,
    and `ConservationError` for one that does not add up.
    """
    loaded = load_run(spec)
    steady = run_to_end(loaded, progress, watch(loaded) if watch is not None else None)
    result = collect(loaded.machine, loaded.costs.clock_mhz, loaded.firsts, loaded.transactions, steady)
    wrong = [*_conserved(result), *_done(loaded, result), *damage(loaded)]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise ConservationError(
            f"{spec.system} on {spec.cpus} processors does not add up: {wrong[0]}{more}; a plan of your own "
            f"may miss a lock, a plan of lockscape's must not"
        )
    return result


def load_run(spec: RunSpec, traced: bool = False) -> Loaded:
    """Build kernel, machine and workload of a run. Raises `InputError` for what cannot be built."""
    built = _built(kernel_key(spec), traced, spec.workload is not None, *_machine_of(spec))
    work, placed = _works(spec)
    streams = tuple(each.stream for each in work)
    firsts = tuple(accumulate((len(stream.rows) for stream in streams[:-1]), initial=0))
    return Loaded(
        spec, built.port, built.costs,
        load(built.port, built.costs, spec.cpus, streams, traced, built.binary, **placed), streams,
        tuple(each.transactions for each in work), firsts,
        tuple(first + each.begin for first, each in zip(firsts, work, strict=True)),
        tuple(first + each.end for first, each in zip(firsts, work, strict=True)),
    )  # fmt: skip


@dataclass(frozen=True)
class _Built:
    port: Port
    costs: CostTable
    binary: Binary


def kernel_key(spec: RunSpec) -> bytes:
    """Return what the built kernel depends on: the specification, less machine size and stream."""
    work = spec.postmark
    bare = postmark.PostmarkOptions(
        buffered=work.buffered,
        read_block_bytes=work.read_block_bytes,
        write_block_bytes=work.write_block_bytes,
    )
    same = msgspec.structs.replace(spec, system="", cpus=1, processes=1, seeding="same", postmark=bare,
                                   workload=None)  # fmt: skip
    return msgspec.json.encode(same, order="deterministic")


@functools.lru_cache(maxsize=32)
def _built(key: bytes, traced: bool, mixed: bool, link_mbit: int, swapping: bool, urgent: bool) -> _Built:
    spec = msgspec.json.decode(key, type=RunSpec)
    work = spec.postmark
    costs = CostTable(preset(spec.machine), steps_of(spec.plan.new_code), spec.plan.costs, spec.cost_factors)
    devices = {
        "disk_cycles": costs.machine["disk_request"],
        "wire_byte_cycles": max(1, costs.clock_mhz * BITS // link_mbit),
        "round_trip_cycles": costs.clock_mhz * ROUND_TRIP_US,
    }
    stated = {name: spec.plan.options.get(name, cycles) for name, cycles in devices.items()}
    kernel = port(
        spec.plan, [user, stress] if mixed else [user], **stated,
        sharing=int(mixed), swapping=int(swapping), urgent=int(urgent),
        mapped_buffers=int(spec.libc == "2005"), buffered=int(work.buffered),
        read_block=work.read_block_bytes, write_block=work.write_block_bytes,
    )  # fmt: skip
    with told(owners(spec.plan.new_code)):
        check_order(kernel)
        return _Built(kernel, costs, assemble(kernel.program, costs, traced))


def _machine_of(spec: RunSpec) -> tuple[int, bool, bool]:
    """Return what a workload's file may ask of the machine and the kernel: the link's speed, that memory is
    limited, and that processes are urgent."""
    if not isinstance(spec.workload, Workload):
        return Network().link_mbit, False, isinstance(spec.workload, Watch)
    return (spec.workload.network or Network()).link_mbit, spec.workload.memory_pages > 0, False


@dataclass(frozen=True)
class _Work:
    stream: Stream
    transactions: int
    begin: int
    end: int


def _works(spec: RunSpec) -> tuple[list[_Work], dict[str, Any]]:
    """Return what each process does, and how it is placed: `load`'s arguments for that."""
    mixed = spec.workload
    if mixed is None:
        return [_work(_with_seed(spec.postmark, spec.seed(number))) for number in range(spec.processes)], {}
    placed: dict[str, Any] = {"program": stress.PROGRAM}
    if isinstance(mixed, Replay):
        streams, tree = mixed.parts(preset(spec.machine).clock_mhz)
        placed |= {"together": True, "tree": tree}
    else:
        streams = mixed.streams()
        placed |= {"together": mixed.shared, "files": mixed.empty_files, "tree": mixed.tree(),
                   "memory_pages": mixed.memory_pages}  # fmt: skip
        if isinstance(mixed, Watch):
            placed["urgent"] = mixed.urgent
    return [_Work(stream, 0, 0, len(stream.rows)) for stream in streams], placed


@functools.lru_cache(maxsize=64)
def _work(options: postmark.PostmarkOptions) -> _Work:
    made = postmark.operations(options)
    marks = np.flatnonzero(made.rows[:, postmark.KIND] == postmark.MARK)
    return _Work(
        postmark_stream(made),
        made.transactions,
        int(marks[postmark.CREATED]) + 1,
        int(marks[postmark.TRANSACTED]),
    )


def _with_seed(options: postmark.PostmarkOptions, seed: int) -> postmark.PostmarkOptions:
    return msgspec.structs.replace(options, seed=seed)


def run_to_end(
    loaded: Loaded, progress: Progress | None = None, reader: TraceReader | None = None
) -> Throughput | None:
    """Run until all processes are done; return the throughput while all were in their transactions."""
    state = loaded.machine.state
    contexts = np.array(loaded.machine.contexts[: len(loaded.machine.processes)])
    made = np.array(loaded.machine.contexts[len(loaded.machine.processes) :], np.int64)
    begins, ends = np.array(loaded.begins), np.array(loaded.ends)
    resolution = max(loaded.costs.clock_mhz * 1_000_000 // _POLLS_PER_S, LEAST_POLL_CYCLES)
    until, same, last = 0, 0, 0
    window: list[tuple[int, int]] = []
    while True:
        until += resolution
        stopped = execute(state, until, reader)
        if stopped.reason == at.REASON_DONE:
            break
        if stopped.reason != at.REASON_TIME:
            why = (
                no_progress(state, stopped.text).message
                if stopped.reason == at.REASON_STUCK
                else stopped.text
            )
            raise RunError(f"{_who(loaded)} cannot go on: {why}")
        rows = state.m[contexts + at.C_WORK]
        done = int(rows.sum())
        if (rows >= begins).all() and (rows < ends).all():
            window = [*window[:1], (until, done)]
        begun = done + int(state.m[made + at.C_WORK].sum())
        if begun != last:
            same = 0
        elif not _busy_until(state):
            same += 1
        last = begun
        if same > PATIENCE_S * _POLLS_PER_S:
            seconds = same * resolution // (loaded.costs.clock_mhz * 1_000_000)
            why = f"no process began an operation for {seconds:,} simulated seconds, and no device worked"
            raise RunError(f"{_who(loaded)} cannot go on: {no_progress(state, why).message}")
        if progress is not None:
            progress(_share(loaded, done))
    if len(window) < 2:
        return None
    (begin, first), (end, second) = window
    return Throughput(begin, end, second - first, resolution)


def _who(loaded: Loaded) -> str:
    return f"{loaded.spec.system} on {loaded.spec.cpus} processors"


def _share(loaded: Loaded, done: int) -> float:
    return (done - sum(loaded.firsts)) / sum(len(stream.rows) for stream in loaded.streams)


def settle(state: State) -> None:
    """Let the processors go on after the last process has ended, until all idle and no device works."""
    quiet = 0
    for _ in range(_SETTLING):
        until = int(state.m[at.H_TIME]) + SETTLING_CYCLES
        busy = _busy_until(state)
        stopped = execute(state, max(until, busy + 1))
        if stopped.reason != at.REASON_TIME:
            raise RunError(f"after the last process ended, the kernel cannot go on: {stopped.text}")
        quiet = quiet + 1 if all(_rests(state, v) for v in state.virtuals) and not _busy_until(state) else 0
        if quiet == 2:  # what a processor that polls has found is done by then
            return


def _rests(state: State, v: int) -> bool:
    """Return whether a virtual processor halts, or polls: is in an idle loop without ticks."""
    return state.rests(v) or (int(state.m[v + at.V_PERIOD]) == 0 and _in_idle_loop(state, v))


def _in_idle_loop(state: State, v: int) -> bool:
    number, instance = int(state.m[v + at.V_NUMBER]), state.instances.index(int(state.m[v + at.V_INSTANCE]))
    idle = state.get(state.system("Processor", number, instance), "idle")
    return int(state.m[int(state.m[v + at.V_CONTEXT]) + at.C_PROCESS]) == idle


def _busy_until(state: State) -> int:
    """Return when the last device has done what it was asked, or 0 if none works."""
    m = state.m
    events = int(m[at.H_TREE]) + int(m[at.H_LEAVES])
    return max(
        (
            int(m[events + k]) >> at.LEAF_BITS
            for k in range(int(m[at.H_DEVICES]))
            if m[int(m[at.H_DEVICE]) + k * at.DEVICE_WORDS + at.D_BUSY]
        ),
        default=0,
    )


def damage(loaded: Loaded) -> list[str]:
    """Return what is wrong with the file system, memory and locks after the end, or nothing."""
    settle(loaded.machine.state)
    return fsck.check(loaded.machine, emptied=loaded.spec.workload is None)


def _conserved(result: RunResult) -> list[str]:
    return [
        f"processor {number} accounts for {each.total_cycles:,} cycles of {result.makespan_cycles:,}"
        for number, each in enumerate(result.processors)
        if each.total_cycles != result.makespan_cycles
    ]


_OF_CALLS = {
    "open": (postmark.CREATE, postmark.READ, postmark.APPEND),
    "close": (postmark.CREATE, postmark.READ, postmark.APPEND),
    "unlink": (postmark.DELETE,),
    "mkdir": (postmark.MKDIR,),
    "rmdir": (postmark.RMDIR,),
    "time": (postmark.MARK,),
}
"""System calls of which each operation of these kinds makes exactly one."""


def _done(loaded: Loaded, result: RunResult) -> list[str]:
    """Return which operations were not done, or done more than once."""
    wrong = []
    for number, (process, stream) in enumerate(zip(result.processes, loaded.streams, strict=True), 1):
        if process.operations != len(stream.rows):
            wrong.append(f"process {number} did {process.operations:,} operations of {len(stream.rows):,}")
        if not _ordered(process):
            wrong.append(f"process {number}: its times {process.marks_cycles} are not in order")
    return wrong if loaded.spec.workload is not None else [*wrong, *_calls_made(loaded, result)]


def _calls_made(loaded: Loaded, result: RunResult) -> list[str]:
    """Return which system calls PostMark's operations do not account for."""
    wrong = []
    kinds = np.sum([np.bincount(s.rows[:, 0], minlength=16) for s in loaded.streams], axis=0)
    made = {each.call: each.count for each in result.calls}
    for call, of in _OF_CALLS.items():
        asked = sum(int(kinds[kind + 1]) for kind in of)
        if made.get(call, 0) != asked:
            wrong.append(f"{made.get(call, 0):,} calls of {call} for {asked:,} operations")
    return wrong


def _ordered(process: ProcessTime) -> bool:
    times = (0, *process.marks_cycles, process.end_cycles)
    return all(early <= late for early, late in pairwise(times))
