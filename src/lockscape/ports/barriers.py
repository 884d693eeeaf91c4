"""Barriers before what is published: who finds an object must find it filled in."""

from lockscape.errors import InputError
from lockscape.program.nodes import Body, Do, Field, Op, Stmt
from lockscape.program.walk import nodes, with_bodies

BARRIER = Do(Op("barrier"))
"""The operation itself."""


def with_barriers(body: Body, published: frozenset[str], name: str) -> Body:
    """Return the body of the section `name` with a barrier before each insertion into `published` parts
    ("Class.part").

    Raises `InputError` if there is none.
    """

    def each(statements: Body) -> Body:
        return tuple(part for statement in statements for part in before(statement))

    def before(node: Stmt) -> Body:
        return (BARRIER, node) if _publishes(node, published) else (with_bodies(node, each),)

    found = each(body)
    if found == body:
        raise InputError(
            f"rule at 'section {name}': nothing is put into what the plan's [published] "
            "names: use another mode"
        )
    return found


def _publishes(node: Stmt, published: frozenset[str]) -> bool:
    """Say whether a statement puts something where it is found without a lock."""
    own = nodes(with_bodies(node, lambda inner: ()))
    places = [each.args[0] for each in own if isinstance(each, Op) and each.name == "insert"]
    return any(isinstance(place, Field) and f"{place.cls}.{place.name}" in published for place in places)
