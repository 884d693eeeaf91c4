"""The machine of the SimPy model: events in the order of the rule for ties, processors, locks.

At one time devices come first, then processors by number, and on a processor an interrupt before what it would
do itself. SimPy orders events of one time by priority, so each has the priority of that rule.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

import simpy
from simpy.events import Event

if TYPE_CHECKING:
    from simpy_kernel import Context
    from simpy_kernel_objects import Thing

DEVICE_FIRST = 1

TICK, DISK, ARRIVED, SENT = 0, 2, 4, 5
HANDLERS = {
    TICK: "timer_interrupt", 1: "reschedule_interrupt", DISK: "disk_interrupt", ARRIVED: "packet_arrived",
    SENT: "packet_sent",
}  # fmt: skip
DEVICES = (DISK, SENT, ARRIVED)
"""Interrupt vectors of the devices, by their numbers."""
NEVER = 1 << 60

SLEEPING = ("sema", "rwsem")

TRYING, COMMITTING = 1, 2
"""What a process does in a section on versions: nothing yet, or all of it at one instant."""


class Abandoned(Exception):  # noqa: N818  (an interrupt, no error)
    """An interrupt came into an attempt, which begins again."""


POLL_CYCLES = 50
"""One look of a reader at a sequence that is being written."""


class Due(Event):
    """An event that happens after some cycles, with the priority of a processor or device."""

    def __init__(self, env: simpy.Environment, cycles: int, priority: int) -> None:
        super().__init__(env)
        self._ok, self._value = True, None
        env.schedule(self, priority, cycles)


class Processor:
    """A processor: the process that it runs, and when each interrupt is due."""

    def __init__(self, env: simpy.Environment, number: int) -> None:
        self.env = env
        self.number = number
        self.priority = DEVICE_FIRST + len(DEVICES) + 1 + 2 * number
        self.context: Context
        self.due = dict.fromkeys(HANDLERS, NEVER)
        self.period = 0

    def raise_at(self, vector: int, cycles: int) -> None:
        """Make an interrupt due after some cycles, unless it is due before."""
        when = self.env.now + cycles
        if when < self.due[vector]:
            self.due[vector] = when
            Due(self.env, max(cycles, 0), self.priority - 1).callbacks.append(lambda _: self.deliver())

    def next_vector(self) -> int:
        """Return the interrupt that is to be taken now, or -1."""
        vector = min(self.due, key=lambda v: (self.due[v], v))
        return vector if self.due[vector] <= self.env.now else -1

    def deliver(self) -> None:
        """Interrupt what runs here; what masks interrupts looks when it unmasks them."""
        if self.context.masks == 0 and self.next_vector() >= 0:
            self.context.process.interrupt()

    def take(self, vector: int) -> None:
        """Note that an interrupt is taken; the timer's next one is due a tick after this one was."""
        was, self.due[vector] = self.due[vector], NEVER
        if vector == TICK:
            self.raise_at(TICK, was + self.period - self.env.now)


class Lock:
    """A lock; waiters are served in order of arrival, readers that wait together.

    It is *fair* if nobody overtakes them, and if an interrupt does not take back what was given.
    """

    def __init__(self, name: str, about: Mapping, fair: bool) -> None:
        self.name, self.kind = name, about["kind"]
        self.fair = fair or about.get("fair", False)
        self.sleeps = self.kind in SLEEPING
        self.by_processor = about.get("owner") == "processor"
        self.recursive, self.masks = about.get("recursive", False), about.get("masks", False)
        self.owner: object = None
        self.depth = self.readers = self.sequence = 0
        self.waiters: deque[Wait] = deque()

    def free_for(self, shared: bool) -> bool:
        return self.owner is None and (shared or self.readers == 0)

    def open_to(self, shared: bool) -> bool:
        """Whether who comes now may have it at once."""
        return self.free_for(shared) and not (self.waiters and self.fair and (shared or self.sleeps))

    def take_back(self, shared: bool) -> None:
        if shared:
            self.readers -= 1
        else:
            self.owner, self.depth = None, 0

    def give(self, who: object, shared: bool) -> None:
        if shared:
            self.readers += 1
        else:
            self.owner, self.depth = who, 1


class Wait:
    """A wait for a lock. `given`: the lock is its context's now; `woken`: somebody wakes its context."""

    def __init__(self, context: Context, shared: bool) -> None:
        self.context, self.shared, self.given, self.woken = context, shared, False, False
        self.event = Event(context.env)


def ready(event: Event) -> Event:
    """Return an event as one that happens when it is scheduled."""
    event._ok, event._value = True, None
    return event


class Guard:
    """What a rule does around statements; `enter` says whether they are to be done (again)."""

    def __init__(self, context: Context, rule: Mapping, where: Thing | None) -> None:
        self.x, self.mode = context, rule["mode"]
        self.lock = context.kernel.lock(rule["lock"], where) if where is not None else None
        self.shared = self.mode == "shared"
        self.seen = self.depth = -1
        self.done = False
        self.is_version = self.mode == "exclusive" and self.lock is not None and self.lock.kind == "version"
        self.outermost = False

    def caught(self) -> None:
        """An interrupt came into the attempt: the outermost guard begins it again."""
        if not self.outermost:
            raise Abandoned

    def attempt(self) -> None:
        x = self.x
        if x.trying == 0:
            x.trying, x.versions, x.open, self.outermost = TRYING, [], 0, True
        if x.trying == TRYING:
            x.versions.append((self.lock, self.lock.sequence))
        x.open += 1

    def commit(self) -> Generator:
        """End an attempt, which its outermost guard then does for good or again; or pay for what was done."""
        x, again = self.x, not self.x.trying
        if not again:
            x.open -= 1
        if again or x.open:
            self.done = not again
            return
        costs, trying, x.trying = x.kernel.costs, x.trying, 0
        if trying == COMMITTING:
            for lock, _ in x.versions:
                x.kernel.taken[lock.name] = x.kernel.taken.get(lock.name, 0) + 1
                lock.sequence += 2 * x.wrote
            words = len(x.versions) + max(x.words, 1)
            swaps = (3 * words + 1) * costs["cas"]
            if x.kernel.options["double_cas"]:
                swaps = words * costs["cas2"] + (words + 1) * costs["cas"] if words > 2 else costs["cas2"]
            yield from x.compute(swaps if x.wrote else 0, let_others=x.requested)
            return
        self.done = False
        if all(lock.sequence == seen for lock, seen in x.versions):
            x.trying, x.wrote, x.requested, x.words = COMMITTING, False, False, 0
        else:
            yield from x.compute(costs["cas"])

    def enter(self) -> Generator:
        if self.done:
            return False
        self.done = True
        if self.is_version:
            self.attempt()
        elif self.mode == "mask":
            self.x.masks += 1
        elif self.mode in ("preempt", "rcu"):
            self.x.kept += 1  # a reader's processor is quiet only when the reader is through
        elif self.mode == "funnel":
            yield from self.x.kernel.functions["enter_master"](self.x)
        elif self.mode == "retry":
            while self.lock.sequence % 2:
                yield from self.x.compute(POLL_CYCLES)
            self.seen = self.lock.sequence
        elif self.mode == "drop":
            # a processor's lock stays with it, whoever runs there next; the process keeps its own depth
            self.depth = self.lock.depth if self.x.holds(self.lock) else 0
            if self.depth and not self.lock.by_processor:
                yield from self.x.release(self.lock, depth=self.depth)
            else:
                yield from self.x.wake_waiters(self.lock)
        elif self.mode == "arrive":
            yield from self.x.retake(self.lock, 1)
        else:
            if self.lock.masks:
                self.x.masks += 1
            self.x.kept += not self.lock.sleeps
            yield from self.x.acquire(self.lock, self.shared)
        return True

    def leave(self) -> Generator:
        if self.x.kernel.over:
            return
        if self.is_version:
            yield from self.commit()
        elif self.mode == "mask":
            yield from self.x.unmask()
        elif self.mode in ("preempt", "rcu"):
            self.x.kept -= 1
        elif self.mode == "funnel":
            yield from self.x.kernel.functions["leave_master"](self.x)
        elif self.mode == "retry":
            self.done = self.lock.sequence == self.seen
        elif self.mode == "drop":
            yield from self.x.retake(self.lock, self.depth)
        else:
            yield from self.x.release(self.lock, self.shared)
            self.x.kept -= self.mode != "arrive" and not self.lock.sleeps
            if self.lock.masks:
                yield from self.x.unmask()
