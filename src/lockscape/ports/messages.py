"""Mutants of messages: what one processor tells another, told too early, plainly, or not at all.

A *message* of a port's new code is a store to an atomic word, an insertion into an atomic collection, or a
notification: an interrupt that is sent, a timer that is set, or leaving to the hypervisor with a reason that
it answers by more than computing. *Barriers* are messages' other half, and those that plans put before what
they publish are left out too.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from lockscape.program.nodes import (
    Add,
    Assign,
    Binary,
    Body,
    Const,
    Do,
    Expr,
    Field,
    Function,
    If,
    Op,
    Section,
    Step,
    Stmt,
    Store,
)
from lockscape.program.walk import called, nodes, walk, with_bodies

Change = Literal["unsent", "early", "plain", "removed"]
"""What a mutant does with a message: leaves it out, sends it too early, or writes what it says without a
barrier."""

NOTIFICATIONS = ("send", "send_instance", "set_timer")
"""Operations that tell another processor something."""


@dataclass(frozen=True)
class Message:
    """What can be changed of a message: `what` is the word, collection or notification that it is."""

    what: str
    change: Change
    mode: Literal["message", "barrier"] = "message"


@dataclass
class Messages:
    """Finds the messages of a body in the order of its listing, and changes the one of number `chosen`.

    `sends`: it is new code; of other code only the barriers are found. `atomic`: parts ("Class.part") by
    which others are told. `answered`: reasons that the hypervisor answers. What is changed stands in a
    section called `mark`, with a pause of `cycles` where others have time to interfere.
    """

    sends: bool
    atomic: Set[str]
    answered: Set[str]
    chosen: int = -1
    mark: str = ""
    cycles: int = 0
    found: list[Message] = field(default_factory=list)

    def body(self, statements: Body) -> Body:
        """Look through statements; return them, changed if the message is among them."""
        done: list[Stmt] = []
        for statement in statements:
            inner = with_bodies(statement, self.body)
            changed = False
            for message in self.of(statement, done):
                self.found.append(message)
                if len(self.found) - 1 == self.chosen:
                    self.change(message.change, inner, done)
                    changed = True
            if not changed:
                done.append(inner)
        return tuple(done)

    def of(self, node: Stmt, done: list[Stmt]) -> list[Message]:
        """Return what can be changed of one statement; `done`: those before it."""
        match node:
            case Do(value=Op(name="barrier")):
                return [Message("barrier", "removed", "barrier")]
            case _ if not self.sends:
                return []
            case Do(value=Op(name="trap", args=(reason,))) if _reason(reason) in self.answered:
                return [Message(_reason(reason), "unsent")]
            case Do(value=Op(name=name)) if name in NOTIFICATIONS:
                return [Message(name, "unsent")]
            case Store(target=target) if _name(target) in self.atomic:
                early = [Message(_name(target), "early")] if _contents(target.base, done)[1] else []
                return [*early, Message(_name(target), "plain")]
            case Do(value=Op(name="insert", args=(Field() as to, _, value))) if _name(to) in self.atomic:
                return [Message(_name(to), "early")] if _contents(value, done)[1] else []
        return []

    def change(self, change: Change, node: Stmt, done: list[Stmt]) -> None:
        """Put a changed statement after those before it."""
        inner: Body = ()
        if change == "plain":
            assert isinstance(node, Store)
            inner = (Do(Op("pause", (Const(self.cycles),))), replace(node, plain=True))
        elif change == "early":
            start, late = _contents(_told(node), done)
            kept = [each for each in done[start:] if each not in late]
            done[start:] = kept
            inner = (node, Do(Op("pause", (Const(self.cycles),))), *late)
        done.append(Section(self.mark, (), inner))


def _told(node: Stmt) -> Expr:
    """Return the object that a message is about: the one whose word is stored, or that is inserted."""
    if isinstance(node, Store):
        return node.target.base
    assert isinstance(node, Do) and isinstance(node.value, Op)
    return node.value.args[2]


def _contents(told: Expr, done: list[Stmt]) -> tuple[int, list[Stmt]]:
    """Return the statements right before a message that fill in what it is about, and where they begin."""
    start = len(done)
    while start and _simple(done[start - 1]):
        start -= 1
    return start, [
        each for each in done[start:] if isinstance(each, Store | Add) and each.target.base == told
    ]


def _simple(node: Stmt) -> bool:
    """Say whether what comes after a statement may be done before it, as far as it can be seen here."""
    return isinstance(node, Store | Add | Step | Assign) or node == Do(Op("barrier"))


def _name(place: Field) -> str:
    return f"{place.cls}.{place.name}"


def _reason(value: Expr) -> str:
    return next((each.name for each in nodes(value) if isinstance(each, Const) and each.name), "")


def answered(functions: Mapping[str, Function]) -> frozenset[str]:
    """Return the reasons to leave to the hypervisor that it answers by more than computing."""
    branches = [s for f in functions.values() for s in walk(f.body) if isinstance(s, If)]
    computing = {name for name, f in functions.items() if all(isinstance(each, Step) for each in f.body)}
    return frozenset(
        branch.test.right.name
        for branch in branches
        if isinstance(branch.test, Binary) and branch.test.op == "==" and isinstance(branch.test.right, Const)
        and not all(
            isinstance(each, Step) or (isinstance(each, Do) and {*called(each)} & computing)
            for each in branch.then
        )
    )  # fmt: skip
