"""Looks whether what a mutant no longer protects is broken: critical sections that no order explains.

What is done under a lock is to be seen together by all who take that lock. A *region* is what was done under
it, or what a mutant did without it. When a mutant's region and another one of the same lock overlap in time,
and each did something before the other did something that conflicts with it, then no order of the two, one
after the other, explains what they saw: the lock's critical section is broken. Parts that somebody changes
without that lock in the port as it is do not count (`unprotected`), for it does not protect them.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from lockscape.experiments.follow import Follower, Part, Unprotected
from lockscape.machine.activity import Activity
from lockscape.machine.execute import Stopped
from lockscape.machine.findings import Now, Rules
from lockscape.machine.state import State
from lockscape.ports.mutants import TOLD, UNPROTECTED, Mutant
from lockscape.program import opcodes as op
from lockscape.program.assemble import Binary

Conflict = tuple[Part, Now, Now]
"""A part, and two accesses of it, one of them writing, in the order of time."""


NO_LOCK = -1
"""What stands for the lock of a region that was on the master processor instead, or tells something."""


@dataclass(slots=True, eq=False)
class Region:
    """What a thread does under a lock, or without it where a mutant should have taken it (`broken`).

    `context`: where; `level`: how many interrupts deep.
    """

    lock: int
    shared: bool
    broken: bool
    thread: int
    context: int
    level: int
    began: int = 0
    parts: dict[Part, tuple[bool, Now]] = field(default_factory=dict)
    after: dict["Region", Conflict] = field(default_factory=dict)
    live: bool = True


class Overlaps(Follower):
    """The fault detector of a mutant; `row` is the row of an acquisition that is weakened, or -1."""

    def __init__(
        self, state: State, rules: Rules, mutant: Mutant, row: int, unprotected: Unprotected
    ) -> None:
        super().__init__(state, rules)
        binary = state.binary
        self.mutant = mutant
        self.rows = {k for k, name in enumerate(binary.where) if name == mutant.function}
        self.executed: set[int] = set()
        """Virtual processors that came to the mutant's function."""
        self.shared = mutant.mode in ("shared", "retry")
        self.weakened = row
        self.unprotected = frozenset(each[1:] for each in unprotected if each[0] == mutant.lock)
        self.lock = binary.locks.index(mutant.lock) if mutant.lock in binary.locks else -1
        name = f"{mutant.function}/{UNPROTECTED}"
        self.section_number = binary.sections.index(name) if name in binary.sections else -1
        self.tells = _first_loads(binary, self.section_number) if self.lock >= 0 else set[int]()
        self.told = mutant.mode in TOLD
        self.lockless = self.told or mutant.mode == "funnel"
        self.reached = False
        self.open: dict[int, list[Region]] = defaultdict(list)
        self.regions: dict[int, list[Region]] = defaultdict(list)
        self.bare: list[Region] = []
        self.cycles: list[tuple[Conflict, Conflict]] = []

    # --- regions ------------------------------------------------------------------------------------------

    def begin(self, act: Activity, lock: int, shared: bool, broken: bool) -> None:
        """A region begins. Those that ended before all that are live began can overlap with none."""
        region = Region(lock, shared, broken, act.thread, act.context, len(act.frames), self.clock)
        known = self.regions[lock]
        if not any(other.live for other in known):
            known.clear()
        known.append(region)
        self.open[act.context].append(region)
        if lock == NO_LOCK:
            self.bare.append(region)

    def end(self, act: Activity, lock: int, broken: bool) -> None:
        """The last region of a lock is over."""
        for region in reversed(self.open[act.context]):
            if region.lock == lock and region.broken == broken:
                region.live = False
                self.open[act.context].remove(region)
                return

    def section(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A section begins, but for one where the lock is missing: its first access tells whose that is."""
        self.reached |= place == self.section_number
        if place == self.section_number and self.lockless:
            self.begin(act, NO_LOCK, False, True)
        elif place != self.section_number:
            super().section(now, act, place, offset, value)

    def section_end(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A section ends."""
        if place != self.section_number:
            super().section_end(now, act, place, offset, value)
            return
        broken = [region for region in self.open[act.context] if region.broken]
        if broken:
            self.end(act, broken[-1].lock, True)

    def access(self, now: Now, act: Activity, write: bool, place: int, offset: int, how: int) -> None:
        """An object's part is read or written, or a region begins where the lock is missing."""
        if now[3] in self.rows:
            self.executed.add(now[1])
        if now[3] in self.tells:
            lock = place + self.state.class_of(place).locks[self.state.binary.locks[self.lock]]
            self.tracker.lock_places[lock] = place
            self.begin(act, lock, self.shared, True)
            return
        super().access(now, act, write, place, offset, how)

    def acquire(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A lock is taken."""
        super().acquire(now, act, place, offset, value)
        if value >> 1 == self.lock:
            weakened = now[3] == self.weakened
            self.begin(act, place + offset, bool(value & 1) and not weakened, weakened)

    def release(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A lock is released."""
        super().release(now, act, place, offset, value)
        if value >> 1 == self.lock:
            lock = place + offset
            mine = [region for region in self.open[act.context] if region.lock == lock]
            if mine:
                self.end(act, lock, mine[-1].broken)

    def switch(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A processor goes on with another context: a lock that is dropped then would be so here, too."""
        if self.lock >= 0 and self.tracker.dropped_on_sleep[self.lock]:
            for region in [*self.open[act.context]]:
                if region.broken:
                    self.end(act, region.lock, True)
        super().switch(now, act, place, offset, value)

    # --- what is done in them -----------------------------------------------------------------------------

    def follow(self, now: Now, act: Activity, write: bool, part: Part, how: int) -> None:
        """A part is read or written: each region that is open comes after those that it conflicts with."""
        cls = self.lives[part[:2]].cls
        for region in self.open[act.context]:
            if region.thread != act.thread or region.level != len(act.frames):
                continue
            if (self.tracker.lock_places.get(region.lock) == part[0], cls, part[2]) in self.unprotected:
                continue
            for other in self.regions[region.lock]:
                if self.apart(region, other):
                    self.conflict(region, other, now, write, part)
            wrote, first = region.parts.get(part, (False, now))
            region.parts[part] = wrote or write, first

    def apart(self, region: Region, other: Region) -> bool:
        """Say whether the lock, of which one of two regions is without, keeps them apart.

        A recursive lock does not keep an interrupt handler from what it came on top of.
        """
        if not (other.broken or region.broken) or (other.shared and region.shared):
            return False
        came_over = self.lock >= 0 and self.tracker.recursive[self.lock] and other.context == region.context
        return other.thread != region.thread and not came_over

    def conflict(self, region: Region, other: Region, now: Now, write: bool, part: Part) -> None:
        """Note whether a region comes after another, and whether that one comes after it already."""
        wrote, then = other.parts.get(part, (False, None))
        if then is None or not (write or wrote):
            return
        why = region.after.setdefault(other, (part, then, now))
        if region in other.after:
            self.cycles.append((other.after[region], why))

    def finish(self, stopped: Stopped) -> None:
        """The run has ended: report the first broken critical section."""
        super().finish(stopped)
        if self.cycles and not self.told:
            self.tell(*self.cycles[0])

    def met_others(self) -> bool:
        """Say whether another thread changed what was done off the master processor, or saw its changes."""
        return any(
            any(thread != region.thread for thread, _ in uses.changed) or (wrote and len(uses.last) > 1)
            for region in self.bare
            for part, (wrote, _) in region.parts.items()
            for uses in [self.lives[part[:2]].parts[part[2]]]
        )

    def tell(self, first: Conflict, second: Conflict) -> None:
        """Report a broken critical section."""
        parts = tuple(dict.fromkeys(self.places.part(c[0][0], c[0][2]) for c in (first, second)))
        told = "; ".join(
            f"{self.places.part(part[0], part[2])} by {self.places.party(*a)} before {self.places.party(*b)}"
            for part, a, b in (first, second)
        )
        text = (
            f"critical section of {self.state.binary.locks[self.lock]} broken: no order one after the other "
            f"explains {told}: take the lock in both places"
        )
        self.findings.report("broken section", (first[1], first[2]), parts, text)


def _first_loads(binary: Binary, section: int) -> set[int]:
    """Return the rows that read first in a section: those that tell which object a missing lock lies in."""
    codes = binary.code.tolist()
    begins = [k for k, row in enumerate(codes) if row[0] == op.SECTION and row[1] == section and row[2] == 1]
    reads = (op.LOAD, op.COUNT)
    return {next(k for k in range(begin, len(codes)) if codes[k][0] in reads) for begin in begins}
