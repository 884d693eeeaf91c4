"""The timeline of a simulated run: its trace as tracks of processors, processes and locks, for Perfetto.

The run is made with its trace on, which changes nothing in it. Rows are read as they come, so a run of any
length takes bounded memory; only the file grows with it.

Tracks. *Processors*: who runs on each, and below that what it spends its time on and its interrupts (a
hypervisor's processors name the virtual processor that runs; *virtual processors* have tracks of their own).
*Processes*: system calls and page faults, by name, from entry to exit. *Locks*: for each lock class its holds
and its waits; slices are named by the object whose lock it is, arguments say who, where, and for a wait
who held it when the wait began.
"""

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError
from lockscape.experiments.result import RunResult, RunSpec
from lockscape.experiments.run import Loaded, Progress, simulate
from lockscape.kernel.entry import CALLS
from lockscape.machine import layout as at
from lockscape.machine.modes import KINDS, Modes, Row
from lockscape.machine.places import Places
from lockscape.machine.state import State
from lockscape.program import opcodes as op
from lockscape.report.perfetto import TraceFile, TraceFileError, Track

MODES = ("user", "kernel", "interrupt", "spin", "idle", "guest", "stolen")
"""Names of the machine's modes, by their numbers (`lockscape.machine.layout.USER` ...)."""

CHUNK = 4096
"""Rows of the trace that are Python objects at one time."""


class Window(NamedTuple):
    """What part of a run is written, in simulated milliseconds; None: to the end."""

    first_ms: float = 0.0
    last_ms: float | None = None

    def check(self) -> None:
        """Refuse a window in which there is nothing."""
        if self.last_ms is not None and self.last_ms <= self.first_ms:
            raise InputError(
                f"--trace-to {self.last_ms:g}: must be later than --trace-from {self.first_ms:g}"
            )


WHOLE = Window()
"""All of the run."""


class Written(msgspec.Struct, frozen=True):
    """A timeline that was written: how many slices and bytes (before compression), and the run's result."""

    slices: int
    bytes: int
    result: RunResult


def write_timeline(
    spec: RunSpec, path: Path, window: Window = WHOLE, progress: Progress | None = None
) -> Written:  # fmt: skip
    """Make a run and write its timeline to a file, compressed if that is called ``….gz``.

    Raises what `simulate` raises, and `TraceFileError` for a file that cannot be written.
    """
    window.check()
    try:
        with cast(BinaryIO, gzip.open(path, "wb", 4) if path.suffix == ".gz" else path.open("wb")) as out:
            return _written(spec, out, window, progress)
    except OSError as error:
        raise TraceFileError(f"{path}: {error.strerror or error}") from error


def _written(spec: RunSpec, out: BinaryIO, window: Window, progress: Progress | None) -> Written:
    made: list[Timeline] = []

    def watch(loaded: Loaded) -> Callable[[NDArray[np.int64]], None]:
        mhz = loaded.costs.clock_mhz
        first, last = (None if ms is None else round(ms * 1000 * mhz) for ms in window)
        file = TraceFile(out, mhz, first or 0, last)
        made.append(Timeline(loaded.machine.state, file, loaded.machine.contexts))
        return made[0].read

    result = simulate(spec, progress, watch)
    made[0].finish(result.makespan_cycles)
    return Written(made[0].file.slices, made[0].file.bytes, result)


class Timeline:
    """Reads the trace of a run that has not yet begun, and writes it to a file.

    `processes`: the contexts of the workload's processes.
    """

    def __init__(self, state: State, file: TraceFile, processes: list[int]) -> None:
        self.file = file
        self.places = Places(state)
        self.modes = Modes(state, self._spent)
        self.processors = _Processors(state, file, self.places)
        self.calls = _Calls(state, file, self.places, processes)
        self.locks = _Locks(state, file, self.places)
        locks = (at.T_ACQUIRE, at.T_RELEASE, at.T_WAIT, at.T_INTERRUPT, at.T_RETURN, at.T_DEPTH, at.T_BLOCK)
        calls = (at.T_CALL, at.T_CALL_END, at.T_SWITCH)
        interrupts = (at.T_INTERRUPT, at.T_RETURN, at.T_SWITCH)
        readers = (
            (KINDS, self.modes.read), (locks, self.locks.read), (calls, self.calls.read),
            (interrupts, self.processors.read),
        )  # fmt: skip
        self.readers = {
            kind: [read for kinds, read in readers if kind in kinds] for kind in {*KINDS, *locks, *calls}
        }
        self.wanted = np.zeros(at.T_TRAP + 64, bool)
        self.wanted[list(self.readers)] = True

    def _spent(self, virtual: int, who: int, mode: int, begin: int, end: int) -> None:
        self.processors.spent(virtual, who, mode, begin, end)

    def read(self, rows: NDArray[np.int64]) -> None:
        """Read further rows of the trace."""
        rows = rows[self.wanted[rows[:, 4]]]
        for start in range(0, len(rows), CHUNK):
            for row in zip(*rows[start : start + CHUNK].T.tolist(), strict=True):
                for read in self.readers[row[4]]:
                    read(row)

    def finish(self, time: int) -> None:
        """The run has ended: what was going on ends here."""
        self.modes.finish(time)
        self.processors.finish()
        self.locks.finish(time)
        self.calls.finish()
        self.file.close(time)


class _Processors:
    """Tracks of the processors, physical and virtual: who runs, in what mode, and interrupts."""

    def __init__(self, state: State, file: TraceFile, places: Places) -> None:
        self.file, self.places = file, places
        physical, virtual = file.track("Processors"), file.track("Virtual processors", rank=1)
        self.names: list[str] = []
        self.who: list[Track] = []
        self.mode: list[Track] = []
        self.interrupts: list[Track] = []
        several = len(state.instances) > 1
        for v in state.virtuals:
            p, number = int(state.m[v + at.V_PROCESSOR]), int(state.m[v + at.V_NUMBER])
            kernel = state.instances.index(int(state.m[v + at.V_INSTANCE]))
            name = f"processor {p if p >= 0 else number}" + (f" of kernel {kernel}" if several else "")
            rank = p if p >= 0 else len(self.who)
            track = file.track(name, physical if p >= 0 else virtual, rank)
            self.names.append(name if p >= 0 else f"virtual {name}")
            self.who.append(track)
            self.mode.append(file.track("mode", track, 0))
            self.interrupts.append(file.track("interrupts", track, 1))
        self.handlers = [_handlers(state, int(state.m[v + at.V_INSTANCE])) for v in state.virtuals]
        self.runs: list[tuple[str, int, int] | None] = [None] * len(state.virtuals)
        self.open: dict[int, list[bool]] = {}

    def spent(self, virtual: int, who: int, mode: int, begin: int, end: int) -> None:
        """A virtual processor spent some time in a mode."""
        self.file.whole(self.mode[virtual], begin, end, MODES[mode], {})
        if mode == at.STOLEN:
            self._tell(virtual)
            return
        name = self.names[who] if mode == at.GUEST else self.places.context(who)
        runs = self.runs[virtual]
        if runs is not None and runs[0] == name and runs[2] == begin:
            self.runs[virtual] = (name, runs[1], end)
        else:
            self._tell(virtual)
            self.runs[virtual] = (name, begin, end)

    def _tell(self, virtual: int) -> None:
        runs = self.runs[virtual]
        if runs is not None:
            self.file.whole(self.who[virtual], runs[1], runs[2], runs[0], {})
            self.runs[virtual] = None

    def read(self, row: Row) -> None:
        """Take notice of an interrupt; one whose handler gives up the processor ends there."""
        t, v, ctx, _, kind, place, _, _ = row
        if kind == at.T_INTERRUPT:
            self.open.setdefault(ctx, []).append(True)
            self.file.begin(self.interrupts[v], t, self.handlers[v].get(place, f"vector {place}"), {})
        elif kind == at.T_RETURN:
            if self.open.get(ctx) and self.open[ctx].pop():
                self.file.end(self.interrupts[v], t)
        else:
            for _ in range(sum(self.open.get(ctx, ()))):
                self.file.end(self.interrupts[v], t)
            self.open[ctx] = [False] * len(self.open.get(ctx, ()))

    def finish(self) -> None:
        for virtual in range(len(self.who)):
            self._tell(virtual)


def _handlers(state: State, instance: int) -> dict[int, str]:
    """Return the names of an instance's interrupt handlers, by vector."""
    starts = {k: int(state.m[instance + at.I_VECTOR + 2 * k]) for k in range(at.VECTORS)}
    return {vector: state.binary.where[row] for vector, row in starts.items() if row >= 0}


class _Calls:
    """Tracks of the processes: their system calls and page faults."""

    def __init__(self, state: State, file: TraceFile, places: Places, processes: list[int]) -> None:
        self.state, self.file, self.places = state, file, places
        self.workload = set(processes)
        self.parents = file.track("Processes", rank=2), file.track("Kernel's processes", rank=3)
        self.tracks: dict[int, Track] = {}
        self.away: dict[int, int] = {}

    def read(self, row: Row) -> None:
        """Take notice of a call that begins or ends, and of when a context ran last."""
        t, _, ctx, _, kind, place, _, _ = row
        if kind == at.T_SWITCH:
            self.away[ctx] = t
        elif kind == at.T_CALL:
            name = CALLS[place] if 0 <= place < len(CALLS) else f"call {place}"
            self.file.begin(self._track(ctx), t, name, {})
        else:
            self.file.end(self._track(ctx), t)

    def _track(self, ctx: int) -> Track:
        if ctx not in self.tracks:
            parent = self.parents[ctx not in self.workload]
            self.tracks[ctx] = self.file.track(self.places.context(ctx), parent, len(self.tracks))
        return self.tracks[ctx]

    def finish(self) -> None:
        """End the call in which each process ended when that gave up its processor for good."""
        for ctx, track in self.tracks.items():
            if 0 < int(self.state.m[ctx + at.C_DONE]) <= self.away.get(ctx, -1):
                self.file.end(track, self.away[ctx])


class _Hold(NamedTuple):
    since: int
    ctx: int
    pc: int
    lane: int


class _Wait(NamedTuple):
    since: int
    pc: int
    lane: int
    holder: str
    slept: bool


class _Lanes:
    """Tracks of one name side by side, so that slices that overlap are each on their own."""

    def __init__(self, file: TraceFile, parent: Track, name: str, rank: int) -> None:
        self.make = partial(file.track, name, parent, rank)
        self.tracks: list[Track] = []
        self.free: list[int] = []

    def take(self) -> int:
        if not self.free:
            self.tracks.append(self.make())
            return len(self.tracks) - 1
        self.free.sort(reverse=True)
        return self.free.pop()


class _Locks:
    """Tracks of the lock classes: holds and waits."""

    def __init__(self, state: State, file: TraceFile, places: Places) -> None:
        self.state, self.file, self.places = state, file, places
        names = state.binary.locks
        root = file.track("Locks", rank=4)
        parents = [file.track(name, root, rank) for rank, name in enumerate(sorted(names))]
        of = dict(zip(sorted(names), parents, strict=True))
        self.held_on = [_Lanes(file, of[name], "held", 0) for name in names]
        self.waits_on = [_Lanes(file, of[name], "waited for", 1) for name in names]
        self.sleeps = [state.program.locks[name].sleeps for name in names]
        code = enumerate(state.binary.code.tolist())
        self.lets_all_go = {
            k for k, row in code if row[0] == op.ACQUIRE or (row[0] == op.RELEASE and row[6] >= 0)
        }
        self.depth: dict[tuple[int, int], int] = {}
        self.holds: dict[tuple[int, int], list[_Hold]] = {}
        """By object and offset: who holds the lock, several if they share it."""
        self.waits: dict[tuple[int, bool], tuple[int, int, int, _Wait]] = {}
        self.interrupted: dict[int, list[tuple[int, int, int, _Wait] | None]] = {}
        self.classes: dict[tuple[int, int], int] = {}

    def read(self, row: Row) -> None:
        """Take notice of what happens to a lock, or of an interrupt, which has waits of its own."""
        t, _, ctx, pc, kind, place, offset, value = row
        if kind == at.T_ACQUIRE:
            self._acquire(t, ctx, pc, place, offset, value)
        elif kind == at.T_RELEASE:
            self._release(t, ctx, pc, (place, offset), value)
        elif kind == at.T_DEPTH:
            self.depth[place, offset] = value
        elif kind == at.T_WAIT:
            if (ctx, self.sleeps[value >> 1]) not in self.waits:
                self._wait(t, ctx, pc, place, offset, value)
        elif kind == at.T_BLOCK:
            *where, wait = self.waits[ctx, True]
            self.waits[ctx, True] = (where[0], where[1], where[2], wait._replace(slept=True))
        elif kind == at.T_INTERRUPT:
            self.interrupted.setdefault(ctx, []).append(self.waits.pop((ctx, False), None))
        elif self.interrupted.get(ctx):
            before = self.interrupted[ctx].pop()
            if before is not None:
                self.waits[ctx, False] = before

    def _wait(self, t: int, ctx: int, pc: int, place: int, offset: int, value: int) -> None:
        cls = value >> 1
        holders = self.holds.get((place, offset))
        who = "nobody" if not holders else self.places.context(holders[0].ctx)
        if holders and len(holders) > 1:
            who += f" and {len(holders) - 1} more"
        wait = _Wait(t, pc, self.waits_on[cls].take(), who, False)
        self.waits[ctx, self.sleeps[cls]] = (cls, place, offset, wait)

    def _acquire(self, t: int, ctx: int, pc: int, place: int, offset: int, value: int) -> None:
        cls, lock = value >> 1, (place, offset)
        if not value & 1 and self.depth.get(lock):
            self.depth[lock] += 1  # a recursive lock, held already
            return
        waited = self.waits.pop((ctx, self.sleeps[cls]), None)
        if waited is not None:
            self._waited(t, ctx, *waited)
        if not value & 1:
            self.depth[lock] = 1
        self.classes[lock] = cls
        self.holds.setdefault(lock, []).append(_Hold(t, ctx, pc, self.held_on[cls].take()))

    def _release(self, t: int, ctx: int, pc: int, lock: tuple[int, int], value: int) -> None:
        if not value & 1:
            self.depth[lock] = 0 if pc in self.lets_all_go else max(self.depth.get(lock, 0) - 1, 0)
            if self.depth[lock]:
                return
            del self.depth[lock]
        holds = self.holds.get(lock)
        if not holds:
            return
        mine = next((k for k, hold in enumerate(holds) if hold.ctx == ctx), 0)
        self._held(t, lock, holds.pop(mine), "shared" if value & 1 else "exclusive")
        if not holds:
            del self.holds[lock]

    def _held(self, t: int, lock: tuple[int, int], hold: _Hold, how: str) -> None:
        lanes = self.held_on[self.classes[lock]]
        lanes.free.append(hold.lane)
        self.file.whole(lanes.tracks[hold.lane], hold.since, t, self.places.object(lock[0]), {
            "holder": self.places.context(hold.ctx), "in": self.places.binary.where[hold.pc], "how": how,
        })  # fmt: skip

    def _waited(self, t: int, ctx: int, cls: int, place: int, offset: int, wait: _Wait) -> None:
        lanes = self.waits_on[cls]
        lanes.free.append(wait.lane)
        self.file.whole(lanes.tracks[wait.lane], wait.since, t, self.places.object(place), {
            "waiter": self.places.context(ctx), "holder": wait.holder,
            "in": self.places.binary.where[wait.pc], "how": "sleeps" if wait.slept else "spins",
        })  # fmt: skip

    def finish(self, time: int) -> None:
        """Write what is still held and waited for."""
        for (ctx, _), waited in self.waits.items():
            self._waited(time, ctx, *waited)
        for lock, holds in self.holds.items():
            for hold in holds:
                self._held(time, lock, hold, "still held")
