"""The engine, instruction by instruction: values, branches, objects, calls, and what stops a run."""

import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_tools import FREE, Machine, assert_cycles_add_up, cycles, elapsed, histogram, program
from lockscape.errors import InputError
from lockscape.machine import execute as running
from lockscape.machine import layout as at
from lockscape.machine.costs import CostTable, preset
from lockscape.machine.execute import RunError, execute
from lockscape.machine.latency import bucket
from lockscape.machine.state import Hardware
from lockscape.program import opcodes as op
from lockscape.program.assemble import assemble
from lockscape.program.language import (
    NONE,
    after,
    atomic,
    atomic_depth,
    compare_and_swap,
    compare_and_swap2,
    count,
    cpus,
    current,
    exit_process,
    find,
    find_from,
    first,
    first_free,
    free,
    function,
    guest_time,
    halt,
    hold,
    insert,
    instance,
    interrupted_user,
    mask,
    masked,
    move,
    new,
    next_operation,
    now,
    oldest,
    operand,
    pause,
    position,
    remove,
    request,
    run,
    section,
    send,
    send_instance,
    set_timer,
    step,
    swap,
    switch_to,
    system_call,
    the,
    the_of,
    this_cpu,
    trap,
    unmask,
)  # fmt: skip
from lockscape.program.locks import LockClass
from lockscape.program.nodes import Assign, Binary, Const, Do, Field, Function, Op, Store, The
from lockscape.program.objects import Collection, Object, bitmap, hashed, listed, slotted


class Process(Object):
    context: int
    value: int


class Box(Object, count=4):
    a: int
    b: int
    c: int
    d: int


class Bag(Object, count=1):
    things: Collection = slotted("Thing", base="base", each="each")
    bits: Collection = bitmap(100)
    table: Collection = hashed("Thing", buckets=4)
    line: Collection = listed("Thing")


class Thing(Object):
    a: int
    b: int
    pages: Collection = slotted("Thing")
    used: Collection = bitmap(64)


CLASSES = (Process, Box, Bag, Thing)
LOCKS = (
    LockClass("lock", "Box", "spinlock"), LockClass("sem", "Box", "sema"), LockClass("seq", "Box", "seqlock"),
)  # fmt: skip


def machine(*sources, idle="main", **options):
    return Machine(program(sources, CLASSES, LOCKS), idle, **options)


def box(state, number=0):
    place = state.system("Box", number)
    return tuple(state.get(place, name) for name in "abcd")


# --- values ----------------------------------------------------------------------------------------------

SIGNS = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod,
    "&": operator.and_, "|": operator.or_, "==": operator.eq, "!=": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
NUMBERS = st.integers(-(2**30), 2**30)


def evaluate(expression):
    """Run a function that stores an expression in the first box, b and c being in its variables x and y."""
    place = Field(The("Box", Const(0)), "Box", "a")
    main = Function("main", (), (Store(place, expression), Do(Op("exit_process"))))
    return machine(main)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(SIGNS)), NUMBERS, NUMBERS, st.booleans())
def test_arithmetic_is_pythons(sign, x, y, constant):
    if sign in ("//", "%") and y == 0:
        y = 1
    right = Const(y) if constant else Field(The("Box", Const(1)), "Box", "b")
    made = evaluate(Binary(sign, Field(The("Box", Const(1)), "Box", "a"), right))
    state = made.state()
    state.set(state.system("Box", 1), a=x, b=y)
    assert execute(state).reason == at.REASON_DONE
    assert box(state)[0] == int(SIGNS[sign](x, y))


@pytest.mark.parametrize(("sign", "result"), [("<<", 40), (">>", 1)])
def test_shifts(sign, result):
    main = Function("main", (), (
        Assign("x", Const(5)),
        Store(Field(The("Box", Const(0)), "Box", "a"), Binary(sign, Const(5), Const(3) if sign == "<<" else Const(2))),
        Do(Op("exit_process")),
    ))  # fmt: skip
    assert box(machine(main).run())[0] == result


@function()
def branches() -> None:
    b: Box = the(Box)
    n = 0
    while n < 10:
        n += 1
        if n == 3 or n == 5:
            b.a += 1
        elif n > 7 and not (n == 9 or n == 11):
            b.b += 1
        else:
            b.c += 1
        if n != 9:
            b.d += 2
        if n >= 9:
            break
    exit_process()


def test_branches():
    assert box(machine(branches, idle="branches").run()) == (2, 1, 6, 16)


@function()
def calls() -> None:
    b: Box = the(Box, 2)
    b.a = fibonacci(15)
    b.b = twice(twice(3)) + twice(fibonacci(5))
    nothing(b)
    exit_process()


@function()
def fibonacci(n: int) -> int:
    if n < 2:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


@function()
def twice(n: int) -> int:
    return n * 2


@function()
def nothing(b: Box) -> None:
    b.c -= 4


@pytest.mark.parametrize("traced", [False, True])
def test_calls_recursion_and_inlining(traced):
    made = machine(calls, fibonacci, twice, nothing, idle="calls", traced=traced)
    assert box(made.run(), 2) == (610, 22, -4, 0)
    rows = made.binary().starts  # of a function that stands only where it is called there are no rows
    assert "fibonacci" in rows and ("twice" in rows) is ("nothing" in rows) is traced


@function()
def words() -> None:
    b: Box = the(Box, 1)
    b.a = 7
    b.b = compare_and_swap(b.a, 7, 8) * 10 + compare_and_swap(b.a, 7, 9)
    b.c = swap(b.a, 20)
    other: Box = the(Box, 3)
    other.d = compare_and_swap2(b.a, 20, 21, other.a, 0, 5) * 10 + compare_and_swap2(
        b.a, 21, 1, other.a, 0, 1
    )
    exit_process()


def test_atomic_words():
    state = machine(words, idle="words").run()
    assert box(state, 1) == (21, 10, 8, 0)
    assert box(state, 3) == (5, 0, 0, 10)


@function()
def objects() -> None:
    b: Box = the(Box)
    t: Thing = new(Thing)
    t.a = 5
    t.b = 6
    insert(t.pages, 1, t)
    insert(t.used, 33, 1)
    before = t
    free(t)
    t = new(Thing)
    b.a = (t == before) * 100 + t.a + t.b + count(t.pages) + find(t.used, 33) + find(t.pages, 1)
    insert(t.pages, 2, t)
    b.b = position(t.pages, 2)
    b.c = find(t.used, 33) * 10 + insert(t.used, 33, 1)
    other: Thing = new(Thing)
    b.d = other != t
    exit_process()


def test_a_freed_objects_memory_comes_back_clean():
    state = machine(objects, idle="objects").run()
    assert box(state) == (100, 0, 1, 1)


@function()
def recycles() -> None:
    n = 0
    while n < 3000:
        t: Thing = new(Thing)
        insert(t.pages, n, t)
        insert(t.used, n % 64, 1)
        free(t)
        n += 1
    exit_process()


def test_freed_collections_take_no_new_memory():
    made = machine(recycles, idle="recycles")
    before, after_ = made.state(), made.run()
    grown = int(after_.m[at.H_BREAK]) - int(before.m[at.H_BREAK])
    assert 0 < grown < 1000


@function()
def collections() -> None:
    bag: Bag = the(Bag)
    b: Box = the(Box)
    n = 1
    while n <= 5:
        insert(bag.line, n, n * 10)
        n += 1
    move(bag.line, 2)
    remove(bag.line, 3)
    b.a = first(bag.line) * 100 + oldest(bag.line)
    b.b = after(bag.line, 5) * 1000 + after(bag.line, 2) * 100 + count(bag.line)
    insert(bag.things, 7, 70)
    insert(bag.things, 8, 80)
    b.c = find_from(bag.things, 8, 1) + position(bag.things, 8) * 1000 + position(bag.things, 9) * 100000
    insert(bag.bits, 0, 1)
    b.d = first_free(bag.bits, 0) + find(bag.table, 3)
    exit_process()


def test_collections():
    assert box(machine(collections, idle="collections").run()) == (1001, 20004, 1080 - 100000, 1)


# --- contexts, entries, workloads ------------------------------------------------------------------------


@function("user")
def user() -> None:
    kind = next_operation()
    while kind != 0:
        step("user", operand(1))
        b: Box = the(Box)
        b.a += system_call(kind, operand(1), operand(2))
        kind = next_operation()
    system_call(9, 0, 0)


@function("entry")
def enter(number: int, x: int, y: int) -> int:
    step("kernel")
    b: Box = the(Box)
    b.b += interrupted_user()
    if number == 9:
        exit_process()
        me: Process = the(Box, 1).a
        switch_to(me)
    return x * y


@function()
def main() -> None:
    step("boot")
    b: Box = the(Box, 1)
    b.a = current()
    b.b = cpus() * 100 + this_cpu() * 10 + instance()
    next: Process = the(Box, 1).c
    switch_to(next)
    b.d = now()
    exit_process()


def test_user_mode_system_calls_and_workload_rows():
    work = [[1, 10, 3], [2, 20, 4], [1, 5, 5]]
    made = machine(
        user, enter, main, idle="main", entry="enter", costs={"user": 7, "kernel": 100, "boot": 50}, work=work
    )
    state = made.state()
    process = state.new("Process")
    context = state.context(process, "no_call", "user", at.KERNEL, (0, 3))
    state.counted(context)
    state.m[context + at.C_CALLS] = 1
    state.set(state.system("Box", 1), c=process)
    assert execute(state).reason == at.REASON_DONE
    assert box(state)[:2] == (10 * 3 + 20 * 4 + 5 * 5, 4)
    assert cycles(state)[: at.INTERRUPT] == [35 * 7, 50 + 400]
    assert elapsed(state) == 35 * 7 + 50 + 400
    assert box(state, 1)[1] == 100
    assert box(state, 1)[3] == elapsed(state)
    calls = [histogram(state, at.H_CALLS, kind) for kind in (1, 2)]
    assert calls == [(200, 100, {bucket(100): 2}), (100, 100, {bucket(100): 1})]
    assert_cycles_add_up(state)


# --- what stops a run ------------------------------------------------------------------------------------


@function()
def uses_nothing() -> None:
    t: Thing = NONE
    t.a = 1


@function()
def reads_nothing() -> None:
    t: Thing = NONE
    b: Box = the(Box)
    b.a = t.a


@function()
def divides() -> None:
    b: Box = the(Box)
    b.a = 5 // b.b


@function()
def recurses() -> None:
    recurses()


@function()
def comes_back() -> None:
    return


@function()
def no_such_box() -> None:
    b: Box = the(Box)
    other: Box = the(Box, b.a + 4)
    other.a = 1


@function()
def no_such_bit() -> None:
    bag: Bag = the(Bag)
    insert(bag.bits, 100, 1)


@function()
def no_such_vector() -> None:
    send(0, 8)


@function()
def no_such_cpu() -> None:
    send(3, 0)


@function()
def no_such_instance() -> None:
    send_instance(1, 0, 0)


@function()
def no_such_other_box() -> None:
    b: Box = the_of(Box, 1, 0)
    b.a = 1


@function()
def no_handler() -> None:
    send(0, 5)
    pause(10)
    while True:
        pause(10)


@function()
def no_such_device() -> None:
    request(1, 10, 0)


@function()
def device_twice() -> None:
    request(0, 10, 0)
    request(0, 10, 0)


@function()
def back_in_time() -> None:
    b: Box = the(Box)
    pause(b.a - 1)


@function()
def negative_steps() -> None:
    b: Box = the(Box)
    step("work", b.a - 1)


@function()
def unmasks() -> None:
    unmask()


@function()
def operand_first() -> None:
    b: Box = the(Box)
    b.a = operand(0)


@function()
def traps() -> None:
    trap(1)


@function()
def runs_itself() -> None:
    run(0)


@function()
def runs_no_guest() -> None:
    run(9)


@function()
def asks_no_guest() -> None:
    b: Box = the(Box)
    b.a = guest_time(9)


@function()
def switches_to_nothing() -> None:
    p: Process = NONE
    switch_to(p)


@function()
def switches_to_the_void() -> None:
    p: Process = new(Process)
    switch_to(p)


@function()
def loops() -> None:
    while True:
        b: Box = the(Box)
        b.a += 1


@function()
def sleeps_for_ever() -> None:
    mask()
    halt()


@pytest.mark.parametrize(("source", "reason"), [
    (uses_nothing, at.REASON_NULL), (reads_nothing, at.REASON_NULL), (switches_to_nothing, at.REASON_NULL),
    (switches_to_the_void, at.REASON_NULL), (divides, at.REASON_DIVISION), (recurses, at.REASON_STACK),
    (comes_back, at.REASON_ILLEGAL), (traps, at.REASON_ILLEGAL), (no_such_box, at.REASON_RANGE),
    (no_such_bit, at.REASON_RANGE), (no_such_vector, at.REASON_RANGE), (no_such_cpu, at.REASON_RANGE),
    (no_such_instance, at.REASON_RANGE), (no_such_other_box, at.REASON_RANGE), (no_handler, at.REASON_RANGE),
    (no_such_device, at.REASON_RANGE), (back_in_time, at.REASON_RANGE), (negative_steps, at.REASON_RANGE),
    (operand_first, at.REASON_RANGE), (runs_no_guest, at.REASON_RANGE), (asks_no_guest, at.REASON_RANGE),
    (device_twice, at.REASON_BUSY), (unmasks, at.REASON_UNBALANCED), (runs_itself, at.REASON_RUNNING),
    (sleeps_for_ever, at.REASON_STUCK), (loops, at.REASON_STUCK),
])  # fmt: skip
@pytest.mark.parametrize("traced", [False, True])
def test_faults_of_programs_stop_the_run(source, reason, traced, monkeypatch):
    monkeypatch.setattr(running, "BUDGET", 100_000)
    monkeypatch.setattr(running, "MOST_AT_ONCE", 200_000)
    made = machine(source, idle=source.__name__, cost=10, traced=traced)
    stopped = made.stopped(reader=(lambda rows: None) if traced else None)
    assert stopped.reason == reason
    assert stopped.text
    if reason not in (at.REASON_STUCK,):
        assert source.__name__ in stopped.text  # the row that did it


def test_release_of_a_lock_that_is_free():
    from lockscape.program.nodes import Sync

    releases_it = Function("main", (), (Sync("release", "lock", The("Box", Const(0))),))
    stopped = machine(releases_it).stopped()
    assert stopped.reason == at.REASON_NOT_HELD
    assert "main: RELEASE" in stopped.text


def test_an_operation_that_does_not_exist():
    made = machine(comes_back, idle="comes_back")
    state = made.state()
    state.binary.code[state.binary.starts["comes_back"], 0] = 99
    assert execute(state).reason == at.REASON_ILLEGAL


def test_every_operation_of_the_language_has_a_row():
    """The engine knows each operation that the assembler can emit: none is refused as meaningless."""
    numbers = [v for k, v in vars(op).items() if k.isupper() and isinstance(v, int)]
    codes = sorted(v for v in numbers if v > op.OPTIMISTIC) + list(range(4))
    assert sorted(set(codes)) == list(range(max(codes) + 1))


def test_a_loop_without_time_is_found_although_others_wait(monkeypatch):
    monkeypatch.setattr(running, "BUDGET", 10_000)
    monkeypatch.setattr(running, "MOST_AT_ONCE", 20_000)
    stopped = machine(loops, idle="loops", cpus=3).stopped()
    assert stopped.reason == at.REASON_STUCK
    assert "costs no time" in stopped.text


# --- memory ----------------------------------------------------------------------------------------------


@function()
def grows() -> None:
    bag: Bag = the(Bag)
    n = 0
    while n < 20000:
        t: Thing = new(Thing)
        t.a = n
        step("work")
        insert(bag.things, n, t)
        insert(bag.table, n, t)
        n += 1
    exit_process()


def contents(state):
    bag = state.system("Bag")
    return [[(k, state.get(v, "a")) for k, v in state.items(bag, part)] for part in ("things", "table")]


def test_memory_that_grows_in_mid_run_changes_nothing():
    small = machine(grows, idle="grows", cost=3, words=1 << 18).run()
    large = machine(grows, idle="grows", cost=3, words=1 << 21).run()
    assert len(small.m) > 1 << 18
    assert contents(small) == contents(large)
    for word in (at.H_TIME, at.H_STEPS, at.H_BREAK, at.H_TRANSFERS):
        assert small.m[word] == large.m[word]


@function()
def takes_everything() -> None:
    while True:
        t: Thing = new(Thing)
        t.a = 1


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(running, "MOST_WORDS", 1 << 20)
    with pytest.raises(RunError, match="more than one gigabyte: fewer processes or files"):
        machine(takes_everything, idle="takes_everything").stopped()


def test_the_bound_is_one_gigabyte():
    assert running.MOST_WORDS * 8 == 1 << 30


@pytest.mark.parametrize("budget", [1, 2, 7, 1000])
def test_splitting_a_run_changes_nothing(monkeypatch, budget):
    whole = machine(calls, fibonacci, twice, nothing, idle="calls", cost=3).run()
    monkeypatch.setattr(running, "BUDGET", budget)
    parts = machine(calls, fibonacci, twice, nothing, idle="calls", cost=3).run()
    assert whole.m.tobytes() == parts.m.tobytes()


# --- machines --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "message"), [
    ({"processors": 0}, "0 processors: from 1 to 1024"), ({"processors": 1025}, "1025 processors"),
    ({"transfer": -1}, "transfer = -1: at least 0"), ({"poll": 0}, "poll = 0: at least 1"),
    ({"nodes": 3}, "3 processors in a NUMA node: a power of two"), ({"devices": (9,)}, "interrupt vector 9"),
])  # fmt: skip
def test_impossible_machines(options, message):
    usual = {"processors": 1, "transfer": 0, "memory": 0, "upgrade": 0, "handover": 0, "signal": 0}
    with pytest.raises(InputError, match=message):
        Hardware(**(usual | options))


def test_unknown_costs_are_refused():
    def cost(name):
        raise InputError(f"no cost {name!r}")

    made = machine(grows, idle="grows")
    with pytest.raises(InputError, match="no cost 'work'"):
        assemble(made.program, cost)


@function()
def leaves_preemption() -> None:
    with atomic():
        b: Box = the(Box)
        b.a = atomic_depth()
        with atomic():
            b.b = atomic_depth()
    b.c = atomic_depth()
    with masked(), section("x", b.a):
        b.d = 5
    exit_process()


def test_preemption_is_counted():
    made = Machine(program([leaves_preemption], CLASSES, LOCKS, preemptible=True), "leaves_preemption")
    assert box(made.run()) == (1, 2, 0, 5)
    plain = machine(leaves_preemption, idle="leaves_preemption")
    assert box(plain.run()) == (0, 0, 0, 5)


@function()
def timers() -> None:
    set_timer(0, 100)
    mask()
    halt()
    b: Box = the(Box)
    b.a = now()
    exit_process()


def test_timer():
    state = machine(timers, idle="timers").run()
    assert box(state)[0] == 100
    assert cycles(state)[at.IDLE] == 100
    assert FREE.poll == 50


def test_hold_of_an_unknown_lock():
    @function()
    def holds() -> None:
        with hold("nothing", the(Box)):
            step("work")

    with pytest.raises(InputError, match="no lock 'nothing'; the plan declares: lock, sem, seq"):
        machine(holds, idle="holds")


@function()
def leaves_a_retry() -> int:
    b: Box = the(Box)
    with hold("seq", b, "retry"):
        if b.a == 1:
            return 1
    return 0


@function()
def breaks_inside_a_retry() -> None:
    b: Box = the(Box)
    found = 0
    with hold("seq", b, "retry"):
        while True:
            found += 1
            if found == 3:
                break
    b.a = found
    exit_process()


def test_a_retried_body_is_left_only_at_its_end():
    with pytest.raises(InputError, match="leaves_a_retry: return or break out of a retried body of 'seq'"):
        machine(leaves_a_retry, idle="leaves_a_retry")
    assert box(machine(breaks_inside_a_retry, idle="breaks_inside_a_retry").run())[0] == 3


@pytest.mark.parametrize("what", ["changes", "factors"])
def test_costs_that_do_not_exist_are_refused(what: str) -> None:
    machine = preset("pentium4")
    with pytest.raises(InputError, match=r"'no_such_step'"):
        CostTable(machine, {}, **{what: {"no_such_step": 2}})
    name = machine.cost[0].name
    assert CostTable(machine, {}, factors={name: 2.0}).machine[name] == 2 * machine.cost[0].cycles
