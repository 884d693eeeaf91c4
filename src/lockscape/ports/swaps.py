"""Additions made lock-free: each becomes a loop that tries a compare-and-swap until nobody was quicker."""

from lockscape.errors import InputError
from lockscape.program.nodes import Add, Assign, Binary, Body, Const, Expr, Field, Op, Stmt, The, Var, While
from lockscape.program.walk import with_bodies


def swap_loops(body: Body, atomic: frozenset[str], name: str) -> Body:
    """Return the body of the section `name` with its additions to `atomic` fields ("Class.field") as loops.

    Raises `InputError` if there is none.
    """
    loops = _Loops(atomic)
    found = loops.body(body)
    if not loops.made:
        raise InputError(
            f"rule at 'section {name}': nothing is added to a field that the plan's [atomic] names: use "
            "another mode"
        )
    return found


class _Loops:
    def __init__(self, atomic: frozenset[str]) -> None:
        self.atomic = atomic
        self.made = 0

    def body(self, statements: Body) -> Body:
        return tuple(part for statement in statements for part in self.statement(statement))

    def statement(self, node: Stmt) -> Body:
        if isinstance(node, Add) and f"{node.target.cls}.{node.target.name}" in self.atomic:
            return self.loop(node)
        return (with_bodies(node, self.body),)

    def loop(self, node: Add) -> Body:
        """Return what adds by compare-and-swap; what is computed for it is computed once."""
        self.made += 1
        before: list[Stmt] = []
        base = self.plain(node.target.base, "at", before)
        target = Field(base, node.target.cls, node.target.name)
        value = self.plain(node.value, "more", before)
        seen = f"seen_{self.made}"
        result: Expr = Binary("+", Var(seen), value)
        if isinstance(value, Const) and value.value < 0:
            result = Binary("-", Var(seen), Const(-value.value))
        look = Assign(seen, target)
        swapped = Op("compare_and_swap", (target, Var(seen), result))
        loop = While(Binary("==", swapped, Const(0)), (look,))
        after = (Assign(node.result, result),) if node.result else ()
        return (*before, look, loop, *after)

    def plain(self, value: Expr, stem: str, before: list[Stmt]) -> Expr:
        """Return an expression that can stand in several places, set by a statement before if need be."""
        if isinstance(value, Var | Const | The):
            return value
        name = f"{stem}_{self.made}"
        before.append(Assign(name, value))
        return Var(name)
