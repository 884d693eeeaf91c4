"""Observables: what of a run's result can be looked at by name, and how a system's mechanism shows in one.

A name is one of these, in seconds, cycles, numbers or shares::

    makespan_s                          the time until all processes were done
    steady_per_s                        operations per second while all were at work
    steps, line_transfers               of the whole run
    share.MODE                          of all time: user, kernel, interrupt, spin, idle, hypervisor
    first.MODE                          the first processor's share of what all of them spent in a mode
    locks.LOCK.FIELD                    see `lockscape.experiments.result.LockStatistics`
    calls.CALL.FIELD                    see `Latency` there: count, mean_cycles, max_cycles
    events.EVENT.FIELD                  as of calls; an event is ``packet_arrived begins`` or the like
    ….FIELD_us                          a field that ends in _cycles, in microseconds
    ….FIELD_share                       the same as a share of all processors' time
    failure.lost, failure.ended         processes that were lost with a failed instance, and that were not
"""

from dataclasses import dataclass

from lockscape.errors import InputError, unknown
from lockscape.experiments.failure import failure
from lockscape.experiments.result import MODES, Failure, RunResult, RunSpec
from lockscape.experiments.run import simulate
from lockscape.systems.load import System
from lockscape.systems.model import Mechanism, Shown, Trial
from lockscape.workloads.choose import choose_workload
from lockscape.workloads.postmark import PostmarkOptions
from lockscape.workloads.replay import Replay

MOVES = 0.01
"""By how much an observable has to move, as a share of its smaller value, to count as moved."""


@dataclass(frozen=True)
class Moved:
    """A mechanism's observable with it and without it. `expected`: it moved as the system's file says."""

    system: str
    mechanism: Mechanism
    with_it: float
    without_it: float

    @property
    def expected(self) -> bool:
        """Return whether it moved, and in the direction that was expected."""
        low, high = self.without_it, self.with_it
        if self.mechanism.shown.direction == "lower":
            low, high = high, low
        return high > low * (1 + MOVES) if low > 0 else high > low


def show_mechanism(system: System, mechanism: Mechanism) -> Moved:
    """Run a system with and without a mechanism where that shows. Raises what a run raises."""
    shown = mechanism.shown
    values = [_observed(each, shown) for each in (system, system.without(mechanism.id))]
    return Moved(system.id, mechanism, *values)


def trial_spec(system: System, shown: Trial) -> RunSpec:
    """Return the run of a system that is to be looked at."""
    if shown.workload == "postmark":
        work = PostmarkOptions(
            size_low_bytes=100, size_high_bytes=100, files=shown.files, transactions=shown.operations or 300
        )
        return RunSpec(
            system.id, system.plan, shown.cpus, shown.processes or 8, work, "each", machine=system.machine
        )
    found = choose_workload(shown.workload)
    if not isinstance(found, Replay):
        given = {"processes": shown.processes, "operations": shown.operations}
        found = found.changed(**{name: value for name, value in given.items() if value})
    return RunSpec(
        system.id, system.plan, shown.cpus, found.processes, machine=system.machine, workload=found
    )


def _observed(system: System, shown: Shown) -> float:
    spec = trial_spec(system, shown)
    if shown.fails:
        instance, _, at_ms = shown.fails.partition("@")
        return _of_failure(failure(spec, int(instance), float(at_ms)), shown.observable)
    return observe(simulate(spec), shown.observable)


def _of_failure(found: Failure, name: str) -> float:
    lost = sum(each.lost for each in found.processes)
    known = {"failure.lost": lost, "failure.ended": len(found.processes) - lost}
    if name not in known:
        raise InputError(unknown("observable of a failure", name, known))
    return known[name]


def observe(result: RunResult, name: str) -> float:
    """Return what an observable is in a result. Raises `InputError` for a name that is none."""
    kind, _, rest = name.partition(".")
    if name in ("makespan_s", "steps", "line_transfers"):
        return float(getattr(result, name))
    if name == "steady_per_s":
        return result.steady_per_s or 0.0
    if kind in ("share", "first"):
        if rest not in MODES:
            raise InputError(unknown("mode of processors", rest, MODES))
        return result.share(rest) if kind == "share" else _first(result, rest)
    if kind in ("locks", "calls", "events"):
        which, _, field = rest.rpartition(".")
        return _field(result, kind, which, field)
    known = ("makespan_s", "steady_per_s", "steps", "line_transfers", "share.", "first.", "locks.", "calls.",
             "events.")  # fmt: skip
    raise InputError(unknown("observable", name, known))


def _first(result: RunResult, mode: str) -> float:
    spent = [getattr(each, f"{mode}_cycles") for each in result.processors]
    return spent[0] / sum(spent) if any(spent) else 0.0


def _field(result: RunResult, kind: str, which: str, field: str) -> float:
    """Return a field of a lock, a call or an event; what did not occur counts 0."""
    found = {getattr(each, kind[:-1]): each for each in getattr(result, kind)}
    if which not in found:
        return 0.0
    name, _, unit = field.rpartition("_")
    over = {"us": result.clock_mhz, "share": result.makespan_cycles * len(result.processors)}.get(unit)
    value = getattr(found[which], field if over is None else f"{name}_cycles", None)
    if not isinstance(value, int | float):
        names = [each for each in dir(found[which]) if isinstance(getattr(found[which], each), int | float)]
        raise InputError(unknown(f"field of {kind}", field, names))
    return value / (over or 1)
