"""Builds and runs tiny programs for the tests of the fault detector."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lockscape.machine import layout as at
from lockscape.machine.execute import Stopped, execute
from lockscape.machine.faults import Detector, Fault, Rules
from lockscape.machine.state import Hardware, Instance, State
from lockscape.program.assemble import Program, assemble
from lockscape.program.language import exit_process, function, halt, masked
from lockscape.program.locks import LockClass
from lockscape.program.lower import lower
from lockscape.program.nodes import Function
from lockscape.program.objects import Object, layout
from lockscape.program.parse import parse


class Process(Object):
    context: int
    state: int


@function("entry")
def no_calls(number: int) -> int:
    return number


@function("interrupt")
def no_tick() -> None:
    return


@function("hook")
def no_block() -> None:
    return


@function("hook")
def no_wake(p: Process) -> None:
    return


@function()
def stop_here() -> None:
    """End this context; its processor idles."""
    exit_process()
    while True:
        with masked():
            halt()


def name_of(source: Callable[..., Any] | Function) -> str:
    return source.name if isinstance(source, Function) else source.__name__


@dataclass
class Machine:
    """A tiny machine. Processor k begins in `idle`; `others` are contexts that start asleep, in a function."""

    functions: Sequence[Callable[..., Any] | Function]
    classes: Sequence[type[Object]]
    idle: Callable[..., Any] | Function
    locks: Sequence[LockClass] = ()
    cpus: int = 2
    others: Sequence[tuple[Callable[..., Any], str, int]] = ()
    entry: Callable[..., Any] | Function = no_calls
    vectors: Mapping[int, Callable[..., Any] | Function] = field(default_factory=dict)
    block: Callable[..., Any] = no_block
    wake: Callable[..., Any] = no_wake
    atomic: frozenset[tuple[str, str]] = frozenset()
    preemptible: bool = False
    quantities: Mapping[str, int] = field(default_factory=dict)
    tick_cycles: int = 0
    costs: Mapping[str, int] = field(default_factory=dict)
    before: Callable[[State], None] | None = None

    def program(self) -> Program:
        """Parse and lower everything."""
        known = dict(Object.declared)
        own = {c.__name__: c for c in (Process, *(c for c in self.classes if c.__name__ != "Process"))}
        Object.declared.update(own)
        try:
            locks = {k.name: k for k in self.locks}
            hooks = (no_calls, no_tick, no_block, no_wake)
            trees = [f if isinstance(f, Function) else parse(f, {}) for f in (*hooks, *self.functions)]
            functions = {f.name: lower(f, locks, self.preemptible) for f in trees}
            layouts = {
                n: layout(c, tuple(k.name for k in locks.values() if k.object == n)) for n, c in own.items()
            }
        finally:
            Object.declared.clear()
            Object.declared.update(known)
        return Program(functions, layouts, locks, self.atomic)

    def state(self) -> State:
        """Build the machine's memory."""
        binary = assemble(self.program(), lambda name: self.costs.get(name, 100), traced=True)
        vectors = {0: no_tick.__name__} | {k: name_of(f) for k, f in self.vectors.items()}
        instance = Instance(
            self.cpus, name_of(self.entry), vectors, name_of(self.idle), self.block.__name__, self.wake.__name__,
            dict(self.quantities), tick_cycles=self.tick_cycles,
        )  # fmt: skip
        hardware = Hardware(self.cpus, transfer=30, memory=40, upgrade=20, handover=5, signal=50)
        state = State(self.program(), binary, hardware, [instance], np.zeros((1, 1), np.int64), 1 << 19)
        for first, main, mode in self.others:
            state.context(state.new("Process"), first.__name__, main, mode)
        for context in state.contexts:
            state.counted(context)
        if self.before is not None:
            self.before(state)
        return state


@dataclass
class Seen:
    """What a run showed."""

    detector: Detector
    state: State
    stopped: Stopped
    rows: np.ndarray[Any, Any]

    @property
    def faults(self) -> list[Fault]:
        return self.detector.faults

    @property
    def kinds(self) -> set[str]:
        return {f.kind for f in self.faults}


def run(machine: Machine, rules: Rules | None = None, until: int = at.INFINITY) -> Seen:
    """Run a machine under the detector."""
    state = machine.state()
    detector = Detector(state, rules or Rules(preemptible=machine.preemptible))
    kept: list[np.ndarray[Any, Any]] = []

    def reader(rows: np.ndarray[Any, Any]) -> None:
        kept.append(rows.copy())
        detector.read(rows)

    stopped = execute(state, until=until, reader=reader)
    detector.finish(stopped)
    rows = np.concatenate(kept) if kept else np.zeros((0, at.TRACE_COLUMNS), np.int64)
    return Seen(detector, state, stopped, rows)
