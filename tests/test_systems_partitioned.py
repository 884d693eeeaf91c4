"""Systems that divide the machine: masters and slaves, device kernels, guests, cells and domains."""

import functools

import msgspec
import pytest

from lockscape.experiments.choose import choose
from lockscape.experiments.failure import simulate_failure
from lockscape.experiments.observe import observe, trial_spec
from lockscape.experiments.run import load_run, run_to_end, simulate
from lockscape.ports import pipeline
from lockscape.ports.hypervisor_topology import time_slots
from lockscape.systems.model import Shown


@functools.cache
def ran(name, workload, cpus, operations, processes=0):
    found = choose(name)
    shown = Shown(workload=workload, cpus=cpus, observable="steps", direction="lower",
                  operations=operations, processes=processes)  # fmt: skip
    return simulate(trial_spec(found, shown))


def speedup(name, cpus, workload, operations, processes=0):
    one, several = (ran(name, workload, each, operations, processes) for each in (1, cpus))
    return one.makespan_cycles / several.makespan_cycles


# --- a master and a slave -----------------------------------------------------------------------------------


def test_a_slave_helps_programs_that_compute_and_hinders_those_that_call_the_kernel():
    assert speedup("dual-vax", 2, "compute", 10, 4) > 1.8
    assert speedup("dual-vax", 2, "forkexec", 20, 4) < 0.95


def test_the_kernel_of_master_and_slave_runs_alone():
    assert ran("dual-vax@uniprocessor", "postmark", 1, 20, 2).makespan_cycles > 0


# --- a kernel beside another --------------------------------------------------------------------------------


def test_every_call_is_done_on_the_first_processor():
    result = ran("application-kernel", "postmark", 4, 100)
    giant = simulate(trial_spec(choose("application-kernel").without("bootstrap-threads"), SHOWN))
    for each in ("open", "unlink"):
        assert observe(result, f"calls.{each}.count") == observe(giant, f"calls.{each}.count")
    assert all(each.kernel_cycles < result.processors[0].kernel_cycles / 2 for each in result.processors[1:])


SHOWN = Shown(workload="postmark", cpus=4, observable="steps", direction="lower", operations=100)


def test_a_device_kernel_is_worth_its_processor_to_servers_only():
    with_it, without = (ran(name, "netserve", 4, 20) for name in ("piglet", "linux-2.0"))
    assert with_it.makespan_cycles < 0.95 * without.makespan_cycles
    assert with_it.share("interrupt") < without.share("interrupt")
    files, fewer = ran("piglet", "postmark", 4, 60), ran("linux-2.0", "postmark", 3, 60)
    assert files.makespan_cycles == pytest.approx(fewer.makespan_cycles, rel=0.02)  # as Linux on one less
    assert speedup("piglet", 4, "compute", 8) < 0.8 * speedup("linux-2.0", 4, "compute", 8)


# --- guests -------------------------------------------------------------------------------------------------


def test_guests_of_two_processors_leave_one_of_three_idle():
    strict, free = (with_options("vmware-esx", 3, 400, co_scheduling=how) for how in (1, 0))
    assert strict.share("idle") > 0.2 > free.share("idle")


def test_time_slots_keep_guests_apart_that_share_a_processor():
    assert time_slots({1: {0, 1}, 2: {2, 3}, 3: {0, 1}, 4: {1, 2}}) == {1: 0, 2: 0, 3: 1, 4: 2}
    assert time_slots({1: {0, 1}, 2: {2, 0}, 3: {1, 2}}) == {1: 0, 2: 1, 3: 2}


def test_every_change_of_a_page_table_takes_the_domains_lock():
    result = ran("xen-2.0.5", "postmark", 2, 100)
    (lock,) = (each for each in result.locks if each.lock == "big_lock")
    faults, unmapped = (observe(result, f"calls.{each}.count") for each in ("fault", "munmap"))
    assert lock.acquisitions == faults + unmapped > 0
    assert lock.contentions == 0  # a guest has one processor


def with_options(name, cpus, operations, processes=8, workload="postmark", **options):
    """Return a run of a system with some build options changed."""
    shown = Shown(workload=workload, cpus=cpus, observable="steps", direction="lower",
                  operations=operations, processes=processes)  # fmt: skip
    return simulate(changed(trial_spec(choose(name), shown), options))


def changed(spec, options):
    plan = msgspec.structs.replace(spec.plan, options=spec.plan.options | options)
    return msgspec.structs.replace(spec, plan=plan)


# --- cells --------------------------------------------------------------------------------------------------


def test_a_virtual_processor_that_waits_moves_to_one_that_has_nothing_to_do():
    moved, stayed = (
        with_options("cellular-disco", 4, 20, 4, "compute", virtual_migration=how) for how in (1, 0)
    )
    assert moved.makespan_cycles < 0.7 * stayed.makespan_cycles
    busy = [each.user_cycles for each in moved.processors]
    assert min(busy) > 0.5 * max(busy)
    assert min(each.user_cycles for each in stayed.processors) == 0


def test_moving_to_another_node_takes_longer():
    near, far = (with_options("cellular-disco", 4, 10, 4, "compute", node_processors=each) for each in (4, 1))
    assert near.makespan_cycles < far.makespan_cycles


@pytest.mark.parametrize("cell", [0, 1, 2])
def test_a_cell_of_the_hypervisor_fails_alone(cell):
    shown = Shown(
        workload="postmark", cpus=12, observable="steps", direction="lower", operations=60, processes=12
    )
    spec = trial_spec(choose("cellular-disco"), shown)
    whole = simulate(spec)
    failed = simulate_failure(spec, cell, whole.makespan_cycles // 3)
    assert failed.instances == (cell, 3 + 2 * cell, 4 + 2 * cell)  # and its two guests
    assert len(failed.lost) == 4
    for number, (now, before) in enumerate(zip(failed.result.processes, whole.processes, strict=True), 1):
        assert now == before or number in failed.lost  # to the cycle


# --- domains ------------------------------------------------------------------------------------------------


def jobs_and_ticks(**actions):
    """Return how many ticks the first processor's domains had, if that for real time does so about them."""
    shown = Shown(workload="postmark", cpus=2, observable="steps", direction="lower", operations=60)
    loaded = load_run(changed(trial_spec(choose("adeos"), shown), {"hz": 2000}))
    state = loaded.machine.state
    state.set(state.system("Domain", 0), **actions)
    run_to_end(loaded)
    ticks = state.get(state.system("Clock", 0, 3), "jiffies")
    return state.get(state.system("RealTime", 0, 1), "jobs"), ticks


def test_an_interrupt_passes_on_or_not_as_each_domain_says():
    jobs, ticks = jobs_and_ticks(tick=pipeline.ACCEPT)
    assert jobs == ticks > 3
    assert jobs_and_ticks(tick=pipeline.IGNORE) == (0, pytest.approx(ticks, abs=1))
    assert jobs_and_ticks(tick=pipeline.TERMINATE) == (pytest.approx(jobs, abs=1), 0)
    assert jobs_and_ticks(tick=pipeline.DISCARD) == (0, 0)


def test_what_a_kernel_masks_does_not_keep_the_first_domain_waiting():
    ordered, reversed_ = (with_options("adeos", 2, 100, hz=2000, real_time_last=last) for last in (0, 1))
    event = "events.real_time_tick begins"
    assert observe(ordered, f"{event}.count") > 3
    assert observe(ordered, f"{event}.max_cycles") == 0 < observe(reversed_, f"{event}.max_cycles")
