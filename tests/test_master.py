"""The funnel to the master processor: who left it makes way for who waits for it, and goes on elsewhere."""

from functools import cache

import msgspec
import pytest

from lockscape.experiments.result import RunResult
from lockscape.experiments.run import simulate
from lockscape.workloads.workload_file import parse_workload
from simulate_tools import spec

THINKING = parse_workload(
    """
    title = "Mostly computing, and a file now and then"
    evidence = ["a test"]
    processes = 4
    operations = 40
    files = 8
    names = 8
    bytes = 2000
    think_cycles = 4000000
    [mix]
    read = 2
    append = 1
    stat = 2
    """,
    "thinking",
)
"""An operation is done in a hundredth of the thought before it: the master has time for the calls of all."""


@cache
def thinking(name: str, cpus: int) -> RunResult:
    return simulate(msgspec.structs.replace(spec(name, cpus), processes=4, workload=THINKING))


@pytest.mark.parametrize("name", ["coarse-master", "master-slave"])
def test_programs_that_compute_do_not_wait_for_the_master(name: str) -> None:
    speedup = thinking(name, 1).makespan_cycles / thinking(name, 4).makespan_cycles
    assert speedup > 0.8 * thinking("giant", 1).makespan_cycles / thinking("giant", 4).makespan_cycles


def test_the_kernel_of_files_is_the_masters_and_programs_run_everywhere() -> None:
    master, *others = thinking("coarse-master", 4).processors
    assert master.kernel_cycles > 2 * max(each.kernel_cycles for each in others)
    shares = [each.user_cycles for each in (master, *others)]
    assert min(shares) > sum(shares) / 8
