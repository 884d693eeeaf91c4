"""Code of one function: rows for its statements, with calls by name until they are linked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockscape.program import nodes as n
from lockscape.program import opcodes as op
from lockscape.program.counting import counting
from lockscape.program.layout import FRAME_HEAD, ROW
from lockscape.program.operations import Operations

if TYPE_CHECKING:
    from lockscape.program.assemble import Names

_SYNC = {
    "mask": op.MASK, "unmask": op.UNMASK, "preempt_off": op.ATOMIC_BEGIN, "preempt_on": op.ATOMIC_END,
    "rcu_read_lock": op.RCU_BEGIN, "rcu_read_unlock": op.RCU_END,
}  # fmt: skip

_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", "<=": ">", ">": "<="}

_TARGETS = {
    op.JUMP: 1, op.JUMP_ZERO: 2, op.JUMP_NOT_ZERO: 2, op.JUMP_EQ: 2, op.JUMP_NE: 2, op.JUMP_LT: 2,
    op.JUMP_GE: 2, op.SEQ_RETRY: 5,
}  # fmt: skip
"""Where the rows of these operations have the row that they lead to."""

_ENTRY_ROLES = ("entry", "interrupt")


def stands_twice(test: n.Expr) -> bool:
    """Say whether the rows of a loop have its test a second time, at the end."""
    return isinstance(test, n.Binary) and test.op in _NEGATED


class FunctionCode(Operations):
    """Rows of one function, with calls still by name until `linked`."""

    def __init__(self, function: n.Function, names: Names) -> None:
        super().__init__(function, names)
        self.counting = counting(function.body) if names.traced else frozenset()
        self.breaks: list[list[int]] = []
        self.sections: list[int] = []
        self.loops: list[int] = []
        for name in function.params:
            self.register(name)
        self.body(function.body)
        self.leave(None)

    @property
    def frame(self) -> int:
        """Words of registers."""
        return self.used

    def linked(self, starts: dict[str, int], frames: dict[str, int]) -> list[list[int]]:
        """Return the rows, each of `ROW` words, with targets of calls and jumps absolute."""
        start = starts[self.function.name]
        rows = [row + [0] * (ROW - len(row)) for row in self.rows]
        for row in rows:
            if (target := _TARGETS.get(row[0])) is not None:
                row[target] += start
        distance = self.used + FRAME_HEAD
        for k, name in self.calls:
            rows[k][2] = distance
            if name:
                rows[k][1], rows[k][4] = starts[name], frames[name]
        for k, number in self.arguments:
            rows[k][1] = distance + number
        return rows

    # --- statements -------------------------------------------------------------------------------------

    def body(self, statements: n.Body) -> None:
        """Emit statements."""
        for statement in statements:
            self.statement(statement)

    def statement(self, node: n.Stmt) -> None:
        """Emit one statement."""
        match node:
            case n.Step(name=name, times=times):
                self.step(self.names.cost(name), times)
            case n.Assign(name=name, value=value):
                self.assign(name, value)
            case n.Store():
                self.store(node)
            case n.Add(target=target, value=value, result=result):
                self.add(target, value, self.register(result) if result else -1)
            case n.Do(value=value):
                self.done(self.value(value, wanted=False))
            case n.If():
                self.branch(node)
            case n.While(test=test, body=body):
                self.loop(test, body)
            case n.Break():
                self.end_sections(self.loops[-1])
                self.breaks[-1].append(self.emit(op.JUMP, 0))
            case n.Return(value=value):
                self.leave(value)
            case n.Section():
                self.section(node)
            case n.Hold(lock=lock, where=where, body=body):
                self.retry(lock, where, body)
            case n.Sync():
                self.sync(node)

    def step(self, cycles: int, times: n.Expr | None) -> None:
        """Emit a computation."""
        if times is None:
            if cycles:
                self.emit(op.COMPUTE, cycles)
            return
        register = self.value(times)
        self.emit(op.COMPUTE_TIMES, cycles, register)
        self.done(register)

    def assign(self, name: str, value: n.Expr) -> None:
        """Emit the change of a variable."""
        target = self.register(name)
        self.value(value, target)
        if name in self.counting:
            self.rows[-1].append(op.ADDED_TO)  # the last is the look at the field

    def store(self, node: n.Store) -> None:
        """Emit a write of a field."""
        base = self.value(node.target.base)
        how = op.EXCLUSIVE if node.plain else self.how(node.target)
        if isinstance(node.value, n.Const):
            self.emit(op.STORE, base, self.offset(node.target), node.value.value, 1, how)
        else:
            register = self.value(node.value)
            self.emit(op.STORE, base, self.offset(node.target), register, 0, how)
            self.done(register)
        self.done(base)

    def add(self, target: n.Field, value: n.Expr, result: int) -> None:
        """Emit an addition to a field."""
        base = self.value(target.base)
        atomic = (target.cls, target.name) in self.names.program.atomic
        cycles = self.names.cost("atomic") if atomic else 0
        constant = isinstance(value, n.Const)
        amount = value.value if isinstance(value, n.Const) else self.value(value)
        self.emit(
            op.ADD_FIELD, base, self.offset(target), amount, int(constant), result, cycles, self.how(target)
        )
        self.done(base)
        if not constant:
            self.done(amount)

    def branch(self, node: n.If) -> None:
        """Emit an if."""
        skips = self.unless(node.test)
        self.body(node.then)
        if not node.other:
            self.land(skips)
            return
        end = self.emit(op.JUMP, 0)
        self.land(skips)
        self.body(node.other)
        self.land([end])

    def loop(self, test: n.Expr, body: n.Body) -> None:
        """Emit a while."""
        top = len(self.rows)
        skips = self.unless(test)
        first = len(self.rows)
        self.breaks.append(skips)
        self.loops.append(len(self.sections))
        self.body(body)
        self.loops.pop()
        if stands_twice(test):
            assert isinstance(test, n.Binary)
            # the test again at the end: one jump for each round instead of two
            for k in self.unless(n.Binary(_NEGATED[test.op], test.left, test.right)):
                self.rows[k][2] = first
        else:
            self.emit(op.JUMP, top)
        self.land(self.breaks.pop())

    def leave(self, value: n.Expr | None) -> None:
        """Emit a return: of the function, or of the inlined one that is being emitted."""
        if self.returns:
            target, jumps = self.returns[-1]
            self.result(value, target)
            jumps.append(self.emit(op.JUMP, 0))
            return
        code = op.RETURN_ENTRY if self.function.role in _ENTRY_ROLES else op.RETURN
        if value is None or isinstance(value, n.Const):
            self.end_sections(0)
            self.emit(code, value.value if value else 0, 1)
            return
        register = self.value(value)
        self.end_sections(0)
        self.emit(code, register, 0)
        self.done(register)

    def section(self, node: n.Section) -> None:
        """Emit a section; its limits matter to the fault detector only."""
        if self.names.traced:
            number = self.names.section(f"{self.function.name}/{node.name}", node.targets)
            self.emit(op.SECTION, number, 1)
            self.sections.append(number)
        self.body(node.body)
        if self.names.traced:
            self.emit(op.SECTION, self.sections.pop(), 0)

    def end_sections(self, depth: int) -> None:
        """Emit the ends of the sections that are left by a jump, up to `depth` of them around it."""
        for number in reversed(self.sections[depth:]):
            self.emit(op.SECTION, number, 0)

    def retry(self, lock: str, where: n.Expr | None, body: n.Body) -> None:
        """Emit the read side of a sequence lock."""
        base, offset, number = self.lock(lock, where)
        ticket = self.temporary()
        top = self.emit(op.SEQ_BEGIN, ticket, base, offset, number)
        self.modes.append(op.OPTIMISTIC)
        self.body(body)
        self.modes.pop()
        self.emit(op.SEQ_RETRY, ticket, base, offset, number, top)
        self.done(ticket)
        self.done(base)

    def sync(self, node: n.Sync) -> None:
        """Emit an operation on a lock, on interrupts or on preemption."""
        if node.op in _SYNC:
            self.emit(_SYNC[node.op])
            return
        if node.op == "commit":
            double = self.names.cost("cas2") if self.names.program.double else -1
            self.emit(op.COMMIT, self.names.cost("cas"), double)
            return
        base, offset, number = self.lock(node.lock, node.where, node.op == "release")
        lock = self.names.program.locks[node.lock]
        shared = int(node.mode == "shared")
        depth = self.register(node.saved) if node.saved else -1
        if node.op == "try":
            cycles = self.names.cost(f"{lock.kind}_acquire")
            self.emit(op.SET, depth, 0)
            self.emit(op.ACQUIRE, base, offset, number, shared, cycles, -1, 1 + depth)
        elif node.op == "attempt":
            self.emit(op.ATTEMPT, base, offset, number)
        elif node.op in ("acquire", "retake"):
            self.emit(
                op.ACQUIRE, base, offset, number, shared, self.names.cost(f"{lock.kind}_acquire"), depth
            )
        else:
            self.emit(
                op.RELEASE, base, offset, number, shared, self.names.cost(f"{lock.kind}_release"), depth
            )
            if lock.sleeps:
                self.emit(op.WAKE_WAITERS, base, offset, number)
        self.done(base)

    def lock(self, name: str, where: n.Expr | None, taken: bool = False) -> tuple[int, int, int]:
        """Return the register of the object that embeds a lock, the lock's offset and its class number.

        The only object of a class stays in its register until the lock, which has been `taken`, is released.
        """
        owner = self.names.program.locks[name].object
        shape = self.names.program.layouts[owner]
        only = where is None or (isinstance(where, n.The) and where.index is None)
        base = self.registers.get(f"{self.scope}the {owner}", -1) if only and taken else -1
        if base < 0:
            found = where if where is not None else n.The(owner)
            base = self.value(found, self.register(f"the {owner}") if only else -1)
        return base, shape.locks[name], self.names.locks.index(name)
