"""Lock-free sections: attempts and commits on the machine, what they cost, and the port that consists of them."""

from dataclasses import replace
from typing import Any

import pytest

from engine_tools import Machine, program, statistic
from lockscape.errors import InputError
from lockscape.experiments.drawn import further
from lockscape.experiments.mutation import judge
from lockscape.experiments.trials import run_trial, trials
from lockscape.machine import layout as at
from lockscape.machine.attempts import swap_cycles
from lockscape.machine.execute import execute
from lockscape.machine.faults import Detector
from lockscape.machine.state import State
from lockscape.ports.effort import both, effort
from lockscape.ports.plan import load_plan
from lockscape.ports.port import port
from lockscape.ports.swaps import swap_loops
from lockscape.program.language import (
    exit_process,
    free,
    function,
    halt,
    hold,
    mask,
    new,
    set_timer,
    step,
    the,
)
from lockscape.program.locks import LockClass
from lockscape.program.lower import lower
from lockscape.program.objects import Object
from lockscape.program.parse import parse
from trial_tools import kernel

ROUNDS = 50
COSTS = {"cas": 10, "cas2": 16, "work": 100, "think": 7, "handle": 3}


class Process(Object):
    context: int


class Counter(Object, count=1):
    value: int
    twin: int
    handled: int


VERSION = LockClass("version", "Counter", "version")
CLASSES = (Process, Counter)


@function()
def count_up() -> None:
    counter: Counter = the(Counter)
    done = 0
    while done < ROUNDS:
        with hold("version", counter):
            seen = counter.value
            step("work")
            counter.value = seen + 1
        step("think")
        done += 1
    exit_process()
    while True:
        mask()
        halt()


@function()
def count_twins() -> None:
    counter: Counter = the(Counter)
    total = 5
    with hold("version", counter):
        total += 1
        counter.value = total
        counter.twin += 2
    exit_process()
    while True:
        mask()
        halt()


@function()
def interrupted() -> None:
    counter: Counter = the(Counter)
    set_timer(1, 50)
    with hold("version", counter):
        step("work")
        counter.value += 1
    exit_process()
    while True:
        mask()
        halt()


@function("interrupt")
def handler() -> None:
    counter: Counter = the(Counter)
    step("handle")
    counter.handled += 1


def machine(source: Any, cpus: int, double: bool = True, traced: bool = False) -> Machine:
    """Return a machine on each of whose processors a function is what runs first."""
    made = replace(program((source, handler), CLASSES, (VERSION,)), double=double)
    vectors = {0: "no_interrupt", 1: "handler"}
    return Machine(made, source.__name__, cpus, costs=COSTS, vectors=vectors, traced=traced)


def run(source: Any, cpus: int, double: bool = True, traced: bool = False) -> tuple[State, list[str]]:
    """Run such a machine; return it, and the faults if asked for."""
    state = machine(source, cpus, double, traced).state()
    detector = Detector(state)
    stopped = execute(state, reader=detector.read) if traced else execute(state)
    assert stopped.reason == at.REASON_DONE, stopped.text
    return state, [fault.message for fault in detector.faults]


def value(state: State, field: str) -> int:
    return state.get(state.system("Counter"), field)


def test_one_word_and_its_version_take_one_double_compare_and_swap() -> None:
    state, _ = run(count_up, 1)
    assert value(state, "value") == ROUNDS
    assert int(state.m[at.H_TIME]) == ROUNDS * (100 + 7 + 16)
    single, _ = run(count_up, 1, double=False)
    assert int(single.m[at.H_TIME]) == ROUNDS * (100 + 7 + 7 * 10)


@pytest.mark.parametrize(("words", "double", "cycles"), [
    (2, 16, 16), (3, 16, 3 * 16 + 4 * 10), (2, -1, 7 * 10), (4, -1, 13 * 10), (2, 0, 0),
])  # fmt: skip
def test_a_commit_costs_what_harris_fraser_and_pratt_count(words: int, double: int, cycles: int) -> None:
    assert swap_cycles(words, 10, double) == cycles


def test_no_update_is_lost_and_attempts_fail_under_contention() -> None:
    state, faults = run(count_up, 4, traced=True)
    assert value(state, "value") == 4 * ROUNDS
    assert not faults
    assert statistic(state, "version", at.Q_ACQUIRED) == 4 * ROUNDS
    assert statistic(state, "version", at.Q_CONTENDED) > ROUNDS
    assert statistic(state, "version", at.Q_WAIT) > ROUNDS * 100
    alone, _ = run(count_up, 1)
    assert statistic(alone, "version", at.Q_CONTENDED) == 0


def test_a_variable_begins_each_attempt_as_it_was() -> None:
    state, _ = run(count_twins, 3)
    assert (value(state, "value"), value(state, "twin")) == (6, 6)


def test_an_interrupt_abandons_an_attempt_and_it_begins_again() -> None:
    state, faults = run(interrupted, 1, traced=True)
    assert (value(state, "value"), value(state, "handled")) == (1, 1)
    assert not faults
    assert int(state.m[at.H_TIME]) == 50 + 3 + 100 + 16


@function()
def makes(counter: Counter) -> None:
    with hold("version", counter):
        free(new(Process))


@function()
def leaves(counter: Counter) -> int:
    with hold("version", counter):
        return counter.value


@pytest.mark.parametrize(("source", "message"), [
    (makes, "free() in a lock-free section on 'version' would be done in each attempt: move it out"),
    (leaves, "return or break out of a retried body of 'version' would skip its check"),
])  # fmt: skip
def test_a_body_that_cannot_be_done_twice_is_refused(source: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        lower(parse(source, {}), {"version": VERSION}, False)
    assert message in str(caught.value)


def test_a_rule_that_makes_no_loop_is_refused() -> None:
    with pytest.raises(InputError, match="nothing is added to a field that the plan's"):
        swap_loops(parse(count_twins, {}).body, frozenset({"Counter.value"}), "f/s")


def test_the_port_has_no_lock_but_the_kernels_own() -> None:
    counted = effort(both(port(load_plan("lock-free"))))
    assert not {"bkl", "spinlock", "rwlock", "seqlock"} & counted.sites.keys()
    assert counted.sites["sema"] == counted.sites_uniprocessor["sema"]
    assert counted.sites["version"] > 80
    assert counted.sites["cas"] > 20


@pytest.mark.parametrize("name", ["lock-free", "lock-free-single"])
@pytest.mark.parametrize("number", [0, 4, 7, 8])
def test_trials_show_no_fault(name: str, number: int) -> None:
    _, wrong = run_trial(kernel(name), trials()[number], Detector)
    assert not wrong


def test_drawn_trials_show_no_fault() -> None:
    assert [run_trial(kernel("lock-free"), further(seed), Detector)[1] for seed in range(1000, 1004)] == [
        ""
    ] * 4


def test_a_plain_store_a_missing_version_and_a_missing_read_section_are_noticed() -> None:
    plan = load_plan("lock-free")
    chosen = [
        mutant for mutant in port(plan).mutants()
        if (mutant.function, mutant.change, mutant.mode) in {
            ("new_inode", "plain", "cas"), ("list_file", "removed", "exclusive"), ("cached", "removed", "rcu"),
        }
    ]  # fmt: skip
    verdicts = judge(plan, chosen, trials()[:1], workers=1)
    assert [verdict.outcome for verdict in verdicts] == ["caught"] * 3
    assert "InodeCache.inodes stored plainly, not swapped, in new_inode (swap 1)" in map(str, chosen)
