"""The next locks to split: those that the nearest simulated port waits for longest.

The port is run once, on the processors that are asked for, with the workload that has most of the mix's time
in the kernel. What relieving a lock would gain is a bound from how long it was waited for
(`lockscape.experiments.relief`); what changing it gains, `lockscape whatif` finds out by runs.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lockscape.experiments.advise import Advice
from lockscape.experiments.advise_mix import Mixes
from lockscape.experiments.advise_record import Record, question_of
from lockscape.experiments.choose import choose
from lockscape.experiments.curve import run_all
from lockscape.experiments.relief import Setting, Waited, relieve
from lockscape.experiments.result import RunResult
from lockscape.experiments.tradeoff import port_run

NEXT = 3
"""How many locks are told."""

_LOCK_BASED = ("giant", "coarse", "fine")


class NextLock(msgspec.Struct, frozen=True):
    """A lock of the port: how often it was waited for, the share of all processors' time, and by how much the
    run would be faster at most if nobody waited for it (None: not known)."""

    lock: str
    contentions: int
    wait_share: float
    bound: float | None


class NextLocks(msgspec.Struct, frozen=True):
    """The locks of a port that was run: which, why that one, with what; and how to go on."""

    port: str
    why: str
    workload: str
    cpus: int
    locks: tuple[NextLock, ...]
    command: str


def nearest_port(found: Advice, like: str | None = None) -> tuple[str, str] | None:
    """Return the port to look at, and why; None if no way with locks is left.

    `like`: a system that the user's kernel is like, by its places of locks.
    """
    if like is not None:
        return like, "of its models the nearest to the tree by places of locks per line"
    best = next((each for each in found.ways if each.rank and each.way in _LOCK_BASED), None)
    if best is None:
        return None
    return best.best, f"the fastest of {best.title.lower()}, the best-ranked method with locks"


def next_locks(
    port: str, why: str, found: Advice, record: Record, folder: Path | None = None, fresh: bool = False
) -> NextLocks:
    """Run a port and return the locks that it waits for longest. Raises what a run raises."""
    workload = _most(found.mixes, record)
    question = question_of(record, found.kernel)
    spec = port_run(choose(port), workload, question)
    (point,) = run_all([spec], folder, 1, None, fresh)
    command = f"lockscape whatif {port} --workload {workload} --cpus {spec.cpus}"
    return NextLocks(port, why, workload, spec.cpus, tuple(_locks(point.result, spec.processes)), command)


def _most(mixes: Mixes, record: Record) -> str:
    """Return the workload that most of the kernel's time in the nearest mix is of."""
    inside = {each.workload: each.kernel for each in record.shares}
    weights = dict(zip(mixes.workloads, mixes.nearest, strict=True))
    return max(weights, key=lambda name: weights[name] * inside[name])


def _locks(result: RunResult, processes: int) -> Sequence[NextLock]:
    cpus = len(result.processors)
    hz = result.clock_mhz * 1e6
    busiest = [lock for lock in result.busiest_locks if lock.wait_cycles][:NEXT]
    waited = [Waited(lock.wait_cycles / hz, lock.hold_cycles / hz) for lock in result.locks]
    setting = Setting(cpus, result.makespan_s, min(processes, cpus), result.share("idle"))
    reliefs = dict(zip((lock.lock for lock in result.locks), relieve(waited, setting)[0], strict=True))
    whole = result.makespan_cycles * cpus
    return [
        NextLock(lock.lock, lock.contentions, lock.wait_cycles / whole, reliefs[lock.lock].bound)
        for lock in busiest
    ]
