"""What is done under a lock, place by place: which places share data, and how long each holds it.

A place is a rule of the plan. Two places of a lock *share data* if in some trial both come to the same part
of a class' objects (a field, a collection), one of them writing, and no other lock that both hold keeps them
apart. What `lockscape.experiments.need` excuses does not count: parts that are changed without the lock,
atomic accesses, what an object's life keeps apart; nor do parts that only one thread ever came to.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

import msgspec
import numpy as np
from numpy.typing import NDArray

from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import load_run
from lockscape.experiments.shown import kernel_for, rows_of_holds
from lockscape.experiments.trials import Trial, run_trial
from lockscape.experiments.witness import Span, Witness, unprotected_parts
from lockscape.machine import layout as at
from lockscape.machine.execute import RunError, execute
from lockscape.ports.changed_locks import rules_of_holds
from lockscape.ports.port import Port
from lockscape.program.assemble import Binary

MOST_ROWS = 3_000_000
"""Rows of the trace of a run that are looked at for how long places hold their locks."""

PIECES = 50
"""In how many pieces the second half of a run is traced."""

Part = tuple[int, int]
"""Number of a class and offset of a part of its objects."""


class Touch(msgspec.Struct, frozen=True):
    """What a place does with a part: whether it writes, and the names of other locks that it always holds."""

    write: bool
    locks: frozenset[str]


class Touches(msgspec.Struct, frozen=True):
    """What a trial shows: how often each rule held its lock, and what it touched meanwhile."""

    taken: dict[int, int]
    touched: dict[tuple[int, Part], Touch]


def rules_of_rows(port: Port, binary: Binary) -> dict[int, int]:
    """Return which rule of the plan each acquisition of the code comes from: row -> number of the rule."""
    found = {}
    rules = rules_of_holds(port)
    for function in {name for name, _ in rules}:
        for ordinal, row in rows_of_holds(port, binary, function).items():
            if (function, ordinal) in rules:
                found[row] = rules[function, ordinal]
    return found


def touches(task: tuple[bytes, Trial]) -> Touches:
    """Run a trial of a plan (as JSON); return what is done under its locks.

    Raises `RunError` if the plan itself shows a fault.
    """
    key, trial = task
    kernel = kernel_for(key)
    witness, wrong = run_trial(kernel, trial, Witness)
    if wrong:
        raise RunError(
            f"{kernel.port.plan.title}, as it is: {trial.name}: {wrong}; take out its faults first"
        )
    bare = unprotected_parts(witness)
    rules = rules_of_rows(kernel.port, kernel.binary)
    taken: dict[int, int] = defaultdict(int)
    touched: dict[tuple[int, Part], Touch] = {}
    for span in witness.spans:
        rule = rules.get(span.pc)
        if rule is None:
            continue
        taken[rule] += 1
        name = witness.names[span.lock]
        own = witness.tracker.lock_places[span.lock]
        for part, locks, write in _shared(witness, span):
            cls = witness.lives[part[:2]].cls
            if (name, own == part[0], cls, part[2]) not in bare:
                _add(touched, (rule, (cls, part[2])), Touch(write, locks))
    return Touches(dict(taken), touched)


def _shared(witness: Witness, span: Span) -> Iterable[tuple[tuple[int, int, int], frozenset[str], bool]]:
    """Yield the parts that a span needs its lock for, with the other locks it had and whether it wrote."""
    for part, access in span.parts.items():
        life = witness.lives[part[:2]]
        if access.atomic or len(life.parts[part[2]].first) < 2 or life.set_before(part[2]):
            continue
        if not life.takes_down(part[2], span.thread, span.started):
            others = frozenset(
                witness.names[k] for k in access.locks if k != span.lock and k in witness.names
            )
            yield part, others, access.write


def _add(touched: dict[tuple[int, Part], Touch], key: tuple[int, Part], more: Touch) -> None:
    known = touched.get(key)
    touched[key] = more if known is None else Touch(known.write or more.write, known.locks & more.locks)


def together(found: Iterable[Touches]) -> Touches:
    """Return what several trials show."""
    taken: dict[int, int] = defaultdict(int)
    touched: dict[tuple[int, Part], Touch] = {}
    for each in found:
        for rule, count in each.taken.items():
            taken[rule] += count
        for key, touch in each.touched.items():
            _add(touched, key, touch)
    return Touches(dict(taken), touched)


def shared_parts(shown: Touches, rules: Collection[int]) -> dict[tuple[int, int], int]:
    """Return how many parts each two of a lock's rules share, of those that share any."""
    by_part: dict[Part, dict[int, Touch]] = defaultdict(dict)
    for (rule, part), touch in shown.touched.items():
        if rule in rules:
            by_part[part][rule] = touch
    found: dict[tuple[int, int], int] = defaultdict(int)
    for mine in by_part.values():
        for a, b in combinations(sorted(mine), 2):
            if (mine[a].write or mine[b].write) and not mine[a].locks & mine[b].locks:
                found[a, b] += 1
    return dict(found)


def halves(rules: Sequence[int], shared: Mapping[tuple[int, int], int], held: Mapping[int, int]) -> tuple[
    frozenset[int], bool
]:  # fmt: skip
    """Return the rules of a second half of a lock, and whether the halves share no data.

    `held`: how long each rule holds it, which is to be equal. Rules that share data stay together; if all
    do, they are cut where they share least for their number (by the signs of the Fiedler vector: Fiedler,
    Czechoslovak Mathematical Journal 1973). Nothing if only one place is ever held.
    """
    parts = [part for part in _components(rules, shared) if any(held.get(rule, 0) for rule in part)]
    if len(parts) > 1:
        return _lighter(parts, held), True
    return (_cut(sorted(parts[0]), shared), False) if parts and len(parts[0]) > 1 else (frozenset(), False)


def _components(rules: Sequence[int], shared: Mapping[tuple[int, int], int]) -> list[frozenset[int]]:
    group = {rule: rule for rule in rules}
    for a, b in shared:
        old, new = group[b], group[a]
        group = {rule: new if of == old else of for rule, of in group.items()}
    return [frozenset(r for r in rules if group[r] == of) for of in dict.fromkeys(group.values())]


def _lighter(parts: Sequence[frozenset[int]], held: Mapping[int, int]) -> frozenset[int]:
    """Divide sets of rules into two by how long they are held, the longest first; return the shorter."""
    weight = {part: sum(held.get(rule, 0) for rule in part) for part in parts}
    bins: list[tuple[int, frozenset[int]]] = [(0, frozenset()), (0, frozenset())]
    for part in sorted(parts, key=lambda part: -weight[part]):
        light = int(bins[1][0] < bins[0][0])
        bins[light] = bins[light][0] + weight[part], bins[light][1] | part
    return min(bins, key=lambda each: each[0])[1]


def _cut(rules: Sequence[int], shared: Mapping[tuple[int, int], int]) -> frozenset[int]:
    place = {rule: k for k, rule in enumerate(rules)}
    laplacian = np.zeros((len(rules), len(rules)))
    for (a, b), count in shared.items():
        if a in place and b in place:
            i, j = place[a], place[b]
            laplacian[[i, j], [j, i]] -= count
            laplacian[[i, j], [i, j]] += count
    vector = np.linalg.eigh(laplacian)[1][:, 1]
    vector = vector if vector[0] <= 0 else -vector  # the first rule stays
    second = frozenset(rule for rule in rules if vector[place[rule]] > 1e-9)
    return second or frozenset(rules[1:])


# --- how long each place holds its lock -------------------------------------------------------------------


def hold_cycles(spec: RunSpec, makespan_cycles: int) -> dict[int, int]:
    """Return how long each rule of a run's plan holds its lock in the run's second half, or a part of it."""
    loaded = load_run(spec, traced=True)
    state = loaded.machine.state
    holds = _Holds(rules_of_rows(loaded.port, state.binary), state.binary)
    middle = makespan_cycles // 2
    execute(state, middle)
    for piece in range(1, PIECES + 1):
        stopped = execute(state, middle + (makespan_cycles - middle) * piece // PIECES, holds.read)
        if stopped.reason != at.REASON_TIME or holds.rows > MOST_ROWS:
            break
    return dict(holds.cycles)


class _Holds:
    """Adds up, from a trace, how long each rule holds its lock; of a recursive one the outermost."""

    def __init__(self, rules: Mapping[int, int], binary: Binary) -> None:
        self.rules = rules
        self.saves = {k for k, row in enumerate(binary.code.tolist()) if row[6] >= 0}
        self.rows = 0
        self.cycles: dict[int, int] = defaultdict(int)
        self.held: dict[tuple[int, int], tuple[int, int, int]] = {}
        """Of a lock, and of a reader's context or 0: depth, rule, and since when."""
        self.dropped: dict[tuple[int, int], tuple[int, int]] = {}

    def read(self, rows: NDArray[np.int64]) -> None:
        self.rows += len(rows)
        for row in rows[np.isin(rows[:, 4], (at.T_ACQUIRE, at.T_RELEASE))].tolist():
            time, _, ctx, pc, kind, place, offset, value = row
            lock = place + offset
            key = lock, ctx if value & 1 else 0
            if kind == at.T_RELEASE:
                self.release(time, key, (lock, ctx), pc in self.saves)
            elif pc in self.saves:
                depth, rule = self.dropped.pop((lock, ctx), (1, -1))
                self.held[key] = depth, rule, time
            else:
                depth, rule, since = self.held.get(key, (0, self.rules.get(pc, -1), time))
                self.held[key] = depth + 1, rule, since

    def release(self, time: int, key: tuple[int, int], who: tuple[int, int], drops: bool) -> None:
        depth, rule, since = self.held.pop(key, (1, -1, time))
        if drops:
            self.dropped[who] = depth, rule
        elif depth > 1:
            self.held[key] = depth - 1, rule, since
            return
        self.cycles[rule] += time - since
