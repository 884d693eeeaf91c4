"""No progress: who waits for whom, read from a machine's memory when a run has stopped."""

from dataclasses import dataclass
from typing import Literal

from lockscape.machine import layout as at
from lockscape.machine.findings import Fault
from lockscape.machine.places import Place, Places
from lockscape.machine.state import State
from lockscape.program import opcodes as op


@dataclass(frozen=True)
class Wait:
    """One context that cannot go on.

    `what`: it waits for a ``lock``, or it sleeps until a ``wake-up`` (or until a processor takes it: memory
    does not tell which). `spins`: it keeps its processor, of number `processor` (else -1). `lock` and `owner`
    are names; `owner_context` is the address of the context that holds the lock (for a lock of a processor
    the one that runs there), 0 if readers hold it or nobody does. `since_cycles`: when it began, -1 if memory
    does not tell.
    """

    context: int
    name: str
    what: Literal["lock", "wake-up"]
    spins: bool
    processor: int
    place: Place
    lock: str = ""
    owner: str = ""
    owner_context: int = 0
    since_cycles: int = -1

    def __str__(self) -> str:
        if self.what == "wake-up":
            return f"{self.name} sleeps at {self.place}"
        how = f"spins on processor {self.processor}" if self.spins else "sleeps"
        return f"{self.name} {how} at {self.place} for {self.lock}, held by {self.owner}"


def waiting(state: State) -> list[Wait]:
    """Return the contexts that wait, those for a lock first, in the order of their creation."""
    reader = _Memory(state)
    waits = [w for w in (reader.wait(c) for c in state.contexts) if w is not None]
    return sorted(waits, key=lambda w: w.what != "lock")


def circle(waits: list[Wait]) -> list[Wait]:
    """Return waits each of which waits for the next and the last for the first, or nothing."""
    by_context = {w.context: w for w in waits if w.what == "lock"}
    for start in by_context.values():
        path = [start]
        while (following := by_context.get(path[-1].owner_context)) is not None:
            if following in path:
                return path[path.index(following) :]
            path.append(following)
    return []


def no_progress(state: State, why: str) -> Fault:
    """Return the fault of a run that does not get on, with who waits for whom. `why`: what was seen."""
    waits = waiting(state)
    shown = circle(waits) or waits
    told = "; ".join(str(w) for w in shown[:8]) or "no context waits for a lock or a wake-up"
    more = f"; and {len(shown) - 8} more" if len(shown) > 8 else ""
    kind = "they wait in a circle: " if circle(waits) else ""
    time = int(state.m[at.H_TIME])
    return Fault(
        "no progress", time, tuple(dict.fromkeys(w.lock for w in shown if w.lock)),
        tuple(w.place for w in shown), tuple(w.context for w in shown), tuple(w.processor for w in shown),
        tuple(w.since_cycles for w in shown),
        f"no progress ({why}): {kind}{told}{more}: look for a lock that is not released or a wake-up that is "
        "lost",
    )  # fmt: skip


class _Memory:
    def __init__(self, state: State) -> None:
        self.state = state
        self.m = state.m
        self.code = state.binary.code
        self.places = Places(state)
        self.numbers = {v: k for k, v in enumerate(state.virtuals)}
        self.idle = {c for c in state.contexts if self.places.context(c).startswith("idle")}

    def wait(self, ctx: int) -> Wait | None:
        m = self.m
        virtual = int(m[ctx + at.C_VIRTUAL])
        processor = self.numbers.get(virtual, -1)
        name = self.places.context(ctx)
        spins = m[ctx + at.C_SPINS + at.W_LOCK] != 0
        queue = ctx + (at.C_SPINS if spins else at.C_SLEEPS)
        asked = int(m[queue + at.W_LOCK])
        if asked > 0:
            pc, offset = self.asks(ctx, asked)
            owner, owner_context = self.owner(asked)
            since = int(m[queue + at.W_SINCE]) - 1
            lock = self.places.lock(asked - offset, offset)
            place = self.places.place(pc)
            return Wait(ctx, name, "lock", bool(spins), processor, place, lock, owner, owner_context, since)
        if virtual or int(m[ctx + at.C_DONE]) or ctx in self.idle:
            return None
        pc = max(int(m[ctx + at.C_PC]) - 1, 0)
        return Wait(ctx, name, "wake-up", False, -1, self.places.place(pc))

    def asks(self, ctx: int, lock: int) -> tuple[int, int]:
        """Return the row with which a context asked for a lock, and the lock's offset in its object."""
        frame, pc = int(self.m[ctx + at.C_FRAME]), int(self.m[ctx + at.C_PC])
        while frame > 0 and 0 <= pc < len(self.code):
            row = self.code[pc]
            if row[0] == op.ACQUIRE and int(self.m[frame + row[1]]) + int(row[2]) == lock:
                return pc, int(row[2])
            pc, frame = int(self.m[frame - 1]), int(self.m[frame - 2])
        raise ValueError(f"context {ctx} waits for the lock at {lock}, which no frame of it asks for")

    def owner(self, lock: int) -> tuple[str, int]:
        """Return who holds a lock, in words and as the address of a context."""
        owner, readers = int(self.m[lock + at.L_OWNER]), int(self.m[lock + at.L_READERS])
        if owner in self.numbers:
            ctx = int(self.m[owner + at.V_CONTEXT])
            return f"processor {self.numbers[owner]} running {self.places.context(ctx)}", ctx
        if owner:
            return self.places.context(owner), owner
        return (f"{readers} readers" if readers else "nobody"), 0
