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
are drawn (`DRAWN` of them): it must be caught there, or not caught if it is to count as covered.

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
    Kernel,
    Trial,
    assembled,
    further,
    kernel_of,
    run_trial,
    trials,
    warm_up,
)
from lockscape.experiments.witness import OBSERVED, Need, Span, Witness, unprotected_parts
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

DRAWN = 32
"""Further trials of a mutant that no rule of the port explains."""

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
    keeps other pairs apart.
    """

    taken: bool
    needed: str
    excuses: frozenset[str]


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
    meter = _Meter(2 * len(runs) + len(mutants), progress)
    changed = meter.all(each_done(_changed, [(key, trial) for trial in runs], workers))
    bare = frozenset[tuple[str, bool, int, int]]().union(*changed)
    seen = meter.all(each_done(_look, [(key, trial, mutants, bare) for trial in runs], workers))
    tasks = [
        _Task(key, mutant, [(trial, found[k]) for trial, found in zip(runs, seen, strict=True)], bare)
        for k, mutant in enumerate(mutants)
    ]
    return meter.all(each_done(_judge, tasks, workers))


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
    return kernel_of(msgspec.json.decode(key, type=Plan), **({} if ticks else NO_TICKS))


# --- the port as it is --------------------------------------------------------------------------------------


def _changed(task: tuple[bytes, Trial]) -> Unprotected:
    """Return what a trial changes without locks that it otherwise has for it."""
    key, trial = task
    return unprotected_parts(_watched(_kernel(key), trial))


def _look(task: tuple[bytes, Trial, Sequence[Mutant], Unprotected]) -> list[Seen]:
    """Run a trial of the port as it is; return what it shows of each acquisition."""
    key, trial, mutants, bare = task
    kernel = _kernel(key)
    witness = _watched(kernel, trial)
    need = Need(witness, bare)
    return [_seen(witness, need, _row(kernel, mutant), mutant) for mutant in mutants]


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
    if mutant.mode in TOLD:
        return Seen(True, "", frozenset())  # the mutant itself tells whether it was reached
    if mutant.mode == "cas":
        needed, excuses = need_of_swap(witness, row)
        return Seen(row in witness.rows, needed, frozenset(excuses))
    if mutant.change == "unmasked":
        masked = all(span.masked for span in witness.spans if span.pc == row)
        return Seen(row in witness.rows, "" if masked else "interrupts were on", frozenset({MASKED}))
    needed = ""
    excuses = set[str]()
    for a, b, part in need.pairs(row, mutant.change == "shared"):
        excuse = need.excuse(a, b)
        if not excuse:
            needed = _words(witness, a, b, part)
            break
        excuses |= excuse
    return Seen(row < 0 or row in witness.rows, needed, frozenset(excuses))


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


def _judge(task: _Task) -> Verdict:
    """Try a mutant in the trials that come to its place, those first that need its lock."""
    mutant = task.mutant
    taken = sorted(((t, s) for t, s in task.seen if s.taken), key=lambda run: not run[1].needed)
    if not taken:
        return Verdict(mutant, "never taken", how="no trial comes to this place")
    if mutant.mode in TOLD:
        return _judge_told(task)
    kernel = _kernel(task.key)
    changed = assembled(kernel.port.mutated(mutant))
    met = False
    for trial, _ in taken:
        detector, verdict = _try(task, changed, trial)
        if verdict:
            return verdict
        met |= detector.met_others()
    found = _explained(task, [seen for _, seen in taken], met)
    return _drawn(task, kernel, changed, found, OBSERVED)


def _judge_told(task: _Task) -> Verdict:
    """Try a mutant of a message or a barrier."""
    mutant = task.mutant
    kernel = _kernel(task.key, mutant.change != "unsent")
    changed = assembled(kernel.port.mutated(mutant))
    reached, apart = False, True
    found: set[str] | None = set()
    for trial, _ in task.seen:
        detector, verdict = _try(task, changed, trial)
        if verdict:
            _watched(kernel, trial)
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
        verdict = Verdict(mutant, "survived")
    elif found:
        verdict = Verdict(mutant, "covered", how=", ".join(sorted(found)))
    else:
        verdict = Verdict(mutant, "private", how="no two threads need it")
    return _drawn(task, kernel, changed, verdict, TOLD_BY_RUNS)


def _drawn(task: _Task, kernel: Kernel, changed: Kernel, found: Verdict, observed: Sequence[str]) -> Verdict:
    """Return what was found if a rule explains it; else try the mutant in trials that are drawn."""
    if found.explained and not any(why in found.how.split(", ") for why in observed):
        return found
    for trial in map(further, range(DRAWN)):
        _, verdict = _try(task, changed, trial)
        if verdict:
            _watched(kernel, trial)  # which the port itself must pass
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
