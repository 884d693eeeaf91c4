"""Does a preemptible uniprocessor kernel make it easier to port? Its marks, and what a port finds there.

A preemptible kernel turns preemption off around what must be seen whole; an interrupt handler's data are kept
from it by masking, in any kernel. Both are marks in its source. A place where a port takes a lock is *marked*
if exactly that section is marked in the uniprocessor kernel: whoever ports it need not find it.
"""

from collections.abc import Iterator

import msgspec

from lockscape.errors import InputError
from lockscape.ports.effort import both, effort
from lockscape.ports.plan import Plan
from lockscape.ports.port import Port, port
from lockscape.program.nodes import Body, Function, Hold, Section, Stmt
from lockscape.program.walk import walk

MARKS = ("mask", "preempt")
"""Modes of what a uniprocessor kernel holds around a section instead of a lock."""


class Marked(msgspec.Struct, frozen=True):
    """A port over a uniprocessor kernel, preemptible or not.

    `places` where the port takes a lock that the uniprocessor kernel does not; `marked` of them; `lines` that
    are changed or brought.
    """

    places: int
    marked: int
    lines: int

    @property
    def unmarked(self) -> int:
        """Return the places that whoever ports the kernel has to find."""
        return self.places - self.marked


class Preemption(msgspec.Struct, frozen=True):
    """A port of the kernel without and with preemption; without the latter `why` says why not."""

    plain: Marked
    preemptible: Marked | None
    why: str


def preemption(plan: Plan) -> Preemption:
    """Count a port over both kernels."""
    plain = _marked(port(plan, preemptible=0))
    try:
        return Preemption(plain, _marked(port(plan, preemptible=1)), "")
    except InputError:  # a process that is preempted could go on elsewhere, without its funnel
        return Preemption(plain, None, "the model has no funnel to a processor in a preemptible kernel")


def _marked(ported: Port) -> Marked:
    pair = both(ported)
    before = pair.uniprocessor
    reached = ported.reachable() - pair.new
    names = [name for name in ported.source if name in reached]
    places = marked = 0
    for name in names:
        known = _held_in(before.ported.get(name), MARKS)
        for hold in _new_holds(ported.ported[name], before.ported.get(name)):
            places += 1
            marked += any(isinstance(inner, Section) and inner.name in known for inner in _inside(hold))
    counted = effort(pair)
    return Marked(places, marked, counted.change.changed + counted.new_lines)


def _held_in(function: Function | None, modes: tuple[str, ...]) -> set[str]:
    """Return the names of the sections that a function's holds of these modes are around."""
    found = [n for n in walk(function.body) if isinstance(n, Hold) and n.mode in modes] if function else []
    return {inner.name for hold in found for inner in _inside(hold) if isinstance(inner, Section)}


def _inside(hold: Hold) -> Iterator[Stmt]:
    """Yield what a hold is around, other holds left out."""
    for node in hold.body:
        yield from _inside(node) if isinstance(node, Hold) else (node,)


def _new_holds(ported: Function, before: Function | None) -> list[Hold]:
    """Return a function's holds of locks that the uniprocessor kernel's function does not have."""
    own = [_what(hold) for hold in _holds(before.body)] if before else []
    found = []
    for hold in _holds(ported.body):
        if _what(hold) in own:
            own.remove(_what(hold))
        else:
            found.append(hold)
    return found


def _holds(body: Body) -> list[Hold]:
    return [n for n in walk(body) if isinstance(n, Hold) and n.mode not in (*MARKS, "drop", "arrive")]


def _what(hold: Hold) -> tuple[str, str]:
    return hold.lock, hold.mode
