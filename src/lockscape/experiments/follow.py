"""Follows what threads do with objects that others may know: the fault detector, keeping more of it."""

from collections import defaultdict
from dataclasses import dataclass, field

from lockscape.machine.activity import Activity
from lockscape.machine.faults import Detector
from lockscape.machine.findings import Now, Rules
from lockscape.machine.state import State
from lockscape.program import opcodes as op

Part = tuple[int, int, int]
"""An object's address and generation, and the offset of one of its parts."""


@dataclass(slots=True)
class Life:
    """When each thread last came to an object that others may know, and who freed it.

    `cls` is the number of its class. `changes`: by part, with which locks held exclusively each thread
    changed it, and when it did so first.
    """

    cls: int = -1
    last: dict[int, int] = field(default_factory=dict)
    changes: dict[int, dict[tuple[int, frozenset[int]], int]] = field(default_factory=dict)
    freed_by: int = -1

    def others(self) -> int:
        """Return when somebody came to it last who did not free it."""
        return max((when for thread, when in self.last.items() if thread != self.freed_by), default=-1)

    def takes_down(self, thread: int, when: int) -> bool:
        """Say whether a thread takes the object down from some time on: nobody else comes to it any more."""
        return thread == self.freed_by and self.others() < when

    def changed_without(self, offset: int, lock: int) -> bool:
        """Say whether somebody changed a part without a lock, but for who takes the object down."""
        return any(
            lock not in held and not self.takes_down(thread, when)
            for (thread, held), when in self.changes.get(offset, {}).items()
        )


Unprotected = frozenset[tuple[str, bool, int, int]]
"""(lock, own, number of a class, offset): parts of that class' objects that a lock does not protect; `own`:
of the object that the lock lies in."""


class Follower(Detector):
    """The fault detector, which also keeps who changed what under which locks.

    What a thread does with an object of its own, that no other has seen yet, is left out, and accesses that
    are racy on purpose. `clock` counts accesses.
    """

    def __init__(self, state: State, rules: Rules) -> None:
        super().__init__(state, rules)
        self.lives: dict[tuple[int, int], Life] = defaultdict(Life)
        self.clock = 0

    def access(self, now: Now, act: Activity, write: bool, place: int, offset: int, how: int) -> None:
        """An object's part is read or written."""
        before = self.lifetimes.objects.get(place)
        alone = before is not None and before.owner == act.thread
        later = bool(act.optimistic)
        super().access(now, act, write, place, offset, how)
        if alone or later:
            return
        self.clock += 1
        generation = self.lifetimes.objects[place].generation
        life = self.lives[place, generation]
        life.cls = self.lifetimes.objects[place].cls
        life.last[act.thread] = self.clock
        if how == op.RACY:
            return
        if write:
            key = act.thread, act.cover.lockset.exclusive
            life.changes.setdefault(offset, {}).setdefault(key, self.clock)
        self.follow(now, act, write, (place, generation, offset))

    def follow(self, now: Now, act: Activity, write: bool, part: Part) -> None:
        """A part that others may know is read or written, not by a racy access."""

    def free(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An object is freed."""
        generation = self.lifetimes.meet(place).generation
        self.lives[place, generation].freed_by = act.thread
        super().free(now, act, place, offset, value)
