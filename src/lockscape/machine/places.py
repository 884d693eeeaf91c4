"""What addresses and rows of code mean to a reader: functions with lines of their listing, objects, locks."""

from dataclasses import dataclass

from lockscape.machine import layout as at
from lockscape.machine.state import State
from lockscape.program import opcodes as op
from lockscape.program.assemble import Names
from lockscape.program.emit import FunctionCode
from lockscape.program.listing import listing
from lockscape.program.nodes import Body, Function, Hold, If, Section, Stmt, While

_MAY_BE_MISSING = (op.COMPUTE, op.SECTION, op.BARRIER)
"""Rows that a program may be assembled without: steps that cost nothing, sections, barriers if not traced."""


@dataclass(frozen=True)
class Place:
    """A place in a program: function, line of its listing (the head is line 1) and that line's text."""

    function: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.function}:{self.line} `{self.text}`"


class Places:
    """Names for what a run's trace and memory contain."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.binary = state.binary
        self._lines: dict[str, list[int]] = {}
        self._texts: dict[str, list[str]] = {}
        idle = len(state.virtuals)  # a machine makes these contexts first, in this order
        self._idle = {c: k for k, c in enumerate(state.contexts[:idle])}
        self._process = {c: k for k, c in enumerate(state.contexts[idle:], 1)}

    def place(self, pc: int) -> Place:
        """Return the place of a row of code."""
        name = self.binary.where[pc]
        if name not in self._lines:
            function = self.state.program.functions[name]
            self._texts[name] = listing(function, self.state.program.locks)
            self._lines[name] = self._rows(name, function)
        line = self._lines[name][pc - self.binary.starts[name]]
        return Place(name, line + 1, self._texts[name][line].strip())

    def _rows(self, name: str, function: Function) -> list[int]:
        """Return the listing's line of each row: the function is assembled again, keeping the statements."""
        program = self.state.program
        code = _Located(function, Names(program, lambda _: 1, True, self.binary.classes, self.binary.locks))
        actual = [int(row[0]) for row in self.binary.code[self.binary.rows(name)]]
        lines = _lines_of(function.body)
        found: list[int] = []
        for row, statement in zip(code.rows, code.statements, strict=True):
            if len(found) < len(actual) and actual[len(found)] == row[0]:
                found.append(lines[statement] if statement >= 0 else 0)
            elif row[0] not in _MAY_BE_MISSING:
                break
        return found + [0] * (len(actual) - len(found))

    def part(self, place: int, offset: int) -> str:
        """Return the name of a part of an object: a field or a collection."""
        shape = self.state.class_of(place)
        parts = shape.fields | shape.collections | shape.locks
        name = next((n for n, o in parts.items() if o == offset), f"word {offset}")
        return f"{self.object(place)}.{name}"

    def object(self, place: int) -> str:
        """Return class and identity of an object: its number in a table, or its address."""
        state = self.state
        slot = int(state.m[place])
        shape = state.layouts[slot]
        if not shape.count:
            return f"{shape.name}@{place}"
        tables = [int(state.m[i + at.I_SLOT + slot]) for i in state.instances]
        instance = max((k for k, t in enumerate(tables) if t <= place), key=lambda k: tables[k])
        number = (place - tables[instance]) // shape.words
        return f"{shape.name}[{number}]" + (f" of kernel {instance}" if len(tables) > 1 else "")

    def lock(self, place: int, offset: int) -> str:
        """Return the name of the lock at an offset of an object."""
        shape = self.state.class_of(place)
        name = next((n for n, o in shape.locks.items() if o == offset), f"word {offset}")
        return f"{name} of {self.object(place)}"

    def party(self, time: int, virtual: int, ctx: int, pc: int) -> str:
        """Return who did something, when and where."""
        return f"{self.context(ctx)} on processor {virtual} at {time} cycles in {self.place(pc)}"

    def context(self, ctx: int) -> str:
        """Return what runs in a context: a process, numbered from 1 as made, or a processor's idle loop."""
        if ctx in self._idle:
            return f"idle {self._idle[ctx]}"
        return f"process {self._process[ctx]}" if ctx in self._process else f"context {ctx}"


class _Located(FunctionCode):
    """Code of a function that remembers for each row the statement it comes from, counted in order."""

    def __init__(self, function: Function, names: Names) -> None:
        self.statements: list[int] = []
        self.seen = 0
        self.now = -1
        super().__init__(function, names)

    def emit(self, *row: int) -> int:
        self.statements.append(self.now)
        return super().emit(*row)

    def statement(self, node: Stmt) -> None:
        outer, self.now = self.now, self.seen
        self.seen += 1
        super().statement(node)
        self.now = outer


def _lines_of(body: Body) -> list[int]:
    """Return the line of each statement in the function's listing, in the order that they are assembled."""
    found: list[int] = []

    def walk(statements: Body, line: int) -> int:
        for node in statements:
            found.append(line)
            line += 1
            match node:
                case If(then=then, other=other):
                    line = walk(then, line)
                    line = walk(other, line + 1) if other else line
                case While(body=inner) | Section(body=inner):
                    line = walk(inner, line)
                case Hold(body=inner):
                    line = walk(inner, line) + 1
        return line

    walk(body, 1)
    return found
