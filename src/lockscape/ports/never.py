"""What a port's code never comes to, because no code of it makes what that waits for.

Options take branches out of a kernel when it is parsed. What is left may still wait for a state that only
those branches made: then nothing ever comes there. This is read from the listings before anything runs.

A field of an object that only running code makes begins as 0 and has besides what is stored into it; a
collection has what is inserted. A variable has what is assigned to it anywhere in its function. What depends
on anything else may be anything. A branch counts as taken if its test can hold, and a function is come to if
it is called where something comes to.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set

from lockscape.program.nodes import (
    Add,
    Assign,
    Binary,
    Body,
    Const,
    Expr,
    Field,
    Function,
    If,
    Op,
    Stmt,
    Store,
    Var,
    While,
)
from lockscape.program.walk import bodies, called, nodes, with_bodies

ANY: frozenset[int] = frozenset()
"""The values of what may be anything, for what has values has at least one."""

_TAKEN_OUT = ("first", "oldest", "after", "find", "find_from")
"""Operations that give a member of a collection, 0 without one."""

_CHANGES = ("compare_and_swap", "compare_and_swap2", "swap", "add_return", "insert")
"""Operations that change the fields or collections that are their arguments."""


class Reached:
    """What a port comes to: `functions` (names), and `statements` (by identity) of them.

    `roots`: functions that the machine enters; `made`: classes whose objects only running code makes.
    """

    def __init__(self, functions: Mapping[str, Function], roots: Iterable[str], made: Set[str]) -> None:
        self.code = functions
        self.made = made
        self.fields: dict[tuple[str, str], frozenset[int]] = defaultdict(lambda: frozenset({0}))
        self.variables: dict[tuple[str, str], frozenset[int]] = {}
        self.functions: set[str] = set()
        self.statements: set[int] = set()
        roots, before = [*roots], None
        while before != (before := self._known()):  # what is known only grows: it ends
            self.functions = set()
            self.statements = set()
            self._come(roots)

    def _known(self) -> tuple[int, int, int]:
        """Return a measure that differs as long as something new becomes known."""
        known = [*self.fields.values(), *self.variables.values()]
        return len(known), sum(map(len, known)), known.count(ANY)

    def _come(self, names: list[str]) -> None:
        """Come to functions, and to all that they call."""
        left = [*names]
        while left:
            name = left.pop()
            if name in self.code and name not in self.functions:
                self.functions.add(name)
                for statement in self._live(name, self.code[name].body):
                    self.statements.add(id(statement))
                    self._note(name, statement)
                    left += called(statement)

    def _live(self, function: str, body: Body) -> Iterator[Stmt]:
        """Yield the statements of a body that something comes to."""
        for statement in body:
            yield statement
            if isinstance(statement, If | While) and not self._may(function, statement.test, True):
                inside = [statement.other] if isinstance(statement, If) else []
            elif isinstance(statement, If) and not self._may(function, statement.test, False):
                inside = [statement.then]
            else:
                inside = bodies(statement)
            for inner in inside:
                yield from self._live(function, inner)

    def _may(self, function: str, test: Expr, holds: bool) -> bool:
        """Say whether a test may hold, or may not."""
        if not (isinstance(test, Binary) and test.op in ("==", "!=")):
            return True
        left, right = self._values(function, test.left), self._values(function, test.right)
        if ANY in (left, right):
            return True
        if holds == (test.op == "=="):
            return bool(left & right)
        return len(left | right) > 1

    def _values(self, function: str, value: Expr) -> frozenset[int]:
        """Return what values an expression may have."""
        match value:
            case Const(value=number):
                return frozenset({number})
            case Var(name=name) if name not in self.code[function].params:
                return self.variables.get((function, name), ANY)
            case Field(cls=cls, name=name) if cls in self.made:
                return self.fields[cls, name]
            case Op(name=name, args=(Field(cls=cls, name=part), *_)) if (
                name in _TAKEN_OUT and cls in self.made
            ):
                return self.fields[cls, part]
        return ANY

    def _note(self, function: str, statement: Stmt) -> None:
        """Note what a statement makes of fields, collections and variables."""
        match statement:
            case Assign(name=name, value=value):
                self._more(self.variables, (function, name), self._values(function, value))
            case Store(target=target, value=value):
                self._more(self.fields, (target.cls, target.name), self._values(function, value))
            case Add(target=target, result=name):
                self._more(self.fields, (target.cls, target.name), ANY)
                self._more(self.variables, (function, name), ANY)
        for value in nodes(with_bodies(statement, lambda inner: ())):
            if isinstance(value, Op) and value.name in _CHANGES:
                for place in value.args:
                    if isinstance(place, Field):
                        self._more(self.fields, (place.cls, place.name), ANY)

    def _more(
        self, known: dict[tuple[str, str], frozenset[int]], name: tuple[str, str], values: frozenset[int]
    ) -> None:
        """Add values to what is known of a field or a variable."""
        before = known[name] if known is self.fields else known.get(name)
        known[name] = ANY if ANY in (before, values) else values | (before or values)
