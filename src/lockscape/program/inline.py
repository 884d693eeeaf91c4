"""Which calls the assembler replaces by the called function's own rows.

Rows of a called function cost the same time wherever they stand, so a run's result does not change; but it
executes fewer rows. Traced programs keep their calls, so that each row belongs to the function of its line.
"""

from collections import Counter
from collections.abc import Mapping

from lockscape.program.nodes import Assign, Call, Function
from lockscape.program.walk import nodes, walk

INLINED_ROLES = ("kernel", "user")
MOST_STATEMENTS = 12
"""Longer functions are called, unless in one place only: their call is a small part of what they execute."""

DEEPEST = 8
"""Calls inside calls that are replaced; what is called deeper stays a call."""


def call_sites(functions: Mapping[str, Function]) -> Counter[str]:
    """Return in how many places each function is called."""
    return Counter(n.function for f in functions.values() for n in nodes(f.body) if isinstance(n, Call))


def inlined(
    name: str, functions: Mapping[str, Function], outer: tuple[str, ...], called: Mapping[str, int]
) -> bool:
    """Return whether a call of `name` is replaced inside the functions `outer`, which are being replaced.

    `called`: in how many places each function is called.
    """
    function = functions.get(name)
    if function is None or name in outer or len(outer) > DEEPEST:
        return False
    short = called[name] == 1 or len(walk(function.body)) <= MOST_STATEMENTS
    return function.role in INLINED_ROLES and short


def assigned(function: Function) -> set[str]:
    """Return the names of the variables that a function sets."""
    return {s.name for s in walk(function.body) if isinstance(s, Assign)}
