"""Which locks interrupt handlers wait for, read from a port's listings before anything runs.

A lock masks interrupts so that no handler comes on top of its holder and waits for ever. So this is about a
handler that came into the kernel where somebody holds a spinning lock: what it does only if it came into user
mode, or where it may switch, is left out. All else is followed over every call, and every branch counts as
taken.
"""

from collections.abc import Iterable, Iterator

from lockscape.ports.lockorder import lock_edges
from lockscape.ports.mutants import Mutant, holds
from lockscape.ports.port import Port
from lockscape.program.nodes import Binary, Body, Const, Expr, Hold, If, Logic, Op, Stmt, Sync
from lockscape.program.walk import bodies, called


class Handlers:
    """What the interrupt handlers of a port wait for."""

    def __init__(self, port: Port) -> None:
        self.functions = port.program.functions
        self.ported = port.ported
        self.locks = port.program.locks
        self.edges = lock_edges(port)
        handlers = [name for name, f in self.functions.items() if f.role == "interrupt"]
        self.taken = self.waited(handlers)
        self.written = self.waited(handlers, writers=True)

    def wait_for(self, mutant: Mutant) -> set[str]:
        """Return the locks that a mutant has with interrupts on and that a handler may wait for: its own, and
        those taken under it that do not mask them."""
        hold = holds(self.ported[mutant.function].body)[mutant.ordinal]
        inner = self.waited(_calls(hold.body)) | {each.lock for each in holds(hold.body) if each.lock}
        had = {mutant.lock, *(lock for lock in inner if not self.locks[lock].masks)}
        shared = mutant.lock if mutant.mode == "shared" and not self.locks[mutant.lock].fair else ""
        return {
            lock for lock in had if not self.locks[lock].sleeps and self.may_wait(lock, reads=lock == shared)
        }

    def may_wait(self, lock: str, reads: bool = False) -> bool:
        """Say whether a handler may wait for a lock that it came on top of; `reads`: one that was had as a
        reader, and where no writer who waits keeps further readers out.

        It takes the lock, which would be recursive to go on then, or another that somebody may hold who waits
        for the lock.
        """
        if lock in (self.written if reads else self.taken) and not self.locks[lock].recursive:
            return True
        return any(lock in self.under(other) for other in self.taken - {lock})

    def under(self, lock: str) -> set[str]:
        """Return the locks that are taken under a lock, or under one of those."""
        found, left = set[str](), [lock]
        while left:
            outer = left.pop()
            new = {inner for before, inner in self.edges if before == outer} - found
            found |= new
            left += new
        return found

    def waited(self, first: Iterable[str], writers: bool = False) -> set[str]:
        """Return the locks that some functions wait for, or what they call; `writers`: as writers only."""
        found, seen, left = set[str](), set[str](), list(first)
        while left:
            name = left.pop()
            if name in self.functions and name not in seen:
                seen.add(name)
                body = self.functions[name].body
                found |= _own(body, writers)
                left += _calls(body)
        return found


def _own(body: Body, writers: bool) -> set[str]:
    """Return the locks that a body itself waits for, or as a writer; an optimistic reader does for its
    writer."""
    found = set[str]()
    for node in _done(body):
        match node:
            case Sync(op="acquire" | "retake", lock=lock, mode=mode) if not (writers and mode == "shared"):
                found.add(lock)
            case Hold(mode="retry", lock=lock) if not writers:
                found.add(lock)
    return found


def _calls(body: Body) -> list[str]:
    return [name for statement in _done(body) for name in called(statement)]


def _done(body: Body) -> Iterator[Stmt]:
    """Yield what may be done in a body by a handler that came into the kernel, where it may not switch."""
    for statement in body:
        yield statement
        if isinstance(statement, If) and _never(statement.test):
            yield from _done(statement.other)
        else:
            for inner in bodies(statement):
                yield from _done(inner)


def _never(test: Expr) -> bool:
    """Say whether a test never holds there."""
    match test:
        case Binary(op="==", left=Op(name="interrupted_user"), right=Const(value=1)):
            return True
        case Binary(op="==", left=Op(name="atomic_depth"), right=Const(value=0)):
            return True
        case Logic(op="and", parts=parts):
            return any(map(_never, parts))
        case Logic(op="or", parts=parts):
            return all(map(_never, parts))
    return False
