"""The engine's time: interrupts, ties, signals, devices, idle and virtual processors."""

import pytest

from engine_tools import FREE, Machine, assert_cycles_add_up, cycles, elapsed, program, stop
from lockscape.machine import execute as running
from lockscape.machine import layout as at
from lockscape.machine.execute import execute
from lockscape.machine.state import Hardware, Instance, State
from lockscape.program.assemble import assemble
from lockscape.program.language import (
    function,
    guest_time,
    halt,
    instance,
    mask,
    masked,
    now,
    pause,
    request,
    run,
    send,
    send_instance,
    set_timer,
    step,
    the,
    this_cpu,
    trap,
    unmask,
)  # fmt: skip
from lockscape.program.locks import LockClass
from lockscape.program.objects import Object


class Log(Object, count=16):
    """When what happened: written by the test programs, one record for each processor and event."""

    time: int
    order: int
    times: int


class Clock(Object, count=1):
    order: int


CLASSES = (Log, Clock)


@function()
def note_here(number: int) -> None:
    """Write down the time and how many notes there were before."""
    clock: Clock = the(Clock)
    log: Log = the(Log, number)
    log.time = now()
    log.order = clock.order
    log.times += 1
    clock.order += 1


@function("interrupt")
def handler() -> None:
    step("handler")
    note_here(8 + this_cpu())


@function("interrupt")
def other_handler() -> None:
    step("handler")
    note_here(12 + this_cpu())


def machine(*sources, idle="main", **options):
    vectors = {0: "handler", 2: "other_handler"} | options.pop("vectors", {})
    made = program((*sources, note_here, handler, other_handler), CLASSES, options.pop("locks", ()))
    return Machine(made, idle, vectors=vectors, costs={"handler": 30} | options.pop("costs", {}), **options)


def log(state, number):
    place = state.system("Log", number)
    return state.get(place, "time"), state.get(place, "order"), state.get(place, "times")


def times(state, number):
    return log(state, number)[0]


@function()
def split() -> None:
    set_timer(0, 40)
    step("long")
    note_here(0)
    stop()


def test_an_interrupt_splits_a_step_which_keeps_its_remaining_cycles():
    state = machine(split, idle="split", costs={"long": 100}).run()
    assert times(state, 8) == 70
    assert times(state, 0) == 130
    assert cycles(state)[: at.SPIN] == [0, 100, 30]
    assert_cycles_add_up(state)


@function()
def split_twice() -> None:
    set_timer(0, 40)
    set_timer(2, 90)
    step("long")
    note_here(0)
    stop()


@pytest.mark.parametrize("budget", [1, 3, 20_000_000])
def test_two_interrupts_split_a_step(monkeypatch, budget):
    monkeypatch.setattr(running, "BUDGET", budget)
    state = machine(split_twice, idle="split_twice", costs={"long": 100}).run()
    # 40 done, handler to 70, 20 done by 90, handler to 120, 40 left
    assert (times(state, 8), times(state, 12), times(state, 0)) == (70, 120, 160)


@function()
def hides() -> None:
    set_timer(0, 40)
    with masked():
        step("long")
        note_here(0)
    note_here(1)
    stop()


def test_a_masked_interrupt_waits():
    state = machine(hides, idle="hides", costs={"long": 100}).run()
    assert (times(state, 0), times(state, 8), times(state, 1)) == (100, 130, 130)


@function("interrupt")
def opens() -> None:
    set_timer(2, 10)
    step("handler")
    unmask()
    step("handler")
    mask()
    note_here(5)


def test_a_handler_masks_until_it_unmasks():
    state = machine(split, opens, idle="split", costs={"long": 100}, vectors={0: "opens"}).run()
    # at 40 the first, which unmasks at 70: the second (due at 50) to 100, the first to 130, and 60 cycles left
    assert (times(state, 12), times(state, 5), times(state, 0)) == (100, 130, 190)
    assert cycles(state)[at.INTERRUPT] == 90


@function()
def tie() -> None:
    if this_cpu() == 1:
        set_timer(0, 100)
    if this_cpu() == 2:
        request(0, 100, 2)
    step("long")
    note_here(this_cpu())
    stop()


def test_ties_device_then_interrupt_then_processor_number():
    state = machine(tie, idle="tie", cpus=3, costs={"long": 100, "handler": 0}).run()
    # the device's interrupt of processor 2 is raised before anything else happens at that time; an interrupt
    # comes before the code that it interrupts; processors go in order of their numbers
    assert [log(state, n)[:2] for n in (0, 9, 1, 14, 2)] == [(100, 0), (100, 1), (100, 2), (100, 3), (100, 4)]


@function()
def device_first() -> None:
    request(0, 100, 0)
    step("long")
    step("long")
    note_here(this_cpu())
    stop()


def test_a_device_comes_before_a_processor_at_the_same_time():
    state = machine(device_first, idle="device_first", cpus=1, costs={"long": 50, "handler": 7}).run()
    assert times(state, 12) == 107
    assert log(state, 0)[:2] == (107, 1)


@function()
def signals() -> None:
    if this_cpu() == 0:
        step("long")
        send(1, 0)
        note_here(0)
    else:
        mask()
        halt()
        note_here(1)
    stop()


def test_a_signal_takes_its_time_and_ends_a_halt():
    hardware = Hardware(2, 0, 0, 0, 0, signal=25)
    state = machine(signals, idle="signals", cpus=2, hardware=hardware, costs={"long": 100}).run()
    assert (times(state, 0), times(state, 9), times(state, 1)) == (100, 155, 155)
    assert cycles(state, 1) == [0, 0, 30, 0, 125, 0, 0, 0]
    assert_cycles_add_up(state)


@function()
def signals_itself() -> None:
    send(this_cpu(), 0)
    note_here(0)
    stop()


@pytest.mark.parametrize("budget", [1, 2, 20_000_000])
def test_a_signal_without_delay_comes_at_once_whatever_the_budget(monkeypatch, budget):
    monkeypatch.setattr(running, "BUDGET", budget)
    state = machine(signals_itself, idle="signals_itself").run()
    assert (log(state, 8)[:2], log(state, 0)[:2]) == ((30, 0), (30, 1))


@function()
def ticks() -> None:
    step("long")
    note_here(this_cpu())
    mask()
    halt()
    stop()


def test_ticks_are_periodic_and_staggered():
    state = machine(ticks, idle="ticks", cpus=4, costs={"long": 150}, tick_cycles=400).run()
    # each processor's ticks come a quarter of the period after the one before; the first splits a step
    assert [times(state, n) for n in range(4)] == [180, 150, 150, 150]
    assert [times(state, 8 + n) for n in range(4)] == [530, 230, 330, 430]
    assert [log(state, 8 + n)[2] for n in range(4)] == [2, 1, 1, 1]
    assert_cycles_add_up(state)


@function()
def works_on() -> None:
    while True:
        step("long")
        note_here(0)


@pytest.mark.parametrize("until", [0, 1, 99, 100, 101, 1000])
def test_a_run_stops_at_a_time_to_the_cycle_and_goes_on(until):
    state = machine(works_on, idle="works_on", costs={"long": 100}).state()
    stopped = execute(state, until=until)
    assert stopped.reason == at.REASON_TIME
    assert elapsed(state) == until
    # an event at the very time is not executed
    assert log(state, 0)[2] == max(0, (until - 1) // 100)
    assert_cycles_add_up(state)
    execute(state, until=until + 500)
    whole = machine(works_on, idle="works_on", costs={"long": 100}).state()
    execute(whole, until=until + 500)
    assert log(state, 0) == log(whole, 0)
    assert elapsed(state) == until + 500
    assert_cycles_add_up(state)


def test_idle_code_after_a_halt_is_kernel_time():
    @function()
    def wakes() -> None:
        set_timer(0, 50)
        mask()
        halt()
        step("long")
        stop()

    state = machine(wakes, idle="wakes", costs={"long": 100}).run()
    assert cycles(state)[: at.GUEST] == [0, 100, 30, 0, 50]


# --- interrupts that come into a wait --------------------------------------------------------------------


class Pair(Object, count=1):
    first: int
    second: int


@function()
def outer() -> None:
    pair: Pair = the(Pair)
    from_here = this_cpu()
    if from_here == 0:
        take(pair)
    else:
        set_timer(2, 150)
        step("start")
        take(pair)
        note_here(1)
    stop()


@function()
def take(pair: Pair) -> None:
    step("begin")


@function("interrupt")
def waits() -> None:
    step("handler")
    inner(the(Pair))


@function()
def inner(pair: Pair) -> None:
    step("begin")


def nested_machine(fair):
    from lockscape.program.nodes import Hold, Step, Var
    from lockscape.program.parse import parse

    locks = (
        LockClass("one", "Pair", "spinlock", fair=fair, recursive=True),
        LockClass("two", "Pair", "spinlock", fair=fair),
    )
    held = parse(take, {})
    held = held.with_body((
        Hold("two", Var("pair"), "exclusive", (Step("begin"), Hold("one", Var("pair"), "exclusive", (Step("work"),)))),
    ))  # fmt: skip

    nested = parse(inner, {}).with_body((Hold("one", Var("pair"), "exclusive", (Step("handler"),)),))
    made = program((outer, held, waits, nested, note_here, handler, other_handler), (Log, Clock, Pair), locks)
    return Machine(made, "outer", 2, Hardware(2, 0, 0, 0, 0, 0), vectors={0: "handler", 2: "waits"},
                   costs={"begin": 100, "work": 300, "handler": 20, "start": 50})  # fmt: skip


@pytest.mark.parametrize("fair", [False, True])
def test_a_handler_that_waits_does_not_disturb_the_wait_that_it_came_into(fair):
    state = nested_machine(fair).run()
    assert_cycles_add_up(state)
    # processor 0 holds "two" to 400 and "one" from 100 to 400. Processor 1 spins for "two" from 50, is
    # interrupted at 150, spins for "one" from 170, has it from 400 to 420, then takes "two" until 820
    assert times(state, 1) == 820
    assert cycles(state, 1)[: at.IDLE] == [0, 50 + 400, 40, 100 + 230]
    pair = state.system("Pair")
    for offset in state.layouts[2].locks.values():
        lock = pair + offset
        assert [int(state.m[lock + k]) for k in (at.L_OWNER, at.L_DEPTH, at.L_WAITERS, at.L_FIRST)] == [0] * 4


# --- virtual processors ----------------------------------------------------------------------------------


@function()
def host() -> None:
    """Run the guest in slices, counting why it left."""
    while True:
        set_timer(0, 100)
        reason = run(1)
        note_here(reason)
        if reason == 2:
            wait = guest_time(1) - now()
            if wait > 0:
                set_timer(0, wait)
                mask()
                halt()


@function()
def guest() -> None:
    step("long")
    note_here(5)
    set_timer(2, 200)
    mask()
    halt()
    note_here(6)
    trap(7)
    stop()


def test_a_virtual_processor_runs_in_slices_halts_and_traps():
    made = program((host, guest, note_here, handler, other_handler), CLASSES)
    costs = {"long": 250, "handler": 10}
    binary = assemble(made, lambda name: costs[name])
    vectors = {0: "handler", 2: "other_handler"}
    below = Instance(1, "no_call", vectors, "host", "no_block", "no_wake")
    above = Instance(1, "no_call", vectors, "guest", "no_block", "no_wake", native=False)
    state = State(made, binary, FREE, [below, above], [[0]], 1 << 18)
    state.counted(state.contexts[1])
    assert execute(state).reason == at.REASON_DONE
    first = [state.get(state.system("Log", n), "times") for n in range(8)]
    # instance 0 notes: two slices ended by the timer (and one more after the halt), a halt, a trap
    assert first[1] == 2 and first[2] == 1 and first[7] == 1
    assert cycles(state, 1)[at.KERNEL] == 250
    assert cycles(state, 1)[at.STOLEN] > 0
    assert cycles(state, 0)[at.GUEST] == elapsed(state) - cycles(state, 1)[at.STOLEN]
    assert_cycles_add_up(state)


@function()
def host_masked() -> None:
    mask()
    set_timer(0, 100)
    reason = run(1)
    note_here(reason)
    step("after")
    unmask()
    note_here(0)
    stop()


@function()
def endless() -> None:
    while True:
        step("long")


def test_a_hypervisor_that_masks_gets_its_processor_back_and_the_interrupt_later():
    made = program((host_masked, endless, note_here, handler, other_handler), CLASSES)
    costs = {"long": 1000, "handler": 10, "after": 5}
    binary = assemble(made, lambda name: costs[name])
    below = Instance(1, "no_call", {0: "handler"}, "host_masked", "no_block", "no_wake")
    above = Instance(1, "no_call", {0: "handler"}, "endless", "no_block", "no_wake", native=False)
    state = State(made, binary, FREE, [below, above], [[0]], 1 << 18)
    state.counted(state.contexts[0])
    assert execute(state).reason == at.REASON_DONE
    assert (times(state, 1), times(state, 8), times(state, 0)) == (100, 115, 115)


@function()
def two_kernels() -> None:
    if instance() == 0:
        step("long")
        send_instance(1, 0, 0)
    else:
        mask()
        halt()
        note_here(3)
    stop()


def test_a_signal_to_another_instance():
    made = program((two_kernels, note_here, handler, other_handler), CLASSES)
    binary = assemble(made, lambda name: 40)
    specs = [
        Instance(1, "no_call", {0: "handler"}, "two_kernels", "no_block", "no_wake", first=n) for n in (0, 1)
    ]
    state = State(made, binary, Hardware(2, 0, 0, 0, 0, 10), specs, [[0]], 1 << 18)
    for context in state.contexts:
        state.counted(context)
    assert execute(state).reason == at.REASON_DONE
    assert state.get(state.system("Log", 3, 1), "time") == 40 + 10 + 40
    assert state.get(state.system("Log", 3, 0), "time") == 0
    assert_cycles_add_up(state)


@function()
def pauses() -> None:
    pause(1 << 52)
    stop()


def test_a_time_that_never_comes():
    stopped = machine(pauses, idle="pauses").stopped()
    assert stopped.reason == at.REASON_STUCK
