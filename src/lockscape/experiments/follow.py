"""Follows what threads do with objects that others may know: the fault detector, keeping more of it."""

from collections import defaultdict
from collections.abc import Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lockscape.machine.activity import TAIL, Activity, Lockset
from lockscape.machine.faults import Detector
from lockscape.machine.findings import Now, Rules
from lockscape.machine.state import State
from lockscape.program import opcodes as op
from lockscape.program.walk import called, walk

Part = tuple[int, int, int]
"""An object's address and generation, and the offset of one of its parts."""


@dataclass(slots=True)
class Uses:
    """Who used a part of an object, and when: each thread's first and last use; when it first changed it with
    a set of locks held exclusively; `where` (see `home`); and `late`, when it first did so after another had
    come to it. `locks` were held each time, exclusively by who changed it; `plain`: somebody came by no
    atomic or racy access."""

    first: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    changed: dict[tuple[int, frozenset[int]], int] = field(default_factory=dict)
    where: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    late: dict[int, int] = field(default_factory=dict)
    locks: frozenset[int] | None = None
    plain: bool = False

    def use(self, thread: int, when: int, write: bool, held: Lockset, how: int) -> None:
        """A thread comes to the part."""
        locks = held.exclusive if write else held.any
        self.locks = locks if self.locks is None else self.locks & locks
        self.plain |= how == op.EXCLUSIVE
        if write and thread not in self.late and any(other != thread for other in self.last):
            self.late[thread] = when
        self.first.setdefault(thread, when)
        self.last[thread] = when

    def met(self, when: int) -> frozenset[int]:
        """Return which threads had come to the part by some time."""
        return frozenset(thread for thread, first in self.first.items() if first <= when)

    def is_last(self, thread: int, when: int) -> bool:
        """Say whether from some time on no other thread comes to the part."""
        return all(other == thread or last < when for other, last in self.last.items())


@dataclass(slots=True)
class Life:
    """What became of an object that others may know: the number of its class, who used its parts (by
    offset), and whether it was freed."""

    cls: int = -1
    parts: dict[int, Uses] = field(default_factory=lambda: defaultdict(Uses))
    freed: bool = False

    def takes_down(self, offset: int, thread: int, when: int) -> bool:
        """Say whether from some time on only one thread comes to a part, until the object is freed."""
        return self.freed and self.parts[offset].is_last(thread, when)

    def cut_off(self, thread: int, when: int) -> bool:
        """Say whether from some time on only one thread comes to the object, until the run is over."""
        return not self.freed and all(uses.is_last(thread, when) for uses in self.parts.values())

    def set_before(self, offset: int) -> bool:
        """Say whether a part was last changed before a second thread came to it, but for its taking down."""
        return all(self.takes_down(offset, *change) for change in self.parts[offset].late.items())

    def changed_without(self, offset: int, lock: int) -> bool:
        """Say whether somebody changed a part without a lock, but for its taking down."""
        return any(
            lock not in held and not self.takes_down(offset, thread, when)
            for (thread, held), when in self.parts[offset].changed.items()
        )


Unprotected = frozenset[tuple[str, bool, int, int]]
"""(lock, own, number of a class, offset): parts of that class' objects that a lock does not protect; `own`:
of the object that the lock lies in."""


def home(act: Activity) -> int:
    """Return the processor that a process is on and that is not taken from it, or -1."""
    return act.cover.virtual if act.cover.kind <= TAIL and act.cover.fixed else -1


PC = 3
"""Column of the trace in which the row of code stands."""


class Visits(Detector):
    """The fault detector, which also counts how often each row of code came to an object, a lock or another
    processor."""

    def __init__(self, state: State, rules: Rules) -> None:
        super().__init__(state, rules)
        self.visits = np.zeros(len(state.binary.where), np.int64)

    def read(self, rows: NDArray[np.int64]) -> None:
        """Read further rows of the trace."""
        self.visits += np.bincount(rows[:, PC], minlength=len(self.visits))
        super().read(rows)

    def often(self, row: int, function: str) -> float:
        """Return the share of a row in all visits; of a function, if the row is -1.

        One that comes to nothing itself has at most the share of what it calls.
        """
        share = self.share({row}) if row >= 0 else self.share(self.rows_of(function))
        if row >= 0 or share:
            return share
        body = self.state.program.functions[function].body
        return self.share({k for s in walk(body) for name in called(s) for k in self.rows_of(name)})

    def rows_of(self, function: str) -> set[int]:
        """Return the rows of code of a function."""
        return {k for k, name in enumerate(self.state.binary.where) if name == function}

    def share(self, rows: Set[int]) -> float:
        """Return the share of rows in all visits."""
        return float(self.visits[sorted(rows)].sum() / max(1, self.visits.sum()))


class Follower(Visits):
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
        uses = life.parts[offset]
        uses.use(act.thread, self.clock, write, act.cover.lockset, how)
        if how == op.RACY:
            return
        if write:
            uses.changed.setdefault((act.thread, act.cover.lockset.exclusive), self.clock)
            uses.where[act.thread].add(home(act))
        self.follow(now, act, write, (place, generation, offset), how)

    def follow(self, now: Now, act: Activity, write: bool, part: Part, how: int) -> None:
        """A part that others may know is read or written, not by a racy access; `how`: its discipline."""

    def free(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An object is freed."""
        generation = self.lifetimes.meet(place).generation
        self.lives[place, generation].freed = True
        super().free(now, act, place, offset, value)
