"""The contract between program and machine: a one-page kernel under each of the seven methods."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import contract_kernel as kernel
import contract_methods as methods
from engine_tools import assert_cycles_add_up, cycles, program, statistic
from lockscape.machine import layout as at
from lockscape.machine.execute import execute
from lockscape.machine.state import Hardware, Instance, State
from lockscape.program.assemble import assemble
from lockscape.program.listing import sites
from lockscape.program.locks import LockClass
from lockscape.program.nodes import Function
from lockscape.program.parse import parse

DIRECTORIES, FILES, PROCESSES = 4, 40, 6
COSTS = {
    "user": 300, "entry": 80, "unlink": 400, "drop": 40, "free": 150, "sum": 60, "look": 120, "schedule": 200, "wake": 100,
    "arrive": 50, "interrupt": 150, "scan": 30, "entry_": 2, "hash": 40, "chain": 5, "message": 90, "cross": 70,
    "exit": 400, "atomic": 40, "cas": 60, "cas2": 90,
}  # fmt: skip
VECTORS = {kernel.TICK: "tick", kernel.RESCHEDULE: "reschedule_interrupt", kernel.DISK: "disk_interrupt"}


def work() -> np.ndarray[Any, Any]:
    return np.array([row for rows in WORK for row in rows], np.int64)


def cost(name: str) -> int:
    return COSTS.get(name, 25)


def hardware(cpus: int) -> Hardware:
    return Hardware(
        cpus, transfer=150, memory=200, upgrade=100, handover=30, signal=600, devices=(kernel.DISK,)
    )


def instance(cpus: int, more: Mapping[int, str] | None = None, native: bool = True, **rest: Any) -> Instance:
    rest.setdefault("tick_cycles", 25_000)
    quantities = {"directories": DIRECTORIES, "run_queues": 2 * cpus, "cells": methods.VIRTUALS}
    vectors = VECTORS | dict(more or {})
    return Instance(cpus, "entry", vectors, "idle", "block", "wake", quantities, native, **rest)


def operations(number: int) -> list[tuple[int, int, int]]:
    """A process looks at and unlinks names of all directories; each name is unlinked by two processes."""
    mine = (number, (number + 1) % PROCESSES)
    names = [(d, name) for d in range(DIRECTORIES) for name in range(FILES) if name % PROCESSES in mine]
    return [(kind, d, name) for d, name in names for kind in (kernel.LOOK, kernel.UNLINK)]


WORK = [operations(n) for n in range(PROCESSES)]


@dataclass(frozen=True)
class Method:
    """A method: its functions, its locks, and what else the machine needs to know."""

    functions: Callable[[], dict[str, Function]]
    locks: tuple[LockClass, ...] = (kernel.DISK_LOCK,)
    atomic: frozenset[tuple[str, str]] = frozenset()
    vectors: Mapping[int, str] = field(default_factory=dict)
    freed: Callable[[State], tuple[int, int]] | None = None
    classes: tuple[type, ...] = kernel.CLASSES
    own_queues: bool = False
    tick_cycles: int = 25_000


def fill(state: State, number: int = 0) -> list[int]:
    """Make the files: an inode with a name in each of two directories."""
    made = []
    names = state.system("Names", 0, number)
    for d in range(0, DIRECTORIES, 2):
        for name in range(FILES):
            inode = state.new("Inode")
            state.set(inode, nlink=2, number=d * FILES + name + 1)
            made.append(inode)
            for place in (d, d + 1):
                state.insert(state.system("Directory", place, number), "names", name, inode)
                state.insert(names, "table", place * 65536 + name, inode)
    return made


def populate(
    state: State, own_queues: bool, number: int = 0, home: Callable[[int], int] = lambda n: n
) -> list[int]:
    """Make the processes and tell each processor its idle process."""
    cpus = int(state.m[state.instances[number] + at.I_CPUS])
    first = int(state.m[state.instances[number] + at.I_VIRTUAL])
    for cpu in range(cpus):
        context = int(state.m[first + cpu * at.VIRTUAL_WORDS + at.V_CONTEXT])
        state.set(state.system("Cpu", cpu, number), idle=int(state.m[context + at.C_PROCESS]))
    made = []
    row = 0
    for n, rows in enumerate(WORK):
        process = state.new("Process")
        context = state.context(process, "start", "postman", at.KERNEL, (row, row + len(rows)), masks=1)
        row += len(rows)
        state.counted(context)
        state.set(process, state=kernel.QUEUED, home=home(n) % cpus)
        queue = state.system("RunQueue", home(n) % cpus if own_queues else 0, number)
        if "top" in state.class_of(queue).fields:
            state.set(process, below=state.get(queue, "top"))
            state.set(queue, top=process)
        state.insert(queue, "tasks", process, process)
        made.append(process)
    return made


def build(method: Method, cpus: int, traced: bool = False) -> tuple[State, list[int]]:
    made = program(method.functions(), method.classes, method.locks, method.atomic)
    binary = assemble(made, cost, traced)
    state = State(
        made,
        binary,
        hardware(cpus),
        [instance(cpus, method.vectors, tick_cycles=method.tick_cycles)],
        work(),
        1 << 19,
    )
    fill(state)
    return state, populate(state, method.own_queues)


def finish(state: State) -> None:
    stopped = execute(state, until=500_000_000)
    assert stopped.reason == at.REASON_DONE, stopped


def pooled(state: State) -> tuple[int, int]:
    """Return how many inodes the free list has and what their numbers sum up to; the totals must agree."""
    inodes = [value for _, value in state.items(state.system("FreeList"), "inodes")]
    totals = state.system("Totals")
    assert state.get(totals, "freed") == len(inodes)
    assert state.get(totals, "numbers") == sum(state.get(i, "number") for i in inodes)
    return len(inodes), state.get(totals, "numbers")


def stacked(state: State) -> tuple[int, int]:
    """The same for the free list that is a stack."""
    inode, numbers = state.get(state.system("FreeList"), "top"), []
    while inode:
        numbers.append(state.get(inode, "number"))
        inode = state.get(inode, "below")
    totals = state.system("Totals")
    assert (state.get(totals, "freed"), state.get(totals, "numbers")) == (len(numbers), sum(numbers))
    return len(numbers), sum(numbers)


def graced(state: State) -> tuple[int, int]:
    """The same for RCU: what waits for its grace period has not been freed yet, the rest has."""
    totals, grace = state.system("Totals"), state.system("Grace")
    waiting = [v for part in ("batch", "later") for _, v in state.items(grace, part)]
    place, freed = int(state.m[state.instances[0] + at.I_SLOT + state.binary.classes.index("Inode")]), 0
    while place:
        freed += 1
        place = int(state.m[place + 4])
    assert freed + len(waiting) == state.get(totals, "freed")
    assert freed > 0
    return state.get(totals, "freed"), state.get(totals, "numbers")


def distributed(state: State) -> tuple[int, int]:
    """The same for free lists and totals of each processor."""
    parts = [state.system("Part", n) for n in range(int(state.m[state.instances[0] + at.I_CPUS]))]
    inodes = [value for p in parts for _, value in state.items(p, "inodes")]
    assert sum(state.get(p, "freed") for p in parts) == len(inodes)
    return len(inodes), sum(state.get(p, "numbers") for p in parts)


def assert_all_gone(state: State, freed: Callable[[State], tuple[int, int]], number: int = 0) -> None:
    for d in range(DIRECTORIES):
        assert state.items(state.system("Directory", d, number), "names") == []
    assert state.items(state.system("Names", 0, number), "table") == []
    numbers = [d * FILES + name + 1 for d in range(0, DIRECTORIES, 2) for name in range(FILES)]
    assert freed(state) == (len(numbers), sum(numbers))


def assert_locks_free(state: State) -> None:
    """Nobody holds or waits for any lock of a system object, except what the scheduler and the tick take: the
    run ends with the last process, while other processors may be in them."""
    for cls, shape in zip(state.binary.classes, state.layouts, strict=True):
        for name, offset in shape.locks.items() if shape.count else ():
            size = int(state.m[state.system(cls) - 1])
            for n in range(size):
                lock = state.system(cls, n) + offset
                held = [int(state.m[lock + k]) for k in (at.L_OWNER, at.L_DEPTH, at.L_READERS, at.L_FIRST)]
                assert held == [0, 0, 0, 0] or name in ("big", "sched", "grace"), (name, n, held)


METHODS: dict[str, Method] = {
    "giant": Method(lambda: kernel.ported(kernel.GIANT), (kernel.DISK_LOCK, kernel.BIG)),
    "coarse": Method(
        lambda: kernel.ported(kernel.COARSE), (kernel.DISK_LOCK, kernel.FILES, kernel.SCHED)
    ),
    "fine": Method(lambda: kernel.ported(kernel.FINE), kernel.FINE_LOCKS),
    "fine with RCU": Method(
        lambda: kernel.ported(
            kernel.RCU, {"forget": kernel.rcu_forget, "tick": kernel.rcu_tick, "quiet": kernel.quiet}
        ),
        kernel.RCU_LOCKS,
        freed=graced,
        tick_cycles=5_000,
    ),
    "lock-free": Method(
        lambda: kernel.ported({}, methods.LOCK_FREE), atomic=methods.LOCK_FREE_ATOMIC, freed=stacked
    ),
    "reimplementation": Method(
        lambda: kernel.ported({}, methods.REIMPLEMENTED),
        (kernel.DISK_LOCK, methods.OBJECT_LOCK),
        methods.REIMPLEMENTED_ATOMIC,
        {kernel.MESSAGE: "wake_messages"},
        distributed,
        own_queues=True,
    ),
}  # fmt: skip


def test_uniprocessor_kernel() -> None:
    state, _ = build(Method(lambda: kernel.ported({})), 1)
    finish(state)
    assert_all_gone(state, pooled)
    assert_cycles_add_up(state)


@pytest.mark.parametrize("cpus", [1, 2, 3, 4])
@pytest.mark.parametrize("name", METHODS)
def test_method(name: str, cpus: int) -> None:
    method = METHODS[name]
    state, processes = build(method, cpus)
    finish(state)
    assert_all_gone(state, method.freed or pooled)
    assert_cycles_add_up(state)
    assert_locks_free(state)
    looks = [state.get(p, "found") for p in processes]
    assert all(0 < n < len(state.work) for n in looks)
    # user time is the same whatever the port, to the cycle: it is not executed twice, nor lost
    user = sum(cycles(state, n)[at.USER] for n in range(cpus))
    assert user == len(state.work) * COSTS["user"]


# --- asymmetric ------------------------------------------------------------------------------------------

MASTER = {kernel.MESSAGE: "message_interrupt", kernel.REPLY: "reply_interrupt"}


def add_server(state: State) -> None:
    """Make the master's server and put it where it sleeps for mail."""
    process = state.new("Process")
    state.context(process, "server", "", at.KERNEL, masks=1)
    queue = state.system("RunQueue", 0)
    state.set(process, state=kernel.QUEUED)
    state.insert(queue, "tasks", process, process)
    state.set(state.system("Mailbox"), server=process)


def asymmetric(instances: list[Instance], processors: int) -> State:
    made = program(
        kernel.ported({}, methods.ASYMMETRIC), kernel.CLASSES, (kernel.DISK_LOCK,), methods.ASYMMETRIC_ATOMIC
    )
    return State(made, assemble(made, cost), hardware(processors), instances, work(), 1 << 19)


@pytest.mark.parametrize("cpus", [1, 2, 3, 4])
def test_master_and_slaves(cpus: int) -> None:
    state = asymmetric([instance(cpus, MASTER)], cpus)
    fill(state)
    add_server(state)
    populate(state, own_queues=True)
    finish(state)
    assert_all_gone(state, pooled)
    assert_cycles_add_up(state)
    assert sum(cycles(state, n)[at.USER] for n in range(cpus)) == len(state.work) * COSTS["user"]


@pytest.mark.parametrize("cpus", [1, 2, 3])
def test_application_kernel(cpus: int) -> None:
    """The processes run on a kernel of their own, which forwards what concerns files to the first kernel."""
    state = asymmetric([instance(1, MASTER), instance(cpus, MASTER, first=1)], cpus + 1)
    fill(state)
    state.set(state.system("Cpu", 0, 0), idle=int(state.m[state.contexts[0] + at.C_PROCESS]))
    add_server(state)
    populate(state, own_queues=True, number=1)
    finish(state)
    assert_all_gone(state, pooled)
    assert_cycles_add_up(state)
    assert cycles(state, 0)[at.USER] == 0
    assert state.get(state.system("Totals", 0, 1), "freed") == 0  # the application kernel has no files


# --- virtualization --------------------------------------------------------------------------------------


def virtualized(cpus: int, hold_cycles: int = 40) -> State:
    """Two virtual processors with the giant kernel on `cpus` physical ones under a hypervisor."""
    guest = kernel.ported(
        kernel.GIANT, {"ask_disk": methods.ask_hypervisor, "kick": methods.kick_by_hypercall}
    )
    host = {n: parse(f, {}) for n, f in methods.HYPERVISOR.items()}
    locks = (kernel.DISK_LOCK, kernel.BIG)
    made = program(guest | host, (*kernel.CLASSES, methods.Slot, methods.Cell), locks)
    vectors = {
        methods.SLICE: "slice_over",
        methods.GUEST_DISK: "device_for_guest",
        methods.KICKED: "slice_over",
    }
    below = Instance(
        cpus, "no_call", vectors, "hypervisor", "no_block", "no_wake", {"cells": methods.VIRTUALS}
    )
    binary = assemble(made, lambda name: hold_cycles if name == "drop" else cost(name))
    state = State(
        made, binary, hardware(cpus), [below, instance(methods.VIRTUALS, native=False)], work(), 1 << 19
    )
    fill(state, 1)
    populate(state, own_queues=False, number=1)
    return state


def totals_of_guest(state: State) -> tuple[int, int]:
    totals = state.system("Totals", 0, 1)
    return state.get(totals, "freed"), state.get(totals, "numbers")


@pytest.mark.parametrize("cpus", [1, 2])
def test_virtualization(cpus: int) -> None:
    state = virtualized(cpus)
    finish(state)
    assert_all_gone(state, totals_of_guest, 1)
    assert_cycles_add_up(state)
    guests = range(cpus, cpus + methods.VIRTUALS)
    assert sum(cycles(state, n)[at.USER] for n in guests) == len(state.work) * COSTS["user"]
    for n in range(cpus):
        # what the hypervisor gave away is what its guests had
        had = sum(sum(cycles(state, g)) - cycles(state, g)[at.STOLEN] for g in guests if g % cpus == n % cpus)
        assert cycles(state, n)[at.GUEST] == had


def test_lock_holder_preemption() -> None:
    """On one physical processor a virtual one spins for a lock whose holder does not run: whole slices are lost."""
    lost = {}
    for cpus in (1, 2):
        state = virtualized(cpus, hold_cycles=5000)
        finish(state)
        most = statistic(state, "big", at.Q_WAIT_MOST)
        spun = sum(cycles(state, n)[at.SPIN] for n in range(cpus, cpus + methods.VIRTUALS))
        lost[cpus] = (spun, most)
    # alone on its processor a holder runs on: nobody waits longer than for a few holds
    assert lost[2][1] < methods.SLICE_CYCLES
    # preempted, its lock is gone for at least the rest of a slice of the other, which spins it away
    assert lost[1][1] >= methods.SLICE_CYCLES
    assert lost[1][0] >= methods.SLICE_CYCLES


# --- what the languages' forms show ----------------------------------------------------------------------


def test_effort_is_counted_at_sites() -> None:
    """The sites of the lock-based methods are those of their rules, acquired and released."""
    from lockscape.program.lower import lower

    def count(rules: dict[str, list[kernel.Rule]], locks: tuple[LockClass, ...]) -> dict[str, int]:
        known = {k.name: k for k in locks}
        total: dict[str, int] = {}
        for f in kernel.ported(rules).values():
            for kind, number in sites(lower(f, known, False), known).items():
                total[kind] = total.get(kind, 0) + number
        return total

    assert count({}, (kernel.DISK_LOCK,)) == {"sema": 2}
    giant = count(kernel.GIANT, (kernel.DISK_LOCK, kernel.BIG))
    assert giant["sema"] == 2 and giant["bkl"] >= 2 * len(kernel.GIANT)
    fine = count(kernel.FINE, kernel.FINE_LOCKS)
    assert set(fine) == {"sema", "spinlock", "rwlock", "seqlock"}
    assert sum(fine.values()) > sum(giant.values())


def test_two_runs_are_the_same_to_the_last_bit() -> None:
    for name in ("fine", "lock-free"):
        memories = []
        for _ in range(2):
            state, _ = build(METHODS[name], 3)
            finish(state)
            memories.append(state.m.tobytes())
        assert memories[0] == memories[1]
