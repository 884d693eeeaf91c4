"""Takes out or weakens every acquisition of a port in turn, and says of each mutant how it was noticed.

A mutant is *caught* by a fault, or by a run that cannot go on. One that is not caught must be *equivalent* by
one of three rules, which are checked on a run of the port as it is:

- **never met**: what is accessed while the lock is held is accessed by one thread only, in every workload
  tried (all its objects are private), or nobody writes it;
- **covered**: whatever two threads access, one of them while holding the lock, another lock that both hold
  protects as well;
- **never taken**: no workload tried comes to that place.

Anything else is a survivor: the lock does nothing that can be seen, or the detector misses something.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from lockscape.experiments.sample import kernel_steps
from lockscape.machine import layout as at
from lockscape.machine.activity import Activity
from lockscape.machine.costs import CostTable, preset
from lockscape.machine.execute import RunError, execute
from lockscape.machine.faults import Detector
from lockscape.machine.findings import Now, Rules
from lockscape.machine.state import State
from lockscape.ports.mutants import Mutant
from lockscape.ports.plan import Plan
from lockscape.ports.port import Port, port
from lockscape.program import opcodes as op
from lockscape.program.assemble import assemble
from lockscape.workloads import user
from lockscape.workloads.load import Stream, load

Outcome = Literal["caught", "never met", "covered", "never taken", "survived"]


@dataclass(frozen=True)
class Trial:
    """A small run in which mutants are looked for; `together`: all processes in one directory."""

    name: str
    streams: tuple[Stream, ...]
    cpus: int
    together: bool


class Verdict(msgspec.Struct, frozen=True):
    """What became of a mutant: `trial` and `how` say what caught it, or which rule explains it."""

    mutant: str
    outcome: Outcome
    trial: str
    how: str


Holding = tuple[frozenset[tuple[int, int]], frozenset[int]]
"""What is held at an access: the row and address of each acquisition, and the locks that keep others out."""


@dataclass
class Seen:
    """One part of one object: by whom it was accessed, and under which locks at which acquisitions."""

    threads: set[int] = field(default_factory=set)
    writers: set[int] = field(default_factory=set)
    under: set[Holding] = field(default_factory=set)


class Witness(Detector):
    """The fault detector, which also notes which acquisition protected what."""

    def __init__(self, state: State, rules: Rules) -> None:
        super().__init__(state, rules)
        self.seen: dict[tuple[int, int, int], Seen] = {}
        self.taken: set[int] = set()

    def access(self, now: Now, act: Activity, write: bool, place: int, offset: int, how: int) -> None:
        """Note an access, then look for faults as usual."""
        super().access(now, act, write, place, offset, how)
        self.taken |= {held.pc for held in act.held}
        known = self.lifetimes.objects.get(place)
        if known is None or how in (op.RACY, op.ATOMIC):
            return
        seen = self.seen.setdefault((place, known.generation, offset), Seen())
        seen.threads.add(act.thread)
        if write:
            seen.writers.add(act.thread)
        locks = act.cover.lockset.exclusive if write else act.cover.lockset.any
        seen.under.add((frozenset((h.pc, h.lock) for h in act.held), locks))


def judge(plan: Plan, trials: Sequence[Trial], chosen: Sequence[Mutant] | None = None) -> Iterator[Verdict]:
    """Yield a verdict for every mutant of a plan, or for those chosen.

    Raises `RunError` if the port itself, without any change, shows a fault in a trial.
    """
    whole = port(plan, [user])
    witnesses = [(trial, _clean(whole, trial)) for trial in trials]
    for mutant in whole.mutants() if chosen is None else chosen:
        yield _verdict(whole, mutant, trials, witnesses)


def _verdict(whole: Port, mutant: Mutant, trials: Sequence[Trial],
             witnesses: Sequence[tuple[Trial, Witness]]) -> Verdict:  # fmt: skip
    changed = whole.mutated(mutant)
    for trial in trials:
        how = _noticed(changed, trial)
        if how:
            return Verdict(str(mutant), "caught", trial.name, how)
    rows = [(trial, witness, _rows(whole, mutant)) for trial, witness in witnesses]
    return Verdict(str(mutant), _explained(rows, mutant), "", "")


def _table(plan: Plan) -> CostTable:
    return CostTable(preset("pentium4"), kernel_steps(), plan.costs)


def _noticed(changed: Port, trial: Trial) -> str:
    """Return what shows that a port is wrong in a trial, or nothing."""
    table = _table(changed.plan)
    machine = load(changed, table, trial.cpus, trial.streams, traced=True, together=trial.together)
    detector = Detector(machine.state, changed.rules())
    try:
        stopped = execute(machine.state, _limit(table), detector.read)
    except RunError as error:
        return str(error)
    detector.finish(stopped)
    if detector.faults:
        return detector.faults[0].kind
    return "" if stopped.reason == at.REASON_DONE else stopped.text or "no progress"


def _limit(table: CostTable) -> int:
    """Return ten simulated seconds: a hundred times what a trial takes."""
    return table.clock_mhz * 10_000_000


def _clean(whole: Port, trial: Trial) -> Witness:
    """Run the port as it is, which must show nothing, and return what protected what."""
    table = _table(whole.plan)
    machine = load(whole, table, trial.cpus, trial.streams, traced=True, together=trial.together)
    witness = Witness(machine.state, whole.rules())
    stopped = execute(machine.state, _limit(table), witness.read)
    witness.finish(stopped)
    if witness.faults or stopped.reason != at.REASON_DONE:
        why = witness.faults[0].message if witness.faults else stopped.text
        raise RunError(f"{whole.plan.title}: {trial.name}: {why}")
    return witness


def _rows(whole: Port, mutant: Mutant) -> frozenset[int]:
    """Return the rows of code that are a mutant's acquisition in the port without the change."""
    plain = assemble(whole.program, _table(whole.plan), traced=True)
    begin = plain.starts[mutant.function]
    rows = [
        k for k in range(begin, len(plain.where))
        if plain.where[k] == mutant.function and plain.code[k][0] in (op.ACQUIRE, op.SEQ_BEGIN)
        and plain.locks[int(plain.code[k][3 if plain.code[k][0] == op.ACQUIRE else 4])] == mutant.lock
    ]  # fmt: skip
    same = [m for m in whole.mutants() if m.function == mutant.function and m.lock == mutant.lock]
    ordinals = sorted({m.ordinal for m in same})
    place = ordinals.index(mutant.ordinal)
    return frozenset([rows[place]]) if place < len(rows) else frozenset(rows)


def _explained(rows: Sequence[tuple[Trial, Witness, frozenset[int]]], mutant: Mutant) -> Outcome:
    taken = met = False
    for _, witness, places in rows:
        taken |= bool(witness.taken & places)
        for seen in witness.seen.values():
            mine = any(pc in places for holding, _ in seen.under for pc, _ in holding)
            if not mine or len(seen.threads) < 2 or not seen.writers:
                continue
            met = True
            if not _still_protected(seen, places):
                return "survived"
    if not taken and mutant.mode in ("exclusive", "shared", "retry"):
        return "never taken"
    return "covered" if met else "never met"


def _still_protected(seen: Seen, places: frozenset[int]) -> bool:
    """Say whether a lock remains that keeps all accesses apart when one acquisition is left out."""
    common: frozenset[int] | None = None
    for holding, locks in seen.under:
        kept = {lock for pc, lock in holding if pc not in places}
        left = locks - ({lock for pc, lock in holding if pc in places} - kept)
        common = left if common is None else common & left
    return bool(common)
