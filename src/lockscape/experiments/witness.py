"""Watches what the locks of a port protect: which accesses of which threads each acquisition keeps apart.

A *span* is the time from an acquisition to the release of that lock. Two spans of one lock by two threads,
at least one of them exclusive, are kept apart by the lock. They need it for the parts of objects that both
access, one of them writing, but for those that somebody in some trial changes without that lock: it does
not protect them. If one acquisition is left out, such a pair is *excused*, and nothing that could be seen
goes wrong, if

- another lock keeps the two apart: each span has it without a break for all its accesses of those parts, one
  of the two exclusively; or each part has such a lock of its own (which is said: what they were together is
  then left to the mutant's own runs to show);
- one of the two comes to those parts only once, and each access of both is whole, by another lock or as an
  atomic operation: whatever the other does, this one access comes before or after each of them;
- both are on one processor, which cannot be taken from the first before its span ends.

Left out of this are parts where the life of their object keeps the two apart: what one of them *takes down*
(no other thread comes to it from the beginning of its span until the object is freed), what is *set before*
(nobody changes it any more when a second thread first comes to it, but who takes it down), and what one of
the two threads first comes to *later*, after the other's span. These are what happened in the runs, not rules
of the port (`OBSERVED`).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lockscape.experiments.follow import Follower, Part, Unprotected
from lockscape.machine.activity import BOTTOM_HALF, Activity
from lockscape.machine.findings import Now, Rules
from lockscape.machine.state import State
from lockscape.program import opcodes as op

OBSERVED = TAKEN_DOWN, SET_BEFORE, LATER = "taken down", "set before", "later"
"""Excuses that are no rule of the port, but the order in which things happened in runs."""

ONE_PROCESSOR, PART_BY_PART, ONE_ACCESS, ATOMIC = "one processor", "part by part", "one access", "atomic"
"""Further excuses that are no lock."""

Hold = tuple[int, int, bool]
"""A lock that is held without a break: its address, a number of this holding, and whether it is shared."""


@dataclass(slots=True)
class Access:
    """What a span did with one part: whether it wrote, what it held each time, and when it came first.

    `once`: it came once only; `locks`: which locks it held each time, perhaps let go and taken again, those
    that were shared only to read; `atomic`: each access was an atomic operation; `alone`: how the object's
    life keeps these accesses apart from all others; `met`: who had come to the part at the span's end.
    """

    write: bool
    held: frozenset[Hold]
    now: Now
    locks: frozenset[int]
    atomic: bool
    once: bool = True
    alone: str = ""
    met: frozenset[int] = frozenset()


@dataclass(slots=True)
class Span:
    """From an acquisition (row `pc`) of the lock at an address to its release, by a thread.

    `mine`: the number of this holding; `level`: how many interrupts deep; `started`, `last`: numbers of
    accesses, when it began and its own last; `masked`, `fixed`: interrupts or preemption were off before,
    `closed`: interrupts are off at least now; `switched`: the thread gave up its processor meanwhile.
    """

    pc: int
    lock: int
    shared: bool
    mine: int
    thread: int
    virtual: int
    handler: bool
    level: int
    started: int
    masked: bool
    fixed: bool
    closed: bool
    switched: bool = False
    last: int = 0
    parts: dict[Part, Access] = field(default_factory=dict)


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
        self.rows: set[int] = set()
        self.swapped: dict[int, set[Part]] = defaultdict(set)
        """Parts that the compare-and-swap of a row came to."""

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
        masked = act.mask > own_mask
        fixed = not self.rules.preemptible or masked or act.atomic > own_preempt
        span = Span(pc, lock, shared, mine, act.thread, act.virtual, act.kind >= BOTTOM_HALF,
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

    def switch(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A processor goes on with another context."""
        self.switches[act.context] += 1
        for span in self.open[act.context]:
            span.switched = True
        super().switch(now, act, place, offset, value)

    # --- what is done -------------------------------------------------------------------------------------

    def follow(self, now: Now, act: Activity, write: bool, part: Part, how: int) -> None:
        """A part is read or written: note it in every span that is open."""
        if self.opcodes[now[3]] == op.COMPARE_AND_SWAP:
            self.rows.add(now[3])
            self.swapped[now[3]].add(part)
        held = self.held(act)
        locks = frozenset(lock for lock, _, shared in held if lock >= 0 and not (shared and write))
        for span in self.open[act.context]:
            if span.thread != act.thread or span.level != len(act.frames):
                continue
            span.last = self.clock
            known = span.parts.get(part)
            if known is None:
                span.parts[part] = Access(write, held, now, locks, how == op.ATOMIC)
            else:
                known.write |= write
                known.held &= held
                known.locks &= locks
                known.atomic &= how == op.ATOMIC
                known.once = False
    def spawn(self, now: Now, act: Activity, place: int, offset: int, value: int) -> None:
        """A process gets a context: what another one that had it still held when it ended is over."""
        super().spawn(now, act, place, offset, value)
        self.open.pop(value, None)
        self.reading.pop(value, None)



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


class Need:
    """What acquisitions are needed for in one run: pairs of spans that nothing else keeps apart.

    Spans that did the same under the same protection are looked at once.
    """

    def __init__(self, witness: Witness, unprotected: Unprotected) -> None:
        self.names = witness.names
        self.by_row: dict[int, list[Span]] = defaultdict(list)
        self.by_part: dict[tuple[int, Part], list[Span]] = defaultdict(list)
        seen: set[object] = set()
        for span in witness.spans:
            key = _simplified(span, witness)
            if key not in seen:
                seen.add(key)
                self.by_row[span.pc].append(span)
                for part in span.parts:
                    self.by_part[span.lock, part].append(span)
        for lock, part in [*self.by_part]:
            own = witness.tracker.lock_places[lock] == part[0]
            if (self.names[lock], own, witness.lives[part[:2]].cls, part[2]) in unprotected:
                del self.by_part[lock, part]

    def pairs(self, row: int, weakened: bool) -> Iterator[tuple[Span, Span, Part]]:
        """Yield the pairs of spans that the acquisition of a row keeps apart, each with a part that they need
        it for; `weakened`: only those that it would not if it were shared."""
        for span in self.by_row[row]:
            for part, access in span.parts.items():
                for other in self.by_part.get((span.lock, part), ()):
                    if other.thread == span.thread or (span.shared and other.shared):
                        continue
                    if weakened and not other.shared and other.pc != row:
                        continue
                    if access.write or other.parts[part].write:
                        yield span, other, part

    def excuse(self, a: Span, b: Span) -> set[str]:
        """Return what keeps two spans apart without the first one's acquisition, or nothing."""
        common = [
            part for part, access in a.parts.items()
            if part in b.parts and (a.lock, part) in self.by_part and (access.write or b.parts[part].write)
        ]  # fmt: skip
        by_rule = self.rule(a, b, common)
        if by_rule:
            return by_rule
        alone = {part: self.alone(a, b, part) for part in common}
        left = [part for part in common if not alone[part]]
        by_rule = self.rule(a, b, left) if left else set()
        return by_rule | {why for why in alone.values() if why} if by_rule or not left else set()

    def rule(self, a: Span, b: Span, parts: Sequence[Part]) -> set[str]:
        """Return what keeps two spans apart for parts that both come to, or nothing."""
        if self.one_processor(a, b):
            return {ONE_PROCESSOR}
        whole = self.shared_by(a, b, parts)
        if whole:
            return self.named(whole)
        each = [self.shared_by(a, b, [part]) for part in parts]
        if all(each):
            return {PART_BY_PART, *self.named(set().union(*each))}
        return self.one_access(a, b, parts)

    def alone(self, a: Span, b: Span, part: Part) -> str:
        """Return how its object's life keeps what two spans do with a part apart, or nothing."""
        known = a.parts[part].alone or b.parts[part].alone
        together = a.thread in b.parts[part].met and b.thread in a.parts[part].met
        return known or ("" if together else LATER)

    def one_access(self, a: Span, b: Span, parts: Sequence[Part]) -> set[str]:
        """Return what makes the accesses of two spans whole, one of which comes to the parts only once."""
        first, second = a.parts[parts[0]], b.parts[parts[0]]
        if len(parts) > 1 or not (first.once or second.once):
            return set()
        if first.atomic and second.atomic:
            return {ONE_ACCESS, ATOMIC}
        locks = set(first.locks & second.locks) - {a.lock}
        return {ONE_ACCESS, *self.named(locks)} if locks else set()

    def one_processor(self, a: Span, b: Span) -> bool:
        """Say whether two spans are on one processor that is not taken from either before it ends."""
        masked = b.closed if a.pc != b.pc else b.masked
        return a.virtual == b.virtual and _stays(a, b.handler, a.masked) and _stays(b, a.handler, masked)

    def shared_by(self, a: Span, b: Span, parts: Sequence[Part]) -> set[int]:
        """Return the locks that both have without a break for all accesses of parts, one exclusively."""
        first = frozenset.intersection(*(a.parts[p].held for p in parts))
        second = frozenset.intersection(*(b.parts[p].held for p in parts))
        if a.pc == b.pc:
            second = frozenset(h for h in second if h[:2] != (b.lock, b.mine))
        return {
            lock
            for lock, number, shared in first
            for other, _, also in second
            if lock == other and (lock, number) != (a.lock, a.mine) and not (shared and also)
        }

    def named(self, locks: set[int]) -> set[str]:
        """Return the names of locks; a negative number stands for a processor."""
        return {ONE_PROCESSOR if lock < 0 else self.names[lock] for lock in locks}


def _simplified(span: Span, witness: Witness) -> object:
    """Number the holdings of a span from 0, mark what it takes down, and return all that is to say of it."""
    numbers = sorted({number for access in span.parts.values() for _, number, _ in access.held})
    rank = {number: k for k, number in enumerate(numbers)}
    span.mine = rank.get(span.mine, -1)
    for part, access in span.parts.items():
        access.held = frozenset((lock, rank[number], shared) for lock, number, shared in access.held)
        life = witness.lives[part[:2]]
        access.met = life.parts[part[2]].met(span.last)
        if life.takes_down(part[2], span.thread, span.started):
            access.alone = TAKEN_DOWN
        elif life.set_before(part[2]):
            access.alone = SET_BEFORE
    return (
        span.pc, span.lock, span.shared, span.mine, span.thread, span.virtual, span.handler, span.masked,
        span.fixed, span.closed, span.switched,
        frozenset(
            (p, a.write, a.held, a.locks, a.atomic, a.once, a.alone, a.met) for p, a in span.parts.items()
        ),
    )  # fmt: skip


def _stays(span: Span, handler: bool, masked: bool) -> bool:
    """Say whether nothing can come in between on a span's processor: another process, or a handler."""
    if span.handler:
        return True
    return masked if handler else span.fixed and not span.switched
