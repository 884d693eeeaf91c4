"""Virtualization: guests on a hypervisor, preempted lock holders, split drivers, and cells that fail alone."""

import functools

import msgspec
import pytest

from lockscape.errors import InputError
from lockscape.experiments import trials
from lockscape.experiments.failure import simulate_failure
from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import load_run, run_to_end, settle, simulate
from lockscape.machine.faults import Detector
from lockscape.ports.hypervisor_objects import SKEW_TICKS
from lockscape.ports.mutants import Mutant
from lockscape.ports.plan import load_plan
from lockscape.program.nodes import Const, Do, Op, Store
from lockscape.program.walk import with_bodies
from lockscape.workloads import fsck
from lockscape.workloads.postmark import PostmarkOptions
from lockscape.workloads.reach import reach

SPREAD = ("virtualization-full", "virtualization-para")
ONE = ("virtualization-full-one", "virtualization-para-one")
HYPERVISOR_LOCKS = {"virtual_lock", "shared_disk_lock"}
SHORT_SLICES = {"hz": 1000, "virtual_slice": 1}
"""A millisecond: several in a run that takes some milliseconds."""

TWICE = SHORT_SLICES | {"guests": 1, "guest_processors": 4}
"""Twice as many virtual processors as the two physical ones, in one guest."""

TWO_GUESTS = SHORT_SLICES | {"guests": 2, "guest_processors": 2}
SHARING = ("virtualization-gang", "virtualization-para-one")


def plan_with(name, options):
    plan = load_plan(name)
    return msgspec.structs.replace(plan, options=plan.options | options)


def spec_of(name, cpus, processes=4, transactions=60, **options):
    work = PostmarkOptions(files=40, transactions=transactions)
    return RunSpec(name, plan_with(name, options), cpus, processes=processes, postmark=work)


@functools.cache
def ran(name, cpus, options=(), processes=4, transactions=60):
    return simulate(spec_of(name, cpus, processes, transactions, **dict(options)))


def spin_share(result):
    spun = sum(each.spin_cycles for each in result.processors)
    return spun / sum(each.total_cycles for each in result.processors)


def longest_spin(result):
    return max(lock.wait_max_cycles for lock in result.locks if not lock.sleeps)


# --- placements ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPREAD)
def test_a_guest_for_each_processor_needs_no_lock(name):
    one, four = ran(name, 1), ran(name, 4)
    assert {lock.lock for lock in four.locks if lock.acquisitions} <= HYPERVISOR_LOCKS | {
        "i_sem", "s_lock", "mmap_sem",
    }  # fmt: skip
    assert all(not lock.contentions for lock in four.locks if lock.lock not in HYPERVISOR_LOCKS)
    assert one.makespan_cycles > 3.5 * four.makespan_cycles
    assert all(each.hypervisor_cycles > 0 for each in four.processors)


@pytest.mark.parametrize("name", SPREAD)
def test_each_guest_has_its_own_files_and_each_is_checked(name):
    loaded = load_run(spec_of(name, 3))
    machine = loaded.machine
    assert {instance: len(owners) for instance, owners in machine.kernels.items()} == {1: 2, 2: 1, 3: 1}
    run_to_end(loaded)
    settle(machine.state)
    assert fsck.check(machine) == []
    for instance in machine.kernels:
        block = machine.state.system("SuperBlock", 0, instance)
        free = machine.state.get(block, "free_blocks")
        machine.state.set(block, free_blocks=free - 1)
        (wrong,) = fsck.check(machine)
        assert wrong.startswith(
            f"kernel instance {instance}: free blocks of the file system: the kernel says"
        )
        machine.state.set(block, free_blocks=free)


@pytest.mark.parametrize(("name", "most"), [("virtualization-full-one", 4), ("virtualization-para-one", 6)])
def test_one_guest_has_as_many_processors_as_its_product_allows(name, most):
    state = load_run(spec_of(name, 6)).machine.state
    guest = [v for v in state.virtuals if state.get(state.system("PhysicalProcessor"), "running") == 0]
    assert len(guest) == len(state.virtuals)
    siblings = {state.get(place, "siblings") for place in reach(state, []).of["Virtual"].tolist()}
    assert max(siblings) == most


@pytest.mark.parametrize("name", [*SPREAD, *ONE])
def test_the_same_run_gives_the_same_cycles_and_one_processor_will_do(name):
    again = simulate(spec_of(name, 1))
    assert again == ran(name, 1)
    assert all(process.end_cycles > 0 for process in again.processes)


def test_full_virtualization_pays_for_each_call_and_para_for_page_tables():
    native = ran("uniprocessor", 1)
    full, para = ran("virtualization-full", 1), ran("virtualization-para", 1)
    assert native.makespan_cycles < para.makespan_cycles < full.makespan_cycles
    ours, theirs = ({call.call: call.mean_cycles for call in each.calls} for each in (para, native))
    assert abs(ours["lseek"] - theirs["lseek"]) < 100  # a call alone enters no hypervisor
    assert ours["fault"] > theirs["fault"] + 2000
    assert {call.call: call.mean_cycles for call in full.calls}["lseek"] > theirs["lseek"] + 1000


# --- preempted lock holders ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [ONE[0], pytest.param(ONE[1], marks=pytest.mark.slow)])
def test_a_preempted_virtual_processor_keeps_its_lock_and_others_spin(name):
    enough = ran(name, 2, tuple((SHORT_SLICES | {"guest_processors": 2}).items()), 8, 150)
    twice = ran(name, 2, tuple(TWICE.items()), 8, 150)
    delayed = ran(name, 2, (*TWICE.items(), ("delayed_preemption", 1)), 8, 150)
    assert spin_share(enough) < 0.02
    assert spin_share(twice) > 0.1
    assert spin_share(delayed) < 0.02
    assert delayed.makespan_cycles < twice.makespan_cycles


@pytest.mark.parametrize("name", [SHARING[0], pytest.param(SHARING[1], marks=pytest.mark.slow)])
@pytest.mark.slow
def test_co_scheduling_runs_the_processors_of_a_guest_together(name):
    free, strict = (ran(name, 2, (*TWO_GUESTS.items(), ("co_scheduling", how)), 8, 150) for how in (0, 1))
    assert spin_share(free) > 0.03
    assert spin_share(strict) < 0.02


@pytest.mark.slow
def test_relaxed_co_scheduling_bounds_how_far_a_processor_falls_behind():
    slices = (*TWICE.items(), ("virtual_slice", 10))
    free, relaxed = (
        ran("virtualization-full-one", 2, (*slices, ("co_scheduling", how)), 8, 150) for how in (0, 2)
    )
    ticks = 2_000_000
    assert longest_spin(free) > 16 * ticks
    # two may wait for a processor, who has the lock and who gets it next, each until its sibling is too far ahead
    assert longest_spin(relaxed) < (2 * (SKEW_TICKS + 1) + 1) * ticks


# --- faults and mutants -------------------------------------------------------------------------------------


def tried(kernel, number):
    return trials.run_trial(kernel, trials.trials()[number], Detector)[1]


@functools.cache
def kernel_of(name, options=()):
    return trials.kernel_of(plan_with(name, {"virtual_slice": 1, **dict(options)}))


@pytest.mark.parametrize("name", [*SPREAD, "cells"])
def test_no_fault_where_processes_are_apart(name):
    assert tried(kernel_of(name), 3) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SPREAD, *ONE, "virtualization-gang", "cells"])
def test_no_fault_in_any_port(name):
    for number in range(len(trials.trials())):
        assert tried(kernel_of(name), number) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [("co_scheduling", 1), ("co_scheduling", 2), ("delayed_preemption", 1)], ids=str
)
def test_no_fault_with_two_guests_of_two_processors(options):
    chosen = (("guests", 2), ("guest_processors", 2), options)
    for name in SHARING:
        assert tried(kernel_of(name, chosen), 1) == ""


def test_a_kernel_without_locks_needs_guests_of_one_processor():
    wrong = tried(kernel_of("virtualization-para", (("guests", 1), ("guest_processors", 2))), 0)
    assert wrong.startswith("race: race on ")


def changed(monkeypatch, kernel, function, statement):
    """Return a kernel in which each statement of a function is replaced by what `statement` makes of it."""

    def body(statements):
        return tuple(part for each in statements for part in statement(with_bodies(each, body)))

    def mutate(functions, *_):
        source = functions[function]
        mutant = source.with_body(body(source.body))
        assert mutant != source
        return functions | {function: mutant}

    monkeypatch.setattr("lockscape.ports.port.mutate", mutate)
    mutant = Mutant(function, 0, "", "message", "removed")
    return trials.assembled(kernel.port.mutated(mutant))


def left_out(operation):
    def statement(node):
        gone = isinstance(node, Do) and isinstance(node.value, Op) and node.value.name == operation
        return () if gone else (node,)

    return statement


MESSAGES = [
    ("start_disk", "trap"),  # the frontend does not signal the backend
    ("start_backend", "trap"),  # the backend does not ask for the disk
    ("backend_disk", "trap"),  # the backend does not signal the frontend
    ("inject", "send_instance"),  # the hypervisor does not raise an interrupt
]


@pytest.mark.slow
@pytest.mark.parametrize(("function", "operation"), MESSAGES)
def test_a_signal_left_out_is_noticed(monkeypatch, function, operation):
    mutant = changed(monkeypatch, kernel_of("virtualization-para"), function, left_out(operation))
    assert any(tried(mutant, number) for number in (4, 0))


@pytest.mark.slow
def test_a_ring_counted_before_it_is_filled_is_a_race(monkeypatch):
    waiting = []

    def statement(node):
        if isinstance(node, Store) and node.target.name == "block":
            waiting.append(node)
            return ()
        if isinstance(node, Store) and node.target.name == "requests":
            return (node, Do(Op("pause", (Const(60_000),))), waiting.pop())
        return (node,)

    mutant = changed(monkeypatch, kernel_of("virtualization-para"), "start_disk", statement)
    (synchronous,) = (t for t in trials.trials() if "write to disk at once" in t.name)
    wrong = trials.run_trial(mutant, synchronous, Detector)[1]
    assert wrong.startswith("race: race on Ring") and ".block" in wrong


# --- cells --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [0, 1])
def test_a_cell_fails_alone(cell):
    whole = ran("cells", 4)
    failed = simulate_failure(spec_of("cells", 4), cell, whole.makespan_cycles // 3)
    assert failed.instances == (cell,)
    assert failed.lost == ((1, 3), (2, 4))[cell]
    for number, (now, before) in enumerate(zip(failed.result.processes, whole.processes, strict=True), 1):
        if number in failed.lost:
            assert now.end_cycles == 0
            assert now.operations < before.operations
        else:
            assert now == before  # to the cycle: no other cell notices anything


@pytest.mark.parametrize("name", ["fine", "virtualization-para"])
def test_one_kernel_or_one_hypervisor_takes_all_down(name):
    failed = simulate_failure(spec_of(name, 4), 0, ran(name, 4).makespan_cycles // 3)
    assert failed.lost == (1, 2, 3, 4)


def test_what_cannot_fail_is_refused_in_one_line():
    for name, number, cycles, why in (
        ("virtualization-para", 1, 1_000_000, "instance 1 has no processors of its own"),
        ("cells", 2, 1_000_000, "instance 2: this machine has those from 0 to 1"),
        ("cells", 0, 1 << 40, "the run ends before"),
    ):
        with pytest.raises(InputError, match=why) as caught:
            simulate_failure(spec_of(name, 4), number, cycles)
        assert "\n" not in str(caught.value)
