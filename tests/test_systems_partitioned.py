"""Systems that divide the machine: masters and slaves, device kernels, guests, cells and domains."""

import functools

import pytest

from lockscape.experiments.choose import choose
from lockscape.experiments.observe import observe, shown_spec
from lockscape.experiments.run import simulate
from lockscape.systems.model import Shown


@functools.cache
def ran(name, workload, cpus, operations, processes=0):
    found = choose(name)
    shown = Shown(workload=workload, cpus=cpus, observable="steps", direction="lower",
                  operations=operations, processes=processes)  # fmt: skip
    return simulate(shown_spec(found, shown))


def speedup(name, cpus, workload, operations, processes=0):
    one, several = (ran(name, workload, each, operations, processes) for each in (1, cpus))
    return one.makespan_cycles / several.makespan_cycles


# --- a master and a slave -----------------------------------------------------------------------------------


def test_a_slave_helps_programs_that_compute_and_hinders_those_that_call_the_kernel():
    assert speedup("dual-vax", 2, "compute", 20, 4) > 1.8
    assert speedup("dual-vax", 2, "forkexec", 20, 4) < 0.95


# --- a kernel beside another --------------------------------------------------------------------------------


def test_every_call_is_done_on_the_first_processor():
    result = ran("application-kernel", "postmark", 4, 100)
    giant = simulate(shown_spec(choose("application-kernel").without("bootstrap-threads"), SHOWN))
    for each in ("open", "unlink"):
        assert observe(result, f"calls.{each}.count") == observe(giant, f"calls.{each}.count")
    assert all(each.kernel_cycles < result.processors[0].kernel_cycles / 2 for each in result.processors[1:])


SHOWN = Shown(workload="postmark", cpus=4, observable="steps", direction="lower", operations=100)


def test_a_device_kernel_is_worth_its_processor_to_servers_only():
    with_it, without = (ran(name, "netserve", 4, 30) for name in ("piglet", "linux-2.0"))
    assert with_it.makespan_cycles < 0.95 * without.makespan_cycles
    assert with_it.share("interrupt") < without.share("interrupt")
    files, fewer = ran("piglet", "postmark", 4, 100), ran("linux-2.0", "postmark", 3, 100)
    assert files.makespan_cycles == pytest.approx(fewer.makespan_cycles, rel=0.02)  # as Linux on one less
    assert speedup("piglet", 4, "compute", 20) < 0.8 * speedup("linux-2.0", 4, "compute", 20)
