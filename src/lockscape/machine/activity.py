"""Who runs where under what protection: contexts, interrupt handlers on top of them, the locks they hold.

A *thread* is what the detector tells apart: each context, and on each virtual processor its interrupt
handlers and its bottom halves (what a handler does after it allowed interrupts again). The end of a handler
that came from user mode, or into code that may lose its processor anyway, belongs to the interrupted context:
there the kernel may switch to another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lockscape.machine import layout as at
from lockscape.machine.findings import Rules
from lockscape.machine.sleeping import dropped_on_sleep, own_preemption
from lockscape.machine.state import State
from lockscape.program import opcodes as op

if TYPE_CHECKING:
    from lockscape.machine.lifetimes import Known
    from lockscape.machine.sections import Execution

PROCESS, TAIL, BOTTOM_HALF, HANDLER = range(4)
"""What an activity is at the moment; TAIL: the end of a handler that belongs to the interrupted context."""

MOST_LOCKSETS = 1 << 16
"""Sets of locks remembered; beyond that they are forgotten, which costs time only."""

MOST_COVERS = 1 << 12
"""The same for what protects one context."""

Token = tuple[int, bool, bool]
"""A lock as part of a set: address, whether held as a shared one, whether it is recursive."""

Clock = dict[int, int]
"""How much of each thread's past is known to have happened before: its epoch by thread."""


class Lockset:
    """Locks held, by address: `any` of them, those held `exclusive`, and those that are `recursive`."""

    __slots__ = ("any", "exclusive", "recursive")

    def __init__(self, key: frozenset[Token]) -> None:
        self.any = frozenset(lock for lock, _, _ in key)
        self.exclusive = frozenset(lock for lock, shared, _ in key if not shared)
        self.recursive = frozenset(lock for lock, _, recursive in key if recursive)

    def excludes(self, other: Lockset, recursive: bool = True) -> bool:
        """Say whether a lock keeps the two apart; without `recursive` locks where a holder may come again."""
        common = (self.exclusive & other.any) | (self.any & other.exclusive)
        return bool(common if recursive else common - self.recursive)


NOTHING = Lockset(frozenset())
"""No lock."""


class Cover:
    """What protects what an activity does: where and as what it runs, and the locks that it took.

    `fixed`: it cannot lose its processor to another context here; `masked`: nor to an interrupt. `key` tells
    covers apart but for their locks.
    """

    __slots__ = ("fixed", "key", "kind", "lockset", "masked", "thread", "virtual")

    def __init__(self, act: Activity, lockset: Lockset) -> None:
        self.thread, self.virtual, self.kind = act.thread, act.virtual, act.kind
        self.masked, self.fixed = act.masked, act.fixed
        self.lockset = lockset
        self.key = act.key


@dataclass(slots=True)
class Held:
    """A lock that is held: `level` is the depth of interrupts where it was taken, `pc` the row that did."""

    lock: int
    place: int
    cls: int
    shared: bool
    level: int
    pc: int
    token: Token


@dataclass(slots=True)
class Frame:
    """An interrupt on a context's stack: whether it may end in a switch, whether interrupts are off since it
    began, and what must be restored after it."""

    may_switch: bool
    hard: bool
    rcu: int
    sections: list[Execution]
    optimistic: list[list[tuple[int, ...]]]
    putting: list[tuple[Known, int]]


class Activity:
    """What one context does: the state of its processor as far as protection goes."""

    __slots__ = (
        "atomic", "context", "cover", "covers", "dropped", "fixed", "frames", "held", "key", "kind", "mask",
        "masked", "met", "mode", "optimistic", "own", "putting", "rcu", "sections", "thread", "virtual",
    )  # fmt: skip

    def __init__(self, context: int, mode: int, thread: int) -> None:
        self.context = context
        self.mode = mode
        self.own = self.thread = thread
        self.virtual = -1
        self.kind = PROCESS
        self.masked = self.fixed = False
        self.mask = self.atomic = self.rcu = 0
        self.frames: list[Frame] = []
        self.held: list[Held] = []
        self.covers: dict[tuple[Lockset, int, int], Cover] = {}
        self.key = 0
        self.cover = Cover(self, NOTHING)
        self.dropped: dict[int, tuple[int, int]] = {}
        self.met: dict[int, int] = {}
        self.sections: list[Execution] = []
        self.optimistic: list[list[tuple[int, ...]]] = []
        self.putting: list[tuple[Known, int]] = []


class Tracker:
    """Follows the trace's switches, interrupts, masks and locks."""

    def __init__(self, state: State, rules: Rules) -> None:
        self.preemptible = rules.preemptible
        locks = [state.program.locks[name] for name in state.binary.locks]
        dropped = dropped_on_sleep(state.program)
        self.own_preemption = own_preemption(state.program)
        self.locks = locks
        self.sleeps = [lock.sleeps for lock in locks]
        self.recursive = [lock.recursive for lock in locks]
        self.by_processor = [lock.owner == "processor" for lock in locks]
        self.dropped_on_sleep = [lock.name in dropped for lock in locks]
        code = state.binary.code
        saving = np.isin(code[:, 0], (op.ACQUIRE, op.RELEASE)) & (code[:, 6] >= 0)
        self.saves_depth = set(np.flatnonzero(saving).tolist())
        self.locksets: dict[frozenset[Token], Lockset] = {}
        self.clocks: list[Clock] = []
        self.followed: list[Clock] = []
        """What each thread knows besides of objects made in the run, for it followed references to them."""
        self.weakly_ordered = rules.weakly_ordered
        self.fenced: list[Clock] = []
        """What each thread knew at its last barrier that a weakly ordered machine shows others with what it
        stores since (see `passed`)."""
        self.unlocked: dict[int, Clock] = {}
        """What those who released a lock knew: who takes it sees that on a weakly ordered machine, too."""
        self.owned: list[list[Held]] = [[] for _ in state.virtuals]
        self.running: dict[int, Activity] = {}
        self.lock_places: dict[int, int] = {}
        self.handlers = [(self.new_thread(), self.new_thread()) for _ in state.virtuals]
        self.activities = {
            c: Activity(c, int(state.m[c + at.C_MODE]), self.new_thread()) for c in state.contexts
        }
        self.first_masks = {c: int(state.m[c + at.C_MASK]) for c in state.contexts}
        for virtual, v in enumerate(state.virtuals):
            act = self.activities[int(state.m[v + at.V_CONTEXT])]
            act.virtual = virtual
            self.running[virtual] = act
        for context, act in self.activities.items():
            act.mask, act.atomic = self.first_masks[context], int(state.m[context + at.C_ATOMIC])
            self.refresh(act)

    def begin_anew(self, context: int) -> None:
        """A new process has this context, which perhaps another had before: it holds nothing of that one."""
        act = self.activities[context]
        fresh = Activity(context, at.KERNEL, act.own)
        fresh.mask = self.first_masks[context]
        self.activities[context] = fresh
        self.refresh(fresh)

    # --- threads and their clocks -------------------------------------------------------------------------

    def new_thread(self) -> int:
        """Return the number of a new thread; its clock knows only itself."""
        self.clocks.append({len(self.clocks): 1})
        self.followed.append({})
        self.fenced.append({})
        return len(self.clocks) - 1

    def release(self, thread: int) -> Clock:
        """Return what a thread knows now, for others to learn; what it does next is not part of that."""
        clock = self.clocks[thread]
        if self.weakly_ordered:
            clock[~thread] = clock[thread]
        known = dict(clock)
        clock[thread] += 1
        return known

    def passed(self, thread: int) -> Clock:
        """Return what a plain store makes known: on weakly ordered machines what was before the last barrier.

        What is known there stands in a clock under the complement of a thread's number, beside what would be
        known if stores were seen in order.
        """
        known = self.release(thread)
        return known if not self.weakly_ordered else in_order(known) | self.fenced[thread]

    def fence(self, thread: int) -> Clock:
        """A thread comes to a barrier: return what it knows now, for others to learn."""
        known = self.release(thread)
        if self.weakly_ordered:
            self.fenced[thread] = _weak(known)
        return known

    def goes_on(self, thread: int, other: int) -> None:
        """A thread goes on where another one was on the same processor, whose stores it sees in any case."""
        if self.weakly_ordered and thread != other:
            self.learn(thread, _weak(self.release(other)))

    def learn(self, thread: int, known: Clock) -> None:
        """Let a thread know what another knew: all that happened before what it does next."""
        _learn(self.clocks[thread], known)

    def follow(self, thread: int, known: Clock) -> None:
        """Let a thread know what another knew of objects made in the run."""
        _learn(self.followed[thread], known)

    # --- protection ---------------------------------------------------------------------------------------

    def lockset(self, held: list[Held]) -> Lockset:
        """Return the set of these locks."""
        if not held:
            return NOTHING
        key = frozenset([h.token for h in held])
        found = self.locksets.get(key)
        if found is None:
            if len(self.locksets) >= MOST_LOCKSETS:
                self.locksets.clear()
            found = self.locksets[key] = Lockset(key)
        return found

    def holds(self, act: Activity) -> list[Held]:
        """Return the locks that this activity took itself, not those of what it interrupted."""
        level = len(act.frames)
        if not level and (act.virtual < 0 or not self.owned[act.virtual]):
            return act.held
        own = [h for h in act.held if h.level == level]
        if act.virtual >= 0 and self.owned[act.virtual]:
            own += [h for h in self.owned[act.virtual] if h.level == level]
        return own

    def cover(self, act: Activity, lockset: Lockset) -> Cover:
        """Return the cover of an activity that has these locks."""
        key = (lockset, act.key, act.kind)
        found = act.covers.get(key)
        if found is None:
            if len(act.covers) >= MOST_COVERS:
                act.covers.clear()
            found = act.covers[key] = Cover(act, lockset)
        return found

    def with_reader(self, act: Activity, place: int, offset: int, cls: int) -> Cover:
        """Return the cover of an activity with, shared, the sequence lock under which it reads."""
        self.lock_places[place + offset] = place
        lock = place + offset
        reader = Held(lock, place, cls, True, len(act.frames), 0, (lock, True, False))
        return self.cover(act, self.lockset([*self.holds(act), reader]))

    def refresh(self, act: Activity) -> None:
        """Work out anew what an activity is and what protects it."""
        act.masked = act.mask > 0
        act.fixed = act.mode != at.USER and (not self.preemptible or act.masked or act.atomic > 0)
        act.kind, thread = PROCESS, act.own
        if act.frames:
            frame = act.frames[-1]
            act.kind = HANDLER if frame.hard else TAIL if frame.may_switch else BOTTOM_HALF
            if act.kind != TAIL:
                thread = self.handlers[act.virtual][act.kind == HANDLER]
        act.thread = thread
        act.key = (thread << 11 | (act.virtual & 2047)) << 4 | act.masked << 1 | act.fixed << 2
        act.cover = self.cover(act, self.lockset(self.holds(act)))

    # --- events -------------------------------------------------------------------------------------------

    def interrupt(self, act: Activity, mode: int) -> None:
        """An interrupt comes into code of a mode: a handler begins on top of the context."""
        may_switch = mode in (at.USER, at.IDLE) or (act.kind <= TAIL and not act.fixed)
        act.frames.append(Frame(may_switch, True, act.rcu, act.sections, act.optimistic, act.putting))
        act.rcu, act.sections, act.optimistic, act.putting = 0, [], [], []
        act.mask, act.mode = 1, at.INTERRUPT
        before = act.thread
        self.refresh(act)
        self.goes_on(act.thread, before)

    def end_interrupt(self, act: Activity, mode: int) -> None:
        """The handler returns to what it interrupted."""
        if act.frames:
            frame = act.frames.pop()
            act.rcu, act.sections = frame.rcu, frame.sections
            act.optimistic, act.putting = frame.optimistic, frame.putting
        act.mask -= 1
        act.mode = mode
        before = act.thread
        self.refresh(act)
        self.goes_on(act.thread, before)

    def set_mask(self, act: Activity, depth: int) -> None:
        """Interrupts are masked or allowed again."""
        act.mask = depth
        before = act.thread
        if depth == 0 and act.frames:
            act.frames[-1].hard = False
        self.refresh(act)
        if act.thread != before:  # the same handler goes on as another thread
            self.learn(act.thread, self.release(before))

    def switch(self, act: Activity, new: Activity) -> None:
        """A processor goes on with another context; the locks of the processor pass to it."""
        virtual = act.virtual
        self.fence(act.thread)
        act.virtual, new.virtual = -1, virtual
        self.running[virtual] = new
        for held in self.owned[virtual]:
            held.level = len(new.frames)
        self.refresh(new)
        self.goes_on(new.thread, act.thread)

    def acquire(self, act: Activity, pc: int, place: int, offset: int, cls: int, shared: bool) -> None:
        """A lock is taken."""
        lock = place + offset
        owner = self.owned[act.virtual] if self.by_processor[cls] else act.held
        held = Held(lock, place, cls, shared, len(act.frames), pc, (lock, shared, self.recursive[cls]))
        owner.append(held)
        if pc in self.saves_depth and lock in act.dropped:
            owner += [held] * (act.dropped.pop(lock)[0] - 1)
        self.lock_places[lock] = place
        act.cover = self.cover(act, self.lockset(self.holds(act)))
        self.lock_seen(act, lock)

    def lock_seen(self, act: Activity, lock: int) -> None:
        """A lock was taken, or its readers' sequence looked at: what its holders did before is seen."""
        if lock in self.unlocked:
            self.learn(act.thread, self.unlocked[lock])

    def set_depth(self, act: Activity, lock: int, depth: int) -> None:
        """A recursive lock of this processor is now as deep as the context that goes on had it."""
        owner = self.owned[act.virtual]
        mine = next((h for h in owner if h.lock == lock), None)
        if mine is not None:
            mine.level = len(act.frames)
            owner[:] = [h for h in owner if h.lock != lock] + [mine] * depth
            act.cover = self.cover(act, self.lockset(self.holds(act)))

    def release_lock(self, act: Activity, pc: int, lock: int, cls: int) -> None:
        """A lock is released, perhaps by another context than the one that took it, as semaphores allow."""
        owner = self.owned[act.virtual] if self.by_processor[cls] else act.held
        last = next((k for k in range(len(owner) - 1, -1, -1) if owner[k].lock == lock), -1)
        if last < 0:
            self.release_others(lock)
        elif pc in self.saves_depth:
            if not self.by_processor[cls]:
                act.dropped[lock] = sum(h.lock == lock for h in owner), cls
            owner[:] = [h for h in owner if h.lock != lock]
        else:
            del owner[last]
        act.cover = self.cover(act, self.lockset(self.holds(act)))
        if self.weakly_ordered:
            swapped = self.locks[cls].kind == "version"
            known = self.fence(act.thread) if swapped else self.release(act.thread)
            _learn(self.unlocked.setdefault(lock, {}), _weak(known))

    def release_others(self, lock: int) -> None:
        """Somebody releases a lock that another context took."""
        for other in self.activities.values():
            for held in other.held:
                if held.lock == lock:
                    other.held.remove(held)
                    self.refresh(other)
                    return


def _weak(clock: Clock) -> Clock:
    """Return the part of a clock that holds on a weakly ordered machine."""
    return {k: epoch for k, epoch in clock.items() if k < 0}


def in_order(clock: Clock) -> Clock:
    """Return the part of a clock that holds if stores are seen in order."""
    return {k: epoch for k, epoch in clock.items() if k >= 0}


def _learn(clock: Clock, known: Clock) -> None:
    for other, epoch in known.items():
        if clock.get(other, 0) < epoch:
            clock[other] = epoch
