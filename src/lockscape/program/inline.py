"""Which calls the assembler replaces by the called function's own rows.

Rows of a called function cost the same time wherever they stand, so a run's result does not change; but it
executes fewer rows. A function whose every call is replaced has no rows of its own. Traced programs keep
their calls, so that each row belongs to the function of its line.
"""

from collections import Counter
from collections.abc import Mapping

from lockscape.program.nodes import Assign, Call, Function
from lockscape.program.walk import nodes, walk

_INLINED_ROLES = ("kernel", "user")
MOST_STATEMENTS = 12
"""Longer functions are called, unless in one place only: their call is a small part of what they execute."""

DEEPEST = 8
"""Calls inside calls that are replaced; what is called deeper stays a call."""


class Inlining:
    """Decides for a program's calls; what it must know of a function, it finds once."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self.functions = functions
        found = ((name, n) for name, f in functions.items() for n in nodes(f.body))
        calls = [(n.function, caller) for caller, n in found if isinstance(n, Call)]
        sites = Counter(name for name, _ in calls)
        parts = {name: walk(f.body) for name, f in functions.items()}
        self.called = {name for name, caller in calls if name != caller}
        """The functions that others call."""
        self.short = {n for n, part in parts.items() if sites[n] == 1 or len(part) <= MOST_STATEMENTS}
        self.assigned = {n: {s.name for s in part if isinstance(s, Assign)} for n, part in parts.items()}
        """The variables that each function sets."""

    def replaces(self, name: str, outer: tuple[str, ...]) -> bool:
        """Return whether a call of `name` is replaced inside the functions `outer`, being replaced too."""
        if name in outer or len(outer) > DEEPEST or name not in self.short:
            return False
        return self.functions[name].role in _INLINED_ROLES

    def begun(self) -> list[str]:
        """Return the functions that need rows of their own because no call may stand for them: the machine
        begins them by name, or they are hooks and entries."""
        return [n for n, f in self.functions.items() if n not in self.called or f.role not in _INLINED_ROLES]
