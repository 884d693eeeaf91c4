"""Swapping: pages go to disk when memory is little and come back, also of processes that share them, in every port."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError
from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import simulate
from lockscape.experiments.trials import Trial, run_trial, streams_of
from lockscape.kernel.areas import RANGE_PAGES
from lockscape.kernel.entry import FAULT, MUNMAP, WAIT
from lockscape.machine.faults import Detector
from lockscape.ports.plan import load_plan, plan_names
from lockscape.workloads.families import call, fork
from lockscape.workloads.growing import BECOME_PROGRAM, growing
from lockscape.workloads.workload_file import parse_workload
from run_tools import ran_together
from trial_tools import kernel, some_plans

PLANS = [name for name in plan_names() if name != "uniprocessor"]
KERNELS = ("giant", "coarse", "fine", "linux-2.0", "linux-2.2", "linux-2.4", "linux-2.6", "lock-free",
           "reimplementation", "application-kernel", "master-slave")  # fmt: skip
LITTLE = 150


def touched(area, pages=RANGE_PAGES):
    return [call(FAULT, area, index) for index in range(pages)]


def served(name, *rows, memory_pages):
    """Run a process; return how many requests the disk has served."""
    machine, _ = ran_together(name, [np.concatenate(rows)], cpus=2, memory_pages=memory_pages)
    state = machine.state
    assert state.get(state.system("SwapDevice"), "used") == 0
    return state.get(state.system("Disk"), "served")


@pytest.mark.parametrize("name", KERNELS)
def test_what_does_not_fit_goes_to_disk_and_comes_back(name):
    rows = (*BECOME_PROGRAM, *touched(2), *touched(3), *touched(4), *touched(2))
    least = served(name, *rows, memory_pages=2000)
    # three ranges of 64 pages do not fit into what is left of 150 beside the least that is kept free
    assert served(name, *rows, memory_pages=LITTLE) >= least + 2 * (3 * RANGE_PAGES - LITTLE)


@pytest.mark.parametrize("name", KERNELS)
def test_what_is_given_back_is_not_read(name):
    rows = (*BECOME_PROGRAM, *touched(2), *touched(3), *touched(4))
    assert (
        served(name, *rows, call(MUNMAP, 2), call(MUNMAP, 3), memory_pages=LITTLE)
        <= served(name, *rows, *touched(2), *touched(3), memory_pages=LITTLE) - RANGE_PAGES
    )


@pytest.mark.parametrize("name", KERNELS)
def test_a_child_has_the_pages_that_are_on_disk_as_well(name):
    start = (*BECOME_PROGRAM, *touched(2), *touched(3), *touched(4, 40))
    child = np.concatenate(touched(2, 20))
    without = served(name, *start, fork(child[:0]), call(WAIT), memory_pages=LITTLE + 60)
    assert served(name, *start, fork(child), call(WAIT), *touched(2, 20), memory_pages=LITTLE + 60) > without


def test_memory_that_is_too_little_and_kernels_without_swapping_are_refused():
    with pytest.raises(InputError, match=r"^70 pages of memory: give at least 80$"):
        served("fine", *BECOME_PROGRAM, memory_pages=70)
    with pytest.raises(InputError, match=r"^70 pages of memory: give at least 80$"):
        simulated(f"memory_pages = 70\n{LARGE}")
    with pytest.raises(InputError, match="give a number of pages to a kernel with swapping = 1"):
        ran_together("fine", [BECOME_PROGRAM[0]], files=0, memory_pages=0)


LARGE = """
title = "Large"
evidence = ["none: a test"]
processes = 4
operations = 2
names = 1
[mix]
run = 1
[child]
data_pages = 200
"""
"""Four processes, each with a child of 200 pages at a time."""


def test_a_workload_says_how_much_memory_there_is():
    """With little memory the disk is asked far more often, and all takes longer."""
    results = [simulated(f"memory_pages = {pages}\n{LARGE}") for pages in (0, 4000, 400)]
    disk = [sum(e.count for e in result.events if e.event == "disk_interrupt begins") for result in results]
    assert disk[0] == disk[1] and disk[2] > disk[0] + 400
    assert results[2].makespan_cycles > 2 * results[1].makespan_cycles


def simulated(text):
    """Run a workload's file in Linux 2.4 on two processors."""
    work = parse_workload(text, "test")
    return simulate(RunSpec("linux-2.4", load_plan("linux-2.4"), 2, work.processes, workload=work))


# --- all ports ---------------------------------------------------------------------------------------------


def under_pressure(count, seed, cpus, forks=True):
    streams = streams_of(growing(100 * seed + k, forks) for k in range(count))
    return Trial(f"{count} growing", streams, cpus, False, memory_pages=120 + 50 * count)


@some_plans
def test_every_port_swaps_without_a_fault(name):
    assert run_trial(kernel(name, swapping=1), under_pressure(3, 1, 3), Detector)[1] == ""


@pytest.mark.slow
@some_plans
def test_every_port_swaps_without_a_fault_when_more_processes_grow(name):
    for trial in (under_pressure(6, 1, 4), under_pressure(4, 2, 2, forks=False)):
        assert run_trial(kernel(name, swapping=1), trial, Detector)[1] == ""


def fault_under_pressure(seed, name, count):
    return run_trial(kernel(name, swapping=1), under_pressure(count, seed, 1 + seed % 4), Detector)[1]


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 1 << 20), name=st.sampled_from(PLANS), count=st.integers(3, 4))
def test_drawn_processes_swap_without_a_fault(seed, name, count):
    assert fault_under_pressure(seed, name, count) == ""


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 20), name=st.sampled_from(PLANS), count=st.integers(3, 7))
def test_many_drawn_processes_swap_without_a_fault(seed, name, count):
    assert fault_under_pressure(seed, name, count) == ""
