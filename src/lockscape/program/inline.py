"""Which calls the assembler replaces by the called function's own rows.

Rows of a called function cost the same time wherever they stand, so a run's result does not change; but it
executes fewer rows. Traced programs keep their calls, so that each row belongs to the function of its line.
"""

from collections.abc import Mapping

from lockscape.program.listing import walk
from lockscape.program.nodes import Assign, Function

INLINED_ROLES = ("kernel", "user")
MOST_STATEMENTS = 12
"""Longer functions are called: their call is a small part of what they execute."""

DEEPEST = 8
"""Calls inside calls that are replaced; what is called deeper stays a call."""


def inlined(name: str, functions: Mapping[str, Function], outer: tuple[str, ...]) -> bool:
    """Return whether a call of `name` is replaced inside the functions `outer`, which are being replaced."""
    function = functions.get(name)
    if function is None or name in outer or len(outer) > DEEPEST:
        return False
    return function.role in INLINED_ROLES and len(walk(function.body)) <= MOST_STATEMENTS


def assigned(function: Function) -> set[str]:
    """Return the names of the variables that a function sets."""
    return {s.name for s in walk(function.body) if isinstance(s, Assign)}
