"""Builds small programs and machines for the tests of the language and the engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lockscape.machine import layout as at
from lockscape.machine.execute import Stopped, execute
from lockscape.machine.state import Hardware, Instance, State
from lockscape.program.assemble import Binary, Program, assemble
from lockscape.program.language import exit_process, function, halt, mask
from lockscape.program.locks import LockClass
from lockscape.program.lower import lower
from lockscape.program.nodes import Function
from lockscape.program.objects import Object, layout
from lockscape.program.parse import parse

Source = Callable[..., Any] | Function


@function()
def stop() -> None:
    """End this context, and let its processor halt."""
    exit_process()
    while True:
        mask()
        halt()


FREE = Hardware(1, transfer=0, memory=0, upgrade=0, handover=0, signal=0)
"""Hardware on which nothing costs anything but what the program computes."""


@function("entry")
def no_call(number: int) -> int:
    return number


@function("interrupt")
def no_interrupt() -> None:
    return


@function("hook")
def no_block() -> None:
    return


@function("hook")
def no_wake(process: int) -> None:
    return


def program(sources: Sequence[Source] | Mapping[str, Source], classes: Sequence[type[Object]],
            locks: Sequence[LockClass] = (), atomic: frozenset[tuple[str, str]] = frozenset(),
            preemptible: bool = False) -> Program:  # fmt: skip
    """Parse and lower functions; a mapping gives them names."""
    known = {k.name: k for k in locks}
    named = sources if isinstance(sources, Mapping) else {_name(s): s for s in sources}
    trees = {n: s if isinstance(s, Function) else parse(s, {}) for n, s in named.items()}
    trees |= {_name(s): parse(s, {}) for s in (no_call, no_interrupt, no_block, no_wake, stop)}
    lowered = {n: replace(lower(f, known, preemptible), name=n) for n, f in trees.items()}
    layouts = {c.__name__: layout(c, tuple(k.name for k in locks if k.object == c.__name__)) for c in classes}
    return Program(lowered, layouts, known, atomic)


def _name(source: Source) -> str:
    return source.name if isinstance(source, Function) else source.__name__


@dataclass(frozen=True)
class Machine:
    """A program on a machine. Every processor begins in `idle`; costs that are not given are `cost` cycles."""

    program: Program
    idle: str
    cpus: int = 1
    hardware: Hardware = FREE
    entry: str = "no_call"
    block: str = "no_block"
    wake: str = "no_wake"
    vectors: Mapping[int, str] = field(default_factory=lambda: {0: "no_interrupt"})
    quantities: Mapping[str, int] = field(default_factory=dict)
    costs: Mapping[str, int] = field(default_factory=dict)
    cost: int = 0
    tick_cycles: int = 0
    work: Any = None
    traced: bool = False
    words: int = 1 << 18

    def binary(self) -> Binary:
        return assemble(self.program, lambda name: self.costs.get(name, self.cost), self.traced)

    def instance(self) -> Instance:
        return Instance(self.cpus, self.entry, self.vectors, self.idle, self.block, self.wake,
                        dict(self.quantities), tick_cycles=self.tick_cycles)  # fmt: skip

    def state(self, counted: bool = True) -> State:
        """Build the memory; with `counted`, the run ends when every idle context has called exit_process()."""
        work = np.zeros((1, 1), np.int64) if self.work is None else self.work
        hardware = replace(self.hardware, processors=max(self.cpus, self.hardware.processors))
        state = State(self.program, self.binary(), hardware, [self.instance()], work, self.words)
        if counted:
            for context in state.contexts:
                state.counted(context)
        return state

    def run(self, **options: Any) -> State:
        """Run to the end, which must be the regular one."""
        state = self.state()
        stopped = execute(state, **options)
        assert stopped.reason == at.REASON_DONE, stopped
        return state

    def stopped(self, **options: Any) -> Stopped:
        """Run until the machine stops and return why."""
        return execute(self.state(), **options)


def cycles(state: State, number: int = 0) -> list[int]:
    """Return a virtual processor's cycles by mode (user, kernel, interrupt, spin, idle, guest, stolen)."""
    v = state.virtuals[number] + at.V_CYCLES
    return [int(x) for x in state.m[v : v + at.MODES]]


def elapsed(state: State) -> int:
    return int(state.m[at.H_TIME])


def statistic(state: State, lock: str, which: int) -> int:
    """Return a statistic (Q_…) of a lock class."""
    place = int(state.m[at.H_STATISTICS]) + state.binary.locks.index(lock) * at.STATISTIC_WORDS
    return int(state.m[place + which])


def assert_cycles_add_up(state: State) -> None:
    """Every (virtual) processor is in some mode at every moment."""
    for number in range(len(state.virtuals)):
        assert sum(cycles(state, number)) == elapsed(state), (number, cycles(state, number))


def histogram(state: State, table: int, number: int) -> tuple[int, int, dict[int, int]]:
    """Return cycles in all, most, and the counts of buckets, of a histogram in a table (H_CALLS, H_EVENTS)."""
    place = int(state.m[table]) + number * at.HISTOGRAM_WORDS
    counts = state.m[place + at.E_BUCKETS : place + at.HISTOGRAM_WORDS]
    some = {int(k): int(counts[k]) for k in np.flatnonzero(counts)}
    return int(state.m[place + at.E_TOTAL]), int(state.m[place + at.E_MOST]), some
