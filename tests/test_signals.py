"""Sleeping and signals: how long, what a signal ends and what it interrupts, and every port without a fault."""

import pytest

from call_tools import call, fault_in_streams, ran, rows
from lockscape.experiments.drawn import further
from lockscape.experiments.trials import run_trial
from lockscape.kernel.entry import (
    CLOSE,
    EXEC,
    KILL,
    OPEN,
    PAUSE,
    PIPE,
    READ,
    SIGNAL,
    SLEEP,
    TIME,
    WAIT,
    WRITE,
)
from lockscape.kernel.files import CREATING
from lockscape.kernel.signals import DEFAULT, HANDLE, IGNORE, SIGCHLD, SIGKILL, SIGPIPE
from lockscape.machine.faults import Detector
from lockscape.workloads.families import fork
from lockscape.workloads.signalling import TERMINATE, USER1, reapers, signalling
from trial_tools import kernel, some_plans

KERNELS = (
    "giant", "fine", "linux-2.0", "linux-2.2", "linux-2.4", "linux-2.6", "lock-free", "reimplementation",
    "master-slave", "application-kernel",
)  # fmt: skip
LATER = call(SLEEP, 30_000, gives=0)
"""Sleep some ticks, so that the other process has come where it waits."""


def tick(name):
    return 2_000_000 if name == "linux-2.6" else 20_000_000


@pytest.mark.parametrize("name", KERNELS)
def test_a_sleep_takes_its_time_rounded_up_and_the_tick_that_has_begun(name):
    _, end, left = ran(name, rows(call(SLEEP, 1, gives=0), call(SLEEP, 100_000, gives=0)))
    ticks = 2 + 100_000 * 2000 // tick(name) + 1  # the first begins with the run
    assert left == [0]
    assert (ticks - 1) * tick(name) < end < ticks * tick(name) + 200_000
    assert ran(name, rows(call(SLEEP, 0, gives=0)))[1] < tick(name) + 200_000


@pytest.mark.parametrize("name", KERNELS)
def test_sleepers_of_one_tick_all_wake_also_when_one_is_taken_out(name):
    victim = rows(call(SLEEP, 50_000))
    killer = rows(call(SLEEP, 20_000, gives=0), [call(KILL, 2, TERMINATE, gives=0)])
    sleepers = [rows(call(SLEEP, 50_000, gives=0), call(TIME, 0)) for _ in range(3)]
    _, _, left = ran(name, sleepers[0], victim, sleepers[1], killer, sleepers[2], cpus=2)
    assert left == [0] * 5


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("cpus", [1, 2])
def test_a_signal_without_a_handler_ends_a_process_in_its_sleep(name, cpus):
    child = rows(call(SLEEP, 10_000_000), call(TIME, 0))
    parent = rows(LATER, call(KILL, -1, TERMINATE, gives=0), call(WAIT, gives=2), call(KILL, -1, 9, gives=-3))
    _, end, left = ran(name, rows(fork(child), parent), cpus=cpus)
    assert sorted(left)[-2:] == [0, 1]
    assert end < 10_000_000 * 1000


@pytest.mark.parametrize("name", KERNELS)
def test_a_handler_runs_and_the_call_returns_that_it_was_interrupted(name):
    prepared = rows(call(SIGNAL, USER1, HANDLE, gives=0), call(PIPE, gives=0))
    sent = [LATER, call(KILL, -1, USER1, gives=0)]
    for waiting in (call(PAUSE, gives=-4), call(SLEEP, 1_000_000, gives=-4), call(READ, 0, 10, gives=-4),
                    call(WRITE, 1, 100_000)):  # fmt: skip
        child = rows(prepared, waiting, call(TIME, 0))
        _, _, left = ran(name, rows(fork(child), sent, call(WAIT, gives=2)))
        assert not any(left)


@pytest.mark.parametrize("name", KERNELS)
def test_a_wait_is_interrupted_and_the_child_is_still_there(name):
    child = rows(LATER, call(KILL, 0, USER1, gives=0), LATER)
    parent = rows(call(WAIT, gives=-4), call(WAIT, gives=2), call(WAIT, gives=-10))
    _, _, left = ran(name, rows(call(SIGNAL, USER1, HANDLE, gives=0), fork(child), parent))
    assert not any(left)


@pytest.mark.parametrize("name", KERNELS)
def test_what_is_ignored_changes_nothing(name):
    child = rows(call(SIGNAL, USER1, IGNORE, gives=0), call(SLEEP, 100_000, gives=0))
    _, _, left = ran(name, rows(fork(child), LATER, call(KILL, -1, USER1, gives=0), call(WAIT, gives=2)))
    assert not any(left)


@pytest.mark.parametrize("name", KERNELS)
def test_the_end_of_a_child_is_told_who_asks_for_it(name):
    child = rows(LATER)
    told = rows(call(SIGNAL, SIGCHLD, HANDLE, gives=0), fork(child), call(PAUSE, gives=-4))
    assert not any(ran(name, rows(told, call(WAIT, gives=2)))[2])


@pytest.mark.parametrize("name", KERNELS)
def test_who_writes_to_a_broken_pipe_is_ended_unless_it_ignores_that(name):
    writer = rows(
        call(PIPE, gives=0), call(CLOSE, 0, gives=0), call(WRITE, 1, 10), call(TIME, 0), call(TIME, 0)
    )
    assert ran(name, writer)[2] == [2]
    assert ran(name, rows(call(SIGNAL, SIGPIPE, IGNORE), writer))[2] == [0]


@pytest.mark.parametrize(
    "name", [name for name in KERNELS if name not in ("linux-2.0", "application-kernel")]
)
def test_a_process_that_runs_elsewhere_notices_at_once(name):
    child = rows([call(TIME, 0, think=400_000_000)] * 2)
    parent = rows(LATER, call(KILL, -1, TERMINATE, gives=0), call(WAIT, gives=2))
    _, end, _ = ran(name, rows(fork(child), parent), cpus=3)
    assert end < 100_000_000


def test_in_linux_2_0_it_notices_at_its_next_entry_or_at_the_end_of_its_slice():
    """Two compute: one at least is not on the first processor, which has all ticks."""
    child = rows([call(TIME, 0, think=400_000_000)] * 2)
    sent = rows(call(SLEEP, 1), call(KILL, 2, TERMINATE, gives=0), call(KILL, 3, TERMINATE, gives=0))
    calls = rows(fork(child), fork(child), sent, call(WAIT), call(WAIT))
    ends = {name: ran(name, calls, cpus=3)[1] for name in ("linux-2.0", "linux-2.2")}
    assert ends["linux-2.2"] + 2 * tick("linux-2.0") < ends["linux-2.0"]


@pytest.mark.parametrize("name", KERNELS)
def test_children_inherit_handlers_and_other_programs_forget_them(name):
    prepared = rows(call(SIGNAL, USER1, HANDLE, gives=0))
    child = rows(call(PAUSE, gives=-4))
    again = rows(call(EXEC, 0, 1, 1), call(PAUSE), call(TIME, 0))
    sent = [LATER, call(KILL, -1, USER1, gives=0), call(WAIT)]
    made = rows(call(OPEN, 0, 1, CREATING), call(WRITE, 0, 100), call(CLOSE, 0))
    _, _, left = ran(name, rows(made, prepared, fork(child), sent, fork(again), sent))
    assert sorted(left)[-2:] == [0, 1]


@pytest.mark.parametrize("name", KERNELS)
def test_calls_that_make_no_sense_say_so(name):
    nobody = rows(call(KILL, 99, SIGKILL, gives=-3), call(KILL, 0, SIGKILL, gives=-3))
    wrong = rows(call(SIGNAL, SIGKILL, IGNORE, gives=-22), call(KILL, 1, 99, gives=-22))
    right = rows(call(SIGNAL, USER1, IGNORE, gives=0), call(KILL, 1, USER1, gives=0))
    ended = rows(call(SIGNAL, USER1, DEFAULT, gives=0), call(KILL, 1, USER1), call(TIME, 0))
    assert ran(name, rows(nobody, wrong, right, ended))[2] == [1]


@some_plans
def test_every_port_sleeps_and_signals_without_a_fault(name):
    assert fault_in_streams(name, [signalling(1), signalling(2), *reapers()], 3) == ""


@pytest.mark.slow
@some_plans
def test_no_signalling_shows_a_fault(name):
    for seed in range(0, 60, 3):
        streams = [signalling(seed + k) for k in range(1 + seed % 4)]
        assert fault_in_streams(name, [*streams, *reapers()], 2 + seed % 3) == "", seed


@pytest.mark.parametrize("name", ["virtualization-full", "virtualization-para"])
def test_who_ends_the_others_of_a_small_guest_is_not_ended_before_it_ignores_signals(name):
    trial = further(37)
    assert "signals" in trial.name
    assert run_trial(kernel(name), trial, Detector)[1] == ""
