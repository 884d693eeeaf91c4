"""What one guest counted, as a result."""

import time
from collections.abc import Mapping, Sequence

from lockscape.real.boot_result import BootRun, CallCost, ProcessorTime
from lockscape.real.simulator.guest import Guest
from lockscape.real.simulator.messages import (
    CALLS,
    CREATED,
    OPERATIONS,
    TRANSACTED,
    CallCount,
    Phase,
    ProcessorCount,
    percentile,
)

NOMINAL_HZ = 1_000_000_000
"""The guest's clock has a nanosecond a cycle."""


def run_of(guest: Guest, cpus: int, processes: int) -> BootRun:
    """Return the run of a guest that has ended.

    Raises `GuestError` if its kernel did not use all processors, or a process did not end well.
    """
    end = guest.end
    assert end is not None
    found = guest.facts.get("processors", ["0"])[-1]
    if found != str(cpus):
        raise guest.failed(
            f"the guest runs on {found} of {cpus} processors: its kernel cannot use them; give fewer --cpus"
        )
    ended = guest.facts.get("ended", ["0"])[-1]
    if ended != str(processes):
        raise guest.failed(f"in the guest {ended} of {processes} processes ended well")
    return BootRun(
        makespan_cycles=end.time,
        makespan_s=end.time / NOMINAL_HZ,
        steady_per_s=_steady(guest.phases, processes),
        processors=tuple(_processor(each, end.time) for each in guest.processors),
        calls=tuple(map(_call, guest.calls)),
        timer_interrupts=_growth(guest.facts, "LOC:"),
        context_switches=next(iter(_growth(guest.facts, "ctxt") or ()), None),
        late=end.late,
        all_idle=end.all_idle,
        all_idle_s=end.all_idle_ns / 1e9,
        host_s=round(time.monotonic() - guest.started, 3),
        cpu_s=round(guest.cpu_s, 3),
    )


def _processor(count: ProcessorCount, makespan_cycles: int) -> ProcessorTime:
    idle = max(0, makespan_cycles - count.user - count.kernel)
    return ProcessorTime(count.user, count.kernel - count.spinning, count.spinning, idle, count.pauses)


def _call(count: CallCount) -> CallCost:
    return CallCost(
        CALLS[count.code], count.count, round(count.total / count.count, 1), count.least,
        percentile(count, 0.5), percentile(count, 0.9), count.most,
    )  # fmt: skip


def _steady(phases: Sequence[Phase], processes: int) -> float | None:
    """Return operations per second of the guest's clock while every process was in its transactions."""
    begun = [each for each in phases if each.phase == CREATED]
    ended = [each for each in phases if each.phase == TRANSACTED]
    if len(begun) < processes or not ended:
        return None
    first, last = max(begun, key=lambda each: each.time), min(ended, key=lambda each: each.time)
    kinds = [CALLS.index(name) for name in OPERATIONS]
    done = sum(last.ended[kind] - first.ended[kind] for kind in kinds)
    if last.time <= first.time or done <= 0:
        return None
    return done * NOMINAL_HZ / (last.time - first.time)


def _growth(facts: Mapping[str, Sequence[str]], name: str) -> tuple[int, ...] | None:
    """Return by how much the numbers of a line of the guest's counters grew while was measured."""
    rows = []
    for when in ("before", "after"):
        line = next((each for each in facts.get(when, ()) if each.startswith(name)), None)
        if line is None:
            return None
        rows.append([int(word) for word in line.split() if word.isascii() and word.isdigit()])
    return tuple(after - before for before, after in zip(*rows, strict=False))
