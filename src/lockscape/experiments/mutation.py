"""Takes out or weakens every acquisition of a port in turn, and says of each mutant how it was noticed.

Each mutant is run in those `lockscape.experiments.trials` that come to its place. It is *caught* by a fault,
by a critical section that is broken (`lockscape.experiments.overlap`), by a run that cannot go on, or by
damage at the end. One that is not caught must be *equivalent* by one of two
rules, which are checked on runs of the port as it is (`lockscape.experiments.need`):

- **private**: in no trial do two threads access anything under that lock that one of them writes;
- **covered**: whatever they do is kept apart by something else as well: another lock that both hold, the one
  processor that both are on, or that one of them makes just one atomic access; or one came to it first, or
  last, in each of those runs.

So is a funnel left out whose function was never executed off the master processor: its callers had been in
the funnel, and nothing had moved them since.

A mutant that leaves interrupts on is covered if they are off already, or if the listings show that no handler
waits for a lock that it then has with interrupts on (`lockscape.ports.interrupting`): what a handler does
under a recursive lock must be kept apart by an inner one.

What explains mutants of messages and barriers is said in `lockscape.experiments.told`. A notification that is
not sent costs nothing but time where a tick looks as well: such a mutant is tried in kernels without ticks,
but in trials that sleep, where all wait for ticks.

A mutant that neither rule explains, or only what was seen in runs (an order, a flag), is tried in further
trials that are drawn, in up to `AGAIN` of `DRAWN`: it must be caught there, or not caught if it is to count
as covered. One that survives these is tried at last in `AT_LAST` of each kind of drawn trials that comes to
its place, every other time without the waits that mutants have. There a lock that is taken with interrupts on
is also looked for among those that handlers take in the run of the port as it is.

Each trial is run once with the port as it is. So a mutant is tried only where its place is reached: first
where its lock is needed by what that run shows, and the short trials before the long ones; in the shortest
`FEW` only, if a rule explains it in all.

Anything else is unexplained: **never taken**, when no trial comes to that place, and **survived**, when the
lock does nothing that can be seen or the detector misses something.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

import msgspec

from lockscape.experiments.claims import FLAG
from lockscape.experiments.drawn import KINDS, further, of_kind
from lockscape.experiments.follow import Unprotected, Visits
from lockscape.experiments.need import OBSERVED, PART_BY_PART
from lockscape.experiments.overlap import Overlaps
from lockscape.experiments.pool import each_done
from lockscape.experiments.shown import Seen, changed_bare, kernel_for, look, row_of, share
from lockscape.experiments.told import OBSERVED as TOLD_BY_RUNS
from lockscape.experiments.told import alone, excuses
from lockscape.experiments.trials import (
    Kernel,
    Trial,
    assembled,
    run_trial,
    trials,
    warm_up,
)
from lockscape.kernel.kicks import MASTER
from lockscape.machine.execute import RunError
from lockscape.machine.faults import Detector
from lockscape.ports.mutants import DELAY_CYCLES, TOLD, Mutant
from lockscape.ports.plan import Plan
from lockscape.workloads.fsck import USED_UP

_Result = TypeVar("_Result")

Outcome = Literal["caught", "private", "covered", "never taken", "survived"]
"""What came of leaving one acquisition out."""

UNEXPLAINED: tuple[Outcome, ...] = ("never taken", "survived")
"""Outcomes that speak against the port, or against the proof."""

DRAWN = 48
"""Further trials, for mutants that no rule of the port explains."""

AGAIN = 16
"""In how many of those that come to its place such a mutant is tried at most."""

AT_LAST = 24
"""In how many trials of each kind that comes to its place one that survived them is tried."""

LOOKS = 3
"""In how many trials it is looked whether a kind comes there."""

_NO_TRIAL = "no trial comes to this place"

ON_MASTER = "on the master already"
"""Excuse of a funnel left out: in all runs those who called its function had been in the funnel."""

FEW = 4
"""Trials of a mutant that the port's own runs explain by a rule: a check of the rules."""


class Verdict(msgspec.Struct, frozen=True):
    """What became of a mutant in `trial`, the one that caught it.

    `kind`: that of the fault, ``broken invariant``, or ``stopped``; `how`: what was found, or what explains a
    mutant that was not caught.
    """

    mutant: Mutant
    outcome: Outcome
    trial: str = ""
    kind: str = ""
    how: str = ""

    @property
    def explained(self) -> bool:
        """Whether the mutant is caught or equivalent."""
        return self.outcome not in UNEXPLAINED


Progress = Callable[[float], None]
"""Called with the share of the work that is done, 0 to 1."""


def judge(
    plan: Plan,
    chosen: Sequence[Mutant] | None = None,
    tried: Sequence[Trial] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Verdict]:
    """Return a verdict for every mutant of a plan, or for those chosen, in the order of the functions.

    `tried`: the trials (default: all); `workers`: processes that work at once (default: one a core). Raises
    `RunError` if the port itself, without any change, shows a fault in a trial.
    """
    key = msgspec.json.encode(plan, order="deterministic")
    kernel = kernel_for(key)
    mutants = kernel.port.mutants() if chosen is None else list(chosen)
    runs = trials() if tried is None else tuple(tried)
    warm_up(kernel, runs[0])  # workers that are forked then have the compiled engine
    meter = _Meter(2 * len(runs) + 2 * len(mutants) + DRAWN, progress)
    changed = meter.all(each_done(changed_bare, [(key, trial) for trial in runs], workers))
    bare = frozenset[tuple[str, bool, int, int]]().union(*changed)

    shown = meter.all(each_done(look, [(key, trial, mutants, bare) for trial in runs], workers))
    tasks = [
        _Task(key, mutant, list(zip(runs, seen, strict=True)), bare)
        for mutant, seen in zip(mutants, zip(*shown, strict=True), strict=True)
    ]
    verdicts = meter.all(each_done(_judge, tasks, workers, _derailed))
    left = [k for k, verdict in enumerate(verdicts) if not _settled(verdict)]
    meter.count -= len(mutants) - len(left)
    if left and DRAWN:
        chosen = [mutants[k] for k in left]
        shares = meter.all(each_done(share, [(key, further(k), chosen) for k in range(DRAWN)], workers))
        again = [
            (tasks[k], verdicts[k], often) for k, often in zip(left, zip(*shares, strict=True), strict=True)
        ]
        judged = meter.all(each_done(_judge_again, again, workers, _derailed_again))
        for k, verdict in zip(left, judged, strict=True):
            verdicts[k] = verdict
        left = [k for k in left if not verdicts[k].explained]
        survivors = [(tasks[k], verdicts[k]) for k in left]
        for number, verdict in each_done(_judge_at_last, survivors, workers, _derailed_at_last):
            verdicts[left[number]] = verdict
    return verdicts


class _Meter:
    def __init__(self, count: int, report: Progress | None) -> None:
        self.count = count
        self.done = 0
        self.report = report

    def all(self, results: Iterable[tuple[int, _Result]]) -> list[_Result]:
        """Return results in their order as soon as all are ready."""
        found = {}
        for number, result in results:
            found[number] = result
            self.done += 1
            if self.report is not None:
                self.report(self.done / self.count)
        return [found[number] for number in sorted(found)]


class _Task(msgspec.Struct, frozen=True):
    """A mutant to be tried: `seen` is what each trial shows of the port as it is."""

    key: bytes
    mutant: Mutant
    seen: Sequence[tuple[Trial, Seen]]
    unprotected: Unprotected

    def runs(self) -> list[tuple[Trial, Seen]]:
        """Return the trials that come to the mutant's place, those that show most in the least time first."""
        taken = [run for run in self.seen if run[1].taken]
        return sorted(taken, key=lambda run: (not run[1].needed, run[1].accesses))


def _derailed(task: _Task) -> Verdict:
    """Return the verdict of a mutant whose kernel destroyed the memory of the process that simulated it."""
    return Verdict(task.mutant, "caught", kind="stopped", how="it wrote over the machine's own memory")


def _derailed_again(task: tuple[_Task, Verdict, Sequence[float]]) -> Verdict:
    return _derailed(task[0])


def _derailed_at_last(task: tuple[_Task, Verdict]) -> Verdict:
    return _derailed(task[0])


def _judge(task: _Task) -> Verdict:
    """Try a mutant in the trials that come to its place."""
    mutant, runs = task.mutant, task.runs()
    if mutant.mode in TOLD:
        return _judge_told(task)
    if not runs:
        return Verdict(mutant, "never taken", how=_NO_TRIAL)
    shown = [seen for _, seen in runs]
    changed = assembled(kernel_for(task.key).port.mutated(mutant))
    met = reached = moved = False
    for trial, _ in runs[:FEW] if _by_rule(_explained(task, shown, True)) else runs:
        detector, verdict = _try(task, changed, trial)
        if verdict:
            return verdict
        met |= detector.met_others()
        reached |= detector.reached
        moved |= _moved(detector)
    if mutant.mode == "funnel" and not reached:
        return Verdict(mutant, "never taken", how=_NO_TRIAL)
    if mutant.mode == "funnel" and not moved:
        return Verdict(mutant, "covered", how=ON_MASTER)
    return _explained(task, shown, met)


def _judge_told(task: _Task) -> Verdict:
    """Try a mutant of a message or a barrier."""
    mutant = task.mutant
    reached, apart = False, True
    found: set[str] | None = set()
    for trial, _ in task.runs():
        changed = assembled(_needed_kernel(task, trial).port.mutated(mutant))
        detector, verdict = _try(task, changed, trial)
        if verdict:
            return verdict
        reached |= detector.reached
        apart &= alone(detector) or not detector.executed
        more = excuses(detector)
        found = None if found is None or more is None else found | more
    if not reached:
        if mutant.change == "unsent" and apart:
            return Verdict(mutant, "private", how="no other processor")
        return Verdict(mutant, "never taken", how=_NO_TRIAL)
    if found is None or mutant.change == "unsent":
        return Verdict(mutant, "survived")
    if found:
        return Verdict(mutant, "covered", how=", ".join(sorted(found)))
    return Verdict(mutant, "private", how="no two threads need it")


def _needed_kernel(task: _Task, trial: Trial) -> Kernel:
    """Return the kernel in which a mutant is tried."""
    return kernel_for(task.key, _ticks(task.mutant, trial))


def _ticks(mutant: Mutant, trial: Trial) -> bool:
    """Say whether a mutant is tried with ticks: not if something is not sent, unless the trial sleeps."""
    return mutant.change != "unsent" or trial.sleeps


def _settled(found: Verdict) -> bool:
    """Say whether a verdict stands on more than what happened in runs."""
    why = found.how.split(", ")
    observed = {*OBSERVED, *TOLD_BY_RUNS, ON_MASTER} & {*why} or any(each.startswith(FLAG) for each in why)
    return found.explained and not observed


def _by_rule(found: Verdict) -> bool:
    """Say whether a verdict that the port's own runs give leaves nothing to the mutant's."""
    return _settled(found) and PART_BY_PART not in found.how.split(", ")


def _judge_again(task: tuple[_Task, Verdict, Sequence[float]]) -> Verdict:
    """Try a mutant in drawn trials, of which its place is such a part; it keeps its verdict if none catches
    it.

    One that was never taken is judged by those that come to its place.
    """
    drawn, found, often = task
    mutant = drawn.mutant
    order = sorted((k for k in range(len(often)) if often[k]), key=lambda k: -often[k])[:AGAIN]
    trials = [further(k) for k in order]
    if found.outcome == "never taken":
        seen = [(trial, *look((drawn.key, trial, [mutant], drawn.unprotected))) for trial in trials]
        return _judge(msgspec.structs.replace(drawn, seen=seen))
    for trial in trials:
        changed = assembled(_needed_kernel(drawn, trial).port.mutated(mutant))
        detector, verdict = _try(drawn, changed, trial)
        if verdict:
            return verdict
        if found.how == ON_MASTER and _moved(detector):
            found = Verdict(mutant, "survived")
    return found


def _moved(detector: Overlaps) -> bool:
    """Say whether another processor than the master came to a mutant's function."""
    return bool(detector.executed - {MASTER})


def _judge_at_last(task: tuple[_Task, Verdict]) -> Verdict:
    """Try a mutant that survived in many trials of each kind that comes to its place, with its waits and
    without: they change what meets what."""
    drawn, found = task
    key, mutant = drawn.key, drawn.mutant
    row = row_of(kernel_for(key), mutant)

    @functools.cache
    def changed(ticks: bool, cycles: int) -> Kernel:
        return assembled(kernel_for(key, ticks).port.mutated(mutant, cycles))

    for kind in reversed(range(len(KINDS))):
        if any(_visits(key, kind, seed).often(row, mutant.function) for seed in range(LOOKS)):
            for seed in range(AT_LAST):
                trial = of_kind(kind, seed)
                ticks = _ticks(mutant, trial)
                detector, verdict = _try(drawn, changed(ticks, (DELAY_CYCLES, 0)[seed % 2]), trial)
                if verdict and can_do(kernel_for(key, ticks), trial):
                    return verdict
                if mutant.change == "unmasked":
                    verdict = _met_by_handler(mutant, trial, _visits(key, kind, seed), detector)
                    if verdict:
                        return verdict
    return found


def _met_by_handler(mutant: Mutant, trial: Trial, sound: Visits, detector: Overlaps) -> Verdict | None:
    """Return the verdict of a mutant that holds with interrupts allowed what a handler takes in a run of the
    port as it is: the lock's class is used in both ways, as Linux' lockdep says, though not in one run."""
    for safe, there, cls, here in sound.order.meetings(detector.order.open):
        taken, held = (detector.state.binary.locks[lock] for lock in (safe, cls))
        how = (
            f"in a run of the port as it is an interrupt handler takes {taken} at "
            f"{sound.places.place(there[3])}, and {held} is taken with interrupts allowed at "
            f"{detector.places.place(here[3])}"
        )
        return Verdict(mutant, "caught", trial.name, "self-deadlock", how)
    return None


def _visits(key: bytes, kind: int, seed: int) -> Visits:
    """Return what a port does in a trial of some kind."""
    return run_trial(kernel_for(key), of_kind(kind, seed), Visits)[0]


def can_do(kernel: Kernel, trial: Trial) -> bool:
    """Say whether the port as it is can do a trial: for some there is too little memory, some never end.

    Raises `RunError` for any other fault.
    """
    _, wrong = run_trial(kernel, trial, Detector)
    if wrong and not any(each in wrong for each in (USED_UP, "no progress")):
        raise RunError(f"{kernel.port.plan.title}, without any change: {trial.name}: {wrong}")
    return not wrong


def _try(task: _Task, changed: Kernel, trial: Trial) -> tuple[Overlaps, Verdict | None]:
    """Run a mutant in one trial; return what watched it, and the verdict if it is caught."""
    mutant = task.mutant
    row = row_of(changed, mutant) if mutant.change == "shared" else -1
    detector, wrong = run_trial(changed, trial, lambda s, r: Overlaps(s, r, mutant, row, task.unprotected))
    kind, _, how = wrong.partition(": ")
    return detector, Verdict(mutant, "caught", trial.name, kind, how) if wrong else None


def _explained(task: _Task, seen: Sequence[Seen], met: bool) -> Verdict:
    """Return what explains a mutant that is not caught; `met`: others came to what it did off the master."""
    mutant = task.mutant
    if mutant.mode == "funnel" and not met:
        return Verdict(mutant, "private", how="no two threads need it")
    if mutant.mode == "drop" and kernel_for(task.key).port.program.locks[mutant.lock].sleeps:
        return Verdict(mutant, "covered", how="held over a sleep, as this lock may be: it keeps more apart")
    needed = next((each.needed for each in seen if each.needed), "")
    if needed or mutant.mode not in ("exclusive", "shared", "retry", "rcu", "cas"):
        return Verdict(mutant, "survived", how=needed)
    excuses = sorted(frozenset[str]().union(*(each.excuses for each in seen)))
    if excuses:
        return Verdict(mutant, "covered", how=", ".join(excuses))
    return Verdict(mutant, "private", how="no two threads need it")
