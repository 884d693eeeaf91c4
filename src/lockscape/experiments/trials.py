"""Small runs under the fault detector that come to every place of a kernel: what mutants are tried in.

Everything that takes seconds in a real system happens at once: ticks are short, each tick writes all back
that is dirty, slices last one tick, the disk is busy most of the time, and slabs move few objects at once.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lockscape.experiments.run import settle
from lockscape.experiments.sample import steps_of
from lockscape.kernel.entries import ENTRIES_PER_PAGE
from lockscape.kernel.entry import CLOSE, EXEC, FAULT, FSYNC, MMAP, MUNMAP, OPEN, READLINK, SYNC, WRITE
from lockscape.kernel.files import APPENDING, CREATING
from lockscape.kernel.objects import PAGE_BYTES
from lockscape.machine import layout as at
from lockscape.machine.costs import CostTable, preset
from lockscape.machine.execute import RunError, execute
from lockscape.machine.faults import Detector, uncollected
from lockscape.machine.findings import Rules
from lockscape.machine.state import State
from lockscape.machine.waiting import no_progress
from lockscape.ports.plan import Plan
from lockscape.ports.port import Port, port
from lockscape.program.assemble import Binary, assemble
from lockscape.workloads import fsck, postmark, stress, user
from lockscape.workloads.connecting import connecting
from lockscape.workloads.families import Rows, call, family
from lockscape.workloads.file_system import Node
from lockscape.workloads.growing import growing
from lockscape.workloads.load import ZONE_PAGES, Machine, Stream, load, postmark_stream
from lockscape.workloads.network import awaited_crowd, crowd, peers, port_taker, server
from lockscape.workloads.pairs import pair
from lockscape.workloads.piping import piping
from lockscape.workloads.signalling import reapers, signalling
from lockscape.workloads.stress import ALL, DO_RENAME, DO_STAT, DO_YIELD, stress_streams
from lockscape.workloads.user import DO_APPEND, DO_CREATE, DO_DELETE, DO_READ, FIRST_CALL, KIND, NAME

_MACHINE = "pentium4"

BUSY = {
    "hz": 20_000, "slice_ticks": 1, "flush_seconds": 0, "buffer_age_seconds": 0, "inode_age_seconds": 0,
    "disk_cycles": 100_000, "slab_batch": 8, "wire_byte_cycles": 5, "round_trip_cycles": 20_000,
}  # fmt: skip
"""Build options of a kernel in which ticks, write-back and the disk come in the way all the time."""

NO_TICKS = {"hz": 1}
"""Further options of a kernel in which trials end before the first tick, so that nobody looks untold."""

SWAPPING = {"swapping": 1}
"""Further options of a kernel that does everything: what it is without swapping, and more."""

LOOK_CYCLES = 2_000_000
"""After so much simulated time it is looked whether a fault was found."""

MOST_CYCLES = 400_000_000
"""A trial that has not ended by then never will: 20 times what the longest takes."""


OLD_FILES = ENTRIES_PER_PAGE + 2
"""Files that were there before, more than one page of a directory has room for."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A run, equal only to itself: `together` all processes in one directory, which has `files` files that no
    process has seen; `emptied`: the processes delete all that they make; `memory_pages`: of a kernel with
    swapping, 0: enough; `tree`: further files that were there before; `sleeps`: it ends by sleeping, which
    takes ticks."""

    name: str
    streams: tuple[Stream, ...]
    cpus: int
    together: bool
    files: int = 0
    emptied: bool = False
    memory_pages: int = 0
    tree: tuple[Node, ...] = ()
    sleeps: bool = False


PIPES = 1, 2, 3
"""Seeds of the processes in the trial of pipes."""

ON_DISK = (*(Node((), 1 + k, False, 0, 20 + 30 * k) for k in range(3)),
           *(Node((), 4 + k, False, 5000 + 8000 * k) for k in range(3)))  # fmt: skip
"""Three symbolic links, and three programs whose pages are not in memory."""


@functools.cache
def trials() -> tuple[Trial, ...]:
    """Return the trials, those that show most first."""

    def everything(operations: int, names: int, seed: int, processes: int) -> tuple[Stream, ...]:
        return tuple(stress_streams(operations, names, seed, [ALL] * processes))

    work = postmark.operations(postmark.PostmarkOptions(files=6, transactions=12, subdirectories=2))
    return (
        Trial("4 processes together on 4 processors", everything(40, 6, 1, 4), 4, True, 6),
        Trial("6 processes together on 3 processors", everything(30, 4, 2, 6), 3, True, 4),
        Trial("2 processes together on 4 processors", everything(60, 4, 5, 2), 4, True, 2),
        Trial("4 processes apart on 2 processors", everything(40, 6, 3, 4), 2, False),
        Trial("2 processes make and delete", (make_and_delete(4), make_and_delete(5)), 2, False, OLD_FILES),
        Trial("PostMark, 3 processes on 2 processors", (postmark_stream(work),) * 3, 2, False, 0, True),
        Trial("3 processes take turns at files, and delete them", _take_turns(3), 3, True),
        Trial("4 processes write to disk at once, on 3 processors", _write_at_once(4), 3, True),
        Trial("3 processes drop much at once, on 3 processors", _drop_at_once(3), 3, True),
        Trial("3 families on 3 processors", families(3, 1), 3, True),
        Trial("8 processes, some of which end early, on 2 processors", _end_early(8), 2, False),
        Trial("5 processes rename files that others have open, on 4 processors", _rename(5, 3), 4, True, 3),
        Trial("5 processes rename the same files, and yield, on 4 processors", _rename(5, 1), 4, True, 3),
        Trial("4 pairs talk on 4 processors", streams_of(pair(k) for k in range(4)), 4, False),
        Trial(
            "3 processes pass bytes through pipes, on 3 processors", streams_of(map(piping, PIPES)), 3, True
        ),
        Trial("2 servers and 2 pairs of peers on 4 processors", _servers(), 4, True),
        Trial(
            "processes talk over sockets and end early, on 3 processors", streams_of(connecting(3)), 3, True
        ),
        Trial("processes send signals on 3 processors", signals(1, 2), 3, True, sleeps=True),
        Trial("3 processes ask for links and execute programs", on_disk(3, 1), 3, True, tree=ON_DISK),
        Trial(
            "crowds come to 2 servers, and a process takes ports, on 4 processors",
            _crowds(2, 5, 80, 90),
            4,
            True,
        ),
        Trial(
            "a crowd comes to a server, and a process takes ports, on 1 processor", _crowds(3, 6, 80), 1, True
        ),
        under_pressure("4 processes use more memory than there is", 4, 1, 4),
        Trial("4 processes use the same 2 files and delete them", _use_and_delete(4), 4, True),
    )


def streams_of(parts: Iterable[Rows]) -> tuple[Stream, ...]:
    """Return a process for each part."""
    return tuple(map(Stream, parts))


def under_pressure(name: str, processes: int, seed: int, cpus: int) -> Trial:
    """Return processes that use more and more memory, of which there is too little for all."""
    streams = streams_of(growing(seed * 100 + k) for k in range(processes))
    return Trial(name, streams, cpus, False, memory_pages=120 + 50 * processes)


def _servers() -> tuple[Stream, ...]:
    """Return servers of outside clients, one with more clients than it can take, and one that has its clients
    beside it."""
    kinds = [server(80, 3, 2, 3, 100, 2000), peers(90, 2, 3, 50, 20_000, 500), crowd(100, 3, 4)]
    return streams_of(kinds)


def _crowds(workers: int, each: int, *ports: int) -> tuple[Stream, ...]:
    """Return servers that many clients come to at once, and a process that listens elsewhere meanwhile."""
    return streams_of([*(awaited_crowd(port, workers, each) for port in ports), port_taker(70, 10, 5000)])


def signals(*seeds: int) -> tuple[Stream, ...]:
    """Return processes that send each other signals, one for each seed, and those that end them."""
    return streams_of([*map(signalling, seeds), *reapers()])


def on_disk(processes: int, seed: int) -> tuple[Stream, ...]:
    """Return processes that ask where links lead, read and become programs (`ON_DISK`), and make files of the
    same names anew, rename and delete them."""
    kinds = (DO_CREATE, DO_DELETE, DO_RENAME, DO_READ)
    changes = stress_streams(10, 7, seed, [kinds] * processes, 0, 3000, 5000)
    links = [call(READLINK, 0, name) for name in range(1, 6)]
    becomes = [call(EXEC, 0, 4 + seed % 3, 1), *(call(FAULT, 1, index) for index in range(4))]
    return streams_of(
        np.concatenate([*becomes, *(part for row in each.rows for part in (row[None], *links)), *becomes])
        for each in changes
    )


def families(number: int, seed: int) -> tuple[Stream, ...]:
    """Return processes that make others, which execute programs and have children themselves."""
    return streams_of(family(seed * 100 + k) for k in range(number))


def _take_turns(processes: int) -> tuple[Stream, ...]:
    """Return processes that write and read the same files for many ticks, delete them, and begin anew: what
    a kernel learns of how a file is used has time to show, and then the file goes."""
    parts = []
    for seed in (1, 2):
        used = stress_streams(30, 2, seed, [(DO_APPEND, DO_READ)] * processes, 0, 30_000, 400_000)
        gone = stress_streams(4, 2, seed, [(DO_DELETE,)] * processes, 0, 1, 10_000)
        parts.append([np.concatenate([u.rows, g.rows]) for u, g in zip(used, gone, strict=True)])
    return tuple(Stream(np.concatenate(rows)) for rows in zip(*parts, strict=True))


def _use_and_delete(processes: int) -> tuple[Stream, ...]:
    """Return processes that mostly read the same files, append to them, and delete them now and then: what a
    kernel keeps of a file on each processor comes and goes."""
    kinds = (DO_APPEND, *[DO_READ] * 6, DO_DELETE)
    return tuple(stress_streams(30, 2, 1, [kinds] * processes, 0, 30_000, 200_000))


def _write_at_once(processes: int) -> tuple[Stream, ...]:
    """Return processes that append to the same files, and have each written to disk, or all there is."""
    draw = np.random.Generator(np.random.PCG64(3))
    found = []
    for _ in range(processes):
        rows: list[tuple[int, ...]] = []
        for _ in range(12):
            name, length, think = (int(draw.integers(1, most)) for most in (4, 20_000, 100_000))
            rows.append((FIRST_CALL + OPEN, 0, name, CREATING + APPENDING, 0, think))
            rows.append((FIRST_CALL + WRITE, 0, length, 0, 0, think))
            rows.append((FIRST_CALL + (SYNC if draw.integers(0, 4) == 0 else FSYNC), 0, 0, 0, 0, think // 4))
            rows.append((FIRST_CALL + CLOSE, 0, 0, 0, 0, 0))
            if draw.integers(0, 3) == 0:
                rows.append((DO_DELETE, 0, name, 0, 0, 0))
        found.append(Stream(np.array(rows, np.int64)))
    return tuple(found)


def _drop_at_once(processes: int) -> tuple[Stream, ...]:
    """Return processes that map and unmap more pages than a processor keeps, all at the same time. Then one
    has a large file written to disk while the others append to it."""

    def call(number: int, *arguments: int, think: int = 0) -> tuple[int, ...]:
        path, name, length = (*arguments, 0, 0, 0)[:3]
        return (FIRST_CALL + number, path, name, length, 0, think)

    mapped = range(1, 131)
    found = []
    for first in (True, *[False] * (processes - 1)):
        rows = [row for k in mapped for row in (call(MMAP), call(FAULT, k))] + [
            call(MUNMAP, k) for k in mapped
        ]
        rows += [call(OPEN, 0, 1, CREATING + APPENDING), call(WRITE, 0, 40 * PAGE_BYTES)]
        rows += [call(FSYNC)] * 12 if first else [call(WRITE, 0, PAGE_BYTES // 2, think=50_000)] * 60
        found.append(Stream(np.array([*rows, call(CLOSE)], np.int64)))
    return tuple(found)


def _end_early(processes: int) -> tuple[Stream, ...]:
    """Return processes that end one after the other, so that the kernel must balance those that are left."""
    streams = stress_streams(16, 4, 7, [ALL] * processes)
    return tuple(Stream(each.rows[: len(each.rows) * (1 + k % 4) // 4]) for k, each in enumerate(streams))


def _rename(processes: int, seed: int) -> tuple[Stream, ...]:
    """Return processes that make, rename, read, ask for and delete files of the same few names, and yield."""
    often = [DO_RENAME, DO_STAT] * 3
    kinds = (*often, DO_CREATE, DO_CREATE, DO_READ, DO_DELETE, DO_YIELD)
    return tuple(stress_streams(80, 3, seed, [kinds] * processes, 0, 5000, 5000))


def make_and_delete(seed: int, times: int = 1) -> Stream:
    """Return a process that makes many files and then deletes them: it gives back more memory at once than a
    processor keeps."""
    (made,) = stress_streams(48, 1, seed, [(DO_CREATE,)], 0, 20_000)
    made.rows[:, NAME] = OLD_FILES + 1 + np.arange(len(made.rows))
    deleted = made.rows.copy()
    deleted[:, KIND] = DO_DELETE
    return Stream(np.concatenate([made.rows, deleted] * times))


@dataclass(frozen=True)
class Kernel:
    """A port that is ready for trials."""

    port: Port
    costs: CostTable
    binary: Binary
    rules: Rules


def kernel_of(plan: Plan, **options: int) -> Kernel:
    """Build the kernel of a plan for trials; `options` go over those that keep it busy."""
    return assembled(port(plan, [user, stress], **(BUSY | options)))


def assembled(built: Port) -> Kernel:
    """Assemble a port, or a mutant of one, for trials."""
    costs = CostTable(preset(_MACHINE), steps_of(built.plan.new_code), built.plan.costs)
    return Kernel(built, costs, assemble(built.program, costs, traced=True), built.rules(weakly_ordered=True))


_D = TypeVar("_D", bound=Detector)


@uncollected()
def run_trial(kernel: Kernel, trial: Trial, make: Callable[[State, Rules], _D]) -> tuple[_D, str]:
    """Run a trial to its end, or to the first fault; return the detector and what is wrong, or nothing.

    Wrong is a fault, a run that cannot go on, and a file system that is damaged at the end.
    """
    machine = _loaded(kernel, trial)
    state = machine.state
    detector = make(state, kernel.rules)
    try:
        wrong = _watch(state, detector)
        if not wrong:
            settle(state)
            found = fsck.check(machine, trial.emptied)
            wrong = f"broken invariant: {found[0]}" if found else ""
    except RunError as error:
        wrong = f"stopped: {error}"
    return detector, wrong


def _watch(state: State, detector: Detector) -> str:
    """Let a machine run under a detector; return what is wrong, or nothing."""
    until = 0
    while True:
        until += LOOK_CYCLES
        stopped = execute(state, until, detector.read)
        if stopped.reason != at.REASON_TIME:
            detector.finish(stopped)
        elif until >= MOST_CYCLES:
            detector.findings.keep(no_progress(state, f"not at its end after {until:,} cycles"))
        if detector.faults:
            return f"{detector.faults[0].kind}: {detector.faults[0].message}"
        if stopped.reason == at.REASON_DONE:
            return ""
        if stopped.reason != at.REASON_TIME:
            return f"stopped: {stopped.text}"


def warm_up(kernel: Kernel, trial: Trial) -> None:
    """Load a trial and begin it, so that all is compiled."""
    execute(_loaded(kernel, trial).state, until=1)


def _loaded(kernel: Kernel, trial: Trial) -> Machine:
    enough = ZONE_PAGES if kernel.port.options["swapping"] else 0
    pages = min(enough, trial.memory_pages or enough)
    return load(kernel.port, kernel.costs, trial.cpus, trial.streams, True, kernel.binary, trial.together,
                stress.PROGRAM, trial.files, trial.tree, pages)  # fmt: skip
