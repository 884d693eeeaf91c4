"""Shows what goes wrong in a port, with a lock taken out or as it is: faults, how they came about, damage."""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError, unknown
from lockscape.experiments.result import FaultRecord, Removal, RunSpec
from lockscape.experiments.run import Loaded, damage, load_run, run_to_end
from lockscape.machine import layout as at
from lockscape.machine.costs import preset
from lockscape.machine.execute import RunError, TraceReader, execute
from lockscape.machine.faults import Detector, Fault, interleaving
from lockscape.ports.plan import Plan

AROUND_CYCLES = 1500
"""How much of the time before and after a fault is shown."""

MOST_SHOWN = 5
"""Faults whose interleaving is shown: the first of each kind, then others in the order they showed."""

MOST_ROWS = 200_000
"""Rows of the trace kept around one fault."""


def lock_names(plan: Plan) -> list[str]:
    """Return the locks that a plan's rules take, ``rcu`` for read sections of RCU."""
    return sorted({rule.lock or rule.mode for rule in plan.rule})


def plan_without(plan: Plan, lock: str) -> tuple[Plan, int]:
    """Return a plan without a lock's rules, and how many. Raises `InputError` if there are none."""
    names = lock_names(plan)
    if lock not in names:
        raise InputError(
            unknown("lock", lock, names) if names else f"no lock to take out: {plan.title!r} has none"
        )
    rules = tuple(rule for rule in plan.rule if (rule.lock or rule.mode) != lock)
    return msgspec.structs.replace(plan, rule=rules), len(plan.rule) - len(rules)


def without(spec: RunSpec, lock: str | None) -> Removal:
    """Run a system without one of its locks under the fault detector, or as it is if `lock` is None.

    The run is made twice: once to find the faults, once more to keep what was done around them.
    """
    plan, rules = plan_without(spec.plan, lock) if lock is not None else (spec.plan, 0)
    bare = msgspec.structs.replace(spec, plan=plan)
    loaded = load_run(bare, traced=True)
    weakly_ordered = not preset(spec.machine).stores_in_order
    detector = Detector(loaded.machine.state, loaded.port.rules(weakly_ordered))
    ended = _run(loaded, detector.read)
    state = loaded.machine.state  # asked once more to go on, it says whether it is stuck
    detector.finish(execute(state, int(state.m[at.H_TIME]), detector.read))
    harm = _harm(loaded) if not ended else []
    chosen = _chosen(detector.faults)
    shown = _interleavings(bare, chosen)
    records = tuple(_record(fault, shown.get(number, ())) for number, fault in enumerate(detector.faults))
    return Removal(
        spec.system, lock or "", spec.cpus, rules, records, detector.findings.repeated, ended, tuple(harm)
    )


def _run(loaded: Loaded, reader: TraceReader) -> str:
    try:
        run_to_end(loaded, reader=reader)
    except RunError as error:
        return str(error)
    return ""


def _harm(loaded: Loaded) -> list[str]:
    try:
        return damage(loaded)
    except RunError as error:
        return [str(error)]


def _chosen(faults: list[Fault]) -> dict[int, Fault]:
    """Return the faults to show in full, by number: one of each kind first."""
    first = {fault.kind: number for number, fault in reversed(list(enumerate(faults)))}
    order = sorted(range(len(faults)), key=lambda number: (first[faults[number].kind] != number, number))
    return {number: faults[number] for number in sorted(order[:MOST_SHOWN])}


def _interleavings(spec: RunSpec, faults: dict[int, Fault]) -> dict[int, tuple[str, ...]]:
    """Run once more and return what the parties of each fault did around it."""
    if not faults:
        return {}
    loaded = load_run(spec, traced=True)
    keeper = _Keeper(faults)
    _run(loaded, keeper.read)
    state = loaded.machine.state
    return {
        number: tuple(interleaving(state, keeper.rows(number), fault, AROUND_CYCLES))
        for number, fault in faults.items()
    }


@dataclass
class _Keeper:
    """Keeps those rows of a trace that are near some faults in time."""

    faults: dict[int, Fault]

    def __post_init__(self) -> None:
        self.parts: dict[int, list[NDArray[np.int64]]] = {number: [] for number in self.faults}
        self.count = dict.fromkeys(self.faults, 0)

    def read(self, rows: NDArray[np.int64]) -> None:
        for number, fault in self.faults.items():
            near = np.zeros(len(rows), bool)
            for time in fault.times_cycles:
                near |= np.abs(rows[:, 0] - time) <= AROUND_CYCLES
            kept = rows[near & np.isin(rows[:, 2], fault.contexts)][: MOST_ROWS - self.count[number]]
            self.parts[number].append(kept)
            self.count[number] += len(kept)

    def rows(self, number: int) -> NDArray[np.int64]:
        return np.concatenate(self.parts[number])


def _record(fault: Fault, lines: tuple[str, ...]) -> FaultRecord:
    return FaultRecord(
        fault.kind, fault.time_cycles, fault.times_cycles, fault.objects,
        tuple(str(place) for place in fault.places), fault.message, lines,
    )  # fmt: skip
