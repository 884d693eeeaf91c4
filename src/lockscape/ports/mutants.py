"""Mutants of a port: each with one acquisition removed or weakened, to see that the fault detector notices.

Where a lock was taken out the mutant waits a while inside, so that others have time to interfere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lockscape.program.locks import LockClass
from lockscape.program.nodes import Body, Const, Do, Function, Hold, If, Op, Section, Stmt, While

Change = Literal["removed", "shared"]

DELAY_CYCLES = 20_000
"""How long a mutant waits where its lock is missing: several times the longest step of the kernel."""

TAKING = ("exclusive", "shared", "retry", "rcu", "drop", "arrive", "funnel")
"""Modes of holds that are acquisitions; masking and preemption are the lock's own business."""


@dataclass(frozen=True)
class Mutant:
    """One acquisition changed: the hold number `ordinal` of a function, in the order of its listing.

    `removed`: not done at all; `shared`: readers let in where a writer excluded them.
    """

    function: str
    ordinal: int
    lock: str
    mode: str
    change: Change

    def __str__(self) -> str:
        """Return what the mutant does, in words."""
        what = "taken as a reader" if self.change == "shared" else "not taken"
        return f"{self.lock or self.mode} {what} in {self.function} (hold {self.ordinal + 1})"


def mutants(functions: Mapping[str, Function], locks: Mapping[str, LockClass]) -> list[Mutant]:
    """Return every mutant of ported functions, before their holds are made explicit."""
    found: list[Mutant] = []
    for function in functions.values():
        for ordinal, node in enumerate(_holds(function.body)):
            if node.mode not in TAKING:
                continue
            found.append(Mutant(function.name, ordinal, node.lock, node.mode, "removed"))
            if node.mode == "exclusive" and locks[node.lock].has_readers:
                found.append(Mutant(function.name, ordinal, node.lock, node.mode, "shared"))
    return found


def mutate(functions: Mapping[str, Function], mutant: Mutant) -> dict[str, Function]:
    """Return the functions with one mutant's change made."""
    changed = dict(functions)
    source = changed[mutant.function]
    changed[mutant.function] = source.with_body(_Change(mutant).body(source.body))
    return changed


def _holds(body: Sequence[Stmt]) -> Iterator[Hold]:
    for node in body:
        if isinstance(node, Hold):
            yield node
        match node:
            case If(then=then, other=other):
                yield from _holds(then)
                yield from _holds(other)
            case While(body=inner) | Section(body=inner) | Hold(body=inner):
                yield from _holds(inner)


class _Change:
    """Walks a body in the order of `_holds` and changes the hold of one number."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant
        self.seen = -1

    def body(self, statements: Body) -> Body:
        return tuple(s for statement in statements for s in self.statement(statement))

    def statement(self, node: Stmt) -> Body:
        match node:
            case Hold():
                return self.hold(node)
            case If(then=then, other=other):
                return (replace(node, then=self.body(then), other=self.body(other)),)
            case While(body=body) | Section(body=body):
                return (replace(node, body=self.body(body)),)
        return (node,)

    def hold(self, node: Hold) -> Body:
        self.seen += 1
        chosen = self.seen == self.mutant.ordinal
        inner = self.body(node.body)
        if not chosen:
            return (replace(node, body=inner),)
        if self.mutant.change == "shared":
            return (replace(node, mode="shared", body=inner),)
        return (Do(Op("pause", (Const(DELAY_CYCLES),))), *inner)
