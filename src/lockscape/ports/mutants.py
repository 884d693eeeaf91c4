"""Mutants of a port: each with one acquisition removed or weakened, to see that the fault detector notices.
Those of messages and barriers are in `lockscape.ports.messages`.

Where a lock was taken out the mutant waits a while before each statement that the lock protected, so that
others have time to interfere. So it does before the plain store that stands for a compare-and-swap.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Literal

from lockscape.ports.messages import Messages, answered
from lockscape.program.locks import LockClass
from lockscape.program.nodes import (
    Assign,
    Body,
    Const,
    Do,
    Expr,
    Field,
    Function,
    Hold,
    Op,
    Return,
    Section,
    Stmt,
    Store,
    The,
    Var,
    While,
)
from lockscape.program.objects import Object, layout
from lockscape.program.walk import bodies, nodes, replaced, walk, with_bodies

Change = Literal["removed", "shared", "plain", "unsent", "early", "unmasked"]
"""What a mutant does at one place."""

DELAY_CYCLES = 20_000
"""How long a mutant waits where its lock is missing: several times the longest step of the kernel, and a
fraction of a tick in `lockscape.experiments.trials`."""

UNPROTECTED = "unprotected"
"""Name of the section in which a mutant does what its lock or funnel protected. Where it was a lock, the
first access there reads from the object that the lock lies in, to tell whose it was."""

TOLD = ("message", "barrier")
"""Modes of mutants that are about what is told, not about a lock."""

TAKING = ("exclusive", "shared", "retry", "rcu", "drop", "arrive", "funnel", "forward")
"""Modes of holds that are acquisitions; masking and preemption are the lock's own business."""


@dataclass(frozen=True)
class Mutant:
    """One acquisition changed: the hold number `ordinal` of a function, in the order of its listing.

    `removed`: not done at all; `shared`: readers let in where a writer excluded them; `unmasked`: interrupts
    left on where the lock masks them. Or the compare-and-swap of that number (mode ``cas``), whose field
    stands for the lock: a `plain` store, whatever is there by then. Or the change of that number to a
    function's messages (mode ``message``): `unsent`; `early`, told before what it is about is filled in; or
    `plain`, a word stored as if nobody looked. Or a barrier `removed`.
    """

    function: str
    ordinal: int
    lock: str
    mode: str
    change: Change

    def __str__(self) -> str:
        """Return what the mutant does, in words."""
        if self.mode in TOLD:
            return f"{self.lock} {_DONE[self.change]} in {self.function} ({self.mode} {self.ordinal + 1})"
        if self.change == "plain":
            return f"{self.lock} stored plainly, not swapped, in {self.function} (swap {self.ordinal + 1})"
        what = _TAKEN[self.change]
        return f"{self.lock or self.mode} {what} in {self.function} (hold {self.ordinal + 1})"


_TAKEN = {"removed": "not taken", "shared": "taken as a reader", "unmasked": "taken with interrupts on"}
_DONE = {
    "unsent": "not sent", "early": "told before it is filled in", "plain": "stored plainly",
    "removed": "left out",
}  # fmt: skip


def mutants(
    functions: Mapping[str, Function],
    locks: Mapping[str, LockClass],
    atomic: Set[str],
    new: Set[str],
    reached: Set[int],
) -> list[Mutant]:
    """Return every mutant of ported functions, before their holds are made explicit.

    `atomic`: parts ("Class.part") by which those of the functions that are `new` send messages; `reached`:
    statements (by identity) that something comes to.
    """
    reasons = answered(functions)
    found: list[Mutant] = []
    for function in functions.values():
        for ordinal, node in enumerate(holds(function.body)):
            if node.mode not in TAKING or id(node) not in reached:
                continue
            found.append(Mutant(function.name, ordinal, node.lock, node.mode, "removed"))
            if node.mode == "exclusive" and locks[node.lock].has_readers:
                found.append(Mutant(function.name, ordinal, node.lock, node.mode, "shared"))
            if node.mode in ("exclusive", "shared") and locks[node.lock].masks:
                found.append(Mutant(function.name, ordinal, node.lock, node.mode, "unmasked"))
        for ordinal, swap in enumerate(swaps(function.body)):
            found.append(Mutant(function.name, ordinal, _field(swap), "cas", "plain"))
        sent = Messages(function.name in new, atomic, reasons)
        sent.body(function.body)
        found += [
            Mutant(function.name, ordinal, each.what, each.mode, each.change)
            for ordinal, each in enumerate(sent.found)
        ]
    return found


def swaps(body: Body) -> list[Op]:
    """Return the compare-and-swaps of a body in the order of the listing."""
    return [swap for statement in walk(body) for swap in swaps_of(statement)]


def swaps_of(statement: Stmt) -> list[Op]:
    """Return the compare-and-swaps of a statement itself, not of its bodies."""
    own = nodes(with_bodies(statement, lambda inner: ()))
    return [node for node in own if isinstance(node, Op) and node.name == "compare_and_swap"]


def _field(swap: Op) -> str:
    """Return the field that a compare-and-swap changes, as Class.name."""
    target = swap.args[0]
    assert isinstance(target, Field)
    return f"{target.cls}.{target.name}"


def mutate(
    functions: Mapping[str, Function],
    locks: Mapping[str, LockClass],
    mutant: Mutant,
    atomic: Set[str],
    new: Set[str],
    cycles: int = DELAY_CYCLES,
) -> dict[str, Function]:
    """Return the functions with one mutant's change made; `atomic` and `new` as for `mutants`.

    `cycles`: how long it waits.
    """
    changed = dict(functions)
    source = changed[mutant.function]
    if mutant.mode in TOLD:
        new_code = mutant.function in new
        messages = Messages(new_code, atomic, answered(functions), mutant.ordinal, UNPROTECTED, cycles)
        changed[mutant.function] = source.with_body(messages.body(source.body))
        return changed
    if mutant.change == "plain":
        changed[mutant.function] = source.with_body(_Plain(mutant.ordinal, cycles).body(source.body))
        return changed
    changed[mutant.function] = source.with_body(_Change(locks, mutant, cycles).body(source.body))
    return changed


def holds(body: Body) -> list[Hold]:
    """Return the holds of a body in the order of the listing."""
    return [node for node in walk(body) if isinstance(node, Hold)]


class _Change:
    """Walks a body in the order of `holds` and changes the hold of one number."""

    def __init__(self, locks: Mapping[str, LockClass], mutant: Mutant, cycles: int) -> None:
        self.locks = locks
        self.cycles = cycles
        self.mutant = mutant
        self.seen = -1

    def body(self, statements: Body) -> Body:
        return tuple(s for statement in statements for s in self.statement(statement))

    def statement(self, node: Stmt) -> Body:
        return self.hold(node) if isinstance(node, Hold) else (with_bodies(node, self.body),)

    def hold(self, node: Hold) -> Body:
        self.seen += 1
        chosen = self.seen == self.mutant.ordinal
        inner = self.body(node.body)
        if not chosen:
            return (replace(node, body=inner),)
        if self.mutant.change == "unmasked":
            return (replace(node, body=self.delayed(inner, behind=True), unmasked=True),)
        if self.mutant.change == "shared":
            return (replace(node, mode="shared", body=self.delayed(inner)),)
        if node.mode == "funnel":
            return (Section(UNPROTECTED, (), self.delayed(inner)),)
        return self.unprotected(node, inner) if node.lock and node.mode != "drop" else self.delayed(inner)

    def unprotected(self, node: Hold, inner: Body) -> Body:
        """Return a body without its lock, as a section that begins by reading from the lock's object."""
        cls = self.locks[node.lock].object
        where: Expr = node.where if node.where is not None else The(cls)
        before: Body = ()
        if not isinstance(where, Var | The):
            before, where = (Assign(UNPROTECTED, where),), Var(UNPROTECTED)
        return (*before, Section(UNPROTECTED, (), (Do(_look(where, cls)), *self.delayed(inner))))

    def delayed(self, body: Body, behind: bool = False) -> Body:
        """Return a body that waits before each of its statements, in all as long as a mutant waits; and as
        long `behind` the last, where interrupts still find what it did.

        Statements of loops are not waited for: how often they are done is not known.
        """
        pauses = self.pauses(self.cycles // max(1, _count(body)))

        def spread(statements: Body) -> Body:
            return tuple(
                part
                for s in statements
                for part in (*pauses, s if isinstance(s, While) else with_bodies(s, spread))
            )

        last = self.pauses(self.cycles) if behind and not isinstance(body[-1], Return) else ()
        return (*spread(body), *last)

    def pauses(self, cycles: int) -> Body:
        return (Do(Op("pause", (Const(cycles),))),) if cycles else ()


def _look(where: Expr, cls: str) -> Expr:
    """Return an expression that reads from an object: its first field, or the length of its first list."""
    shape = layout(Object.declared[cls])
    place = Field(where, cls, next(iter([*shape.fields, *shape.collections])))
    return place if place.name in shape.fields else Op("count", (place,))


class _Plain:
    """Walks a body in the order of `swaps` and makes the compare-and-swap of one number a store."""

    def __init__(self, ordinal: int, cycles: int) -> None:
        self.left = ordinal + 1
        self.cycles = cycles

    def body(self, statements: Body) -> Body:
        return tuple(s for statement in statements for s in self.statement(statement))

    def statement(self, node: Stmt) -> Body:
        here = swaps_of(node)
        before: Body = ()
        if 0 < self.left <= len(here):
            swap = here[self.left - 1]
            target = swap.args[0]
            assert isinstance(target, Field)
            node = replaced(node, swap, Const(1))
            before = (Do(Op("pause", (Const(self.cycles),))), Store(target, swap.args[2], plain=True))
        self.left -= len(here)
        return (*before, with_bodies(node, self.body))


def _count(body: Body) -> int:
    """Return before how many statements of a body a mutant waits."""
    return sum(1 + sum(_count(inner) for inner in bodies(s) if not isinstance(s, While)) for s in body)
