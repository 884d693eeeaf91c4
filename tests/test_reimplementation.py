"""The reimplemented kernel: representatives where they are used, deferred deletion, page caches replaced in use."""

from functools import cache

import msgspec
import pytest

from lockscape.experiments.run import damage, load_run, run_to_end
from lockscape.experiments.trials import run_trial, trials
from lockscape.machine.faults import Detector
from lockscape.machine.state import State
from lockscape.ports.clustered_pages import DISTRIBUTED
from lockscape.workloads.workload_file import parse_workload
from simulate_tools import result, spec
from trial_tools import kernel

PLANS = ("reimplementation", "reimplementation-shared")

TRIALS = [(name, number) for number in range(len(trials())) for name in PLANS]

SHOWN_HERE = {*zip(PLANS * 3, (0, 2, 4, 6, 7, 8), strict=True)}
"""Trials of the fast tests, in turns: all calls, memory, files and the disk. What families, pairs, pipes, sockets,
signals and swapping show, one of the two plans shows in test_mutation.py and in some of the tests of these."""

SHARED = parse_workload(
    """
    title = "Files that all write"
    evidence = ["a test"]
    processes = 4
    operations = 150
    shared = true
    files = 4
    names = 4
    bytes = 30000
    think_cycles = 20000000
    [mix]
    append = 2
    read = 2
    """,
    "test",
)


@cache
def shared(name: str, cpus: int) -> tuple[State, list[str]]:
    """Let processes write and read the same few files; return the state at the end, and damage."""
    loaded = load_run(msgspec.structs.replace(spec(name, cpus), processes=4, workload=SHARED))
    run_to_end(loaded)
    return loaded.machine.state, damage(loaded)


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("name", PLANS)
def test_a_run_adds_up(name: str, cpus: int) -> None:
    assert result(name, cpus).calls and shared(name, cpus)[1] == []


@pytest.mark.parametrize(
    ("name", "number"),
    [pytest.param(*each, marks=() if each in SHOWN_HERE else pytest.mark.slow) for each in TRIALS],
)
def test_no_fault(name: str, number: int) -> None:
    _, wrong = run_trial(kernel(name), trials()[number], Detector)
    assert wrong == ""


def caches(state: State) -> list[int]:
    table = [inode for n in range(8) for _, inode in state.items(state.system("InodePart", n), "table")]
    return [state.get(inode, "cache") for inode in table if state.get(inode, "cache")]


def test_a_page_cache_is_replaced_where_processors_take_turns() -> None:
    for name, replaced in zip(PLANS, (True, False), strict=True):
        state, wrong = shared(name, 4)
        phases = [state.get(each, "phase") for each in caches(state)]
        assert wrong == []
        assert (DISTRIBUTED in phases) == replaced
    alone, _ = shared(PLANS[0], 1)
    assert caches(alone)
    assert DISTRIBUTED not in [alone.get(each, "phase") for each in caches(alone)]


def test_every_page_is_in_one_place_only() -> None:
    state, _ = shared(PLANS[0], 4)
    for each in caches(state):
        parts = [part for _, part in state.items(each, "parts")]
        assert not parts or not state.items(each, "inactive")
        for part in parts:
            assert state.get(part, "pages") == len(state.items(part, "inactive"))
            assert all(index % 4 == state.get(part, "home") for index, _ in state.items(part, "inactive"))
