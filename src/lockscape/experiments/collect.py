"""Reads a run's result out of the machine's memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from lockscape.experiments.histogram import buckets_of
from lockscape.experiments.result import (
    RESPONDS,
    CallLatency,
    EventLatency,
    LockStatistics,
    ProcessorTime,
    ProcessTime,
    RunResult,
    Throughput,
    all_timed,
    timed,
)  # fmt: skip
from lockscape.kernel.entry import CALLS
from lockscape.machine import layout as at
from lockscape.machine.latency import BEGUN, HANDLED, RESPONDED, RUNS
from lockscape.machine.state import State
from lockscape.workloads.load import Machine


def collect(
    machine: Machine,
    clock_mhz: int,
    firsts: Sequence[int],
    transactions: Sequence[int],
    steady: Throughput | None,
) -> RunResult:
    """Return the result of a run that has just ended.

    `firsts`: the row of the workload that each process began at; `transactions`: those in its stream.
    """
    state = machine.state
    given = zip(machine.processes, machine.owners, firsts, transactions, strict=True)
    return RunResult(
        makespan_cycles=int(state.m[at.H_TIME]),
        clock_mhz=clock_mhz,
        processors=_processors(machine),
        locks=tuple(_lock(state, number) for number in range(len(state.binary.locks))),
        calls=_calls(state),
        events=_events(state),
        processes=tuple(_process(state, *each) for each in given),
        steady=steady,
        steps=int(state.m[at.H_STEPS]),
        line_transfers=int(state.m[at.H_TRANSFERS]),
    )


def _processors(machine: Machine) -> tuple[ProcessorTime, ...]:
    """Return the times of each physical processor: of the virtual ones that ran there."""
    here: dict[int, list[int]] = {}
    for v, home in machine.homes.items():
        here.setdefault(home, []).append(v)
    state = machine.state
    native, above = {}, {}
    for number, virtuals in sorted(here.items()):
        root = int(state.m[int(state.m[at.H_PROCESSOR]) + number * at.PROCESSOR_WORDS + at.P_ROOT])
        native[number] = _times(state, root)
        others = [_times(state, v) for v in virtuals if v != root]
        if others:
            above[number] = [sum(times[mode] for times in others) for mode in MODES]
    _share_moved({number: native[number][at.GUEST] for number in above}, above)
    return tuple(_processor(times, above.get(number)) for number, times in native.items())


def _share_moved(ran: Mapping[int, int], above: dict[int, list[int]]) -> None:
    """Divide the times of virtual processors that moved among the physical ones that they may have been on.

    `ran`: how long guests ran on each. Sums are exact; that all of them spent the same share in each mode is
    an assumption.
    """
    moved = [number for number in ran if sum(above[number]) != ran[number]]
    spent = [sum(above[number][k] for number in moved) for k in range(len(MODES))]
    if sum(spent) != sum(ran[number] for number in moved):
        return  # a run that does not add up
    for number in moved:
        parts = [cycles * ran[number] // sum(spent) for cycles in spent]
        parts[-1] += ran[number] - sum(parts)
        above[number] = parts


def _processor(native: Sequence[int], above: Sequence[int] | None) -> ProcessorTime:
    """Return what a physical processor did, from its own times and those of the virtual ones on it."""
    if above is None:
        return _time([native[mode] for mode in MODES], 0)
    below = sum(native[mode] for mode in MODES if mode != at.IDLE)
    shares = list(above)
    shares[MODES.index(at.IDLE)] += native[at.IDLE]
    return _time(shares, below)


def _time(shares: Sequence[int], hypervisor: int) -> ProcessorTime:
    user, kernel, interrupt, spin, idle = shares
    return ProcessorTime(user, kernel, interrupt, spin, idle, hypervisor)


MODES = (at.USER, at.KERNEL, at.INTERRUPT, at.SPIN, at.IDLE)
"""Modes in the order of `ProcessorTime`."""


def _times(state: State, v: int) -> list[int]:
    """Return the cycles of a virtual processor in each mode; the present one has lasted since V_SINCE."""
    m = state.m
    cycles = [int(m[v + at.V_CYCLES + mode]) for mode in range(at.MODES)]
    cycles[int(m[v + at.V_MODE])] += int(m[at.H_TIME]) - int(m[v + at.V_SINCE])
    return cycles


def _lock(state: State, number: int) -> LockStatistics:
    name = state.binary.locks[number]
    lock = state.program.locks[name]
    place = int(state.m[at.H_STATISTICS]) + number * at.STATISTIC_WORDS
    q = [int(word) for word in state.m[place : place + at.STATISTIC_WORDS]]
    return LockStatistics(
        name, lock.kind, lock.object, q[at.Q_ACQUIRED], q[at.Q_CONTENDED], q[at.Q_WAIT], q[at.Q_WAIT_MOST],
        q[at.Q_HELD], q[at.Q_BOUNCED], q[at.Q_SLEPT],
    )  # fmt: skip


def _calls(state: State) -> tuple[CallLatency, ...]:
    """Return the calls of the workload's processes; what others do for them is not told apart."""
    found = []
    for number, name in enumerate(CALLS):
        taken = _timed(state, int(state.m[at.H_CALLS]) + number * at.HISTOGRAM_WORDS)
        if taken["count"]:
            found.append(CallLatency(call=name, **taken))
    return tuple(found)


def _timed(state: State, place: int) -> dict[str, Any]:
    """Return the fields of the latency whose histogram is at an address."""
    total, most, *counts = state.m[place : place + at.HISTOGRAM_WORDS].tolist()
    return timed(total, most, buckets_of(counts))


def _events(state: State) -> tuple[EventLatency, ...]:
    """Return how long interrupts waited, by handler, and processes that were woken."""
    found: dict[str, EventLatency] = {}
    for other, instances in ((0, state.instances[:1]), (1, state.instances[1:])):
        for vector in range(at.VECTORS):
            handler = _handler(state, vector, instances)
            for number, what in ((BEGUN, "begins"), (HANDLED, "done")):
                _event(state, other, number + vector, f"{handler} {what}", found)
        _event(state, other, RUNS, "process runs", found)
        _event(state, other, RESPONDED, RESPONDS, found)
    return tuple(found.values())


def _event(state: State, other: int, number: int, event: str, found: dict[str, EventLatency]) -> None:
    """Add an event's latencies to those that were found under its name."""
    place = int(state.m[at.H_EVENTS]) + (other * at.EVENT_KINDS + number) * at.HISTOGRAM_WORDS
    here = EventLatency(event=event, **_timed(state, place))
    if event in found:  # of other instances
        here = EventLatency(event=event, **all_timed((found[event], here)))
    if here.count:
        found[event] = here


def _handler(state: State, vector: int, instances: Sequence[int]) -> str:
    """Return the function that the first of some instances that handles a vector enters by it."""
    rows = (int(state.m[instance + at.I_VECTOR + 2 * vector]) for instance in instances)
    row = next((row for row in rows if row >= 0), -1)
    return state.binary.where[row] if row >= 0 else f"vector {vector}"


def _process(state: State, process: int, owner: int, first: int, transactions: int) -> ProcessTime:
    context = state.get(process, "context")
    marks = dict(state.items(owner, "marks"))
    return ProcessTime(
        operations=int(state.m[context + at.C_WORK]) - first,
        transactions=transactions,
        marks_cycles=(marks.get(1, 0), marks.get(2, 0), marks.get(3, 0), marks.get(4, 0)),
        end_cycles=int(state.m[context + at.C_DONE]),
    )
