"""Watches what the locks of a port protect: which accesses of which threads each acquisition keeps apart.

A *span* is the time from an acquisition to the release of that lock. Two spans of one lock by two threads,
at least one of them exclusive, are kept apart by the lock. They need it for the parts of objects that both
access, one of them writing, but for those that somebody in some trial changes without that lock: it does
not protect them. What keeps them apart as well is said in `lockscape.experiments.need`.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from lockscape.experiments.claims import Claims, Hold
from lockscape.experiments.follow import Follower, Part, Unprotected
from lockscape.machine.activity import BOTTOM_HALF, Activity
from lockscape.machine.findings import Now, Rules
from lockscape.machine.state import State
from lockscape.program import opcodes as op


@dataclass(slots=True)
class Access:
    """What a span did with one part: whether it wrote, what it held each time, and when it came first.

    `once`: it came once only; `locks`: which locks it held each time, perhaps let go and taken again, those
    that were shared only to read; `atomic`: each access was an atomic operation; `virtual`: the processor of
    all, or -1; `alone`: how the object's life keeps these accesses apart from all others; `met`: who had come
    to the part at the span's end.
    """

    write: bool
    held: frozenset[Hold]
    now: Now
    locks: frozenset[int]
    atomic: bool
    virtual: int
    once: bool = True
    alone: str = ""
    met: frozenset[int] = frozenset()


@dataclass(slots=True)
class Span:
    """From an acquisition (row `pc`) of the lock at an address to its release, by a thread.

    `mine`: the number of this holding; `kind`: of its activity; `level`: how many interrupts deep; `started`,
    `last`: numbers of accesses, when it began and its own last; `masked`, `fixed`: interrupts or preemption
    were off before, `closed`: interrupts are off at least now; `switched`: the thread gave up its processor
    meanwhile.
    """

    pc: int
    lock: int
    shared: bool
    mine: int
    thread: int
    virtual: int
    kind: int
    level: int
    started: int
    masked: bool
    fixed: bool
    closed: bool
    switched: bool = False
    last: int = 0
    parts: dict[Part, Access] = field(default_factory=dict)

    @property
    def handler(self) -> bool:
        """Whether it is an interrupt handler's."""
        return self.kind >= BOTTOM_HALF

    def comes_over(self, other: "Span") -> bool:
        """Say whether its activity may come as an interrupt while the other one's has interrupts on."""
        return self.handler and self.kind > other.kind


class Witness(Follower):
    """The fault detector, which also notes spans and what was done in them."""

    def __init__(self, state: State, rules: Rules) -> None:
        super().__init__(state, rules)
        self.spans: list[Span] = []
        self.open: dict[int, list[Span]] = defaultdict(list)
        self.holdings: dict[int, tuple[object, int]] = {}
        self.switches: dict[int, int] = defaultdict(int)
        self.reading: dict[int, list[int]] = defaultdict(list)
        self.names: dict[int, str] = {}
        self.masking: set[int] = set()
        """Locks that mask interrupts."""
        self.recursive: set[int] = set()
        self.rows: set[int] = set()
        self.read_sides: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.for_readers: dict[int, Part] = {}
        """A part that writers publish and that was read in the RCU read sections that begin in a row."""
        self.swapped: dict[int, set[Part]] = defaultdict(set)
        """Parts that the compare-and-swap of a row came to."""
        self.claims = Claims(state)

    # --- what is held -------------------------------------------------------------------------------------

    def number(self, held: object) -> int:
        """Return the number of a holding."""
        known = self.holdings.get(id(held))
        if known is None:
            known = self.holdings[id(held)] = held, len(self.holdings) + 1
        return known[1]

    def held(self, act: Activity) -> frozenset[Hold]:
        """Return what an activity holds; what belongs to its processor ends with a switch."""
        passing = self.tracker.owned[act.virtual] if act.virtual >= 0 else []
        turn = self.switches[act.context] << 40
        held = {
            (h.lock, self.number(h) + (turn if h in passing else 0), h.shared)
            for h in self.tracker.holds(act)
        }
        if act.kind < BOTTOM_HALF and not self.rules.preemptible:
            held.add((-1 - act.virtual, turn, False))  # no other process has this processor until a switch
        return frozenset(held)

    def begin(self, act: Activity, pc: int, lock: int, shared: bool, mine: int, cls: int) -> None:
        """A span begins; the lock's own masking and preemption do not count as protection."""
        own_mask = int(self.tracker.locks[cls].masks)
        own_preempt = int(self.rules.preemptible and not self.tracker.sleeps[cls])
        self.rows.add(pc)
        self.names[lock] = self.tracker.locks[cls].name
        if own_mask:
            self.masking.add(lock)
        if self.tracker.recursive[cls]:
            self.recursive.add(lock)
        masked = act.mask > own_mask
        fixed = not self.rules.preemptible or masked or act.atomic > own_preempt
        span = Span(pc, lock, shared, mine, act.thread, act.virtual, act.kind,
                    len(act.frames), self.clock, masked, fixed, act.mask > 0)  # fmt: skip
        self.spans.append(span)
        self.open[act.context].append(span)

    def acquire(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A lock is taken: a span begins, unless it is taken again after a sleep."""
        super().acquire(now, act, place, offset, value)
        if now[3] not in self.tracker.saves_depth:
            owner = self.tracker.owned[act.virtual] if self.tracker.by_processor[value >> 1] else act.held
            held = owner[-1]
            self.begin(act, now[3], place + offset, held.shared, self.number(held), value >> 1)

    def release(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A lock is released: its last span ends, unless it is let go for a sleep."""
        super().release(now, act, place, offset, value)
        if now[3] not in self.tracker.saves_depth:
            self.end(act, place + offset)

    def end(self, act: Activity, lock: int) -> None:
        """The last span of a lock is over."""
        spans = self.open[act.context]
        for k in range(len(spans) - 1, -1, -1):
            if spans[k].lock == lock:
                del spans[k]
                return

    def optimistic(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An optimistic read begins."""
        super().optimistic(now, act, place, offset, value)
        self.reading[act.context].append(now[3])

    def retry(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An optimistic read ends: if it counts, it was a shared span."""
        pc = self.reading[act.context].pop() if self.reading[act.context] else -1
        if value & 1 and act.optimistic:
            self.begin(act, pc, place + offset, True, 0, value >> 1)
            super().retry(now, act, place, offset, value)
            self.end(act, place + offset)
        else:
            super().retry(now, act, place, offset, value)

    def rcu(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An RCU read section begins."""
        super().rcu(now, act, place, offset, value)
        self.rows.add(now[3])
        self.read_sides[act.context, len(act.frames)].append(now[3])

    def rcu_end(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """An RCU read section ends."""
        super().rcu_end(now, act, place, offset, value)
        self.read_sides[act.context, len(act.frames)].pop()

    def switch(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A processor goes on with another context."""
        self.switches[act.context] += 1
        for span in self.open[act.context]:
            span.switched = True
        super().switch(now, act, place, offset, value)

    def spawn(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A process gets a context: what another one that had it still held when it ended is over."""
        super().spawn(now, act, place, offset, value)
        self.open.pop(value, None)
        self.reading.pop(value, None)

    # --- what is done -------------------------------------------------------------------------------------

    def follow(self, now: Now, act: Activity, write: bool, part: Part, how: int) -> None:
        """A part is read or written: note it in every span that is open."""
        if self.opcodes[now[3]] == op.COMPARE_AND_SWAP:
            self.rows.add(now[3])
            self.swapped[now[3]].add(part)
        if act.rcu and not write and part[2] in self.lifetimes.objects[part[0]].published:
            for pc in self.read_sides[act.context, len(act.frames)]:
                self.for_readers.setdefault(pc, part)
        held = self.held(act)
        locks = frozenset(lock for lock, _, shared in held if lock >= 0 and not (shared and write))
        cls = self.lives[part[:2]].cls
        if (cls, part[2]) in self.claims.stored:
            self.claims.access(act.thread, now[3], write, part, cls, held)
        else:
            held |= self.claims.held(act.thread, held)
        for span in self.open[act.context]:
            if span.thread != act.thread or span.level != len(act.frames):
                continue
            span.last = self.clock
            known = span.parts.get(part)
            if known is None:
                span.parts[part] = Access(write, held, now, locks, how == op.ATOMIC, now[1])
            else:
                known.write |= write
                known.held &= held
                known.locks &= locks
                known.atomic &= how == op.ATOMIC
                known.once = False
                known.virtual = known.virtual if known.virtual == now[1] else -1


def unprotected_parts(witness: Witness) -> Unprotected:
    """Return which parts that somebody accesses under a lock are also changed without it."""
    found = set()
    for span in witness.spans:
        for part in span.parts:
            life = witness.lives[part[:2]]
            if life.changed_without(part[2], span.lock):
                found.add(
                    (
                        witness.names[span.lock],
                        witness.tracker.lock_places[span.lock] == part[0],
                        life.cls,
                        part[2],
                    )
                )
    return frozenset(found)
