"""The mutants of a port: as a record, and as a table with how each of them was noticed."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from lockscape.experiments.mutation import UNEXPLAINED, Outcome, Verdict
from lockscape.ports.mutants import Mutant
from lockscape.report.table import Table

_NOTE = (
    "Each acquisition of the port is left out (or lets readers in), one at a time. caught: by the fault "
    "named. private: no two threads need that lock. covered: what is named keeps them apart as well; both "
    "checked on runs of the port as it is. never taken, survived: unexplained."
)

CHANGES = {
    "removed": "not taken", "shared": "as a reader", "unmasked": "interrupts on", "plain": "stored plainly",
    "unsent": "not sent", "early": "told early",
}  # fmt: skip
"""What a mutant does, in the table."""


class MutantRecord(msgspec.Struct, frozen=True):
    """One mutant: `how` is the fault's message, or what explains it; `kind` and `trial` caught it."""

    mutant: Mutant
    outcome: Outcome
    kind: str
    trial: str
    how: str


class MutationRecord(msgspec.Struct, frozen=True):
    """All mutants of a port, by the name that it was asked for by, and how many are `unexplained`."""

    name: str
    title: str
    unexplained: int
    mutants: tuple[MutantRecord, ...]


def mutation_record(name: str, title: str, verdicts: Sequence[Verdict]) -> MutationRecord:
    """Return the record of a port's verdicts."""
    records = tuple(MutantRecord(v.mutant, v.outcome, v.kind, v.trial, v.how) for v in verdicts)
    return MutationRecord(name, title, sum(not v.explained for v in verdicts), records)


def mutants_table(record: MutationRecord, whole: bool = False) -> Table:
    """Return a row for each mutant; `whole`: with the messages of the faults (for CSV)."""
    rows = tuple(
        (
            each.mutant.function, each.mutant.lock or each.mutant.mode, each.mutant.ordinal + 1,
            "left out" if each.mutant.mode == "barrier" else CHANGES[each.mutant.change], each.outcome,
            each.kind or (each.how if each.outcome not in UNEXPLAINED else ""),
            *((each.trial, each.how) if whole else ()),
        )
        for each in record.mutants
    )  # fmt: skip
    columns = ("function", "lock", "hold", "change", "outcome", "by")
    emphasis = frozenset(n for n, each in enumerate(record.mutants) if each.outcome in UNEXPLAINED)
    return Table(
        "" if whole else f"{record.name}: {record.title}: {len(rows)} mutants",
        (*columns, *(("trial", "how") if whole else ())), rows,
        frozenset({0, 1, 3, 4, 5, 6, 7}), () if whole else (summary(record), _NOTE), emphasis,
    )  # fmt: skip


def summary(record: MutationRecord) -> str:
    """Return how many mutants came to what end, in one sentence."""
    kinds = Counter(f"{each.outcome} ({each.kind})" if each.kind else each.outcome for each in record.mutants)
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"{len(record.mutants)} mutants: {told}; {record.unexplained} unexplained."


def unexplained_message(record: MutationRecord) -> str:
    """Return one line about the mutants that nothing explains, naming the first."""
    first = next(each for each in record.mutants if each.outcome in UNEXPLAINED)
    more = f" (and {record.unexplained - 1} more)" if record.unexplained > 1 else ""
    why = f": {first.how}" if first.how else ""
    return (
        f"{record.name}: {first.mutant}: {first.outcome}{more}{why}; the lock does nothing that can be seen, "
        "or no trial sees it"
    )
