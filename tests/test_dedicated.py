"""The dedicated processor: the disk is the device kernel's, by messages, and the kernel hears of completions."""

from functools import cache

import msgspec
import pytest

from lockscape.experiments.run import damage, load_run, run_to_end
from lockscape.machine import layout as at
from lockscape.machine.state import State
from lockscape.ports.plan import load_plan
from simulate_tools import WORK, result, spec

PLAN = "dedicated-processor"


@cache
def ran(cpus: int, seconds: int) -> tuple[State, list[str]]:
    """Run with buffers written at an age of so many seconds; return the state after the end, and damage."""
    plan = load_plan(PLAN)
    aged = {"flush_seconds": 1, "buffer_age_seconds": seconds}
    work = msgspec.structs.replace(WORK, transactions=8000)
    young = spec(PLAN, cpus, processes=2, postmark=work, machine="m68030")  # slow, so that seconds pass
    young = msgspec.structs.replace(young, plan=msgspec.structs.replace(plan, options=plan.options | aged))
    loaded = load_run(young)
    run_to_end(loaded)
    return loaded.machine.state, damage(loaded)


def dirty(state: State) -> int:
    return len(state.items(state.system("BufferCache"), "dirty"))


@pytest.mark.parametrize("cpus", [1, 2, 3])
def test_buffers_are_written_and_handed_back(cpus: int) -> None:
    state, wrong = ran(cpus, 1)
    assert wrong == []
    assert dirty(state) < dirty(ran(cpus, 1000)[0])
    messages = state.system("Messages")
    assert state.get(messages, "polled") == (cpus > 1)
    for queue in ("requests", "completions"):
        assert not state.items(messages, queue)
    assert not state.items(state.system("Disk"), "queue")
    for _, buffer in state.items(state.system("BufferCache"), "table"):
        assert state.get(buffer, "busy") == 0


def test_the_device_kernel_takes_no_interrupts_and_never_rests() -> None:
    last = result(PLAN, 3).processors[-1]
    assert (last.user_cycles, last.idle_cycles, last.interrupt_cycles) == (0, 0, 0)
    state, _ = ran(2, 1)
    device = state.virtuals[-1]
    assert int(state.m[device + at.V_STATE]) != at.HALTED


def test_one_processor_is_the_giant_kernel() -> None:
    assert result(PLAN, 1).calls == result("giant", 1).calls
