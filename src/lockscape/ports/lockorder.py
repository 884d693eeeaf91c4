"""The order of a port's locks, read from its listings before anything runs: no cycle may be in it.

An edge leads from each class of lock that is held to each that is taken, over every call. As in lockdep there
is no edge from a lock that is let go on sleep to a sleeping one, and locks of one class may nest where the
plan declares an order. Locks let go for a while are taken again only by who had them. Interrupts are not
seen here; the fault detector sees them in a run.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from lockscape.errors import InputError
from lockscape.ports.port import Port
from lockscape.program.nodes import Body, Function, Hold, If, Section, Stmt, Sync, While
from lockscape.program.walk import called, calls_in, walk

Edges = dict[tuple[str, str], str]
"""(lock held, lock taken) -> the function in which that is first seen."""


def lock_edges(port: Port) -> Edges:
    """Return which class of lock is taken while which is held, each with a function that does so."""
    return _Reader(port).edges()


def check_order(port: Port) -> None:
    """Raise `InputError`, naming the cycle, if the locks of a port can be taken in a cycle."""
    edges = lock_edges(port)
    nesting = port.rules().nesting
    cycle = find_cycle({e: f for e, f in edges.items() if e[0] != e[1] or e[0] not in nesting})
    if cycle:
        steps = "; ".join(f"{b} while holding {a} in {edges[a, b]}" for a, b in pairwise(cycle))
        raise InputError(f"plan {port.plan.title!r}: its locks are taken in a cycle: {steps}")


def find_cycle(edges: Mapping[tuple[str, str], str]) -> list[str]:
    """Return the nodes of a cycle, the first again at the end, or nothing."""
    after: dict[str, list[str]] = {}
    for a, b in edges:
        after.setdefault(a, []).append(b)
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for other in after.get(node, ()):
            found = visit(other, [*path, node])
            if found:
                return found
        done.add(node)
        return []

    return next((c for c in (visit(node, []) for node in list(after)) if c), [])


class _Reader:
    def __init__(self, port: Port) -> None:
        self.functions = port.program.functions
        self.locks = port.program.locks
        self.dropped = {
            s.lock
            for f in self.functions.values()
            for s in walk(f.body)
            if isinstance(s, Sync) and s.op == "drop"
        }
        self.taken: dict[str, set[str]] = {}
        self.found: Edges = {}

    def edges(self) -> Edges:
        self.close()
        for function in self.functions.values():
            self.body(function, function.body, [])
        for function in self.functions.values():
            self.retaken(function)
        return self.found

    def retaken(self, function: Function) -> None:
        """Locks let go for a while must be taken again in the order in which they nest."""
        again = [s.lock for s in walk(function.body) if isinstance(s, Sync) and s.op == "retake"]
        for k, first in enumerate(again):
            for later in again[k + 1 :]:
                if (later, first) in self.found:
                    self.found.setdefault((first, later), function.name)

    def close(self) -> None:
        """Find which locks each function takes, itself or in what it calls."""
        own = {name: set(_acquired(f.body)) for name, f in self.functions.items()}
        calls = {name: calls_in(f.body) for name, f in self.functions.items()}
        self.taken = own
        changed = True
        while changed:
            changed = False
            for name, callees in calls.items():
                for callee in callees:
                    more = self.taken.get(callee, set()) - self.taken[name]
                    if more:
                        self.taken[name] |= more
                        changed = True

    def body(self, function: Function, body: Body, held: list[str]) -> None:
        for statement in body:
            self.statement(function, statement, held)

    def statement(self, function: Function, node: Stmt, held: list[str]) -> None:
        for callee in called(node):
            for lock in sorted(self.taken.get(callee, ())):
                self.edge(function, held, lock)
        match node:
            case Sync(op="acquire", lock=lock):
                self.edge(function, held, lock)
                held.append(lock)
            case Sync(op="retake" | "try", lock=lock):  # whoever tries does not wait
                held.append(lock)
            case Sync(op="release" | "drop", lock=lock):
                if lock in held:
                    held.reverse()
                    held.remove(lock)
                    held.reverse()
            case If(then=then, other=other):
                self.body(function, then, list(held))
                self.body(function, other, list(held))
            case While(body=inner) | Section(body=inner) | Hold(body=inner):
                self.body(function, inner, held)

    def edge(self, function: Function, held: list[str], lock: str) -> None:
        for other in held:
            if other in self.dropped and self.locks[lock].sleeps:
                continue
            if other == lock and self.locks[lock].recursive:
                continue
            self.found.setdefault((other, lock), function.name)


def _acquired(body: Body) -> Iterator[str]:
    for statement in walk(body):
        if isinstance(statement, Sync) and statement.op == "acquire":
            yield statement.lock
