"""Makes synchronisation explicit: every `Hold` becomes the operations that a kernel's source would show.

Both the listing and the assembler work on the result, so what is counted as effort is what runs.
"""

from collections.abc import Mapping
from dataclasses import replace

from lockscape.errors import InputError
from lockscape.program.attempts import changed, check_attempt, check_stays
from lockscape.program.locks import LockClass
from lockscape.program.nodes import (
    Add,
    Assign,
    Binary,
    Body,
    Break,
    Call,
    Const,
    Do,
    Expr,
    Function,
    Hold,
    If,
    Return,
    Stmt,
    Sync,
    The,
    Var,
    While,
)  # fmt: skip
from lockscape.program.walk import with_bodies


def lower(function: Function, locks: Mapping[str, LockClass], preemptible: bool) -> Function:
    """Return the function with each `Hold` replaced by acquire and release operations.

    A lock's other effects are made explicit too: interrupts masked, preemption off. Each way out of the
    body releases. Raises `InputError` for an unknown lock or a return out of a retried body.
    """
    return _Lowering(function, locks, preemptible).function()


class _Lowering:
    def __init__(self, function: Function, locks: Mapping[str, LockClass], preemptible: bool) -> None:
        self.source = function
        self.locks = locks
        self.preemptible = preemptible
        self.open: list[list[Stmt]] = []
        self.loops: list[int] = []
        self.names = 0
        self.known = set(function.params)
        """Variables that have a value so far."""

    def function(self) -> Function:
        return self.source.with_body(self.body(self.source.body))

    def fresh(self, stem: str) -> str:
        self.names += 1
        return f"{stem}_{self.names}"

    def body(self, statements: Body) -> Body:
        found: list[Stmt] = []
        for statement in statements:
            found.extend(self.statement(statement))
        return tuple(found)

    def statement(self, node: Stmt) -> list[Stmt]:
        match node:
            case Hold():
                return self.hold(node)
            case While(body=body):
                self.loops.append(len(self.open))
                inner = self.body(body)
                self.loops.pop()
                return [replace(node, body=inner)]
            case Return(value=value):
                return self.leave(value)
            case Assign(name=name) | Add(result=name):
                self.known.add(name)
            case Break():
                return [*self.releases(self.loops[-1]), node]
        return [with_bodies(node, self.body)]

    def releases(self, depth: int) -> list[Stmt]:
        return [s for group in reversed(self.open[depth:]) for s in group]

    def leave(self, value: Expr | None) -> list[Stmt]:
        releases = self.releases(0)
        if not releases or value is None or isinstance(value, Const | Var):
            return [*releases, Return(value)]
        name = self.fresh("result")
        return [Assign(name, value), *releases, Return(Var(name))]

    def hold(self, node: Hold) -> list[Stmt]:
        before: list[Stmt] = []
        where = node.where
        if where is not None and not isinstance(where, Var | Const | The):
            name = self.fresh("held")
            before.append(Assign(name, where))
            where = Var(name)
        if node.mode == "retry":
            self.lock(node.lock)
            check_stays(self.source.name, node)
            return [*before, replace(node, where=where, body=self.body(node.body))]
        if node.mode == "preempt" and not self.preemptible:
            return list(self.body(node.body))
        if node.lock and node.mode == "exclusive" and self.lock(node.lock).kind == "version":
            return [*before, *self.attempt(node, where)]
        if node.mode == "forward":
            return [*before, *self.forward(node, where)]
        begin, end = self.operations(node, where)
        self.open.append(end)
        inner = self.body(node.body)
        self.open.pop()
        return [*before, *begin, *inner, *([] if inner and isinstance(inner[-1], Return) else end)]

    def attempt(self, node: Hold, where: Expr | None) -> list[Stmt]:
        """Return a lock-free section. It may be done several times: variables begin each time as before."""
        check_attempt(self.source.name, node)
        kept = [(name, self.fresh("kept")) for name in changed(node.body, self.known)]
        return [
            *(Assign(copy, Var(name)) for name, copy in kept),
            Sync("attempt", node.lock, where),
            *(Assign(name, Var(copy)) for name, copy in kept),
            *self.body(node.body),
            Sync("commit", node.lock, where),
        ]

    def forward(self, node: Hold, where: Expr | None) -> list[Stmt]:
        """Return a body done with a lock if it is free, and else told to the processor that holds it."""
        self.lock(node.lock)
        holder, end = self.fresh("holder"), Sync("release", node.lock, where)
        self.open.append([end])
        inner = self.body(node.body)
        self.open.pop()
        told = Do(Call("forward_interrupt", (Binary("-", Var(holder), Const(1)),)))
        free = Binary("==", Var(holder), Const(0))
        return [Sync("try", node.lock, where, saved=holder), If(free, (*inner, end), (told,))]

    def operations(self, node: Hold, where: Expr | None) -> tuple[list[Stmt], list[Stmt]]:
        """Return what opens and what closes a hold."""
        match node.mode:
            case "mask":
                return [Sync("mask")], [Sync("unmask")]
            case "preempt":
                return [Sync("preempt_off")], [Sync("preempt_on")]
            case "rcu":
                if self.preemptible:  # a reader's processor is quiet only when the reader is through
                    return [Sync("preempt_off"), Sync("rcu_read_lock")], [
                        Sync("rcu_read_unlock"), Sync("preempt_on"),
                    ]  # fmt: skip
                return [Sync("rcu_read_lock")], [Sync("rcu_read_unlock")]
            case "funnel":
                return [Do(Call("enter_master"))], [Do(Call("leave_master"))]
            case "drop":
                saved = self.fresh("depth")
                self.lock(node.lock)
                return (
                    [Sync("drop", node.lock, where, saved=saved)],
                    [Sync("retake", node.lock, where, saved=saved)],
                )
            case "arrive":
                # a new process starts in the middle of a switch, holding what the switch passes on
                saved = self.fresh("depth")
                self.lock(node.lock)
                begin_here: list[Stmt] = [
                    Assign(saved, Const(1)),
                    Sync("retake", node.lock, where, saved=saved),
                ]
                return begin_here, [Sync("release", node.lock, where)]
        lock = self.lock(node.lock)
        masks = lock.masks and not node.unmasked
        begin: list[Stmt] = [Sync("mask")] if masks else []
        end: list[Stmt] = []
        if self.preemptible and not lock.sleeps:
            begin.append(Sync("preempt_off"))
        begin.append(Sync("acquire", node.lock, where, node.mode))
        end.append(Sync("release", node.lock, where, node.mode))
        if self.preemptible and not lock.sleeps:
            end.append(Sync("preempt_on"))
        if masks:
            end.append(Sync("unmask"))
        return begin, end

    def lock(self, name: str) -> LockClass:
        if name not in self.locks:
            known = ", ".join(sorted(self.locks)) or "none"
            raise InputError(f"{self.source.name}: no lock {name!r}; the plan declares: {known}")
        return self.locks[name]
