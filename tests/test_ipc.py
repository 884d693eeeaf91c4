"""System V semaphores and messages: what the calls do, who goes on when, and every port without a fault."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.experiments.trials import Trial, run_trial
from lockscape.kernel.entry import MSGRCV, MSGSND, SEMOP, TIME
from lockscape.kernel.messages import MESSAGE_BYTES, QUEUE_BYTES
from lockscape.machine.faults import Detector
from lockscape.ports.plan import plan_names
from lockscape.workloads.families import call
from lockscape.workloads.load import Stream
from lockscape.workloads.pairs import pair
from run_tools import giving, ran, ran_together
from trial_tools import fault_in, kernel, some_plans

PLANS = [name for name in plan_names() if name != "uniprocessor"]
KERNELS = ("giant", "coarse", "fine", "linux-2.0", "linux-2.2", "linux-2.4", "linux-2.6", "lock-free",
           "reimplementation", "application-kernel", "master-slave")  # fmt: skip
LATER = 1_000_000
"""Cycles after which all others wait for a process."""


def values(machine, number=0):
    """Return the semaphores of a set that are not 0."""
    state = machine.state
    items = state.items(state.system("SemaphoreSet", number), "values")
    return {semaphore - 1: value for semaphore, value in items if value}


def messages(machine, number=0):
    """Return kind and length of a queue's messages, in their order."""
    state = machine.state
    found = state.items(state.system("MessageQueue", number), "messages")
    return [(state.get(each, "kind"), state.get(each, "size")) for each, _ in found]


def marks(machine, number=0):
    """Return the times that a process marked."""
    return [time for _, time in machine.state.items(machine.owners[number], "marks")]


@pytest.mark.parametrize("name", KERNELS)
def test_semaphores_count(name):
    machine, _ = ran(
        name, call(SEMOP, 0, 3, 5), call(SEMOP, 0, 3, -2), call(SEMOP, 0, 4, 1), call(SEMOP, 0, 4, -1),
        call(SEMOP, 0, 4, 0), call(SEMOP, 1, 0, 7),
    )  # fmt: skip
    assert values(machine) == {3: 3}
    assert values(machine, 1) == {0: 7}


@pytest.mark.parametrize("row", [(SEMOP, 99, 0, 1), (SEMOP, 0, 250, 1), (SEMOP, 0, 0, 32768),
                                 (MSGSND, 99, 1, 1), (MSGSND, 0, 0, 1), (MSGSND, 0, 1, MESSAGE_BYTES + 1),
                                 (MSGRCV, 99, 0)])  # fmt: skip
def test_what_does_not_exist_is_an_error_and_changes_nothing(row):
    with pytest.raises(AssertionError):  # the process ends, for the call does not give 0
        ran("fine", giving(0, call(*row)), call(TIME, 1))
    machine, _ = ran("fine", call(*row), call(TIME, 1))
    assert values(machine) == {} and messages(machine) == []


@pytest.mark.parametrize("name", KERNELS)
def test_who_wants_more_than_there_is_sleeps_until_it_is(name):
    waiter = [call(SEMOP, 0, 1, -3), call(TIME, 1)]
    giver = [call(SEMOP, 0, 1, 1, think_cycles=LATER)] * 3
    machine, _ = ran_together(name, [np.concatenate(waiter), np.concatenate(giver)], cpus=3)
    assert values(machine) == {}
    assert marks(machine)[0] > 3 * LATER


@pytest.mark.parametrize("name", KERNELS)
def test_who_waits_for_zero_goes_on_when_it_is(name):
    waiter = [call(SEMOP, 0, 1, 0, think_cycles=LATER // 2), call(TIME, 1)]
    other = [
        call(SEMOP, 0, 1, 2),
        call(SEMOP, 0, 1, -1, think_cycles=LATER),
        call(SEMOP, 0, 1, -1, think_cycles=LATER),
    ]
    machine, _ = ran_together(name, [np.concatenate(waiter), np.concatenate(other)], cpus=3)
    assert values(machine) == {}
    assert marks(machine)[0] > 2 * LATER


@pytest.mark.parametrize("name", ("linux-2.0", "linux-2.4", "linux-2.6"))
def test_one_change_lets_several_go_on(name):
    waiters = [call(SEMOP, 0, 1, -1)] * 3
    machine, _ = ran_together(name, [*waiters, call(SEMOP, 0, 1, 4, think_cycles=LATER)], cpus=4)
    assert values(machine) == {1: 1}


@pytest.mark.parametrize("name", KERNELS)
def test_messages_come_in_their_order_the_first_of_the_kind_that_is_wanted(name):
    sent = [call(MSGSND, 0, kind, 100 * kind + 5) for kind in (3, 1, 2, 1)]
    machine, _ = ran(name, *sent, giving(105, call(MSGRCV, 0, 1)), giving(305, call(MSGRCV, 0, 0)))
    assert messages(machine) == [(2, 205), (1, 105)]


@pytest.mark.parametrize("name", KERNELS)
def test_a_receiver_sleeps_until_there_is_a_message_for_it(name):
    receiver = [giving(20, call(MSGRCV, 0, 2)), call(TIME, 1)]
    sender = [call(MSGSND, 0, 1, 10, think_cycles=LATER), call(MSGSND, 0, 2, 20, think_cycles=LATER)]
    machine, _ = ran_together(name, [np.concatenate(receiver), np.concatenate(sender)], cpus=3)
    assert messages(machine) == [(1, 10)]
    assert marks(machine)[0] > 2 * LATER


@pytest.mark.parametrize("name", KERNELS)
def test_a_sender_sleeps_until_there_is_room(name):
    sender = [call(MSGSND, 0, 1, MESSAGE_BYTES)] * (QUEUE_BYTES // MESSAGE_BYTES)
    sender += [call(MSGSND, 0, 2, 1), call(TIME, 1)]
    receiver = [giving(MESSAGE_BYTES, call(MSGRCV, 0, 0, think_cycles=2 * LATER))]
    machine, _ = ran_together(name, [np.concatenate(sender), np.concatenate(receiver)], cpus=3)
    assert messages(machine) == [(1, MESSAGE_BYTES), (2, 1)]
    assert marks(machine)[0] > 2 * LATER


# --- all ports ---------------------------------------------------------------------------------------------


def pairs(count, seed):
    return tuple(Stream(pair(100 * seed + number)) for number in range(count))


@some_plans
def test_every_port_communicates_without_a_fault(name):
    assert fault_in(name, "4 pairs talk") == ""


@pytest.mark.parametrize("examples", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_drawn_pairs_communicate_without_a_fault(examples):
    drawn = given(seed=st.integers(0, 1 << 20), name=st.sampled_from(PLANS), count=st.integers(1, 4))
    settings(max_examples=examples, deadline=None)(drawn(run_pairs))()


def run_pairs(seed, name, count):
    detector, wrong = run_trial(kernel(name), Trial("drawn", pairs(count, seed), 3, bool(seed % 2)), Detector)
    assert wrong == ""
    assert not detector.faults
