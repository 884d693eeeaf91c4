"""What a body must be so that it can be done again: for readers that retry, and for lock-free sections."""

from dataclasses import fields

from lockscape.errors import InputError
from lockscape.program.nodes import Add, Assign, Body, Break, Hold, If, Op, Return, Section, Var, While
from lockscape.program.walk import BODIES, bodies, nodes

_ONCE = frozenset({
    "new", "free", "compare_and_swap", "compare_and_swap2", "swap", "switch_to", "exit_process", "mask",
    "unmask", "halt", "send", "send_instance", "set_timer", "system_call", "run", "trap",
})  # fmt: skip
"""Operations that an attempt cannot leave out. A request to a device waits for the commit."""


def check_stays(function: str, node: Hold) -> None:
    """Raise `InputError` for a way out of a body that may have to be done again."""
    if _leaves(node.body):
        raise InputError(
            f"{function}: return or break out of a retried body of {node.lock!r} would skip its check: "
            "set a variable, and leave after it"
        )


def check_attempt(function: str, node: Hold) -> None:
    """Raise `InputError` for a body that cannot be a lock-free section."""
    check_stays(function, node)
    for inner in nodes(node.body):
        if isinstance(inner, Op) and inner.name in _ONCE:
            raise InputError(
                f"{function}: {inner.name}() in a lock-free section on {node.lock!r} would be done in each "
                "attempt: move it out of the section"
            )
        if isinstance(inner, Hold) and inner.mode not in ("exclusive", "preempt"):
            raise InputError(
                f"{function}: mode {inner.mode!r} inside a lock-free section on {node.lock!r}: hold it "
                "around that"
            )


def changed(body: Body, known: set[str]) -> list[str]:
    """Return the variables, of those `known` before a body, that it may change without setting them first."""
    found = _Changed(known)
    found.look(body, certain=True)
    return list(found.names)


class _Changed:
    """Walks a body in its order; a variable that is always set before it is read begins anew by itself."""

    def __init__(self, known: set[str]) -> None:
        self.known = known
        self.names: dict[str, None] = {}
        self.read: set[str] = set()
        self.set: set[str] = set()

    def look(self, body: Body, certain: bool) -> None:
        for statement in body:
            own = (getattr(statement, part.name) for part in fields(statement) if part.name not in BODIES)
            self.read |= {node.name for value in own for node in nodes(value) if isinstance(node, Var)}
            match statement:
                case Assign(name=name) if certain and name not in self.read:
                    self.set.add(name)
                case Assign(name=name) | Add(result=name) if name in self.known - self.set:
                    self.names[name] = None
            for inner in bodies(statement):
                self.look(inner, certain and isinstance(statement, Section | Hold))


def _leaves(body: Body, in_loop: bool = False) -> bool:
    """Return whether a body can be left by a return, or by a break out of a loop around it."""
    for statement in body:
        match statement:
            case Return():
                return True
            case Break() if not in_loop:
                return True
            case If(then=then, other=other) if _leaves(then, in_loop) or _leaves(other, in_loop):
                return True
            case While(body=inner) if _leaves(inner, True):
                return True
            case Section(body=inner) | Hold(body=inner) if _leaves(inner, in_loop):
                return True
    return False
