"""The engine's locks: handing over, fairness, readers, sleeping, spinning first, recursion, drop and retake."""

from dataclasses import replace

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_tools import Machine, assert_cycles_add_up, cycles, elapsed, program, statistic, stop
from lockscape.machine import layout as at
from lockscape.machine.state import Hardware
from lockscape.program.language import (
    NONE,
    cpus,
    current,
    function,
    grant,
    granted,
    halt,
    hold,
    mask,
    now,
    send,
    set_timer,
    step,
    switch_to,
    the,
    this_cpu,
    unmask,
)  # fmt: skip
from lockscape.program.locks import LockClass
from lockscape.program.nodes import Body, Hold, If, While
from lockscape.program.objects import Object
from lockscape.program.parse import parse


class Process(Object):
    context: int


class Log(Object, count=16):
    time: int
    got: int


class Part(Object, count=1):
    value: int
    inside: int
    readers: int
    most: int
    wrong: int


class Cpu(Object, count="cpus"):
    idle: Process
    asleep: Process
    woken: int
    depth: int


CLASSES = (Process, Log, Part, Cpu)
NOTHING = Hardware(1, transfer=0, memory=0, upgrade=0, handover=0, signal=0)


def machine(lock, *sources, idle="main", **options):
    locks = (lock,) if isinstance(lock, LockClass) else lock
    made = program((*sources, enter_alone, leave_alone), CLASSES, locks)
    return Machine(made, idle, **({"hardware": NOTHING} | options))


def part(state, name):
    return state.get(state.system("Part"), name)


def got(state, number):
    return state.get(state.system("Log", number), "got")


def assert_free(state, lock):
    place = state.system("Part") + state.layouts[state.binary.classes.index("Part")].locks[lock]
    words = (at.L_OWNER, at.L_DEPTH, at.L_READERS, at.L_FIRST, at.L_LAST, at.L_WAITERS)
    assert [int(state.m[place + k]) for k in words] == [0] * 6


@function()
def enter_alone(p: Part) -> None:
    p.inside += 1
    if p.inside != 1 or p.readers != 0:
        p.wrong += 1


@function()
def leave_alone(p: Part) -> None:
    p.value += 1
    p.inside -= 1


# --- trying ----------------------------------------------------------------------------------------------


@function()
def forward_interrupt(holder: int) -> None:
    log: Log = the(Log, this_cpu())
    log.got = 0 - 1 - holder


@function()
def try_it() -> None:
    p: Part = the(Part)
    step("arrive", this_cpu())
    with hold("lock", p, "forward"):
        log: Log = the(Log, this_cpu())
        log.got = now()
        with hold("lock", p, "forward"):  # again, which the holder may
            step("inside")
    stop()


def tried(env, lock, number, arrive, inside, found):
    """The same in SimPy: who finds the lock taken goes on, and knows who has it."""
    yield env.timeout(arrive * number)
    if lock.users:
        found[number] = -1 - lock.users[0].number
        return
    with lock.request() as mine:
        mine.number, found[number] = number, env.now
        yield env.timeout(inside)


@pytest.mark.parametrize("owner", ["processor", "context"])
@pytest.mark.parametrize(("arrive", "inside"), [(10, 25), (10, 1), (7, 100), (3, 7)])
def test_who_only_tries_a_lock_goes_on_and_is_told_the_holder(owner, arrive, inside):
    lock = LockClass("lock", "Part", "bkl", recursive=True, owner=owner)
    state = machine(
        lock, try_it, forward_interrupt, idle="try_it", cpus=6, costs={"arrive": arrive, "inside": inside}
    ).run()
    env, found = simpy.Environment(), [0] * 6
    resource = simpy.Resource(env)
    for number in range(6):
        env.process(tried(env, resource, number, arrive, inside, found))
    env.run()
    assert [got(state, number) for number in range(6)] == found
    assert sum(cycles(state, number)[at.SPIN] for number in range(6)) == 0
    assert_free(state, "lock")


# --- spinning --------------------------------------------------------------------------------------------


@function()
def contend() -> None:
    """Arrive one after the other, and write down when the lock came."""
    p: Part = the(Part)
    step("arrive", this_cpu())
    with hold("lock", p):
        log: Log = the(Log, this_cpu())
        log.got = now()
        enter_alone(p)
        step("inside")
        leave_alone(p)
    stop()


@pytest.mark.parametrize("fair", [False, True])
def test_a_spin_lock_goes_to_who_waits_first(fair):
    costs = {"arrive": 10, "inside": 100}
    state = machine(
        LockClass("lock", "Part", "spinlock", fair=fair), contend, idle="contend", cpus=4, costs=costs
    ).run()
    assert [got(state, n) for n in range(4)] == [0, 100, 200, 300]
    assert [cycles(state, n)[at.SPIN] for n in range(4)] == [0, 90, 180, 270]
    assert part(state, "wrong") == 0 and part(state, "value") == 4
    assert [statistic(state, "lock", q) for q in (at.Q_ACQUIRED, at.Q_CONTENDED, at.Q_WAIT, at.Q_WAIT_MOST, at.Q_HELD)] \
        == [4, 3, 90 + 180 + 270, 270, 400]  # fmt: skip
    assert_free(state, "lock")
    assert_cycles_add_up(state)


def test_a_handover_costs_a_transfer_and_an_upgrade_and_more_for_each_further_waiter():
    def times(handover):
        hardware = Hardware(4, transfer=50, memory=0, upgrade=3, handover=handover, signal=0)
        costs = {"arrive": 10, "inside": 1000, "spinlock_acquire": 20, "spinlock_release": 5}
        lock = LockClass("lock", "Part", "spinlock")
        state = machine(lock, contend, idle="contend", cpus=4, costs=costs, hardware=hardware).run()
        return [got(state, n) for n in range(4)]

    none, some = times(0), times(7)
    assert none[0] == some[0] == 20
    assert none[1] == 1020 + 50 + 3 + 20  # it reads the line that the first one wrote, then takes it over
    # three wait for the first release, then two, then one
    assert [b - a for a, b in zip(none, some, strict=True)] == [0, 14, 21, 21]


@function()
def interrupted_waiter() -> None:
    p: Part = the(Part)
    if this_cpu() == 1:
        set_timer(0, 50)
    step("arrive", this_cpu())
    with hold("lock", p):
        log: Log = the(Log, this_cpu())
        log.got = now()
        step("inside")
    stop()


@function("interrupt")
def long_handler() -> None:
    step("handler")


@pytest.mark.parametrize("fair", [False, True])
def test_a_waiter_that_is_interrupted_rejoins_the_waiters(fair):
    lock = LockClass("lock", "Part", "spinlock", fair=fair)
    costs = {"arrive": 10, "inside": 100, "handler": 20}
    made = machine(lock, interrupted_waiter, long_handler, idle="interrupted_waiter", cpus=3, costs=costs,
                   vectors={0: "long_handler"})  # fmt: skip
    state = made.run()
    # 1 asks at 10, is interrupted from 50 to 70 and asks again behind 2, which asked at 20
    assert [got(state, n) for n in range(3)] == [0, 200, 100]
    assert statistic(state, "lock", at.Q_CONTENDED) == 2
    assert statistic(state, "lock", at.Q_WAIT) == 190 + 80
    assert_free(state, "lock")


@function()
def given_then_interrupted() -> None:
    p: Part = the(Part)
    if this_cpu() == 1:
        set_timer(0, 120)
    step("arrive", this_cpu())
    with hold("lock", p):
        log: Log = the(Log, this_cpu())
        log.got = now()
        step("inside")
    stop()


@pytest.mark.parametrize(("fair", "times"), [(False, [0, 300, 150]), (True, [0, 170, 320])])
def test_an_interrupt_between_the_handing_over_and_the_holding(fair, times):
    """Given at 100, it would have the lock at 150. An unfair lock goes on to the next; a fair one waits for it."""
    hardware = Hardware(4, transfer=50, memory=0, upgrade=0, handover=0, signal=0)
    lock = LockClass("lock", "Part", "spinlock", fair=fair)
    costs = {"arrive": 10, "inside": 100, "handler": 20}
    # nothing but the handing over costs a transfer: the lines are written by nobody else
    made = machine(lock, given_then_interrupted, long_handler, idle="given_then_interrupted", cpus=3, costs=costs,
                   vectors={0: "long_handler"}, hardware=hardware)  # fmt: skip
    state = made.run()
    assert [got(state, n) for n in range(3)] == times
    assert_free(state, "lock")
    assert_cycles_add_up(state)


@function()
def barge() -> None:
    """Processor 0 takes the lock again at once; 1 has waited meanwhile."""
    p: Part = the(Part)
    n = 3
    while n > 0:
        with hold("lock", p):
            log: Log = the(Log, this_cpu())
            log.got = now()
            step("inside")
        n -= 1
    stop()


def test_a_spin_lock_that_is_waited_for_is_handed_over_not_taken_again():
    state = machine(
        LockClass("lock", "Part", "spinlock"), barge, idle="barge", cpus=2, costs={"inside": 10}
    ).run()
    assert (got(state, 0), got(state, 1)) == (40, 50)


# --- readers ---------------------------------------------------------------------------------------------


@function()
def read_or_write() -> None:
    """Processors 0, 1 and 3 read, 2 writes; they arrive in order."""
    p: Part = the(Part)
    log: Log = the(Log, this_cpu())
    step("arrive", this_cpu())
    if this_cpu() == 2:
        with hold("lock", p):
            log.got = now()
            enter_alone(p)
            step("inside")
            leave_alone(p)
    else:
        with hold("lock", p, "shared"):
            log.got = now()
            if p.inside != 0:
                p.wrong += 1
            step("inside")
    stop()


@pytest.mark.parametrize(("fair", "times"), [(False, [0, 10, 130, 30]), (True, [0, 10, 110, 210])])
@pytest.mark.parametrize("kind", ["rwlock", "rwsem"])
def test_readers_share_and_a_fair_lock_lets_none_past_a_writer(fair, times, kind):
    lock = LockClass("lock", "Part", kind, fair=fair)
    sleeping = kind == "rwsem"
    made = machine(lock, read_or_write, block, wake, wake_up, idle="read_or_write", cpus=4, costs={"arrive": 10, "inside": 100},
                   block="block", wake="wake", vectors={1: "wake_up"} | {0: "no_interrupt"})  # fmt: skip
    state = made.run()
    assert [got(state, n) for n in range(4)] == times
    assert part(state, "wrong") == 0
    assert (statistic(state, "lock", at.Q_SLEPT) > 0) == sleeping
    assert statistic(state, "lock", at.Q_HELD) == 400
    assert_free(state, "lock")


@function("hook")
def block() -> None:
    """A process of this processor alone: halt until the lock has been given."""
    cpu: Cpu = the(Cpu, this_cpu())
    cpu.asleep = current()
    while granted() == 0:
        mask()
        if granted() == 0:
            halt()
        else:
            unmask()
    cpu.asleep = NONE


@function("hook")
def wake(p: Process) -> None:
    """Signal the processor whose process it is."""
    grant(p)
    n = 0
    while n < cpus():
        cpu: Cpu = the(Cpu, n)
        if cpu.asleep == p:
            cpu.woken += 1
            send(n, 1)
        n += 1


@function("interrupt")
def wake_up() -> None:
    """Nothing: to be interrupted is enough."""


# --- sleeping --------------------------------------------------------------------------------------------


@function()
def sleep_for_it() -> None:
    p: Part = the(Part)
    log: Log = the(Log, this_cpu())
    step("arrive", this_cpu())
    with hold("lock", p):
        enter_alone(p)
        step("inside")
        leave_alone(p)
    if this_cpu() == 0:
        with hold("lock", p):
            log.got = now()
            enter_alone(p)
            step("inside")
            leave_alone(p)
    else:
        log.got = now()
    stop()


def sleeping_machine(lock, **options):
    options = {"costs": {"arrive": 10, "inside": 100}, "cpus": 3} | options
    return machine(lock, sleep_for_it, block, wake, wake_up, idle="sleep_for_it", block="block", wake="wake",
                   vectors={0: "no_interrupt", 1: "wake_up"}, **options)  # fmt: skip


def test_a_fair_semaphore_is_handed_over():
    """Processor 0 asks again at 100 but must wait behind 1 and 2."""
    state = sleeping_machine(LockClass("lock", "Part", "sema", fair=True)).run()
    assert [got(state, n) for n in range(3)] == [300, 200, 300]
    assert statistic(state, "lock", at.Q_SLEPT) == 3
    assert part(state, "wrong") == 0
    assert [cycles(state, n)[at.IDLE] for n in range(3)] == [200 + 0, 90 + 200, 180 + 100]
    assert_free(state, "lock")


def test_an_unfair_semaphore_is_free_for_whoever_comes_first():
    """It takes the woken process 30 cycles to come; processor 0 is there at once, twice, and 1 sleeps again."""
    hardware = Hardware(4, transfer=0, memory=0, upgrade=0, handover=0, signal=30)
    state = sleeping_machine(LockClass("lock", "Part", "sema"), hardware=hardware).run()
    assert got(state, 0) == 100
    assert part(state, "value") == 4 and part(state, "wrong") == 0
    assert statistic(state, "lock", at.Q_SLEPT) == 3
    assert elapsed(state) > 400
    assert_free(state, "lock")


@function("hook")
def block_slowly() -> None:
    """Take some time before sleeping: the lock is released meanwhile."""
    step("falling")
    block()


@function("hook")
def wake_slowly(p: Process) -> None:
    """Look at the process for long before it may go on."""
    step("looking")
    wake(p)


@pytest.mark.parametrize("falling", [0, 95])
@pytest.mark.parametrize("fair", [False, True])
def test_who_is_woken_goes_on_when_its_waker_says_so(fair, falling):
    """Processor 1 asks at 10, 0 releases at 100: 1 is asleep, or about to be, and 0 still looks at it until 1100."""
    made = machine(LockClass("lock", "Part", "sema", fair=fair), contend, block, block_slowly, wake, wake_slowly, wake_up,
                   idle="contend", cpus=2, block="block_slowly", wake="wake_slowly", vectors={0: "no_interrupt", 1: "wake_up"},
                   costs={"arrive": 10, "inside": 100, "falling": falling, "looking": 1000})  # fmt: skip
    state = made.run()
    assert got(state, 1) == 1100
    assert cycles(state, 1)[at.IDLE] == 1090 - falling
    assert_free(state, "lock")


@pytest.mark.parametrize(("spin", "slept"), [(0, 1), (50, 1), (1000, 0)])
def test_an_adaptive_mutex_spins_while_its_owner_runs_up_to_a_limit(spin, slept):
    lock = LockClass("lock", "Part", "sema", spin_cycles=spin)
    hardware = Hardware(4, transfer=0, memory=0, upgrade=0, handover=0, signal=0, poll=10)
    made = machine(lock, contend, block, wake, wake_up, idle="contend", cpus=2, block="block", wake="wake",
                   costs={"arrive": 10, "inside": 100}, vectors={0: "no_interrupt", 1: "wake_up"}, hardware=hardware)  # fmt: skip
    state = made.run()
    assert statistic(state, "lock", at.Q_SLEPT) == slept
    assert cycles(state, 1)[at.SPIN] == min(spin, 90)
    assert cycles(state, 1)[at.IDLE] == 90 - min(spin, 90)
    assert got(state, 1) == 100
    assert_cycles_add_up(state)
    # waiting is no work: the same number of instructions counts however long it spun
    longer = machine(lock, contend, block, wake, wake_up, idle="contend", cpus=2, block="block", wake="wake",
                     costs={"arrive": 10, "inside": 100}, vectors={0: "no_interrupt", 1: "wake_up"},
                     hardware=Hardware(4, 0, 0, 0, 0, 0, poll=5)).run()  # fmt: skip
    assert int(longer.m[at.H_STEPS]) == int(state.m[at.H_STEPS])


def test_falling_asleep_may_wait_for_a_spin_lock():
    """The block hook takes a spin lock that is contended, while the context is queued for the semaphore."""
    locks = (LockClass("lock", "Part", "sema", fair=True), LockClass("queue", "Cpu", "spinlock"))
    made = machine(locks, contend, block_with_lock, wake_with_lock, wake_up, idle="contend", cpus=4, block="block_with_lock",
                   wake="wake_with_lock", costs={"arrive": 1, "inside": 100, "queue": 70},
                   vectors={0: "no_interrupt", 1: "wake_up"})  # fmt: skip
    state = made.run()
    assert part(state, "value") == 4 and part(state, "wrong") == 0
    assert statistic(state, "queue", at.Q_CONTENDED) > 0
    assert statistic(state, "lock", at.Q_SLEPT) == 3
    assert_free(state, "lock")
    assert_cycles_add_up(state)


@function("hook")
def block_with_lock() -> None:
    cpu: Cpu = the(Cpu, this_cpu())
    with hold("queue", the(Cpu)):
        step("queue")
        cpu.asleep = current()
    while granted() == 0:
        mask()
        if granted() == 0:
            halt()
        else:
            unmask()


@function("hook")
def wake_with_lock(p: Process) -> None:
    grant(p)
    n = 0
    while n < cpus():
        cpu: Cpu = the(Cpu, n)
        with hold("queue", the(Cpu)):
            step("queue")
            if cpu.asleep == p:
                send(n, 1)
        n += 1


# --- recursion, drop and retake --------------------------------------------------------------------------


@function()
def recurse() -> None:
    p: Part = the(Part)
    with hold("lock", p):
        with hold("lock", p):
            step("inside")
            log: Log = the(Log, this_cpu())
            log.got = now()
        step("inside")
    stop()


@pytest.mark.parametrize("owner", ["context", "processor"])
def test_a_recursive_lock_is_released_by_its_last_release(owner):
    lock = LockClass("lock", "Part", "bkl", recursive=True, owner=owner)
    state = machine(lock, recurse, idle="recurse", cpus=2, costs={"inside": 100}).run()
    assert (got(state, 0), got(state, 1)) == (100, 300)
    assert statistic(state, "lock", at.Q_ACQUIRED) == 2
    assert_free(state, "lock")


@function()
def let_go() -> None:
    p: Part = the(Part)
    with hold("lock", p):
        with hold("lock", p):
            step("inside")
            with hold("lock", p, "drop"), hold("lock", p, "drop"):
                step("outside")
            log: Log = the(Log, this_cpu())
            log.got = now()
            step("inside")
        step("inside")
    stop()


def test_drop_lets_go_whatever_the_depth_and_takes_back_as_much():
    lock = LockClass("lock", "Part", "bkl", recursive=True)
    state = machine(lock, let_go, idle="let_go", cpus=2, costs={"inside": 100, "outside": 50}).run()
    # 0 lets go from 100 to 150, when 1 has it until 200; then 0 from 200 to 400, and 1 from 400 on
    assert (got(state, 0), got(state, 1)) == (200, 400)
    assert elapsed(state) == 600
    assert_free(state, "lock")


class Next(Object, count="cpus"):
    process: Process
    other: Process


@function()
def giant_idle() -> None:
    """Switch to the process that waits, which comes back here; the lock stays with the processor meanwhile."""
    p: Part = the(Part)
    with hold("lock", p):
        step("inside")
        with hold("lock", p, "drop"):
            mine: Next = the(Next, this_cpu())
            switch_to(mine.process)
        log: Log = the(Log, this_cpu())
        log.got = now()
        step("inside")
    stop()


@function()
def comes_in() -> None:
    """A new process holds what the switch passed on; it switches back inside."""
    p: Part = the(Part)
    with hold("lock", p, "arrive"):
        enter_alone(p)
        step("inside")
        leave_alone(p)
    step("outside")
    with hold("lock", p):
        log: Log = the(Log, 4 + this_cpu())
        log.got = now()
        with hold("lock", p, "drop"):
            mine: Next = the(Next, this_cpu())
            switch_to(mine.other)


def test_a_lock_of_the_processor_is_passed_on_at_a_switch():
    lock = LockClass("lock", "Part", "bkl", recursive=True, owner="processor")
    made = program((giant_idle, comes_in, enter_alone, leave_alone), (*CLASSES, Next), (lock,))
    machine_ = Machine(made, "giant_idle", 2, NOTHING, costs={"inside": 100, "outside": 30})
    state = machine_.state()
    for cpu in range(2):
        process = state.new("Process")
        state.context(process, "comes_in", "", at.KERNEL)
        context = int(state.m[state.virtuals[cpu] + at.V_CONTEXT])
        state.set(state.system("Next", cpu), process=process, other=int(state.m[context + at.C_PROCESS]))
    from lockscape.machine.execute import execute

    assert execute(state).reason == at.REASON_DONE
    # 0 has it to 200 through the switch; 1 from 200 to 400; 0's new process asks at 230 and waits until 400, passes
    # it to its idle process, which has it to 500; then 1's
    assert (got(state, 4), got(state, 0)) == (400, 400)
    assert (got(state, 5), got(state, 1)) == (500, 500)
    assert elapsed(state) == 600
    assert part(state, "wrong") == 0
    assert_free(state, "lock")
    assert_cycles_add_up(state)


# --- sequence locks --------------------------------------------------------------------------------------


@function()
def sequence() -> None:
    p: Part = the(Part)
    if this_cpu() == 0:
        step("first")
        with hold("lock", p):
            p.value += 1
            step("inside")
            p.most += 1
    else:
        tries = 0
        step("arrive")
        with hold("lock", p, "retry"):
            tries += 1
            a = p.value
            step("reading")
            b = p.most
        log: Log = the(Log, 1)
        log.got = tries
        log.time = now()
        if a != b:
            p.wrong += 1
    stop()


@pytest.mark.parametrize(("arrive", "tries", "time", "spun"), [
    (0, 2, 80 + 40, 30),  # begins before the write at 50, fails at 40+... and waits for its end
    (50, 1, 80 + 40, 30), (60, 1, 120, 20), (100, 1, 140, 0),
])  # fmt: skip
def test_readers_of_a_sequence_lock_try_again(arrive, tries, time, spun):
    hardware = Hardware(4, 0, 0, 0, 0, 0, poll=10)
    made = machine(LockClass("lock", "Part", "seqlock"), sequence, idle="sequence", cpus=2, hardware=hardware,
                   costs={"first": 30 if arrive == 0 else 50, "inside": 50 if arrive == 0 else 30,
                          "reading": 40, "arrive": arrive})  # fmt: skip
    state = made.run()
    log = state.system("Log", 1)
    assert part(state, "wrong") == 0
    assert (state.get(log, "got"), state.get(log, "time")) == (tries, time)
    assert cycles(state, 1)[at.SPIN] == (40 if arrive == 0 else spun)


# --- any program -----------------------------------------------------------------------------------------

KINDS = st.sampled_from(["spinlock", "rwlock", "sema", "rwsem", "adaptive", "bkl", "funnel"])


@function()
def anything() -> None:
    p: Part = the(Part)
    n = 12
    while n > 0:
        n -= 1
        step("think", (this_cpu() * 7 + n * 5) % 11)
        if (this_cpu() + n) % 3 == 0:
            with hold("lock", p, "shared"):
                if p.inside != 0:
                    p.wrong += 1
                step("inside")
        else:
            with hold("lock", p):
                enter_alone(p)
                step("inside")
                leave_alone(p)
    stop()


@function("interrupt")
def tick() -> None:
    step("tick")


def exclusive(statements: Body) -> Body:
    """Return statements of which those that read under the lock are alone there too."""
    out = []
    for s in statements:
        match s:
            case Hold(mode="shared"):
                s = replace(s, mode="exclusive")
            case If(then=then, other=other):
                s = replace(s, then=exclusive(then), other=exclusive(other))
            case While(body=inner):
                s = replace(s, body=exclusive(inner))
        out.append(s)
    return tuple(out)


def lock_of(kind, fair, free=False):
    match kind:
        case "adaptive":
            return LockClass("lock", "Part", "sema", spin_cycles=60, fair=fair, free=free)
        case "bkl":
            return LockClass("lock", "Part", "bkl", recursive=True, owner="processor", fair=fair, free=free)
        case "funnel":
            return LockClass("lock", "Part", "bkl", recursive=True, blocking=True, fair=fair, free=free)
    return LockClass("lock", "Part", kind, fair=fair, free=free)


@settings(deadline=None, max_examples=120)
@given(KINDS, st.booleans(), st.booleans(), st.integers(1, 4), st.integers(0, 60), st.integers(0, 80),
       st.integers(0, 40), st.integers(0, 30), st.sampled_from([0, 90, 200, 333]))  # fmt: skip
def test_whatever_the_lock_and_the_costs(kind, fair, free, cpus, think, inside, transfer, cost, tick_cycles):
    """Mutual exclusion, every round done, cycles add up, and nothing is held or queued at the end."""
    lock = lock_of(kind, fair, free)
    shared = lock.has_readers
    body = parse(anything, {})
    if not shared:
        body = body.with_body(exclusive(body.body))
    made = program((body, enter_alone, leave_alone, block, wake, wake_up, tick), CLASSES, (lock,))
    hardware = Hardware(cpus, transfer, transfer, transfer // 2, cost, signal=cost, poll=7)
    costs = {"think": think, "inside": inside, "tick": 20}
    state = Machine(made, "anything", cpus, hardware, block="block", wake="wake", costs=costs, cost=cost,
                    vectors={0: "tick", 1: "wake_up"}, tick_cycles=tick_cycles).run(until=10_000_000)  # fmt: skip
    assert part(state, "wrong") == 0
    assert part(state, "inside") == 0
    assert statistic(state, "lock", at.Q_ACQUIRED) == 12 * cpus
    assert statistic(state, "lock", at.Q_HELD) >= 12 * inside * cpus
    assert_free(state, "lock")
    assert_cycles_add_up(state)


# --- looking ---------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(st.booleans(), st.integers(2, 5), st.integers(1, 400), st.integers(1, 60), st.integers(0, 90), st.integers(0, 40),
       st.integers(0, 80), st.integers(1, 90), st.sampled_from([0, 90, 333]))  # fmt: skip
def test_who_rests_between_looks_sees_what_it_would_have_seen(
    fair, cpus, spin, poll, signal, transfer, think, inside, tick_cycles
):
    """A traced run looks every few cycles, as the trace tells; without one it rests, and nothing else changes."""
    body = parse(anything, {})
    body = body.with_body(exclusive(body.body))
    made = program((body, enter_alone, leave_alone, block, wake, wake_up, tick), CLASSES,
                   (LockClass("lock", "Part", "sema", spin_cycles=spin, fair=fair),))  # fmt: skip
    hardware = Hardware(cpus, transfer, transfer, transfer // 2, 3, signal=signal, poll=poll)
    runs = []
    for reader in (None, lambda rows: None):
        state = Machine(made, "anything", cpus, hardware, block="block", wake="wake", traced=True, cost=1,
                        costs={"think": think, "inside": inside, "tick": 20},
                        vectors={0: "tick", 1: "wake_up"}, tick_cycles=tick_cycles).run(reader=reader)  # fmt: skip
        counted = [statistic(state, "lock", which) for which in range(at.STATISTIC_WORDS)]
        runs.append(
            (elapsed(state), counted, [cycles(state, k) for k in range(cpus)], int(state.m[at.H_STEPS]))
        )
        assert int(state.m[at.H_LOOKER]) == 0
    assert runs[0] == runs[1]
