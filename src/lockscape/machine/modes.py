"""What the processors spend their time on, followed from the trace of a run.

The engine adds up cycles by mode (`lockscape.machine.events.account`); this finds the same stretches of time
again from the rows of the trace, for the timeline. Two things have no row of their own: a wait for a sequence
lock's writer counts here as what the reader did before, and a virtual processor that an interrupt took from
its guest counts as running until its hypervisor's next row.
"""

from collections.abc import Callable

from lockscape.machine import layout as at
from lockscape.machine.state import State

Row = tuple[int, int, int, int, int, int, int, int]
"""A row of the trace: time, virtual processor, context, row of code, kind, object, offset, value."""

Told = Callable[[int, int, int, int, int], None]
"""Called with a virtual processor, its context, a mode (`lockscape.machine.layout.USER` ...) and from when to
when, in cycles; a guest's number takes the place of the context in the mode GUEST."""

KINDS = (
    at.T_CALL, at.T_CALL_END, at.T_INTERRUPT, at.T_RETURN, at.T_HALT, at.T_SWITCH, at.T_WAIT, at.T_BLOCK,
    at.T_ACQUIRE, at.T_RUN, at.T_TRAP,
)  # fmt: skip
"""The kinds of rows that `Modes.read` wants."""


class Modes:
    """Follows the virtual processors of a machine that has not yet begun, and tells each stretch of time."""

    def __init__(self, state: State, told: Told) -> None:
        self.told = told
        virtuals = state.virtuals
        self.context = [int(state.m[v + at.V_CONTEXT]) for v in virtuals]
        self.mode = [int(state.m[v + at.V_MODE]) for v in virtuals]
        self.since = [0] * len(virtuals)
        self.guest = [-1] * len(virtuals)
        self.root = [-1 if int(state.m[v + at.V_PROCESSOR]) < 0 else k for k, v in enumerate(virtuals)]
        self.is_guest = [root < 0 for root in self.root]
        self.halted = [False] * len(virtuals)
        self.kept = {c: int(state.m[c + at.C_MODE]) for c in state.contexts}
        """The engine's C_MODE: what a context goes back to after it was away, or after it spun."""
        self.interrupted: dict[int, list[int]] = {}
        self.waiting: set[int] = set()
        self.begun: dict[int, list[bool]] = {}
        self.sleeps = [state.program.locks[name].sleeps for name in state.binary.locks]

    def read(self, row: Row) -> None:
        """Take notice of a row whose kind is one of KINDS."""
        t, v, ctx, _, kind, _, _, value = row
        if self.guest[v] >= 0 and kind != at.T_RUN:
            self._left(self.guest[v], t)
        if kind in (at.T_WAIT, at.T_BLOCK, at.T_ACQUIRE):
            self._lock(t, v, ctx, kind, value)
        elif kind in (at.T_INTERRUPT, at.T_RETURN):
            self._interrupt(t, v, ctx, kind, value)
        elif kind in (at.T_CALL, at.T_CALL_END):
            self._set(v, at.KERNEL if kind == at.T_CALL else value, t)
        else:
            self._processor(t, v, ctx, kind, value)

    def finish(self, time: int) -> None:
        """The run has ended: tell what lasted until then."""
        for v in range(len(self.mode)):
            self._tell(v, time)

    # --- what changes a mode ------------------------------------------------------------------------------

    def _lock(self, t: int, v: int, ctx: int, kind: int, value: int) -> None:
        sleeps = self.sleeps[value >> 1]
        if kind == at.T_WAIT:  # if it sleeps, the next row says so, at the same time
            if not sleeps:
                self.waiting.add(ctx)
            if self.mode[v] != at.SPIN:
                self.kept[ctx] = self.mode[v]
                self._set(v, at.SPIN, t)
        elif self.mode[v] == at.SPIN and (kind == at.T_BLOCK or sleeps or ctx in self.waiting):
            self._set(v, self._kept(ctx), t)
        if kind == at.T_ACQUIRE and not sleeps:
            self.waiting.discard(ctx)

    def _interrupt(self, t: int, v: int, ctx: int, kind: int, value: int) -> None:
        if kind == at.T_INTERRUPT:
            self.interrupted.setdefault(ctx, []).append(self._kept(ctx))
            self.begun.setdefault(ctx, []).append(ctx in self.waiting)
            self.waiting.discard(ctx)
            self.halted[v] = False
            self._set(v, at.INTERRUPT, t)
            return
        if self.interrupted.get(ctx):
            self.kept[ctx] = self.interrupted[ctx].pop()
            if self.begun[ctx].pop():
                self.waiting.add(ctx)
        self._set(v, value, t)

    def _processor(self, t: int, v: int, ctx: int, kind: int, value: int) -> None:
        if kind == at.T_SWITCH:
            self.kept[ctx] = self.mode[v]
            self._tell(v, t)
            self.context[v], self.mode[v] = value, self._kept(value)
        elif kind == at.T_RUN:
            self.kept[ctx] = self.mode[v]
            self._tell(v, t)
            self.guest[v], self.root[value], self.mode[v] = value, v, at.GUEST
            self._set(value, at.IDLE if self.halted[value] else self._kept(self.context[value]), t)
        elif kind == at.T_TRAP:
            self._left(v, t)
        elif self.is_guest[v]:
            self.halted[v] = True
            self._left(v, t)
        else:
            self._set(v, at.IDLE, t)

    def _left(self, guest: int, t: int) -> None:
        """A virtual processor has left to its hypervisor."""
        root = self.root[guest]
        if self.mode[guest] not in (at.SPIN, at.STOLEN):
            self.kept[self.context[guest]] = self.mode[guest]
        self._set(guest, at.STOLEN, t)
        self._tell(root, t)
        self.guest[root], self.mode[root] = -1, self._kept(self.context[root])

    # --- what time was spent on ---------------------------------------------------------------------------

    def _kept(self, ctx: int) -> int:
        return self.kept.get(ctx, at.KERNEL)

    def _set(self, v: int, mode: int, t: int) -> None:
        if mode != self.mode[v]:
            self._tell(v, t)
            self.mode[v] = mode

    def _tell(self, v: int, t: int) -> None:
        if t > self.since[v]:
            what = self.guest[v] if self.mode[v] == at.GUEST else self.context[v]
            self.told(v, what, self.mode[v], self.since[v], t)
            self.since[v] = t
