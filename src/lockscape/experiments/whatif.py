"""What a run would gain if a lock cost nothing, were split, or were one per instance.

Every gain comes from a run of its own. *Costs nothing* is a bound (`lockscape.machine.ahead`): what is done
under the lock keeps nobody waiting. The two others are kernels that could be written, if they are safe: each
is tried under the fault detector first, in a few trials that come to the places where the lock is held
(`lockscape.experiments.trials`), and run only if nothing is found there.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from lockscape.errors import InputError
from lockscape.experiments.curve import run_all
from lockscape.experiments.lock_sites import Touches, halves, hold_cycles, shared_parts, together, touches
from lockscape.experiments.pool import each_done
from lockscape.experiments.result import LockStatistics, RunResult, RunSpec
from lockscape.experiments.shown import kernel_for
from lockscape.experiments.trials import Kernel, Trial, run_trial, trials, warm_up
from lockscape.machine.faults import Detector
from lockscape.ports.changed_locks import HOLDING, UNTAKEN, freed, lock_classes, per_instance, sites, split
from lockscape.ports.lockorder import check_order
from lockscape.ports.plan import Plan
from lockscape.ports.port import Port, port
from lockscape.workloads import stress, user

TOP = 10
"""Locks that are looked at by default: those that are waited for longest."""

TRIALS = 4
"""Trials of each change by default."""

QUICK = (5, 7, 9, 10, 11, 13, 14, 15, 16, 18)
"""Numbers of the trials that take little time, one or more for each part of the kernel."""

Kind = Literal["free", "split", "instance"]
"""What is done with a lock: it costs nothing, is split, or is one for each object."""

Verdict = Literal["bound", "safe", "unsafe", "none"]
"""``none``: there is no such change, or nothing to gain by it."""


class Change(msgspec.Struct, frozen=True):
    """A change of one lock, and what came of it.

    `what`: the change in words; `second`: the places of the second half of a split. `why`: of an unsafe one
    the fault and its place, of none the reason. `trials`: in how many it was tried; `unreached`: places of
    the lock that no trial comes to. `makespan_cycles` and `gain` (the makespan as it is over that with the
    change) are those of its run, if it was run; `wait_cycles`: how long all together still waited for the
    lock, both halves or all instances.
    """

    lock: str
    kind: Kind
    what: str
    verdict: Verdict
    second: tuple[str, ...] = ()
    why: str = ""
    trials: int = 0
    unreached: int = 0
    makespan_cycles: int | None = None
    gain: float | None = None
    wait_cycles: int | None = None


class WhatIf(msgspec.Struct, frozen=True):
    """What one run would gain by changes of its locks, the greatest gain first, then those that were not run.

    `locks` are the statistics of those looked at in the run as it is, the longest waited for first.
    """

    spec: RunSpec
    makespan_cycles: int
    clock_mhz: int
    locks: tuple[LockStatistics, ...]
    changes: tuple[Change, ...]


Progress = Callable[[float, int], None]
"""Called with the share of the work that is done, and the number of finished steps of it."""


class Candidate(NamedTuple):
    """A change that can be tried; `names`: the locks that stand for the one."""

    change: Change
    plan: Plan
    names: tuple[str, ...]
    tried: tuple[int, ...] = ()


def whatif(
    spec: RunSpec,
    every: bool = False,
    tried: int = TRIALS,
    folder: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    fresh: bool = False,
) -> WhatIf:
    """Return what a run would gain by changes of its locks: of the `TOP`, or of `every` one that is taken.

    `tried`: trials of each change; `folder`, `workers` and `fresh` as `lockscape.experiments.curve.run_all`
    has them. Raises `RunError` if the system itself shows a fault in a trial.
    """
    step = _Steps(progress)

    def runs(plans: Sequence[Plan]) -> list[RunResult]:
        specs = [msgspec.structs.replace(spec, plan=plan) for plan in plans]
        return [point.result for point in run_all(specs, folder, workers, step.within, fresh)]

    (base,) = runs([spec.plan])
    step.next()
    locks = _looked_at(base, spec.plan, every)
    free = [_free(spec.plan, lock.lock) for lock in locks]
    made = [_measured(c, base, r) for c, r in zip(free, runs([c.plan for c in free]), strict=True)]
    step.next()
    candidates, none = _candidates(spec, base, [lock.lock for lock in locks], tried, workers, step)
    judged = _judged(candidates, workers, step)
    safe = [c for c in judged if c.change.verdict == "safe"]
    made += [_measured(c, base, r) for c, r in zip(safe, runs([c.plan for c in safe]), strict=True)]
    left = [c.change for c in judged if c.change.verdict != "safe"]
    made.sort(key=lambda change: -(change.gain or 0.0))
    return WhatIf(spec, base.makespan_cycles, base.clock_mhz, tuple(locks), (*made, *left, *none))


class _Steps:
    """Turns the progress of five steps into one."""

    def __init__(self, report: Progress | None) -> None:
        self.report = report
        self.done = 0

    def within(self, share: float, count: int = 0) -> None:
        if self.report is not None:
            self.report((self.done + share) / 5, self.done)

    def next(self) -> None:
        self.done += 1
        self.within(0.0)


def _looked_at(base: RunResult, plan: Plan, every: bool) -> list[LockStatistics]:
    known = lock_classes(plan)
    found = [
        k for k in base.locks if k.acquisitions and k.lock in known and known[k.lock].kind not in UNTAKEN
    ]
    found.sort(key=lambda k: (-k.wait_cycles, -k.hold_cycles))
    return found if every else [k for k in found if k.wait_cycles][:TOP]


def _free(plan: Plan, lock: str) -> Candidate:
    return Candidate(Change(lock, "free", "costs nothing", "bound"), freed(plan, lock), (lock,))


def _measured(candidate: Candidate, base: RunResult, result: RunResult) -> Change:
    waited = sum(lock.wait_cycles for lock in result.locks if lock.lock in candidate.names)
    return msgspec.structs.replace(
        candidate.change, makespan_cycles=result.makespan_cycles, wait_cycles=waited,
        gain=base.makespan_cycles / result.makespan_cycles,
    )  # fmt: skip


# --- which changes there are ------------------------------------------------------------------------------


def _candidates(
    spec: RunSpec, base: RunResult, locks: Sequence[str], tried: int, workers: int | None, step: _Steps
) -> tuple[list[Candidate], list[Change]]:
    """Return the changes that can be tried, and those that there are not, with the reason."""
    locks = [lock for lock in locks if sites(spec.plan, lock)]
    if not locks:
        return [], []
    key = msgspec.json.encode(spec.plan, order="deterministic")
    kernel = kernel_for(key)
    every = [trials()[number] for number in QUICK]
    warm_up(kernel, every[0])
    shown: dict[int, Touches] = {}
    for number, found in each_done(touches, [(key, trial) for trial in every], workers):
        shown[number] = found
        step.within(len(shown) / len(every))
    held = hold_cycles(spec, base.makespan_cycles)
    all_shown = together(shown.values())
    step.next()
    candidates: list[Candidate] = []
    none: list[Change] = []
    for lock in locks:
        mine = sites(spec.plan, lock)
        chosen = _telling(shown, mine, tried)
        unreached = sum(rule not in all_shown.taken for rule in mine)
        for each in (_split(spec.plan, lock, all_shown, held), *_instances(kernel.port, lock)):
            if isinstance(each, Change):
                none.append(each)
            else:
                change = msgspec.structs.replace(each.change, trials=len(chosen), unreached=unreached)
                candidates.append(each._replace(change=change, tried=chosen))
    return candidates, none


def _telling(shown: dict[int, Touches], rules: Sequence[int], most: int) -> tuple[int, ...]:
    """Return the numbers of trials that come to most of some rules together, then of those that do most."""
    left = {number: {r: n for r, n in each.taken.items() if r in rules} for number, each in shown.items()}
    chosen: list[int] = []
    seen: set[int] = set()
    while len(chosen) < most and any(left.values()):
        best = max(left, key=lambda k: (len(left[k].keys() - seen), sum(left[k].values())))
        seen |= left.pop(best).keys()
        chosen.append(best)
    return tuple(chosen)


def _split(plan: Plan, lock: str, shown: Touches, held: dict[int, int]) -> Candidate | Change:
    mine = sites(plan, lock)
    second, apart = halves(mine, shared_parts(shown, mine), held)
    if not second:
        why = "it is held at one place only" if len(mine) == 1 else "this workload holds it at one place only"
        return Change(lock, "split", "split in two", "none", why=why)
    whole = sum(held.get(rule, 0) for rule in mine)
    share = sum(held.get(rule, 0) for rule in second) / whole if whole else 0.0
    how = "no data in common" if apart else "cut where places share least"
    what = f"split in two ({how}, {share:.0%} of the time in the second half)"
    places = tuple(plan.rule[rule].at for rule in sorted(second))
    changed = split(plan, lock, second)
    if any(r.lock == lock and r.mode not in HOLDING for r in plan.rule) and _cycle(changed):
        changed = split(plan, lock, second, first_last=True)
    names = lock, next(k.name for k in changed.lock if k.name not in lock_classes(plan))
    return Candidate(Change(lock, "split", what, "safe", places), changed, names)


def _cycle(plan: Plan) -> str:
    """Return in which cycle the locks of a plan can be taken, or why it cannot be built; else nothing."""
    try:
        check_order(port(plan, [user, stress]))
    except InputError as error:
        return str(error).partition(f"{plan.title!r}: ")[2] or str(error)
    return ""


def _instances(port: Port, lock: str) -> list[Candidate | Change]:
    try:
        found = per_instance(port, lock)
    except InputError as error:
        return [Change(lock, "instance", "one per instance", "none", why=str(error))]
    return [
        Candidate(Change(lock, "instance", f"one for each {cls}", "safe"), plan, (lock,))
        for cls, plan in found.items()
    ]


# --- whether they are safe --------------------------------------------------------------------------------


def _judged(candidates: Sequence[Candidate], workers: int | None, step: _Steps) -> list[Candidate]:
    """Return the candidates with what the fault detector says of each."""
    judged = list(candidates)
    found = each_done(fault_of, [(c.plan, c.tried) for c in candidates], workers)
    for done, (number, why) in enumerate(found, 1):
        step.within(done / len(candidates))
        if why:
            changed = msgspec.structs.replace(candidates[number].change, verdict="unsafe", why=why)
            judged[number] = candidates[number]._replace(change=changed)
    step.next()
    return judged


def fault_of(task: tuple[Plan, Sequence[int]]) -> str:
    """Try a plan in trials of these numbers (of `QUICK`); return its first fault and where, or nothing."""
    plan, tried = task
    cycle = _cycle(plan)
    if cycle:
        return cycle
    kernel = kernel_for(msgspec.json.encode(plan, order="deterministic"))
    for number in tried:
        trial = trials()[QUICK[number]]
        why = _fault(kernel, trial)
        if why:
            return f"{why} ({trial.name})"
    return "" if tried else "no trial comes to it"


def _fault(kernel: Kernel, trial: Trial) -> str:
    """Return the first fault of a kernel in a trial and its place, or nothing."""
    detector, wrong = run_trial(kernel, trial, Detector)
    if detector.faults:
        fault = detector.faults[0]
        at = " and ".join(dict.fromkeys(str(place) for place in fault.places[:2]))
        return f"{fault.kind} at {at}" if at else f"{fault.kind}: {fault.message}"
    return wrong
