"""Takes out or weakens every acquisition of a port in turn, and says of each mutant how it was noticed.

Each mutant is run in those `lockscape.experiments.trials` that come to its place. It is *caught* by a fault,
by a critical section that is broken (`lockscape.experiments.overlap`), by a run that cannot go on, or by
damage at the end. One that is not caught must be *equivalent* by one of two
rules, which are checked on runs of the port as it is (`lockscape.experiments.witness`):

- **private**: in no trial do two threads access anything under that lock that one of them writes;
- **covered**: whatever they do is kept apart by something else as well: another lock that both hold, the one
  processor that both are on, or that one of them makes just one atomic access; or one came to it first, or
  last, in each of those runs.

What explains mutants of messages and barriers is said in `lockscape.experiments.told`. A notification that is
not sent costs nothing but time where a tick looks as well: such a mutant is tried in kernels without ticks.

A mutant that neither rule explains, or only the order that was seen in runs, is tried in further trials that
are drawn, in up to `AGAIN` of `DRAWN`: it must be caught there, or not caught if it is to count as covered.

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

from lockscape.experiments.follow import Unprotected
from lockscape.experiments.overlap import Overlaps
from lockscape.experiments.pool import each_done
from lockscape.experiments.swapped import need_of_swap
from lockscape.experiments.told import OBSERVED as TOLD_BY_RUNS
from lockscape.experiments.told import alone, excuses
from lockscape.experiments.trials import (
    NO_TICKS,
    SWAPPING,
    Kernel,
    Trial,
    assembled,
    further,
    kernel_of,
    run_trial,
    trials,
    warm_up,
)
from lockscape.experiments.witness import OBSERVED, PART_BY_PART, Need, Span, Witness, unprotected_parts
from lockscape.machine.execute import RunError
from lockscape.ports.mutants import TOLD, Mutant, holds, swaps_of
from lockscape.ports.plan import Plan
from lockscape.program import opcodes as op
from lockscape.program.nodes import While
from lockscape.program.walk import walk

Result = TypeVar("Result")

Outcome = Literal["caught", "private", "covered", "never taken", "survived"]

UNEXPLAINED: tuple[Outcome, ...] = ("never taken", "survived")
"""Outcomes that speak against the port, or against the proof."""

DRAWN = 48
"""Further trials, for mutants that no rule of the port explains."""

AGAIN = 16
"""In how many of those that come to its place such a mutant is tried at most."""

FEW = 4
"""Trials of a mutant that the port's own runs explain by a rule: a check of the rules."""

MASKED = "interrupts off already"
"""What explains a lock that need not mask them itself."""

ACQUIRING = ("exclusive", "shared", "retry", "rcu")
"""Modes of holds that one row of code begins."""


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


class Seen(msgspec.Struct, frozen=True):
    """What one trial of the port as it is shows of a mutant's acquisition.

    `needed`: two spans that only this acquisition keeps apart, in words, or nothing; `excuses`: what else
    keeps other pairs apart; `accesses`: how many the whole trial makes.
    """

    taken: bool
    needed: str
    excuses: frozenset[str]
    accesses: int = 0


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
    kernel = _kernel(key)
    mutants = kernel.port.mutants() if chosen is None else list(chosen)
    runs = trials() if tried is None else tuple(tried)
    warm_up(kernel, runs[0])  # workers that are forked then have the compiled engine
    meter = _Meter(2 * len(runs) + 2 * len(mutants) + DRAWN, progress)
    changed = meter.all(each_done(_changed, [(key, trial) for trial in runs], workers))
    bare = frozenset[tuple[str, bool, int, int]]().union(*changed)

    def looked(trials: Sequence[Trial], chosen: Sequence[Mutant]) -> list[list[tuple[Trial, Seen]]]:
        """Return for each mutant what each trial shows of it."""
        found = meter.all(each_done(_look, [(key, trial, chosen, bare) for trial in trials], workers))
        return [list(zip(trials, each, strict=True)) for each in zip(*found, strict=True)]

    tasks = [
        _Task(key, mutant, seen, bare) for mutant, seen in zip(mutants, looked(runs, mutants), strict=True)
    ]
    verdicts = meter.all(each_done(_judge, tasks, workers))
    left = [k for k, verdict in enumerate(verdicts) if not _settled(verdict)]
    meter.count -= len(mutants) - len(left)
    if left and DRAWN:
        seen = looked([further(k) for k in range(DRAWN)], [mutants[k] for k in left])
        again = [
            (_Task(key, mutants[k], runs, bare), verdicts[k]) for k, runs in zip(left, seen, strict=True)
        ]
        for k, verdict in zip(left, meter.all(each_done(_judge_again, again, workers)), strict=True):
            verdicts[k] = verdict
    return verdicts


class _Meter:
    def __init__(self, count: int, report: Progress | None) -> None:
        self.count = count
        self.done = 0
        self.report = report

    def all(self, results: Iterable[tuple[int, Result]]) -> list[Result]:
        """Return results in their order as soon as all are ready."""
        found = {}
        for number, result in results:
            found[number] = result
            self.done += 1
            if self.report is not None:
                self.report(self.done / self.count)
        return [found[number] for number in sorted(found)]


@functools.lru_cache(maxsize=2)
def _kernel(key: bytes, ticks: bool = True) -> Kernel:
    return kernel_of(msgspec.json.decode(key, type=Plan), **(SWAPPING if ticks else SWAPPING | NO_TICKS))


# --- the port as it is --------------------------------------------------------------------------------------


def _changed(task: tuple[bytes, Trial]) -> Unprotected:
    """Return what a trial changes without locks that it otherwise has for it."""
    key, trial = task
    return unprotected_parts(_watched(_kernel(key), trial))


def _look(task: tuple[bytes, Trial, Sequence[Mutant], Unprotected]) -> list[Seen]:
    """Run a trial of the port as it is; return what it shows of each mutant's place."""
    key, trial, mutants, bare = task
    kernel = _kernel(key)
    witness = _watched(kernel, trial)
    need = Need(witness, bare)
    still = frozenset[str]()
    if not trial.sleeps and any(mutant.change == "unsent" for mutant in mutants):
        still = _watched(_kernel(key, False), trial).functions()
    return [
        Seen(mutant.function in still, "", frozenset(), witness.clock) if mutant.change == "unsent"
        else _seen(witness, need, _row(kernel, mutant), mutant)
        for mutant in mutants
    ]  # fmt: skip


def _watched(kernel: Kernel, trial: Trial) -> Witness:
    """Run a trial of the port as it is, which must show nothing."""
    witness, wrong = run_trial(kernel, trial, Witness)
    if wrong:
        raise RunError(f"{kernel.port.plan.title}, without any change: {trial.name}: {wrong}")
    return witness


def _row(kernel: Kernel, mutant: Mutant) -> int:
    """Return the row of code that is a mutant's acquisition, or -1 for what is no acquisition of a lock."""
    if mutant.mode in TOLD:
        return -1
    if mutant.mode == "cas":
        return _swap_rows(kernel, mutant.function)[mutant.ordinal]
    listed = holds(kernel.port.ported[mutant.function].body)
    if listed[mutant.ordinal].mode not in ACQUIRING:
        return -1
    place = sum(node.mode in ACQUIRING for node in listed[: mutant.ordinal])
    return _rows(kernel, mutant.function, _acquires)[place]


def _rows(kernel: Kernel, function: str, wanted: Callable[[list[int]], bool]) -> list[int]:
    """Return the rows of a function that are wanted."""
    binary = kernel.binary
    return [
        k for k in range(binary.starts[function], len(binary.where))
        if binary.where[k] == function and wanted(binary.code[k].tolist())
    ]  # fmt: skip


def _swap_rows(kernel: Kernel, function: str) -> list[int]:
    """Return the row of each compare-and-swap of a function; the test of a loop stands in two."""
    rows = _rows(kernel, function, lambda row: row[0] == op.COMPARE_AND_SWAP)
    found = []
    for statement in walk(kernel.port.ported[function].body):
        for _ in swaps_of(statement):
            found.append(rows.pop(0))
            if isinstance(statement, While):
                rows.pop(0)
    return found


def _acquires(row: list[int]) -> bool:
    """Say whether a row begins a hold; taking a lock again that was let go for a while does not."""
    return row[0] in (op.SEQ_BEGIN, op.RCU_BEGIN, op.ATTEMPT) or (row[0] == op.ACQUIRE and row[6] < 0)


def _seen(witness: Witness, need: Need, row: int, mutant: Mutant) -> Seen:
    """Return what a run shows of an acquisition in a row, or of a function if it is none of a lock."""
    reached = row in witness.rows if row >= 0 else mutant.function in witness.functions()
    needed, excuses = ("", set[str]()) if row < 0 else _needed(witness, need, row, mutant)
    return Seen(reached, needed, frozenset(excuses), witness.clock)


def _needed(witness: Witness, need: Need, row: int, mutant: Mutant) -> tuple[str, set[str]]:
    """Return what needs an acquisition, in words, or else what excuses it."""
    if mutant.mode == "cas":
        return need_of_swap(witness, row)
    if mutant.change == "unmasked":
        masked = all(span.masked for span in witness.spans if span.pc == row)
        return "" if masked else "interrupts were on", {MASKED}
    excuses = set[str]()
    for a, b, part in need.pairs(row, mutant.change == "shared"):
        excuse = need.excuse(a, b)
        if not excuse:
            return _words(witness, a, b, part), excuses
        excuses |= excuse
    return "", excuses


def _words(witness: Witness, a: Span, b: Span, part: tuple[int, int, int]) -> str:
    places = witness.places
    both = f"{places.party(*a.parts[part].now)} and {places.party(*b.parts[part].now)}"
    return f"{places.part(part[0], part[2])}: {both}"


# --- mutants ------------------------------------------------------------------------------------------------


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


def _judge(task: _Task) -> Verdict:
    """Try a mutant in the trials that come to its place."""
    mutant, runs = task.mutant, task.runs()
    if mutant.mode in TOLD:
        return _judge_told(task)
    if not runs:
        return Verdict(mutant, "never taken", how="no trial comes to this place")
    shown = [seen for _, seen in runs]
    changed = assembled(_kernel(task.key).port.mutated(mutant))
    met = False
    for trial, _ in runs[:FEW] if _by_rule(_explained(task, shown, True)) else runs:
        detector, verdict = _try(task, changed, trial)
        if verdict:
            return verdict
        met |= detector.met_others()
    return _explained(task, shown, met)


def _judge_told(task: _Task) -> Verdict:
    """Try a mutant of a message or a barrier."""
    mutant = task.mutant
    changed = assembled(_kernel(task.key, mutant.change != "unsent").port.mutated(mutant))
    reached, apart = False, True
    found: set[str] | None = set()
    for trial, _ in task.runs():
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
        return Verdict(mutant, "never taken", how="no trial comes to this place")
    if found is None or mutant.change == "unsent":
        return Verdict(mutant, "survived")
    if found:
        return Verdict(mutant, "covered", how=", ".join(sorted(found)))
    return Verdict(mutant, "private", how="no two threads need it")


def _settled(found: Verdict) -> bool:
    """Say whether a verdict stands on more than what happened in runs."""
    return found.explained and not {*OBSERVED, *TOLD_BY_RUNS} & {*found.how.split(", ")}


def _by_rule(found: Verdict) -> bool:
    """Say whether a verdict that the port's own runs give leaves nothing to the mutant's."""
    return _settled(found) and PART_BY_PART not in found.how.split(", ")


def _judge_again(task: tuple[_Task, Verdict]) -> Verdict:
    """Try a mutant in trials that are drawn; it keeps its verdict if they do not catch it."""
    drawn, found = task
    if found.outcome == "never taken":
        return _judge(drawn)
    without_ticks = drawn.mutant.change == "unsent"
    changed = assembled(_kernel(drawn.key, not without_ticks).port.mutated(drawn.mutant))
    for trial, _ in drawn.runs()[:AGAIN]:
        _, verdict = _try(drawn, changed, trial)
        if verdict:
            return verdict
    return found


def _try(task: _Task, changed: Kernel, trial: Trial) -> tuple[Overlaps, Verdict | None]:
    """Run a mutant in one trial; return what watched it, and the verdict if it is caught."""
    mutant = task.mutant
    row = _row(changed, mutant) if mutant.change == "shared" else -1
    detector, wrong = run_trial(changed, trial, lambda s, r: Overlaps(s, r, mutant, row, task.unprotected))
    kind, _, how = wrong.partition(": ")
    return detector, Verdict(mutant, "caught", trial.name, kind, how) if wrong else None


def _explained(task: _Task, seen: Sequence[Seen], met: bool) -> Verdict:
    """Return what explains a mutant that is not caught; `met`: others came to what it did off the master."""
    mutant = task.mutant
    if mutant.mode == "funnel" and not met:
        return Verdict(mutant, "private", how="no two threads need it")
    if mutant.mode == "drop" and _kernel(task.key).port.program.locks[mutant.lock].sleeps:
        return Verdict(mutant, "covered", how="held over a sleep, as this lock may be: it keeps more apart")
    needed = next((each.needed for each in seen if each.needed), "")
    if needed or mutant.mode not in ("exclusive", "shared", "retry", "cas"):
        return Verdict(mutant, "survived", how=needed)
    excuses = sorted(frozenset[str]().union(*(each.excuses for each in seen)))
    if excuses:
        return Verdict(mutant, "covered", how=", ".join(excuses))
    return Verdict(mutant, "private", how="no two threads need it")
