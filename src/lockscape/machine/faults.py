"""The fault detector: reads a run's trace and says what is wrong with the program, whatever came of it.

Give `Detector(state, rules).read` as the reader to `lockscape.machine.execute.execute`, then call `finish`
with what that returned, and look at `faults`. The program must have been assembled with ``traced=True``, or
its sections are not seen. What each kind of fault is and what it lets pass is said where it is looked for:
`races`, `publishing`, `sections`, `sleeping`, `lockorder`, `lifetimes` and `waiting`. Here is only what
hands each kind of row to them: a short function for each, and there are many kinds.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from lockscape.machine import layout as at
from lockscape.machine.activity import Activity, Clock, Tracker
from lockscape.machine.execute import RunError, Stopped
from lockscape.machine.findings import Fault, Findings, Kind, Now, Rules
from lockscape.machine.interleaving import interleaving
from lockscape.machine.lifetimes import FREED, SHARED, Known, Lifetimes, Part
from lockscape.machine.lockorder import LockOrder
from lockscape.machine.places import Places
from lockscape.machine.publishing import Publishing
from lockscape.machine.races import Races
from lockscape.machine.sections import Sections
from lockscape.machine.sleeping import why_atomic
from lockscape.machine.state import State
from lockscape.machine.waiting import no_progress
from lockscape.program import opcodes as op

CHUNK = 4096
"""Rows of the trace that are Python objects at one time."""

Handler = Callable[[Now, Activity, int, int, int], None]
"""Takes a row of the trace: when and where, its context, object, offset and value."""

_ATOMIC_BOTH = (op.COMPARE_AND_SWAP, op.COMPARE_AND_SWAP2, op.SWAP, op.REMOVE)
_ATOMIC_RELEASE = (op.STORE, op.INSERT, op.TO_TAIL)
_COMPARE_AND_SWAP = (op.COMPARE_AND_SWAP, op.COMPARE_AND_SWAP2)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Leave the collector of cycles off for a while: detectors keep much, and none of it forms cycles."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class Detector:
    """Looks for faults in the trace of one run. `state` is the machine before the run, `rules` the port's."""

    def __init__(self, state: State, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.rules.check(state)
        self.state = state
        self.places = Places(state)
        self.findings = Findings(self.places)
        self.tracker = Tracker(state, self.rules)
        self.lifetimes = Lifetimes(state, self.rules, self.tracker, self.places, self.findings)
        self.races = Races(self.tracker, self.places, self.findings)
        self.sections = Sections(state, self.places, self.findings)
        self.publishing = Publishing(self.tracker, self.places, self.findings)
        self.order = LockOrder(self.tracker, self.rules, self.places, self.findings)
        self.opcodes: list[int] = state.binary.code[:, 0].tolist()
        self.results: list[int] = state.binary.code[:, 5].tolist()
        self.sent: dict[tuple[int, int], Clock] = {}
        self.woken: dict[int, Clock] = {}
        self.completed = 0
        self.handlers: dict[int, Handler] = {
            at.T_ACQUIRE: self.acquire, at.T_RELEASE: self.release, at.T_NEW: self.new, at.T_FREE: self.free,
            at.T_SECTION: self.section, at.T_SECTION_END: self.section_end, at.T_SWITCH: self.switch,
            at.T_INTERRUPT: self.interrupt, at.T_RETURN: self.end_interrupt, at.T_MASK: self.mask,
            at.T_UNMASK: self.mask, at.T_RCU: self.rcu, at.T_RCU_END: self.rcu_end, at.T_SEND: self.send,
            at.T_BLOCK: self.block, at.T_WAKE: self.wake, at.T_CALL: self.call, at.T_CALL_END: self.call_end,
            at.T_SEQ: self.optimistic, at.T_RETRY: self.retry, at.T_HALT: self.halt, at.T_ATOMIC: self.atomic,
            at.T_ATOMIC_END: self.atomic, at.T_WAIT: self.wait, at.T_DEPTH: self.depth, at.T_PUT: self.put,
            at.T_GET: self.get, at.T_RUN: self.run, at.T_TRAP: self.run, at.T_SPAWN: self.spawn,
            at.T_BARRIER: self.barrier,
        }  # fmt: skip

    @property
    def faults(self) -> list[Fault]:
        """The faults found so far, each kind once for each pair of places, in the order they showed."""
        return self.findings.faults

    def read(self, rows: NDArray[np.int64]) -> None:
        """Read further rows of the trace."""
        with uncollected():
            time = self._read(rows)
        patience = self.rules.patience_cycles
        if patience and time - self.completed > patience:
            self.completed = time
            self.findings.keep(no_progress(self.state, f"no system call completed for {patience} cycles"))

    def _read(self, rows: NDArray[np.int64]) -> int:
        """Hand each row to what judges it; return the time of the last."""
        activities, handlers, access = self.tracker.activities, self.handlers, self.access
        time = 0
        for start in range(0, len(rows), CHUNK):
            columns = rows[start : start + CHUNK].T.tolist()
            for time, virtual, ctx, pc, kind, place, offset, value in zip(*columns, strict=True):
                if ctx == 0:  # what a broken kernel does; its cause is among the faults, if there are any
                    raise RunError(f"processor {virtual} goes on with no process, at {time} cycles")
                act = activities[ctx]
                if kind <= at.T_WRITE:
                    access((time, virtual, ctx, pc), act, kind == at.T_WRITE, place, offset, value)
                else:
                    handlers[kind]((time, virtual, ctx, pc), act, place, offset, value)
        return time

    def finish(self, stopped: Stopped) -> None:
        """The run has ended: report races that waited for it, and that it got stuck if it did."""
        for known in self.lifetimes.objects.values():
            for suspect in known.suspects:
                self.races.report(known, suspect)
            known.suspects.clear()
        if stopped.reason == at.REASON_STUCK:
            self.findings.keep(no_progress(self.state, stopped.text.partition(" (")[0]))

    # --- accesses -----------------------------------------------------------------------------------------

    def access(self, now: Now, act: Activity, write: bool, place: int, offset: int, how: int) -> None:
        """An object's part is read or written."""
        known = self.lifetimes.objects.get(place) or self.lifetimes.meet(place)
        if known.owner == act.thread:
            if write and self.rules.weakly_ordered:
                self.publishing.access(now, act, write, known, offset, how)
            return
        if act.optimistic:
            act.optimistic[-1].append((*now, write, place, offset, how))
            return
        if known.owner == FREED:
            self.lifetimes.use_after_free(known, now, "written" if write else "read")
            return
        known.owner = SHARED
        if self.rules.weakly_ordered:
            self.publishing.access(now, act, write, known, offset, how)
        if act.rcu:
            self.lifetimes.met_in_rcu(act, known, now)
        if known.suspects:
            self.races.confirm(known, act)
        if how == op.RACY:
            if offset in known.references:
                self.refer(known.parts.setdefault(offset, Part()), act, write)
            return
        self.protected(now, act, write, known, offset, how)

    def protected(self, now: Now, act: Activity, write: bool, known: Known, offset: int, how: int) -> None:
        """A part that is not racy on purpose is read or written: races and sections."""
        part = known.parts.get(offset)
        if part is None:
            part = known.parts[offset] = Part()
        if offset in known.published:
            if self.published(part, act, write):
                return
            if how == op.ATOMIC and not write and not act.cover.lockset.any:
                self.lifetimes.unread(known, offset, now)
        swap = how == op.ATOMIC and self.opcodes[now[3]] in _COMPARE_AND_SWAP
        if swap and write:
            self.sections.confirm(act, known.place, offset, now[3])
        elif swap:
            self.sections.restart(act, known.place, offset, now[3])
        if how == op.ATOMIC:
            self.synchronise(part, act, write, now[3])
        if offset in known.local:
            self.elsewhere(known, part, offset, now)
        self.races.access(known, part, offset, act.cover, how, write, now)
        if self.sections.nodes and (write or not swap):
            self.sections.access(known, part, offset, act, how, write, now)

    def refer(self, part: Part, act: Activity, write: bool) -> None:
        """A racy reference to an object: who follows it has seen what was done to that before it was set.

        The trace does not say to which: this counts for all objects made in the run, but for no other.
        """
        if write:
            part.clock = self.joined(part.clock, self.tracker.release(act.thread))
        elif part.clock is not None:
            self.tracker.follow(act.thread, part.clock)

    def published(self, part: Part, act: Activity, write: bool) -> bool:
        """A part that its writers publish: say whether an RCU reader reads it, who may meet them."""
        if write:
            part.clock = self.joined(part.clock, self.tracker.passed(act.thread))
            return False
        if act.rcu and part.clock is not None:
            self.tracker.learn(act.thread, part.clock)
        return act.rcu > 0

    def synchronise(self, part: Part, act: Activity, write: bool, pc: int) -> None:
        """An atomic operation that returns a value orders; others do not (as in Linux' memory model)."""
        code = self.opcodes[pc]
        both = write and (code in _ATOMIC_BOTH or (code == op.ADD_FIELD and self.results[pc] >= 0))
        if (both or not write) and part.clock is not None:
            self.tracker.learn(act.thread, part.clock)
        if both or (write and code in _ATOMIC_RELEASE):
            known = self.tracker.passed if code == op.STORE else self.tracker.fence
            part.clock = self.joined(part.clock, known(act.thread))

    def joined(self, known: Clock | None, more: Clock) -> Clock:
        """Return what two clocks know together."""
        return more if known is None else {k: max(known.get(k, 0), more.get(k, 0)) for k in known | more}

    def elsewhere(self, known: Known, part: Part, offset: int, now: Now) -> None:
        """A processor-local part is touched: its first user's processor is where it belongs."""
        then = part.home
        if then is None:
            part.home = now
            return
        if then[1] == now[1] or self.findings.known("local", then[3], now[3]):
            return
        name = self.places.part(known.place, offset)
        text = (
            f"{name} belongs to processor {then[1]} ({self.places.place(then[3])}) but "
            f"{self.places.party(*now)} touches it: send that processor a message, "
            "or do not declare it processor-local"
        )
        self.findings.report("processor-local data elsewhere", (then, now), (name,), text)

    # --- locks --------------------------------------------------------------------------------------------

    def acquire(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A lock is taken."""
        cls, shared = value >> 1, bool(value & 1)
        self.alive(now, place, "locked")
        if self.tracker.locks[cls].kind != "version":  # which nobody waits for
            self.order.acquire(act, place, offset, cls, shared, now)
        if self.tracker.sleeps[cls]:
            self.may_sleep(now, act, f"takes {self.tracker.locks[cls].name}, a sleeping lock,")
        self.tracker.acquire(act, now[3], place, offset, cls, shared)

    def release(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A lock is released; what was put into collections under it is given away."""
        self.alive(now, place, "unlocked")
        if act.putting:
            self.lifetimes.give(act)
        self.tracker.release_lock(act, now[3], place + offset, value >> 1)

    def alive(self, now: Now, place: int, deed: str) -> None:
        """A lock's object must not have been freed."""
        known = self.lifetimes.objects.get(place)
        if known is not None and known.owner == FREED:
            self.lifetimes.use_after_free(known, now, deed)

    def wait(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A lock is not free."""
        self.alive(now, place, "waited for")
        self.order.acquire(act, place, offset, value >> 1, bool(value & 1), now)
        self.order.wait(act, place, offset, bool(value & 1), now)

    def depth(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A lock that was dropped is as deep as before."""
        self.tracker.set_depth(act, place + offset, value)

    def optimistic(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An optimistic read begins, or the attempt of a lock-free section, whose commit reads all again."""
        if self.tracker.locks[value >> 1].kind != "version":  # which nobody waits for
            self.order.reads(act, place, offset, value >> 1, now)
        act.optimistic.append([(len(act.sections),)])

    def retry(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An optimistic read ends: what was read counts if nobody wrote meanwhile, as a shared holder's."""
        if not act.optimistic:
            return
        (depth,), *rows = act.optimistic.pop()
        self.sections.finish_all(act, depth)
        if not value & 1:
            return
        self.tracker.lock_seen(act, place + offset)
        plain = act.cover
        act.cover = self.tracker.with_reader(act, place, offset, value >> 1)
        for time, virtual, ctx, pc, write, where, part, how in rows:
            self.access((time, virtual, ctx, pc), act, bool(write), where, part, how)
        act.cover = plain

    # --- objects ------------------------------------------------------------------------------------------

    def new(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An object is allocated."""
        self.lifetimes.new(act, place, offset)

    def free(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An object is freed."""
        known = self.lifetimes.meet(place)
        if known.suspects:
            self.races.confirm(known, act)
        self.order.free(place, self.state.layouts[known.cls].locks.values())
        self.lifetimes.free(now, place)

    def put(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """Something is put into a collection."""
        self.lifetimes.put(act, place, offset, value)

    def get(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """Something is found in a collection or taken out."""
        self.lifetimes.get(act, place, offset, value)
        if act.rcu and self.rules.weakly_ordered and offset in self.lifetimes.meet(place).published:
            self.publishing.found(now, act, self.lifetimes.meet(value))
        if self.opcodes[now[3]] == op.REMOVE:
            self.lifetimes.take_out(act, place, offset, value)

    def section(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A section begins."""
        self.sections.begin(act, place)

    def section_end(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A section ends."""
        self.sections.end(act, place)

    # --- processors ---------------------------------------------------------------------------------------

    def interrupt(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An interrupt comes."""
        self.tracker.interrupt(act, value)
        known = self.sent.pop((now[1], place), None)
        if known is not None:
            self.tracker.learn(act.thread, known)

    def end_interrupt(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A handler ends."""
        self.sections.finish_all(act)
        if act.putting:
            self.lifetimes.give(act)
        self.order.kept(self.tracker.holds(act), "leaves an interrupt handler", now)
        self.tracker.end_interrupt(act, value)

    def mask(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """Interrupts are masked or allowed."""
        was = act.masked
        self.tracker.set_mask(act, value)
        if was and not act.masked and (act.held or self.tracker.owned[now[1]]):
            self.order.unmasked(act, now[1], now[0])

    def halt(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A processor waits for an interrupt, which it allows."""
        act.mode = at.IDLE
        self.tracker.set_mask(act, 0)

    def atomic(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """Preemption goes off or on."""
        act.atomic = value
        if self.rules.preemptible:
            self.tracker.refresh(act)

    def barrier(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """What was written before is seen before what is written after."""
        self.tracker.fence(act.thread)

    def rcu(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An RCU read section begins."""
        act.rcu += 1

    def rcu_end(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An RCU read section ends."""
        act.rcu -= 1
        if act.rcu == 0:
            act.met.clear()

    def send(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A message to a processor, perhaps through a device: its handler knows what was done before."""
        known = self.tracker.fence(act.thread)
        self.sent[value, offset] = self.joined(self.sent.get((value, offset)), known)

    def wake(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A context is woken: if it sleeps, it knows what was done before."""
        other = self.tracker.activities.get(value)
        if other is not None and other.virtual < 0:
            known = self.tracker.fence(act.thread)
            self.woken[value] = self.joined(self.woken.get(value), known)

    def spawn(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A process gets a context: what it does comes after what its maker did."""
        self.tracker.begin_anew(value)
        self.woken[value] = self.tracker.fence(act.thread)

    def run(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A hypervisor lets a virtual processor run, or one leaves to it: each knows what the other did."""
        other = self.tracker.running.get(value)
        if other is not None:
            self.tracker.learn(other.thread, self.tracker.fence(act.thread))

    def switch(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A processor goes on with another context."""
        self.may_sleep(now, act, "gives up its processor", switching=True)
        new = self.tracker.activities[value]
        self.tracker.switch(act, new)
        known = self.woken.pop(value, None)
        if known is not None:
            self.tracker.learn(new.thread, known)

    def block(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A context goes to sleep for a lock."""
        self.may_sleep(now, act, f"sleeps for {self.places.lock(place, offset)}")

    def call(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A system call or page fault begins."""
        if value != at.USER:
            self.may_sleep(now, act, "may take a page fault", kind="page fault while atomic")
        act.mode = at.KERNEL
        self.tracker.refresh(act)

    def call_end(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A system call or page fault ends."""
        if value == at.USER:
            self.order.kept([*act.held, *self.tracker.owned[now[1]]], "returns to user mode", now)
            self.sections.finish_all(act)
            act.optimistic.clear()
            if act.putting:
                self.lifetimes.give(act)
        self.completed = now[0]
        act.mode = value
        self.tracker.refresh(act)

    def may_sleep(self, now: Now, act: Activity, deed: str, switching: bool = False,
                  kind: Kind = "sleep while atomic") -> None:  # fmt: skip
        """Report a context that does what it must not do now."""
        why = why_atomic(act, self.tracker, self.places, switching)
        if why and not self.findings.known(kind, now[3], why.partition(" of ")[0]):
            name = self.places.context(now[2])
            text = (
                f"{name} on processor {now[1]} {deed} at {self.places.place(now[3])} {why}: release or "
                "unmask before, or use a lock that may be held across a sleep"
            )
            self.findings.report(kind, (now,), (name,), text)


__all__ = ["Detector", "Fault", "Rules", "interleaving"]
