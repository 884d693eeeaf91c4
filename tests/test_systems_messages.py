"""Systems whose mechanism is a message, a compare-and-swap or a cache of objects: what shows it directly."""

import pytest

from lockscape.experiments.drawn import further
from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import damage, load_run, run_to_end, simulate
from lockscape.experiments.trials import run_trial, trials
from lockscape.machine.faults import Detector
from lockscape.ports.plan import Change, Plan, changed_plan
from lockscape.systems.load import load_system
from lockscape.workloads.choose import choose_workload
from lockscape.workloads.postmark import PostmarkOptions
from lockscape.workloads.workload_file import Workload
from trial_tools import kernel

SYSTEMS = ("qnx", "qnx@multithreaded", "synthesis", "cache-kernel", "l4linux", "l4linux@safe-states", "k42")

SMALL = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=10, transactions=30)


def spec(name: str, cpus: int = 2, processes: int = 2, **options: int) -> RunSpec:
    found = load_system(name)
    return RunSpec(name, found.plan, cpus, processes, SMALL, "each", machine=found.machine)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_first_trial_finds_nothing(name: str) -> None:
    assert run_trial(kernel(name), trials()[0], Detector)[1] == ""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SYSTEMS)
def test_all_trials_find_nothing(name: str) -> None:
    made = kernel(name, swapping=1)
    for trial in [*trials(), *map(further, range(30))]:
        assert run_trial(made, trial, Detector)[1] == "", trial.name


# --- QNX ----------------------------------------------------------------------------------------------------


def test_what_a_client_asks_for_is_done_by_the_threads_of_two_servers() -> None:
    loaded = load_run(spec("qnx"))
    state = loaded.machine.state
    channels = [state.system("ServerChannel", number) for number in range(2)]
    threads = [state.items(channel, "receivers") for channel in channels]
    assert [len(each) for each in threads] == [1, 1]
    run_to_end(loaded)
    made = [sum(state.get(p, "number") == 0 for p, _ in state.items(c, "receivers")) for c in channels]
    assert made == [1, 1]  # both wait for messages again
    woken = {each.event: each.count for each in simulate(spec("qnx")).events}["process runs"]
    calls = sum(each.count for each in simulate(spec("qnx")).calls if each.call in ("open", "fstat", "mmap"))
    assert woken > calls


# --- Synthesis ----------------------------------------------------------------------------------------------


def test_times_of_calls_are_near_the_thesis() -> None:
    found = load_system("synthesis")
    result = simulate(RunSpec("synthesis", found.plan, 1, 1, SMALL, "each", machine=found.machine))
    us = {each.call: each.mean_cycles / result.clock_mhz for each in result.calls}
    assert us["read"] == pytest.approx(9 + 100 / 8, rel=0.35)  # published: 9 + N/8 us
    plain = simulate(RunSpec("x", found.without("generated-read-and-write").plan, 1, 1, SMALL, "each",
                             machine=found.machine))  # fmt: skip
    slow = {each.call: each.mean_cycles / result.clock_mhz for each in plain.calls}
    assert slow["read"] - us["read"] > 25
    assert us["open"] > slow["open"] + 30  # the routines are made then


# --- the Cache Kernel ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slots", "more"), [(3, True), (64, False)])
def test_what_is_written_back_is_loaded_again(slots: int, more: bool) -> None:
    found = load_system("cache-kernel")
    plan = changed_plan(found.plan, Change(options={"space_slots": slots, "hz": 1000, "slice_ticks": 1}), "x")
    loaded = load_run(RunSpec("x", plan, 2, 6, SMALL, "each", machine=found.machine))
    run_to_end(loaded)
    state = loaded.machine.state
    spaces = state.items(state.system("ObjectCache", 1), "loaded")
    assert len(spaces) == min(slots, 6)
    loads = [state.get(process, "loads") for process in loaded.machine.processes]
    assert min(loads) >= 1
    assert (max(loads) > 1) == more


def test_the_detector_finds_nothing_while_all_caches_overflow() -> None:
    made = kernel("cache-kernel", thread_slots=3, space_slots=2, mapping_slots=4)
    for number in (1, 9):
        assert run_trial(made, trials()[number], Detector)[1] == ""


# --- L4Linux ------------------------------------------------------------------------------------------------


def test_a_call_takes_as_much_longer_as_the_two_messages_of_the_published_measurement() -> None:
    found = load_system("l4linux")
    plans = found.plan, found.without("calls-by-message").plan
    message, direct = (
        {each.call: each.mean_cycles for each in simulate(spec_of(plan, found.machine)).calls}
        for plan in plans
    )
    assert message["time"] - direct["time"] == pytest.approx(526 - 223, rel=0.25)


def spec_of(plan: Plan, machine: str) -> RunSpec:
    return RunSpec("x", plan, 1, 2, SMALL, "each", machine=machine)


def test_interrupts_are_handled_by_a_thread() -> None:
    found = load_system("l4linux")
    serves = choose_workload("netserve")
    assert isinstance(serves, Workload)
    work = serves.changed(operations=3, processes=4)
    loaded = load_run(RunSpec("x", found.plan, 2, 4, machine=found.machine, workload=work))
    state = loaded.machine.state
    threads = [state.get(state.system("DeviceThread", 0, guest), "thread") for guest in (1, 2)]
    run_to_end(loaded)
    assert damage(loaded) == []
    for guest, thread in enumerate(threads, 1):
        messages = state.system("DeviceThread", 0, guest)
        told = [state.get(messages, name) for name in ("arrived", "sent", "taken", "freed")]
        assert told[:2] == told[2:]  # all that it was told of it has done
        assert told[0] > 0 and told[1] > 0
        assert state.get(thread, "state")  # and it sleeps


@pytest.mark.slow
def test_a_lock_holder_is_not_preempted_for_long_with_either_kind_of_avoidance() -> None:
    work = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=100, transactions=400)
    longest = {}
    for name in ("l4linux", "l4linux@safe-states", "l4linux@unaware"):
        found = load_system(name)
        run = RunSpec(name, found.plan, 4, 8, work, "each", machine=found.machine)
        longest[name] = max(each.wait_max_cycles for each in simulate(run).locks if each.kind == "spinlock")
    assert longest["l4linux"] < 100_000
    assert longest["l4linux@safe-states"] < 100_000
    assert longest["l4linux@unaware"] > 1_000_000  # most of a time slice of 10 ms


# --- K42 ----------------------------------------------------------------------------------------------------


def test_page_caches_that_are_distributed_from_the_start_are_right_too() -> None:
    for number in (0, 6):
        assert run_trial(kernel("k42", hot_swap=2), trials()[number], Detector)[1] == ""
