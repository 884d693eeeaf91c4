"""The engine beside SimPy on four models, with the same makespans; and its cost per step at 1024 processors.

    python benchmarks/engine_simpy.py [--operations 20000] [--repeat 5] [--many 1024]

Each of M processors does operations: it computes, takes one of K locks, computes, and releases it. The
models are programs of lockscape's language and processes of SimPy; locks are handed over in order of arrival,
and what happens at the same time goes in order of the processors' numbers (SimPy's events get that as their
priority). A *step* is a computation, an acquisition or a release of the model. CPU time is measured, in turn;
medians and the median ratio of the pairs are printed. SimPy runs a tenth of the operations: once with the
rule for ties, when the makespans must agree, and timed without it, which is faster.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from lockscape.machine import layout as at
from lockscape.machine.execute import execute
from lockscape.machine.state import Hardware, Instance, State
from lockscape.program.assemble import Program, assemble
from lockscape.program.language import (
    exit_process,
    function,
    grant,
    granted,
    halt,
    hold,
    mask,
    send,
    step,
    the,
    this_cpu,
    unmask,
)  # fmt: skip
from lockscape.program.locks import LockClass
from lockscape.program.lower import lower
from lockscape.program.objects import Object, layout
from lockscape.program.parse import parse

COSTS = {
    "think": 1000, "work": 100, "part": 77, "sleep": 250, "wake": 130,
    "spinlock_acquire": 0, "spinlock_release": 0, "sema_acquire": 0, "sema_release": 0,
}  # fmt: skip
SIGNAL = 60


# --- the models in lockscape's language ------------------------------------------------------------------


class Process(Object):
    context: int
    number: int


class Lock(Object, count="locks"):
    uses: int


class Work(Object, count=1):
    operations: int
    locks: int


@function()
def one_lock() -> None:
    """Operations under the only lock."""
    n = the(Work).operations
    lock: Lock = the(Lock, 0)
    while n > 0:
        step("think")
        with hold("lock", lock):
            step("work")
        n -= 1
    stop()


@function()
def many_locks() -> None:
    """Operations under one lock after the other, each processor from its own on."""
    n = the(Work).operations
    locks = the(Work).locks
    last = this_cpu() * 7
    n += last
    while n > last:
        step("think")
        lock: Lock = the(Lock, n % locks)
        with hold("lock", lock):
            step("work")
        n -= 1
    stop()


@function()
def thirteen_steps() -> None:
    """The same with eleven computations: before, under and after the lock."""
    n = the(Work).operations
    locks = the(Work).locks
    last = this_cpu() * 7
    n += last
    while n > last:
        step("think")
        step("part")
        step("part")
        step("part")
        lock: Lock = the(Lock, n % locks)
        with hold("lock", lock):
            step("work")
            step("part")
            step("part")
            step("part")
        step("part")
        step("part")
        step("part")
        n -= 1
    stop()


@function()
def stop() -> None:
    """End this processor's work."""
    exit_process()
    while True:
        mask()
        halt()


@function("hook")
def block() -> None:
    """Fall asleep until the lock has been given: only that interrupts the processor."""
    step("sleep")
    mask()
    if granted():
        unmask()
    else:
        halt()


@function("hook")
def wake(sleeper: Process) -> None:
    """Signal the processor whose process it is."""
    grant(sleeper)
    step("wake")
    send(sleeper.number, 0)


@function("interrupt")
def signal() -> None:
    """To be interrupted is enough."""


@function("entry")
def no_call(number: int) -> int:
    """There is no user mode."""
    return number


@dataclass(frozen=True)
class Model:
    """One model: its name, its program, K, M, steps of an operation, and whether its lock sleeps."""

    name: str
    source: Callable[[], None]
    locks: int
    processors: int
    steps: int
    sleeps: bool = False


MODELS = (
    Model("spin lock, K=1, M=8", one_lock, 1, 8, 4),
    Model("spin locks, K=64, M=8", many_locks, 64, 8, 4),
    Model("sleeping mutex, K=1, M=8", one_lock, 1, 8, 4, sleeps=True),
    Model("13 steps, K=64, M=8", thirteen_steps, 64, 8, 13),
)


def build(model: Model, operations: int) -> State:
    """Assemble a model and put it onto a machine on which nothing else costs time."""
    lock = LockClass("lock", "Lock", "sema" if model.sleeps else "spinlock", fair=True)
    sources = (model.source, stop, block, wake, signal, no_call)
    functions = {f.__name__: lower(parse(f, {}), {"lock": lock}, False) for f in sources}
    shapes = {c.__name__: layout(c, ("lock",) if c is Lock else ()) for c in (Process, Lock, Work)}
    program = Program(functions, shapes, {"lock": lock})
    hardware = Hardware(
        model.processors, transfer=0, memory=0, upgrade=0, handover=0, signal=SIGNAL, devices=()
    )
    instance = Instance(
        model.processors, "no_call", {0: "signal"}, model.source.__name__, "block", "wake",
        {"locks": model.locks},
    )  # fmt: skip
    state = State(
        program, assemble(program, COSTS.__getitem__), hardware, [instance], np.zeros((1, 1), np.int64)
    )
    for number, context in enumerate(state.contexts):
        state.counted(context)
        state.set(int(state.m[context + at.C_PROCESS]), number=number)
    state.set(state.system("Work"), operations=operations, locks=model.locks)
    return state


# --- the models in SimPy ---------------------------------------------------------------------------------

Steps = Generator[simpy.Event, Any, None]


class Tied(simpy.Environment):
    """SimPy with lockscape's rule for ties: events at one time in the order of their processes' numbers.

    SimPy's own order is that of their making. It is faster, and what is timed; this one gives the makespan.
    """

    def schedule(self, event: simpy.Event, priority: Any = 1, delay: Any = 0) -> None:
        """Queue an event, with the number of the process that it lets go on as its priority."""
        process = getattr(event, "proc", None) or getattr(event, "process", None) or self.active_process
        number = int(getattr(process, "name_number", 0))
        super().schedule(event, number, delay)  # type: ignore[arg-type]


def spin_operations(
    env: simpy.Environment, number: int, model: Model, locks: list[simpy.Resource], n: int
) -> Steps:
    """Do the operations of one processor under spin locks: waiting costs a processor, but no event."""
    k = n + 7 * number
    while n > 0:
        yield env.timeout(1000)
        with locks[k % model.locks].request() as lock:
            yield lock
            yield env.timeout(100)
        k -= 1
        n -= 1


def thirteen_operations(
    env: simpy.Environment, number: int, model: Model, locks: list[simpy.Resource], n: int
) -> Steps:
    """The same with eleven computations."""
    k = n + 7 * number
    while n > 0:
        yield env.timeout(1000)
        yield env.timeout(77)
        yield env.timeout(77)
        yield env.timeout(77)
        with locks[k % model.locks].request() as lock:
            yield lock
            yield env.timeout(100)
            yield env.timeout(77)
            yield env.timeout(77)
            yield env.timeout(77)
        yield env.timeout(77)
        yield env.timeout(77)
        yield env.timeout(77)
        k -= 1
        n -= 1


def sleeping_operations(
    env: simpy.Environment, number: int, model: Model, locks: list[simpy.Resource], n: int
) -> Steps:
    """Do the operations of one processor under a sleeping mutex."""
    mutex = locks[0]
    while n > 0:
        yield env.timeout(1000)
        lock = mutex.request()
        if lock.triggered:
            yield lock
        else:
            yield env.timeout(250)
            if not lock.triggered:
                yield lock
                yield env.timeout(130 + 60)
        yield env.timeout(100)
        waits = bool(mutex.queue)
        mutex.release(lock)
        if waits:
            yield env.timeout(130)
        n -= 1


def simpy_run(model: Model, operations: int, env: simpy.Environment) -> int:
    """Run a model in SimPy; return its makespan."""
    locks = [simpy.Resource(env) for _ in range(model.locks)]
    body = (
        sleeping_operations if model.sleeps else thirteen_operations if model.steps == 13 else spin_operations
    )
    done = []
    for number in range(model.processors):
        process = env.process(body(env, number, model, locks, operations))
        process.name_number = number  # type: ignore[attr-defined]
        done.append(process)
    env.run(simpy.AllOf(env, done))
    return int(env.now)


# --- measuring -------------------------------------------------------------------------------------------


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of a call, and what it gave."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def lockscape_run(model: Model, operations: int) -> tuple[float, State]:
    """Run a model; return its CPU seconds and the machine."""
    state = build(model, operations)
    took, stopped = timed(lambda: execute(state))
    if stopped.reason != at.REASON_DONE:
        sys.exit(f"{model.name}: {stopped.text}")
    return took, state


def compare(model: Model, operations: int, repeat: int) -> float:
    """Print both speeds on one model; return the ratio. Exit if the makespans differ."""
    fewer = max(operations // 10, 10)
    _, checked = lockscape_run(model, fewer)
    makespan, other = int(checked.m[at.H_TIME]), simpy_run(model, fewer, Tied())
    if makespan != other:
        sys.exit(f"{model.name}: makespan {makespan} in lockscape, {other} in SimPy")
    ours, theirs = [], []
    for _ in range(repeat):
        took, state = lockscape_run(model, operations)
        ours.append(model.processors * operations * model.steps / took / 1e6)
        took, _ = timed(lambda: simpy_run(model, fewer, simpy.Environment()))
        theirs.append(model.processors * fewer * model.steps / took / 1e6)
    rows = int(state.m[at.H_STEPS]) / (model.processors * operations)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    mine = statistics.median(ours)
    print(
        f"{model.name:28} {mine:9.2f} {statistics.median(theirs):8.3f} M steps/s {ratio:6.1f} times"
        f"   ({rows:.1f} instructions an operation, {mine / model.steps * rows:.1f} M/s)"
    )
    return ratio


def many_processors(operations: int, repeat: int, many: int) -> float:
    """Print the cost of a step on many processors beside that on 8, with 8 locks a processor."""
    seconds = {}
    for processors in (8, many):
        model = Model("", many_locks, 8 * processors, processors, 4)
        share = max(operations * 8 // processors, 10)
        best = min(lockscape_run(model, share)[0] for _ in range(repeat))
        seconds[processors] = best / (processors * share * model.steps)
    ratio = seconds[many] / seconds[8]
    print(
        f"a step costs {seconds[8] * 1e9:.1f} ns on 8 processors, "
        f"{seconds[many] * 1e9:.1f} ns on {many}: {ratio:.1f} times"
    )
    return ratio


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operations", type=int, default=20_000, help="operations of each processor")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--many", type=int, default=1024, help="processors of the large machine")
    args = parser.parse_args()
    print(f"{'':28} lockscape    SimPy")
    ratios = [compare(model, args.operations, args.repeat) for model in MODELS]
    print(f"lockscape is at least {min(ratios):.0f} times as fast as SimPy {simpy.__version__}")
    many_processors(args.operations, args.repeat, args.many)


if __name__ == "__main__":
    main()
