"""Loops that add to a field by compare-and-swap: what they see of it is used for nothing else."""

from lockscape.program.nodes import Assign, Binary, Body, Const, Field, Op, The, Var, While
from lockscape.program.walk import nodes, walk


def counting(body: Body) -> frozenset[str]:
    """Return the variables of a function that hold what was seen of a field only until it is added to.

    All that is done with such a variable is to set it to the field, and to repeat ``while
    compare_and_swap(field, seen, seen + more) == 0: seen = field`` (or ``- more``): an addition whose result
    nobody looks at.
    """
    loops = [(node, found) for node in walk(body) if isinstance(node, While) and (found := _loop(node))]
    return frozenset(seen for _, (seen, _) in loops if _only_counts(body, seen, loops))


def _loop(node: While) -> tuple[str, Field] | None:
    """Return the variable and the field of a loop that adds by compare-and-swap."""
    match node:
        case While(
            test=Binary(
                "==",
                Op("compare_and_swap", (Field() as place, Var(seen), Binary("+" | "-", Var(first), more))),
                Const(0),
            ),
            body=(Assign(again, Field() as look),),
        ) if (
            again == first == seen
            and look == place
            and isinstance(place.base, Var | The)
            and isinstance(more, Var | Const)
        ):
            return seen, place
    return None


def _only_counts(body: Body, seen: str, loops: list[tuple[While, tuple[str, Field]]]) -> bool:
    """Say whether a variable is set to the fields of its loops and otherwise stands in its loops only."""
    fields = {place for _, (name, place) in loops if name == seen}
    own = sum(1 for _, (name, _) in loops if name == seen)
    looks = [node for node in walk(body) if isinstance(node, Assign) and node.name == seen]
    uses = sum(1 for node in nodes(body) if node == Var(seen))
    return {look.value for look in looks} == fields and uses == 2 * own
