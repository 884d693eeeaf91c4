"""Locks that cost nothing: by hand, beside SimPy without the lock, and that what they protect stays whole."""

import numpy as np
import pytest
import simpy

from engine_tools import FREE, Machine, assert_cycles_add_up, elapsed, program, statistic, stop
from lockscape.machine import layout as at
from lockscape.machine.execute import execute
from lockscape.machine.state import Hardware, State
from lockscape.program.language import function, hold, next_operation, operand, pause, step, the, this_cpu
from lockscape.program.locks import LockClass
from lockscape.program.objects import Object
from test_engine_locks import block, contend, got, lock_of, machine, part, wake, wake_up

STEP = 1000
COSTLY = Hardware(8, transfer=150, memory=0, upgrade=30, handover=20, signal=0)


def contended(lock: LockClass, cpus: int, hardware: Hardware, arrive: int = 0) -> State:
    """Return the state after each processor did a step of `STEP` cycles under one lock."""
    costs = {"arrive": arrive, "inside": STEP, f"{lock.kind}_acquire": 40, f"{lock.kind}_release": 20}
    made = machine(lock, contend, block, wake, wake_up, idle="contend", cpus=cpus, block="block", wake="wake",
                   vectors={0: "no_interrupt", 1: "wake_up"}, costs=costs, hardware=hardware)  # fmt: skip
    state: State = made.run()
    assert_cycles_add_up(state)
    assert part(state, "value") == cpus and part(state, "wrong") == 0
    return state


@pytest.mark.parametrize("cpus", [2, 3, 8])
@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("owner", ["context", "processor"])
def test_steps_under_one_free_lock_take_the_time_of_one(cpus: int, fair: bool, owner: str) -> None:
    """Held it takes each its turn, free all of them at once: c cycles instead of so many times c."""
    lock = LockClass("lock", "Part", "bkl", recursive=True, fair=fair, owner=owner)  # type: ignore[arg-type]
    free = LockClass("lock", "Part", "bkl", recursive=True, fair=fair, owner=owner, free=True)  # type: ignore[arg-type]
    assert elapsed(contended(lock, cpus, FREE)) == cpus * (STEP + 40) + 20  # its release is done after it
    state = contended(free, cpus, FREE)
    assert elapsed(state) == STEP
    assert statistic(state, "lock", at.Q_WAIT) == 0
    assert statistic(state, "lock", at.Q_CONTENDED) == cpus - 1
    assert statistic(state, "lock", at.Q_HELD) == cpus * STEP


@pytest.mark.parametrize("cpus", [2, 5])
def test_who_asks_later_begins_when_it_asks(cpus: int) -> None:
    state = contended(LockClass("lock", "Part", "spinlock", free=True), cpus, FREE, arrive=10)
    assert [got(state, n) for n in range(cpus)] == [10 * n for n in range(cpus)]
    assert elapsed(state) == 10 * (cpus - 1) + STEP


def test_a_free_lock_costs_no_cache_lines_and_no_instructions() -> None:
    """Only the object's own line moves, from each processor to the next."""
    lock = LockClass("lock", "Part", "spinlock", free=True)
    assert elapsed(contended(lock, 1, COSTLY)) == STEP
    assert statistic(contended(lock, 4, COSTLY), "lock", at.Q_BOUNCED) == 0


def test_who_would_sleep_for_a_free_semaphore_looks_once_more() -> None:
    """The holder goes on at the instant; each further one looks a cycle later."""
    state = contended(LockClass("lock", "Part", "sema", free=True), 4, FREE)
    assert statistic(state, "lock", at.Q_SLEPT) == 0
    assert STEP <= elapsed(state) <= STEP + 3 * (1 + FREE.poll)


class Process(Object):
    context: int


class Outer(Object, count=1):
    value: int
    inside: int
    wrong: int


class Inner(Object, count=1):
    value: int


CLASSES = (Process, Outer, Inner)


def everything(kind: str) -> Machine:
    """Return a machine that takes a free lock in every way, with ticks."""
    made: Machine = machine(
        lock_of(kind, False, True), contend, block, wake, wake_up, idle="contend", cpus=4, block="block",
        wake="wake", vectors={0: "no_interrupt", 1: "wake_up"}, costs={"arrive": 10, "inside": 100},
        hardware=COSTLY, cost=3, tick_cycles=90,
    )  # fmt: skip
    return made


@function()
def look_or_change() -> None:
    """Even processors read, odd ones write."""
    outer: Outer = the(Outer)
    if this_cpu() % 2 == 0:
        with hold("outer", outer, "shared"):
            before = outer.value
            step("inside")
            outer.wrong += before != outer.value
    else:
        with hold("outer", outer):
            step("inside")
            outer.value += 1
    stop()


def test_readers_and_writers_of_a_free_lock_wait_for_nobody() -> None:
    made = program([look_or_change], CLASSES, (LockClass("outer", "Outer", "rwlock", free=True),))
    state = Machine(made, "look_or_change", 6, costs={"inside": STEP}).run()
    assert (elapsed(state), statistic(state, "outer", at.Q_WAIT)) == (STEP, 0)
    outer = state.system("Outer")
    assert (state.get(outer, "value"), state.get(outer, "wrong")) == (3, 0)


# --- a lock that is not free inside and beside one that is ------------------------------------------------


@function()
def customer() -> None:
    """Take the inner lock once inside the outer one, and once without."""
    outer: Outer = the(Outer)
    inner: Inner = the(Inner)
    while next_operation() != 0:
        pause(operand(1))
        with hold("outer", outer):
            outer.inside += 1
            outer.wrong += outer.inside != 1
            pause(operand(2))
            with hold("inner", inner):
                before = inner.value
                pause(operand(3))
                inner.value = before + 1
            pause(operand(4))
            outer.value += 1
            outer.inside -= 1
        pause(operand(5))
        with hold("inner", inner):
            before = inner.value
            pause(operand(6))
            inner.value = before + 1
    stop()


def customers(work: np.ndarray, kind: str, free: bool) -> State:
    """Return the state after processors did `work`: cycles, of shape (processors, operations, 6)."""
    cpus, count, _ = work.shape
    rows = np.concatenate([np.ones((cpus, count, 1), np.int64), work], axis=-1).reshape(-1, 7)
    outer = LockClass("outer", "Outer", kind, recursive=kind == "bkl", free=free)  # type: ignore[arg-type]
    made = program([customer], CLASSES, (outer, LockClass("inner", "Inner", "spinlock")))
    state = Machine(made, "customer", cpus, FREE, work=rows).state()
    for number, context in enumerate(state.contexts):
        state.m[context + at.C_WORK] = number * count
        state.m[context + at.C_WORK_END] = (number + 1) * count
    assert execute(state).reason == at.REASON_DONE
    assert_cycles_add_up(state)
    outer_one, inner_one = state.system("Outer"), state.system("Inner")
    assert (state.get(outer_one, "value"), state.get(outer_one, "wrong")) == (cpus * count, 0)
    assert state.get(inner_one, "value") == 2 * cpus * count
    return state


def modelled(work: np.ndarray, free: bool) -> int:
    """Return how long the same takes in SimPy, where a free lock is not there at all."""
    env = simpy.Environment()
    outer, inner = simpy.Resource(env), simpy.Resource(env)

    def one(rows: np.ndarray):  # type: ignore[no-untyped-def]
        for think, before, within, after, between, alone in rows.tolist():
            yield env.timeout(think)
            if not free:
                asked = outer.request()
                yield asked
            yield env.timeout(before)
            with inner.request() as taken:
                yield taken
                yield env.timeout(within)
            yield env.timeout(after)
            if not free:
                outer.release(asked)
            yield env.timeout(between)
            with inner.request() as taken:
                yield taken
                yield env.timeout(alone)

    for rows in work:
        env.process(one(rows))
    env.run()
    return int(env.now)


@pytest.mark.parametrize("kind", ["spinlock", "bkl"])
@pytest.mark.parametrize(("cpus", "inner"), [(1, 100), (2, 10), (3, 100), (4, 400), (8, 10), (8, 100)])
def test_other_locks_cost_what_they_cost(kind: str, cpus: int, inner: int) -> None:
    """What runs ahead comes to the inner lock in another order than by time: hence not to the cycle."""
    draw = np.random.default_rng(cpus * 1000 + inner)
    work = draw.exponential([2000, 1500, inner, 500, 1000, inner], (cpus, 100, 6)).astype(np.int64)
    held, free = customers(work, kind, False), customers(work, kind, True)
    assert elapsed(held) == pytest.approx(modelled(work, False), rel=0.002)
    assert elapsed(free) == pytest.approx(modelled(work, True), rel=0.03)
    assert elapsed(free) >= int(work.sum(axis=(1, 2)).max())
    assert statistic(free, "outer", at.Q_WAIT) == 0
    if cpus > 2:
        assert elapsed(free) < 0.95 * elapsed(held)
