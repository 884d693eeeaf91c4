"""Mechanisms of systems with locks, looked at directly: who is interrupted, who sleeps, where things run."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from lockscape.experiments.observe import trial_spec
from lockscape.experiments.run import Loaded, simulate
from lockscape.kernel.vectors import ARRIVED, TICK
from lockscape.machine import layout as at
from lockscape.machine.execute import TraceReader
from lockscape.machine.state import Hardware
from lockscape.ports.forwarding import FORWARDED
from lockscape.ports.plan import Change, changed_plan
from lockscape.systems.load import System, load_system

TIME, VIRTUAL, CONTEXT, ROW, KIND, OBJECT, OFFSET, VALUE = range(at.TRACE_COLUMNS)


def traced(system: System, mechanism: str, **changes: object) -> tuple[np.ndarray, Loaded]:
    """Run a system where a mechanism shows; return the trace's rows, without reads and writes."""
    shown = next(each.shown for each in system.mechanisms if each.id == mechanism)
    kept: list[np.ndarray] = []
    found: list[Loaded] = []

    def watch(loaded: Loaded) -> TraceReader:
        found.append(loaded)
        return lambda rows: kept.append(rows[rows[:, KIND] > at.T_WRITE].copy())

    simulate(trial_spec(system, msgspec.structs.replace(shown, **changes)), watch=watch)
    return np.concatenate(kept), found[0]


def of_lock(rows: np.ndarray, loaded: Loaded, kind: int, lock: str) -> np.ndarray:
    """Return the rows of a kind that are about a lock."""
    number = loaded.machine.state.binary.locks.index(lock)
    return rows[(rows[:, KIND] == kind) & (rows[:, VALUE] // 2 == number)]


def test_freebsd_4_forwards_interrupts_to_who_holds_the_lock() -> None:
    rows, loaded = traced(load_system("freebsd-4.9"), "forwarded-interrupts", operations=8)
    taken = of_lock(rows, loaded, at.T_ACQUIRE, "mp_lock")
    sent = rows[(rows[:, KIND] == at.T_SEND) & (rows[:, OFFSET] == FORWARDED)]
    handled = rows[(rows[:, KIND] == at.T_INTERRUPT) & (rows[:, OBJECT] == FORWARDED)]
    assert 0 < len(handled) <= len(sent)
    for row in sent:
        assert row[VALUE] != row[VIRTUAL]
        # who has just had it: another may have taken it meanwhile, or it was given to who goes on with it next
        near = int(np.searchsorted(taken[:, TIME], row[TIME], "right"))
        assert row[VALUE] in taken[max(near - 3, 0) : near + 2, VIRTUAL]


def test_solaris_has_interrupts_that_sleep_for_a_mutex_and_one_clock() -> None:
    rows, loaded = traced(load_system("solaris"), "interrupt-threads", operations=30)
    state = loaded.machine.state
    processes = [state.get(state.system("InterruptThread", k), "process") for k in range(4)]
    threads = [state.get(process, "context") for process in processes]
    slept = rows[(rows[:, KIND] == at.T_BLOCK) & np.isin(rows[:, CONTEXT], threads)]
    assert len(slept)
    interrupts = rows[rows[:, KIND] == at.T_INTERRUPT]
    assert set(interrupts[interrupts[:, OBJECT] == TICK][:, VIRTUAL]) <= {0}
    assert len(set(interrupts[interrupts[:, OBJECT] == ARRIVED][:, VIRTUAL])) > 1


@pytest.mark.slow
def test_osf_has_what_is_funnelled_on_the_boot_processor_only() -> None:
    name = "funnel-to-the-boot-processor"
    system = load_system("osf1")
    for plan, most in ((system.plan, 1), (system.without(name).plan, 4)):
        rows, loaded = traced(replace(system, plan=plan), name)
        taken = of_lock(rows, loaded, at.T_ACQUIRE, "message_lock")
        assert len(taken) > 100
        assert len(set(taken[:, VIRTUAL])) == most


def test_aix_looks_maxspin_times() -> None:
    locks = [each for each in load_system("aix").plan.lock if each.sleeps]
    poll = Hardware(1, 0, 0, 0, 0, 0).poll
    assert len(locks) > 15
    assert {each.spin_cycles for each in locks} == {0x4000 * poll}


@pytest.mark.parametrize("name", ["freebsd-5.4", "solaris", "aix"])
def test_waiters_spin_while_the_holder_runs(name: str) -> None:
    system = load_system(name)
    for each in system.without("spin-then-sleep" if name == "aix" else "adaptive-mutexes").plan.lock:
        assert each.spin_cycles == 0
    assert any(each.spin_cycles and each.blocking for each in system.plan.lock)


def test_mac_os_x_holds_one_funnel_at_a_time() -> None:
    rows, loaded = traced(load_system("mac-os-x"), "two-funnels", operations=10)
    names = loaded.machine.state.binary.locks
    funnels = {names.index(name): name for name in ("fs_funnel", "net_funnel")}
    held: dict[int, set[str]] = {}
    for row in rows[np.isin(rows[:, KIND], (at.T_ACQUIRE, at.T_RELEASE))]:
        name = funnels.get(row[VALUE] // 2)
        if name is None:
            continue
        mine = held.setdefault(row[CONTEXT], set())
        if row[KIND] == at.T_ACQUIRE:
            assert not mine
            mine.add(name)
        else:
            mine.discard(name)
    assert len(held) == 16


@pytest.mark.slow
def test_a_lock_holder_that_an_interrupts_thread_waits_for_goes_first() -> None:
    system = load_system("freebsd-5.4")
    longest = []
    for inheritance in (1, 0):
        plan = changed_plan(system.plan, Change(options={"inheritance": inheritance}), "x")
        rows, loaded = traced(replace(system, plan=plan), "interrupt-threads", cpus=1, operations=2400)
        state = loaded.machine.state
        processes = [state.get(state.system("InterruptThread", k), "process") for k in range(2)]
        sleeps = [loaded.port.program.locks[name].sleeps for name in state.binary.locks]
        began: dict[int, int] = {}
        waits = []
        for row in rows[np.isin(rows[:, CONTEXT], [state.get(each, "context") for each in processes])]:
            if row[KIND] == at.T_BLOCK:
                began.setdefault(row[CONTEXT], row[TIME])
            elif row[KIND] == at.T_ACQUIRE and row[CONTEXT] in began and sleeps[row[VALUE] // 2]:
                waits.append(row[TIME] - began.pop(row[CONTEXT]))
        assert len(waits) > 20
        longest.append(max(waits))
    assert 3 * longest[0] < longest[1]
