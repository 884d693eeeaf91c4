"""What runs of a port as it is show of its mutants' places: whether a trial comes there, how often, and what
an acquisition is needed for.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from lockscape.experiments.follow import Unprotected, Visits
from lockscape.experiments.need import Need
from lockscape.experiments.swapped import need_of_swap
from lockscape.experiments.trials import NO_TICKS, SWAPPING, Kernel, Trial, kernel_of, run_trial
from lockscape.experiments.witness import Span, Witness, unprotected_parts
from lockscape.machine.execute import RunError
from lockscape.machine.faults import uncollected
from lockscape.machine.findings import Rules
from lockscape.machine.state import State
from lockscape.ports.interrupting import Handlers
from lockscape.ports.mutants import TOLD, Mutant, holds, swaps_of
from lockscape.ports.plan import Plan
from lockscape.ports.port import Port
from lockscape.program import opcodes as op
from lockscape.program.assemble import Binary
from lockscape.program.emit import stands_twice
from lockscape.program.nodes import While
from lockscape.program.walk import walk

_Watcher = TypeVar("_Watcher", bound=Visits)

UNPUBLISHED = "reads nothing that is published for RCU"
"""What explains an RCU read section that can be left out."""

MASKED, NO_HANDLER = "interrupts off already", "no handler waits for it"
"""What explains a lock that need not mask interrupts itself."""

ACQUIRING = ("exclusive", "shared", "retry", "rcu")
"""Modes of holds that one row of code begins."""


class Seen(msgspec.Struct, frozen=True):
    """What one trial of the port as it is shows of a mutant's acquisition.

    `needed`: two spans that only this acquisition keeps apart, in words, or nothing; `excuses`: what else
    keeps other pairs apart; `accesses`: how many the whole trial makes.
    """

    taken: bool
    needed: str
    excuses: frozenset[str]
    accesses: int = 0


@functools.lru_cache(maxsize=2)
def kernel_for(key: bytes, ticks: bool = True) -> Kernel:
    """Return the kernel of a plan (as JSON) for trials of mutants."""
    return kernel_of(msgspec.json.decode(key, type=Plan), **(SWAPPING if ticks else SWAPPING | NO_TICKS))


@functools.lru_cache(maxsize=1)
def handlers_for(key: bytes) -> Handlers:
    """Return what the interrupt handlers of a plan (as JSON) wait for."""
    return Handlers(kernel_for(key).port)


@uncollected()
def changed_bare(task: tuple[bytes, Trial]) -> Unprotected:
    """Return what a trial changes without locks that it otherwise has for it."""
    key, trial = task
    return unprotected_parts(_watched(key, trial))


@uncollected()
def look(task: tuple[bytes, Trial, Sequence[Mutant], Unprotected]) -> list[Seen]:
    """Run a trial of the port as it is; return what it shows of each mutant's place."""
    key, trial, mutants, bare = task
    witness = _watched(key, trial)
    need = Need(witness, bare)
    still = _without_ticks(key, trial, mutants)
    return [
        Seen(bool(still and still.often(-1, mutant.function)), "", frozenset(), witness.clock)
        if mutant.change == "unsent" else _seen(witness, need, key, mutant)
        for mutant in mutants
    ]  # fmt: skip


@uncollected()
def share(task: tuple[bytes, Trial, Sequence[Mutant]]) -> list[float]:
    """Run a trial of the port as it is; return how large a part of it each mutant's place is."""
    key, trial, mutants = task
    kernel = kernel_for(key)
    visits, still = _sound(kernel, trial, Visits), _without_ticks(key, trial, mutants)
    return [
        (still.often(-1, mutant.function) if still else 0.0) if mutant.change == "unsent"
        else visits.often(row_of(kernel, mutant), mutant.function)
        for mutant in mutants
    ]  # fmt: skip


def _without_ticks(key: bytes, trial: Trial, mutants: Sequence[Mutant]) -> Visits | None:
    """Run a trial in a kernel without ticks, unless it needs them, if some mutant is to be tried there."""
    wanted = any(mutant.change == "unsent" for mutant in mutants)
    return _sound(kernel_for(key, trial.sleeps), trial, Visits) if wanted else None


@functools.lru_cache(maxsize=1)
def _watched(key: bytes, trial: Trial) -> Witness:
    """Run a trial of the port as it is under a witness, kept for who asks for the same one next."""
    return _sound(kernel_for(key), trial, Witness)


def _sound(kernel: Kernel, trial: Trial, watch: Callable[[State, Rules], _Watcher]) -> _Watcher:
    """Run a trial of the port as it is, which must show nothing; return what watched it."""
    watched, wrong = run_trial(kernel, trial, watch)
    if wrong:
        raise RunError(f"{kernel.port.plan.title}, without any change: {trial.name}: {wrong}")
    return watched


def row_of(kernel: Kernel, mutant: Mutant) -> int:
    """Return the row of code that is a mutant's acquisition, or -1 for what is no acquisition of a lock."""
    if mutant.mode in TOLD:
        return -1
    if mutant.mode == "cas":
        return _swap_rows(kernel, mutant.function)[mutant.ordinal]
    return rows_of_holds(kernel.port, kernel.binary, mutant.function).get(mutant.ordinal, -1)


def rows_of_holds(port: Port, binary: Binary, function: str) -> dict[int, int]:
    """Return the row of code that begins each hold of a function, by its number, if one row does."""
    begun = [k for k, node in enumerate(holds(port.ported[function].body)) if node.mode in ACQUIRING]
    return dict(zip(begun, _rows(binary, function, _acquires), strict=True))


def _rows(binary: Binary, function: str, wanted: Callable[[list[int]], bool]) -> list[int]:
    """Return the rows of a function that are wanted."""
    return [k for k in binary.rows(function) if wanted(binary.code[k].tolist())]


def _swap_rows(kernel: Kernel, function: str) -> list[int]:
    """Return the row of each compare-and-swap of a function; the test of a loop may stand in two."""
    rows = _rows(kernel.binary, function, lambda row: row[0] == op.COMPARE_AND_SWAP)
    found = []
    for statement in walk(kernel.port.ported[function].body):
        for _ in swaps_of(statement):
            found.append(rows.pop(0))
            if isinstance(statement, While) and stands_twice(statement.test):
                rows.pop(0)
    return found


def _acquires(row: list[int]) -> bool:
    """Say whether a row begins a hold; taking a lock again that was let go for a while does not."""
    return row[0] in (op.SEQ_BEGIN, op.RCU_BEGIN, op.ATTEMPT) or (row[0] == op.ACQUIRE and row[6] < 0)


def _seen(witness: Witness, need: Need, key: bytes, mutant: Mutant) -> Seen:
    """Return what a run shows of an acquisition, or of a function if it is none of a lock."""
    row = row_of(kernel_for(key), mutant)
    reached = row in witness.rows if row >= 0 else witness.often(-1, mutant.function) > 0
    if row < 0 or not reached:
        needed, excuses = "", set[str]()
    elif mutant.mode == "rcu":
        needed, excuses = _needed_read_side(witness, row)
    elif mutant.mode == "cas":
        needed, excuses = need_of_swap(witness, row)
    elif mutant.change == "unmasked":
        needed, excuses = _needed_mask(witness, need, row, handlers_for(key).wait_for(mutant))
    else:
        needed, excuses = _needed(witness, need, row, mutant)
    return Seen(reached, needed, frozenset(excuses), witness.clock)


def _needed_read_side(witness: Witness, row: int) -> tuple[str, set[str]]:
    """Return what needs an RCU read section, in words, or else what excuses it.

    It lets readers come to what writers publish, and keeps what they find there. Where nothing of that is
    read, nothing is found that it could keep.
    """
    if row in witness.for_readers:
        place, _, offset = witness.for_readers[row]
        return f"{witness.places.part(place, offset)} is published for its readers", set()
    return "", {UNPUBLISHED}


def _needed_mask(witness: Witness, need: Need, row: int, waited: set[str]) -> tuple[str, set[str]]:
    """Return what needs a lock to mask interrupts, in words, or else what excuses it; `waited`: the locks
    that handlers may wait for meanwhile."""
    if all(span.masked for span in witness.spans if span.pc == row):
        return "", {MASKED}
    if waited:
        return f"interrupts were on, and a handler may wait for {' and '.join(sorted(waited))}", set()
    excuses = {NO_HANDLER}
    for a, b, part in need.pairs(row, False):
        if b.comes_over(a) and not a.masked:
            excuse = need.excuse_open(a, b)
            if not excuse:
                return _words(witness, a, b, part), excuses
            excuses |= excuse
    return "", excuses


def _needed(witness: Witness, need: Need, row: int, mutant: Mutant) -> tuple[str, set[str]]:
    """Return what needs an acquisition, in words, or else what excuses it."""
    excuses = set[str]()
    for a, b, part in need.pairs(row, mutant.change == "shared"):
        if need.lets_in(a, b, part):
            continue
        excuse = need.excuse(a, b)
        if not excuse:
            return _words(witness, a, b, part), excuses
        excuses |= excuse
    return "", excuses


def _words(witness: Witness, a: Span, b: Span, part: tuple[int, int, int]) -> str:
    places = witness.places
    both = f"{places.party(*a.parts[part].now)} and {places.party(*b.parts[part].now)}"
    return f"{places.part(part[0], part[2])}: {both}"
