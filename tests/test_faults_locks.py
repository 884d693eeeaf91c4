"""Sleeping while atomic, deadlocks and lock order: each fault by a tiny program, with a twin that is correct."""

# ruff: noqa: SIM117  (programs of the simulator: values only read, one hold for each `with`)

import dataclasses

import pytest

from faults_tools import Machine, Process, run, stop_here
from lockscape.machine import layout as at
from lockscape.machine.faults import Rules
from lockscape.machine.sleeping import own_preemption
from lockscape.machine.waiting import circle, waiting
from lockscape.program.assemble import Program
from lockscape.program.language import (
    current,
    exit_process,
    function,
    halt,
    hold,
    mask,
    masked,
    step,
    switch_to,
    system_call,
    the,
    this_cpu,
    unmask,
)  # fmt: skip
from lockscape.program.locks import LockClass
from lockscape.program.nodes import Binary, Call, Const, Do, Function, If, Op, Return, Sync, The, Var
from lockscape.program.objects import Object

SPIN = LockClass("lock", "Box", "spinlock")
SECOND = LockClass("second", "Box", "spinlock")
THIRD = LockClass("third", "Box", "spinlock")
MASKING = LockClass("lock", "Box", "spinlock", masks=True)
SEMA = LockClass("sema", "Box", "sema")
BKL = LockClass("bkl", "Sched", "bkl", recursive=True, owner="context")
QUEUE = LockClass("queue", "Sched", "spinlock", owner="processor", masks=True)
NESTED = LockClass("own", "Own", "spinlock")


class Box(Object, count=1):
    value: int


class Own(Object, count="cpus"):
    value: int


class Sched(Object, count=1):
    turn: int
    one: Process
    two: Process


CLASSES = (Process, Box, Own, Sched)


# --- a scheduler of two contexts that take turns ----------------------------------------------------------


@function()
def schedule() -> None:
    sched: Sched = the(Sched)
    with hold("bkl", sched, "drop"):
        with hold("queue", sched):
            me: Process = current()
            other: Process = sched.one
            if other == me:
                other = sched.two
            switch_to(other)


@function()
def start() -> None:
    sched: Sched = the(Sched)
    with hold("queue", sched, "arrive"):
        step("arrive")
    unmask()
    second_body()


@function()
def second_body() -> None:
    step("work")
    schedule()
    exit_process()
    while True:
        step("work")
        schedule()


@function()
def sleeps_with_nothing() -> None:
    sched: Sched = the(Sched)
    with hold("bkl", sched):
        step("work")
        schedule()
    schedule()
    stop_here()


@function()
def sleeps_with_lock() -> None:
    box: Box = the(Box)
    with hold("lock", box):
        schedule()
    schedule()
    stop_here()


@function()
def sleeps_masked() -> None:
    with masked():
        schedule()
    schedule()
    stop_here()


@function()
def sleeps_without_preemption() -> None:
    with hold("", 0, "preempt"):
        schedule()
    schedule()
    stop_here()


@function()
def sleeps_in_rcu() -> None:
    with hold("", 0, "rcu"):
        schedule()
    schedule()
    stop_here()


@function()
def keeps_bkl() -> None:
    sched: Sched = the(Sched)
    with hold("bkl", sched):
        with hold("queue", sched):
            other: Process = sched.two
            switch_to(other)
    schedule()
    stop_here()


def who_is_who(state):
    state.set(
        state.system("Sched"),
        one=int(state.m[state.contexts[0] + at.C_PROCESS]),
        two=int(state.m[state.contexts[1] + at.C_PROCESS]),
    )


def two_contexts(body, preemptible=False, vectors=None, **more):
    def before(state):
        who_is_who(state)
        # the second context starts in the middle of a switch, as a new process does
        state.m[state.contexts[1] + at.C_MASK] = 1

    return Machine(
        (stop_here, schedule, start, second_body, body, *(vectors or {}).values()), CLASSES, body,
        (SPIN, BKL, QUEUE, SEMA), cpus=1, others=((start, "", at.KERNEL),), before=before,
        preemptible=preemptible, vectors=vectors or {}, **more,
    )  # fmt: skip


@pytest.mark.parametrize("preemptible", [False, True])
def test_a_switch_may_pass_the_processors_locks_and_drops_the_bkl(preemptible):
    seen = run(two_contexts(sleeps_with_nothing, preemptible))
    assert seen.faults == []
    assert seen.stopped.reason == at.REASON_DONE


@pytest.mark.parametrize(
    ("body", "why"),
    [(sleeps_with_lock, "holding lock of Box[0]"), (sleeps_masked, "with interrupts masked"),
     (sleeps_in_rcu, "in an RCU read section"), (keeps_bkl, "holding bkl of Sched[0]")],
)  # fmt: skip
def test_sleep_while_atomic(body, why):
    seen = run(two_contexts(body), until=20_000)
    assert "sleep while atomic" in seen.kinds
    assert any(why in f.message for f in seen.faults)


def test_sleep_with_preemption_off():
    seen = run(two_contexts(sleeps_without_preemption, True), until=20_000)
    assert any("with preemption off" in f.message for f in seen.faults)


def test_the_schedulers_own_preemption_is_no_reason():
    def scheduler(*body):
        return Program({"schedule": Function("schedule", (), body)}, {}, {})

    switch = Do(Op("switch_to", (Var("p"),)))
    off, on = Sync("preempt_off"), Sync("preempt_on")
    lock = Sync("acquire", "queue")
    assert own_preemption(scheduler(off, If(Var("p"), (switch,)), on)) == 1
    assert own_preemption(scheduler(off, on, switch)) == 0
    assert own_preemption(scheduler(off, lock, switch)) == 0
    assert own_preemption(scheduler(off, off, lock, switch)) == 1


@function()
def computes() -> None:
    n = 30
    while n > 0:
        n -= 1
        step("work")
    schedule()
    stop_here()


@function("interrupt")
def tick_that_switches() -> None:
    step("tick")
    unmask()
    schedule()
    mask()


def test_switch_in_a_handler_that_came_into_the_kernel():
    ticking = {"vectors": {0: tick_that_switches}, "tick_cycles": 700}
    seen = run(two_contexts(computes, **ticking), until=20_000)
    assert any("in an interrupt handler" in f.message for f in seen.faults)
    seen = run(two_contexts(computes, True, **ticking), until=20_000)
    assert "sleep while atomic" not in seen.kinds


@function()
def sema_under_spin() -> None:
    box: Box = the(Box)
    with hold("lock", box):
        with hold("sema", box):
            step("work")
    schedule()
    schedule()
    stop_here()


@function()
def sema_under_bkl() -> None:
    box: Box = the(Box)
    with hold("bkl", the(Sched)):
        with hold("sema", box):
            step("work")
    schedule()
    schedule()
    stop_here()


def test_sleeping_lock_under_a_spinning_one():
    assert run(two_contexts(sema_under_spin), until=5_000).kinds == {"sleep while atomic"}
    assert run(two_contexts(sema_under_bkl)).faults == []


# --- page faults ------------------------------------------------------------------------------------------


@function("entry")
def fault_entry(number: int) -> int:
    step("fault")
    return 0


@function()
def copies_under_lock() -> None:
    box: Box = the(Box)
    with hold("lock", box):
        system_call(1)
    stop_here()


@function()
def copies_freely() -> None:
    box: Box = the(Box)
    with hold("lock", box):
        step("work")
    system_call(1)
    stop_here()


@pytest.mark.parametrize(
    ("body", "kinds"), [(copies_under_lock, {"page fault while atomic"}), (copies_freely, set())]
)
def test_page_fault_while_atomic(body, kinds):
    machine = Machine((stop_here, fault_entry, body), CLASSES, body, (SPIN,), cpus=1, entry=fault_entry)
    assert run(machine).kinds == kinds


# --- interrupts -------------------------------------------------------------------------------------------


@function("interrupt")
def tick_locks() -> None:
    box: Box = the(Box)
    with hold("lock", box):
        box.value += 1


@function()
def locks_often() -> None:
    box: Box = the(Box)
    n = 3
    while n > 0:
        n -= 1
        with hold("lock", box):
            box.value += 1
        step("work")
    step("long")
    stop_here()


@function()
def locks_once_for_long() -> None:
    box: Box = the(Box)
    with hold("lock", box):
        step("long")
        step("long")
        step("work")
    stop_here()


def ticking(body, lock, tick_cycles):
    return Machine(
        (stop_here, tick_locks, body), CLASSES, body, (lock,), cpus=1, vectors={0: tick_locks}, tick_cycles=tick_cycles,
        costs={"long": 5000},
    )  # fmt: skip


def test_lock_of_a_handler_taken_with_interrupts_allowed():
    seen = run(ticking(locks_often, SPIN, 4000))
    assert seen.kinds == {"self-deadlock"}
    assert "mask interrupts there" in seen.faults[0].message
    assert run(ticking(locks_often, MASKING, 4000)).faults == []


def test_handler_waits_for_what_it_interrupted():
    seen = run(ticking(locks_once_for_long, SPIN, 3000), until=50_000)
    assert seen.kinds == {"self-deadlock", "no progress"}
    assert any(
        "waits for lock of Box[0]" in f.message and "which it took itself" in f.message for f in seen.faults
    )
    assert run(ticking(locks_once_for_long, MASKING, 3000)).faults == []


@function()
def takes_twice() -> None:
    box: Box = the(Box)
    with hold("lock", box):
        with hold("lock", box):
            step("work")
    stop_here()


def test_lock_taken_twice():
    seen = run(Machine((stop_here, takes_twice), CLASSES, takes_twice, (SPIN,), cpus=1))
    assert seen.kinds == {"self-deadlock", "no progress"}
    recursive = LockClass("lock", "Box", "spinlock", recursive=True)
    assert run(Machine((stop_here, takes_twice), CLASSES, takes_twice, (recursive,), cpus=1)).faults == []


@function("interrupt")
def tick_locks_second() -> None:
    with hold("second", the(Box)):
        step("tick")


@function()
def nests_under_handlers_lock() -> None:
    box: Box = the(Box)
    with masked():
        with hold("second", box):
            with hold("third", box):
                step("work")
    with hold("third", box):
        step("work")
    step("long")
    stop_here()


def test_irq_safe_lock_leads_to_an_unsafe_one():
    machine = Machine(
        (stop_here, tick_locks_second, nests_under_handlers_lock), CLASSES, nests_under_handlers_lock, (SECOND, THIRD),
        cpus=1, vectors={0: tick_locks_second}, tick_cycles=3000, costs={"long": 5000},
    )  # fmt: skip
    seen = run(machine)
    assert seen.kinds == {"self-deadlock"}
    assert "under which third is taken" in seen.faults[0].message
    safe = dataclasses.replace(machine, locks=(SECOND, LockClass("third", "Box", "spinlock", masks=True)))
    assert run(safe).faults == []


# --- order ------------------------------------------------------------------------------------------------


@function()
def inverted() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        with hold("lock", box):
            with hold("second", box):
                step("work")
        stop_here()
    step("long")
    with hold("second", box):
        with hold("lock", box):
            step("work")
    stop_here()


@function()
def inverted_by_three() -> None:
    box: Box = the(Box)
    k = this_cpu()
    if k == 0:
        with hold("lock", box):
            with hold("second", box):
                step("work")
    if k == 1:
        step("long")
        with hold("second", box):
            with hold("third", box):
                step("work")
    if k == 2:
        step("long")
        step("long")
        with hold("third", box):
            with hold("lock", box):
                step("work")
    stop_here()


@function()
def in_order() -> None:
    box: Box = the(Box)
    with hold("lock", box):
        with hold("second", box):
            step("work")
    stop_here()


@pytest.mark.parametrize(("body", "cpus", "length"), [(inverted, 2, 2), (inverted_by_three, 3, 3)])
def test_circle_of_lock_classes(body, cpus, length):
    seen = run(
        Machine((stop_here, body), CLASSES, body, (SPIN, SECOND, THIRD), cpus=cpus, costs={"long": 2000})
    )
    assert seen.kinds == {"lock order"}
    assert len(seen.faults[0].places) == length
    assert "in a circle" in seen.faults[0].message


def test_locks_in_order():
    assert run(Machine((stop_here, in_order), CLASSES, in_order, (SPIN, SECOND))).faults == []


@function()
def nests_one_class() -> None:
    first: Own = the(Own, this_cpu())
    second: Own = the(Own, 1 - this_cpu())
    if this_cpu() == 0:
        step("long")
    with hold("own", first):
        with hold("own", second):
            step("work")
    stop_here()


@function()
def nests_in_order() -> None:
    with hold("own", the(Own, 0)):
        with hold("own", the(Own, 1)):
            step("work")
    stop_here()


def test_two_locks_of_one_class():
    def machine(body):
        return Machine((stop_here, body), CLASSES, body, (NESTED,), costs={"long": 2000})

    declared = Rules(nesting=frozenset({"own"}))
    seen = run(machine(nests_in_order))
    assert seen.kinds == {"lock order"}
    assert "declare an order" in seen.faults[0].message
    assert run(machine(nests_in_order), declared).faults == []
    seen = run(machine(nests_one_class), declared)
    assert seen.kinds == {"lock order"}
    assert "own of Own[0]" in seen.faults[0].message and "own of Own[1]" in seen.faults[0].message


def test_two_locks_of_a_group():
    group = [LockClass(name, "Box", "spinlock", group="funnels") for name in ("lock", "second")]
    seen = run(Machine((stop_here, in_order), CLASSES, in_order, group))
    assert seen.kinds == {"lock order"}
    assert "'funnels'" in seen.faults[0].message


# --- no progress ------------------------------------------------------------------------------------------


@function()
def deadlock() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        with hold("lock", box):
            step("work")
            with hold("second", box):
                step("work")
    else:
        with hold("second", box):
            step("work")
            with hold("lock", box):
                step("work")
    stop_here()


def test_who_waits_for_whom():
    seen = run(Machine((stop_here, deadlock), CLASSES, deadlock, (SPIN, SECOND)))
    assert seen.stopped.reason == at.REASON_STUCK
    waits = waiting(seen.state)
    assert [(w.name, w.lock, w.owner, w.spins) for w in waits] == [
        ("idle 0", "second of Box[0]", "idle 1", True), ("idle 1", "lock of Box[0]", "idle 0", True)]  # fmt: skip
    assert {w.context for w in circle(waits)} == set(seen.state.contexts)
    (fault,) = [f for f in seen.faults if f.kind == "no progress"]
    assert "they wait in a circle" in fault.message
    assert "spin_lock(box.second)" in fault.message
    assert seen.kinds == {"lock order", "no progress"}


@function()
def never_released() -> None:
    box: Box = the(Box)
    if this_cpu() == 1:
        step("work")
    with hold("lock", box):
        if this_cpu() == 0:
            exit_process()
            while True:
                with masked():
                    halt()
        step("work")
    stop_here()


def test_lock_that_is_never_released():
    seen = run(Machine((stop_here, never_released), CLASSES, never_released, (SPIN,)))
    assert seen.kinds == {"no progress"}
    (wait,) = waiting(seen.state)
    assert wait.owner == "idle 0" and circle([wait]) == []


@function()
def takes_late() -> None:
    step("long")
    with hold("lock", the(Box)):
        step("work")
    stop_here()


def test_patience():
    machine = Machine((stop_here, takes_late), CLASSES, takes_late, (SPIN,), cpus=1, costs={"long": 5000})
    assert run(machine, Rules(patience_cycles=1000)).kinds == {"no progress"}
    assert run(machine, Rules(patience_cycles=50_000)).faults == []


# --- locks that are kept -----------------------------------------------------------------------------------


@function()
def hand_over() -> None:
    sched: Sched = the(Sched)
    user: Process = sched.two
    switch_to(user)
    stop_here()


@function("entry")
def begin(number: int) -> int:
    step("work")
    return number


@function("user")
def two_calls() -> None:
    system_call(1)
    system_call(2)


@function()
def leave() -> None:
    sched: Sched = the(Sched)
    idle: Process = sched.one
    exit_process()
    switch_to(idle)


LOCK, UNLOCK = Sync("acquire", "lock", The("Box")), Sync("release", "lock", The("Box"))


def entry_that(*steps):
    """An entry that does these steps in its first call and ends the process in its second."""
    last = If(Binary("==", Var("number"), Const(2)), (Do(Call("leave")),))
    return Function("enters", ("number",), (last, *steps, Return(Const(0))), "entry")


@pytest.mark.parametrize(
    ("steps", "kinds"), [((LOCK,), {"lock not released", "sleep while atomic"}), ((LOCK, UNLOCK), set())]
)
def test_lock_kept_on_the_way_to_user_mode(steps, kinds):
    machine = Machine(
        (stop_here, hand_over, begin, two_calls, leave, entry_that(*steps)), CLASSES, hand_over, (SPIN,), cpus=1,
        entry=entry_that(*steps), others=((begin, "two_calls", at.KERNEL),), before=who_is_who,
    )  # fmt: skip
    seen = run(machine)
    assert seen.kinds == kinds
    assert seen.stopped.reason == at.REASON_DONE


@pytest.mark.parametrize(("steps", "kinds"), [((LOCK,), {"lock not released"}), ((LOCK, UNLOCK), set())])
def test_lock_kept_by_a_handler(steps, kinds):
    tick = Function("ticks", (), steps, "interrupt")
    machine = Machine(
        (stop_here, computes_alone, tick), CLASSES, computes_alone, (SPIN,), cpus=1, vectors={0: tick}, tick_cycles=3000,
    )  # fmt: skip
    assert run(machine).kinds == kinds


@function()
def computes_alone() -> None:
    n = 40
    while n > 0:
        n -= 1
        step("work")
    stop_here()
