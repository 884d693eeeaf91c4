"""Broken sections: executions of sections must be serialisable.

Each execution of a section is a node of a graph; an edge says that one accessed something before the other
did and one of them wrote. A cycle is a fault: no order of the executions, one after another, explains what
they saw. An access outside all sections counts as a section of one step. A section covers the parts that it
names (all, if it names none); a part named by nested sections belongs to the outermost.

Left out, for they are meant to meet: racy parts; readers of published parts inside an RCU read section; an
optimistic reader that must retry; what a section read before a compare-and-swap of it failed, if it had not
written anything. What it read of a part that it swaps then counts as read at that moment, for it is the same
value, whatever was there between (what hangs on a part that comes back is another part).
Atomic additions whose result nobody looks at commute with each other; a loop that adds by compare-and-swap
is one as well, and what it saw of its field before does not count.

The graph stays small: an edge always points to an execution that is still going on, so one that ended before
all those now going on began can never be part of a cycle and is forgotten.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from lockscape.machine.activity import Activity
from lockscape.machine.findings import Findings, Now
from lockscape.machine.lifetimes import Known, Part
from lockscape.machine.places import Places
from lockscape.machine.state import State
from lockscape.program import opcodes as op

READ, WRITE, ADD = range(3)
"""How a section takes part in what others see: it reads, writes, or adds to it."""
CONFLICTS = ((WRITE, ADD), (READ, WRITE, ADD), (READ, WRITE))
"""What each kind of access does not commute with."""

MOST_READERS = 32
"""Executions remembered for a part before those forgotten by the graph are dropped."""

_VERBS = ("read", "written", "added to")


@dataclass(slots=True)
class Edge:
    """Why one execution comes before another: both accesses, as (time, processor, context, row) and verb."""

    place: int
    offset: int
    first: Now
    first_kind: int
    second: Now
    second_kind: int


@dataclass(slots=True)
class Execution:
    """One execution of a section, or a single access outside all (number -1).

    `out`: the executions that come after it, by their ids, with why: one reason for good, or reads, one for
    each part, which may be taken back.
    """

    id: int
    number: int
    started: int
    context: int
    names: frozenset[tuple[int, int]] | None
    ended: int = -1
    wrote: bool = False
    out: dict[int, list[Edge]] = field(default_factory=dict)

    def unread(self, place: int, offset: int) -> None:
        """Come before nobody for having read a part."""
        for other, reasons in [*self.out.items()]:
            left = [
                why for why in reasons if (why.place, why.offset, why.first_kind) != (place, offset, READ)
            ]
            if left:
                self.out[other] = left
            else:
                del self.out[other]


class Sections:
    """The conflict graph of the executions that may still be part of a cycle."""

    def __init__(self, state: State, places: Places, findings: Findings) -> None:
        self.places = places
        self.findings = findings
        self.sections = state.binary.sections
        self.names = state.binary.covered
        self.nodes: dict[int, Execution] = {}
        self.live: dict[int, int] = {}
        self.finished: deque[Execution] = deque()
        self.clock = 0
        code = state.binary.code
        kind = code[:, 0]
        swaps = (kind == op.COMPARE_AND_SWAP) | (kind == op.COMPARE_AND_SWAP2)
        adds = ((kind == op.ADD_FIELD) & (code[:, 5] < 0)) | (swaps & (code[:, 7] == op.ADDED_TO))
        self.confirms = set(np.flatnonzero(swaps & (code[:, 7] == op.SEEN)).tolist())
        self.adds = set(np.flatnonzero(adds).tolist())
        self.looks = set(np.flatnonzero((kind == op.LOAD) & (code[:, 5] == op.ADDED_TO)).tolist())

    def begin(self, act: Activity, number: int) -> None:
        """A section begins."""
        self.clock += 1
        node = Execution(self.clock, number, self.clock, act.context, self.names[number])
        self.nodes[node.id] = node
        self.live[node.id] = self.clock
        act.sections.append(node)

    def end(self, act: Activity, number: int) -> None:
        """A section ends, and with it those inside that were left by a return."""
        stack = act.sections
        if stack and stack[-1].number == number:
            self.finish(stack.pop())
        elif any(node.number == number for node in stack):
            while act.sections and self.finish(act.sections.pop()) != number:
                pass

    def finish(self, node: Execution) -> int:
        """An execution is over; return its section's number."""
        self.clock += 1
        node.ended = self.clock
        del self.live[node.id]
        self.finished.append(node)
        oldest = next(iter(self.live.values()), self.clock + 1)
        while self.finished and self.finished[0].ended < oldest:
            self.nodes.pop(self.finished.popleft().id, None)
        return node.number

    def finish_all(self, act: Activity, depth: int = 0) -> None:
        """Control leaves the kernel, a handler or an attempt: what is open beyond a depth has been left."""
        while len(act.sections) > depth:
            self.finish(act.sections.pop())

    def restart(self, act: Activity, place: int, offset: int, pc: int) -> None:
        """A compare-and-swap failed: what its sections read so far does not count.

        Of one that has written already only what it read of this part: it comes before nobody for that.
        Where it only adds, nothing else is read again.
        """
        if pc in self.adds:
            return
        for k, node in enumerate(act.sections):
            if node.wrote:
                node.unread(place, offset)
            else:
                del self.nodes[node.id], self.live[node.id]
                self.clock += 1
                new = Execution(self.clock, node.number, self.clock, node.context, node.names)
                self.nodes[new.id], self.live[new.id] = new, self.clock
                act.sections[k] = new

    def confirm(self, act: Activity, place: int, offset: int, pc: int) -> None:
        """A compare-and-swap is done: if its old value was seen, its part is as its sections read it."""
        if pc in self.confirms:
            for node in act.sections:
                node.unread(place, offset)

    def access(
        self, known: Known, part: Part, offset: int, act: Activity, how: int, write: bool, now: Now
    ) -> None:
        """Take note of an access, outside or inside sections."""
        if now[3] in self.looks:
            return
        kind = int(write)
        if how == op.ATOMIC and write and now[3] in self.adds:
            kind = ADD
        mine = None
        for node in act.sections:
            if node.names is None or (known.cls, offset) in node.names:
                mine = node
                break
        done = part.done
        for kind_then in CONFLICTS[kind]:
            earlier = done[kind_then]
            if earlier and (mine is None or len(earlier) > 1 or mine.id not in earlier):
                mine = self.follow(known.place, part, offset, act, kind, mine, now)
                break
        if kind == WRITE:
            for earlier in done:
                if earlier:
                    earlier.clear()
        if mine is not None:
            mine.wrote |= write
            self.remember(done[kind], mine, now)

    def follow(self, place: int, part: Part, offset: int, act: Activity, kind: int, mine: Execution | None,
               now: Now) -> Execution | None:  # fmt: skip
        """Add edges from those who accessed a part before; return the execution that does so now."""
        before = [
            (other, kind_then, then)
            for kind_then in CONFLICTS[kind]
            for other, then in part.done[kind_then].items()
            if other in self.nodes and (mine is None or other != mine.id)
        ]
        if mine is None and before:
            self.clock += 1
            mine = Execution(self.clock, -1, self.clock, act.context, None, self.clock)
            self.nodes[mine.id] = mine
            self.finished.append(mine)
        if mine is not None:
            for other, kind_then, then in before:
                self.edge(self.nodes[other], mine, Edge(place, offset, then, kind_then, now, kind))
        return mine

    def remember(self, last: dict[int, Now], mine: Execution, now: Now) -> None:
        """Keep who accessed a part last, for the edges to come."""
        last[mine.id] = now
        if len(last) > MOST_READERS:
            for gone in [k for k in last if k not in self.nodes]:
                del last[gone]

    def edge(self, first: Execution, second: Execution, why: Edge) -> None:
        """Add an edge; if it closes a cycle report that instead."""
        known = first.out.get(second.id)
        if known is not None:
            reads = [(each.place, each.offset) for each in known if each.first_kind == READ]
            if why.first_kind != READ:
                first.out[second.id] = [why]
            elif reads and (why.place, why.offset) not in reads:
                known.append(why)
            return
        path = self.path(second, first.id) if second.out else None
        if path is None:
            first.out[second.id] = [why]
        else:
            self.report([*path, why], first, second)

    def path(self, start: Execution, goal: int) -> list[Edge] | None:
        """Return the edges of a shortest path from an execution to another, if there is one."""
        came: dict[int, tuple[int, Edge] | None] = {start.id: None}
        waiting = deque([start.id])
        while waiting:
            here = waiting.popleft()
            if here == goal:
                found: list[Edge] = []
                step = came[here]
                while step is not None:
                    found.append(step[1])
                    step = came[step[0]]
                return found[::-1]
            node = self.nodes.get(here)
            for there, reasons in node.out.items() if node else ():
                if there in self.nodes and there not in came:
                    came[there] = (here, reasons[0])
                    waiting.append(there)
        return None

    def report(self, cycle: list[Edge], first: Execution, second: Execution) -> None:
        """Report executions that no order explains."""
        pcs = sorted({e.first[3] for e in cycle} | {e.second[3] for e in cycle})
        if self.findings.known("broken section", *pcs):
            return
        deeds = {(e.first[0], e.first, e.first_kind, e.place, e.offset) for e in cycle}
        deeds |= {(e.second[0], e.second, e.second_kind, e.place, e.offset) for e in cycle}
        steps = [d[1:] for d in sorted(deeds)]
        names = tuple(dict.fromkeys(self.places.part(e.place, e.offset) for e in cycle))
        broken = sorted({self.sections[n.number] for n in (first, second) if n.number >= 0})
        told = ", ".join(
            f"{self.places.part(place, offset)} {_VERBS[kind]} by {self.places.party(*now)}"
            for now, kind, place, offset in steps
        )
        text = (
            f"section {' and '.join(broken) or 'of single steps'} broken: no order one after another "
            f"explains {told}: keep the section's parts under one lock from its first to its last step"
        )
        self.findings.report("broken section", [now for now, *_ in steps], names, text)
