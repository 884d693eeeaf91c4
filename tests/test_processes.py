"""fork, exec, exit and wait: what they answer, what processes share and give back, and every port without a fault."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError
from lockscape.experiments.trials import Trial, families, run_trial
from lockscape.kernel.entry import CLOSE, EXEC, FAULT, FORK, OPEN, WAIT, WRITE
from lockscape.kernel.files import CREATING, READING
from lockscape.machine import layout as at
from lockscape.machine.execute import execute
from lockscape.machine.faults import Detector
from lockscape.ports.plan import plan_names
from lockscape.workloads import stress
from lockscape.workloads.families import call, family, fork, most_descendants
from lockscape.workloads.load import Stream, load
from lockscape.workloads.user import BEFORE, FIRST_CALL, KIND
from run_tools import giving, kernel_for, ran
from trial_tools import fault_in, kernel, some_plans

PLANS = [name for name in plan_names() if name != "uniprocessor"]
KERNELS = ("giant", "linux-2.0", "linux-2.6", "lock-free", "reimplementation", "application-kernel")
PROGRAM = (call(OPEN, 0, 1, CREATING), call(WRITE, 0, 9000), call(CLOSE, 0))
"""Make file 1, a program of three pages, and close descriptor 0."""


@pytest.mark.parametrize("name", KERNELS)
def test_a_child_does_its_rows_and_is_waited_for(name):
    child = np.concatenate([call(OPEN, 0, 2, CREATING), call(WRITE, 0, 5000), call(CLOSE, 0)])
    _, made = ran(name, *PROGRAM, giving(2, fork(child)[:1]), child, giving(2, call(WAIT)), call(WAIT))
    assert made["open"] == made["write"] == 2
    assert made["fork"] == 1 and made["wait"] == 2


@pytest.mark.parametrize("name", KERNELS)
def test_who_has_no_child_does_not_wait(name):
    _, made = ran(name, call(WAIT), call(WAIT))
    assert made == {"wait": 2}
    result = call(WAIT)
    result[0, BEFORE] = 1  # 0, which it must not give
    with pytest.raises(AssertionError):
        ran(name, result, call(WAIT))


def test_an_initial_process_ends_as_others_do():
    machine, _ = ran("fine", call(WAIT))
    assert machine.state.get(machine.owners[0], "ended") == 1


@pytest.mark.parametrize("name", KERNELS)
def test_what_is_left_open_and_mapped_goes_with_the_process(name):
    left = (call(OPEN, 0, 1, READING), call(EXEC, 0, 1, 3), *(call(FAULT, 2, k) for k in range(5)))
    machine, _ = ran(name, *PROGRAM, *left, fork(np.concatenate([call(FAULT, 2, 0), call(FAULT, 2, 1)])))
    memory = machine.state.get(machine.owners[0], "memory")
    assert machine.state.get(memory, "pages") == 0


@pytest.mark.parametrize("name", ("coarse", "linux-2.4"))
def test_pages_are_shared_until_one_writes(name):
    """Parent and child have three pages; each page that one of them writes to while both have it is copied."""
    start = (*PROGRAM, call(EXEC, 0, 1, 2), *(call(FAULT, 2, k) for k in range(3)))
    least = _most_pages(name, *start, fork(call(FAULT, 2, 0)[:0]), call(WAIT))
    for touched in range(4):
        child = np.concatenate([call(FAULT, 3, 0)[:0], *(call(FAULT, 2, k) for k in range(touched))])
        assert _most_pages(name, *start, fork(child), call(WAIT)) == least + touched


def _most_pages(name, *rows):
    """Return the most pages that were taken at once, less the machine's: on one processor, which keeps none."""
    built, table, binary = kernel_for(name, hz=1)
    machine = load(built, table, 1, [Stream(np.concatenate(rows))], binary=binary, program=stress.PROGRAM)
    state, least = machine.state, 1 << 62
    while execute(state, int(state.m[at.H_TIME]) + 500).reason != at.REASON_DONE:
        least = min(least, state.get(state.system("Zone"), "free"))
    return -least


def test_a_program_that_is_not_there_leaves_all_as_it_is():
    machine, _ = ran(
        "fine", *PROGRAM, call(EXEC, 0, 1, 2), call(FAULT, 2, 0), call(EXEC, 0, 9, 2), call(FAULT, 2, 0)
    )
    assert machine.state.get(machine.state.system("FileTable"), "open") == 0


def test_contexts_are_used_again():
    """Five hundred children, one after the other, in two contexts."""
    rows = [np.concatenate([fork(call(FAULT, 1, 0)), call(WAIT)])] * 500
    machine, made = ran("fine", *rows)
    assert made["fork"] == 500
    assert len(machine.contexts) == 3


@some_plans
def test_families_run_without_a_fault(name):
    assert fault_in(name, "families") == ""


@pytest.mark.parametrize("examples", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_drawn_families_run_without_a_fault(examples):
    drawn = given(seed=st.integers(0, 1 << 20), name=st.sampled_from(PLANS), cpus=st.integers(2, 4))
    settings(max_examples=examples, deadline=None)(drawn(run_family))()


def run_family(seed, name, cpus):
    trial = Trial("drawn", families(3, seed), cpus, bool(seed % 2))
    assert run_trial(kernel(name), trial, Detector)[1] == ""


@given(st.integers(0, 1 << 30))
@settings(deadline=None)
def test_the_most_descendants_are_enough_and_not_many_more(seed):
    rows = family(seed)
    forks = int((rows[:, KIND] == FIRST_CALL + FORK).sum())
    assert 0 < most_descendants(rows) <= 2 * forks
    assert most_descendants(np.concatenate([fork(rows), call(WAIT)])) > most_descendants(rows)


def test_a_fork_of_more_rows_than_there_are_is_refused():
    with pytest.raises(InputError, match=r"^row 1 makes a process with 7 rows: there are 2$"):
        most_descendants(np.concatenate([call(WAIT), call(FORK, 7), call(WAIT), call(WAIT)]))
