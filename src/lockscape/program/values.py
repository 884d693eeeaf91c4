"""Code of expressions: registers for variables, rows for values, conditions and calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from lockscape.errors import InputError
from lockscape.program import nodes as n
from lockscape.program import opcodes as op

if TYPE_CHECKING:
    from lockscape.program.assemble import Names

_ARITHMETIC = {
    "+": op.ADD, "-": op.SUB, "*": op.MUL, "//": op.DIV, "%": op.MOD, "&": op.AND, "|": op.OR, "<<": op.SHL,
    ">>": op.SHR, "==": op.EQ, "!=": op.NE, "<": op.LT, "<=": op.LE, ">": op.GT, ">=": op.GE,
}  # fmt: skip

_JUMPS_IF_FALSE = {"==": op.JUMP_NE, "!=": op.JUMP_EQ, "<": op.JUMP_GE, ">=": op.JUMP_LT}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}


class Values(ABC):
    """Rows of one function, its registers, and how expressions become rows."""

    def __init__(self, function: n.Function, names: Names) -> None:
        self.function = function
        self.names = names
        self.rows: list[list[int]] = []
        self.registers: dict[str, int] = {}
        self.free: list[int] = []
        self.used = 0
        self.calls: list[tuple[int, str]] = []
        self.arguments: list[tuple[int, int]] = []
        self.modes: list[int] = [op.EXCLUSIVE]
        self.scope = ""
        self.scopes = 0
        self.outer: tuple[str, ...] = (function.name,)
        self.counting: frozenset[str] = frozenset()
        self.returns: list[tuple[int, list[int]]] = []

    @abstractmethod
    def body(self, statements: n.Body) -> None:
        """Emit statements."""

    @abstractmethod
    def operation(self, node: n.Op, target: int, wanted: bool) -> int:
        """Emit an operation of the machine; return the register of its value."""

    # --- rows and registers -----------------------------------------------------------------------------

    def emit(self, *row: int) -> int:
        """Add a row; return its number."""
        self.rows.append(list(row))
        return len(self.rows) - 1

    def register(self, name: str) -> int:
        """Return the register of a variable."""
        name = self.scope + name
        if name not in self.registers:
            if self.scope:
                self.registers[name] = self.temporary()
            else:
                self.registers[name] = self.used
                self.used += 1
        return self.registers[name]

    def temporary(self) -> int:
        """Return a register that is free."""
        if self.free:
            return self.free.pop()
        self.used += 1
        return self.used - 1

    def done(self, register: int) -> None:
        """Let a register be used for something else, unless a variable lives in it."""
        if register >= 0 and register not in self.registers.values() and register not in self.free:
            self.free.append(register)

    # --- conditions -------------------------------------------------------------------------------------

    def land(self, jumps: list[int]) -> None:
        """Let jumps arrive at the next row."""
        for k in jumps:
            row = self.rows[k]
            row[1 if row[0] == op.JUMP else 2] = len(self.rows)

    def unless(self, test: n.Expr) -> list[int]:
        """Emit jumps that are taken when the test is false; return them."""
        match test:
            case n.Const(value=value):
                return [] if value else [self.emit(op.JUMP, 0)]
            case n.Logic(op="and", parts=parts):
                return [k for part in parts for k in self.unless(part)]
            case n.Logic(op="or", parts=parts):
                return self.unless_any(parts)
            case n.Logic(op="not", parts=(part,)):
                register = self.value(part)
                self.done(register)
                return [self.emit(op.JUMP_NOT_ZERO, register, 0)]
            case n.Binary(op=sign, left=left, right=right) if sign in _MIRRORED:
                return [self.compare(sign, left, right)]
        register = self.value(test)
        self.done(register)
        return [self.emit(op.JUMP_ZERO, register, 0)]

    def unless_any(self, parts: tuple[n.Expr, ...]) -> list[int]:
        """Emit jumps taken when all parts of an ``or`` are false."""
        inside: list[int] = []
        for part in parts[:-1]:
            skips = self.unless(part)
            inside.append(self.emit(op.JUMP, 0))
            self.land(skips)
        last = self.unless(parts[-1])
        self.land(inside)
        return last

    def compare(self, sign: str, left: n.Expr, right: n.Expr) -> int:
        """Emit a jump taken when ``left sign right`` is false."""
        if isinstance(left, n.Const) and not isinstance(right, n.Const):
            sign, left, right = _MIRRORED[sign], right, left
        first = self.value(left)
        if isinstance(right, n.Const):
            value = right.value + (sign in ("<=", ">"))
            sign = {"<=": "<", ">": ">="}.get(sign, sign)
            self.done(first)
            return self.emit(_JUMPS_IF_FALSE[sign], first, 0, value, 1)
        second = self.value(right)
        self.done(first)
        self.done(second)
        if sign in ("<=", ">"):
            first, second, sign = second, first, {"<=": ">=", ">": "<"}[sign]
        return self.emit(_JUMPS_IF_FALSE[sign], first, 0, second, 0)

    # --- values -----------------------------------------------------------------------------------------

    def value(self, node: n.Expr, target: int = -1, wanted: bool = True) -> int:
        """Emit code that puts a value into `target`, or into any register; return the register."""
        match node:
            case n.Const(value=value):
                target = target if target >= 0 else self.temporary()
                self.emit(op.SET, target, value)
            case n.Var(name=name):
                source = self.register(name)
                if target < 0 or target == source:
                    return source
                self.emit(op.MOVE, target, source)
            case n.Field(base=base):
                register = self.value(base)
                self.done(register)
                target = target if target >= 0 else self.temporary()
                self.emit(op.LOAD, target, register, self.offset(node), self.how(node))
            case n.The(cls=cls, index=index):
                target = self.the(cls, index, target)
            case n.Binary(op=sign, left=left, right=right):
                target = self.arithmetic(sign, left, right, target)
            case n.Logic():
                target = self.truth(node, target)
            case n.Call(function=name, args=args):
                target = self.call(name, args, target, wanted)
            case n.Op():
                target = self.operation(node, target, wanted)
        return target

    def truth(self, node: n.Logic, target: int) -> int:
        """Emit code for 1 or 0; the target is written last, for the test may read it."""
        skips = self.unless(node)
        target = target if target >= 0 else self.temporary()
        self.emit(op.SET, target, 1)
        end = self.emit(op.JUMP, 0)
        self.land(skips)
        self.emit(op.SET, target, 0)
        self.land([end])
        return target

    def the(self, cls: str, index: n.Expr | None, target: int) -> int:
        """Emit the address of a system object."""
        shape = self.names.program.layouts[cls]
        if not shape.count:
            raise InputError(f"{self.function.name}: the({cls}): {cls} is not a table of system objects")
        register = self.value(index) if index is not None else -1
        if register >= 0:
            self.done(register)
        target = target if target >= 0 else self.temporary()
        self.emit(op.THE, target, self.names.classes.index(cls), register, shape.words)
        return target

    def arithmetic(self, sign: str, left: n.Expr, right: n.Expr, target: int) -> int:
        """Emit arithmetic or a comparison."""
        first = self.value(left)
        constant = isinstance(right, n.Const)
        second = right.value if isinstance(right, n.Const) else self.value(right)
        self.done(first)
        if not constant:
            self.done(second)
        target = target if target >= 0 else self.temporary()
        self.emit(_ARITHMETIC[sign], target, first, second, int(constant))
        return target

    def call(self, name: str, args: tuple[n.Expr, ...], target: int, wanted: bool) -> int:
        """Emit a call, or the called function's own rows."""
        if name not in self.names.program.functions:
            raise InputError(f"{self.function.name} calls {name!r}, which is not a function of this kernel")
        if not self.names.traced and self.names.inlining.replaces(name, self.outer):
            return self.inline(self.names.program.functions[name], args, target, wanted)
        self.pass_arguments(args)
        if wanted and target < 0:
            target = self.temporary()
        role = self.names.program.functions[name].role
        kind = {"hook": op.HOOK, "waker": op.WAKER}.get(role, 0)
        self.calls.append((self.emit(op.CALL, 0, 0, target if wanted else -1, 0, kind), name))
        return target

    def inline(self, callee: n.Function, args: tuple[n.Expr, ...], target: int, wanted: bool) -> int:
        """Emit a called function's rows in place; its variables have registers of their own meanwhile."""
        changed = self.names.inlining.assigned[callee.name]
        places: dict[str, int] = {}
        lent: set[int] = set()
        for name, arg in zip(callee.params, args, strict=True):
            if isinstance(arg, n.Var) and name not in changed:
                places[name] = self.register(arg.name)
                lent.add(places[name])
            else:
                places[name] = self.value(arg, self.reserve())
        reserved = wanted and target < 0
        target = self.reserve() if reserved else target if wanted else -1
        before = self.scope, self.outer
        self.scopes += 1
        self.scope, self.outer = f"{self.scopes}/", (*self.outer, callee.name)
        self.registers |= {self.scope + name: place for name, place in places.items()}
        self.callee(callee.body, target)
        mine = {name: r for name, r in self.registers.items() if name.startswith(self.scope)}
        for name in (*mine, *(f"={r}" for r in mine.values() if r not in lent)):
            self.registers.pop(name, None)
        for place in set(mine.values()) - lent:
            self.done(place)
        self.scope, self.outer = before
        if reserved:
            del self.registers[f"={target}"]
        return target

    def reserve(self) -> int:
        """Return a register that is not given out again while its name stands."""
        place = self.temporary()
        self.registers[f"={place}"] = place
        return place

    def callee(self, body: n.Body, target: int) -> None:
        """Emit the body of a function in place; its value goes to `target`, if that is a register."""
        jumps: list[int] = []
        self.returns.append((target, jumps))
        self.modes.append(op.EXCLUSIVE)
        if body and isinstance(body[-1], n.Return):
            self.body(body[:-1])
            self.result(body[-1].value, target)
        else:
            self.body(body)
            self.result(None, target)
        self.modes.pop()
        self.returns.pop()
        self.land(jumps)

    def result(self, value: n.Expr | None, target: int) -> None:
        """Put the value of an inlined function into its register; without one, only do what it does."""
        value = value if value is not None else n.Const(0)
        if target >= 0:
            self.value(value, target)
        elif not isinstance(value, n.Const | n.Var):
            self.done(self.value(value, wanted=False))

    def pass_arguments(self, args: tuple[n.Expr, ...]) -> None:
        """Compute all arguments before any is moved: a call among them would overwrite the new frame."""
        registers = [a if isinstance(a, n.Const) else self.value(a) for a in args]
        for number, register in enumerate(registers):
            if isinstance(register, n.Const):
                row = self.emit(op.SET, 0, register.value)
            else:
                row = self.emit(op.MOVE, 0, register)
            self.arguments.append((row, number))
        for register in registers:
            if not isinstance(register, n.Const):
                self.done(register)

    def offset(self, place: n.Field) -> int:
        """Return where a part lies in its object."""
        return self.names.program.layouts[place.cls].member(place.name)

    def how(self, place: n.Field) -> int:
        """Return how an access is made, for the fault detector."""
        shape = self.names.program.layouts[place.cls]
        if (place.cls, place.name) in self.names.program.atomic:
            return op.ATOMIC
        if place.name in shape.infos and shape.infos[place.name].racy:
            return op.RACY
        return self.modes[-1]
