"""Says what acquisitions are needed for in one run: pairs of spans that nothing else keeps apart.

If one acquisition is left out, a pair of spans (`lockscape.experiments.witness`) that the lock keeps apart is
*excused*, and nothing that could be seen goes wrong, if

- another lock keeps the two apart: each span has it without a break for all its accesses of those parts, one
  of the two exclusively; or each part has such a lock of its own (which is said: what they were together is
  then left to the mutant's own runs to show);
- one of the two comes to those parts only once, and each access of both is whole, by another lock or as an
  atomic operation: whatever the other does, this one access comes before or after each of them;
- both are on one processor, which cannot be taken from the first before its span ends;
- a flag keeps the two apart (`lockscape.experiments.claims`), which is not proved.

If interrupts are left on, a pair of which one is a handler's is excused if a lock that masks them, which both
have without a break, lies inside, or a flag keeps them apart.

Left out of this are parts where the life of their object keeps the two apart: what one of them *takes down*
(no other thread comes to it from the beginning of its span until the object is freed), what is *set before*
(nobody changes it any more when a second thread first comes to it, but who takes it down), what is *cut off*
(the object is one that is allocated, was not freed, and no other thread comes to any part of it from the
beginning of its span until the run is over), and what one of the two threads first comes to *later*, after
the other's span. These are what happened in the runs, not rules of the port (`OBSERVED`).
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Sequence

from lockscape.experiments.claims import FIRST
from lockscape.experiments.follow import Part, Unprotected
from lockscape.experiments.witness import Span, Witness

OBSERVED = TAKEN_DOWN, SET_BEFORE, CUT_OFF, LATER = "taken down", "set before", "cut off", "later"
"""Excuses that are no rule of the port, but the order in which things happened in runs."""

ONE_PROCESSOR, PART_BY_PART, ONE_ACCESS, ATOMIC = "one processor", "part by part", "one access", "atomic"
"""Further excuses that are no lock."""

Rule = Callable[[Span, Span, Sequence[Part]], set[str]]
"""Returns what keeps two spans apart for parts that both come to, or nothing."""


class Need:
    """What acquisitions are needed for in one run: pairs of spans that nothing else keeps apart.

    Spans that did the same under the same protection are looked at once.
    """

    def __init__(self, witness: Witness, unprotected: Unprotected) -> None:
        self.flags = witness.claims.kept(witness.lives)
        self.names = witness.names | self.flags
        self.masking = witness.masking
        self.recursive = witness.recursive
        self.by_row: dict[int, list[Span]] = defaultdict(list)
        self.by_part: dict[tuple[int, Part], list[Span]] = defaultdict(list)
        seen: set[object] = set()
        for span in witness.spans:
            key = _simplified(span, witness, self.flags)
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

    def lets_in(self, a: Span, b: Span, part: Part) -> bool:
        """Say whether the lock does not keep two spans apart for a part at all: it is recursive, and one is a
        handler's on the processor where the other comes to that part, so it may come on top of it."""
        if a.lock not in self.recursive:
            return False
        over, under = (a, b) if a.comes_over(b) else (b, a)
        return over.comes_over(under) and under.parts[part].virtual == over.virtual

    def excuse(self, a: Span, b: Span) -> set[str]:
        """Return what keeps two spans apart without the first one's acquisition, or nothing."""
        return self.excuse_by(self.rule, a, b)

    def excuse_open(self, a: Span, b: Span) -> set[str]:
        """Return what keeps the second, a handler's, apart from the first if that has interrupts on."""
        return self.excuse_by(self.masked, a, b)

    def excuse_by(self, rule: Rule, a: Span, b: Span) -> set[str]:
        """Return what keeps two spans apart by a rule, or by the life of the objects, or nothing."""
        common = [
            part for part, access in a.parts.items()
            if part in b.parts and (a.lock, part) in self.by_part and (access.write or b.parts[part].write)
        ]  # fmt: skip
        by_rule = rule(a, b, common)
        if by_rule:
            return by_rule
        alone = {part: self.alone(a, b, part) for part in common}
        left = [part for part in common if not alone[part]]
        by_rule = rule(a, b, left) if left else set()
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

    def masked(self, a: Span, b: Span, parts: Sequence[Part]) -> set[str]:
        """Return the locks that keep interrupts off for parts that both come to, or nothing."""
        closed = self.masking | self.flags.keys()
        whole = self.shared_by(a, b, parts) & closed
        if whole:
            return self.named(whole)
        each = [self.shared_by(a, b, [part]) & closed for part in parts]
        return {PART_BY_PART, *self.named(set().union(*each))} if all(each) else set()

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
            second = frozenset(h for h in second if h[1] != b.mine)
        return {
            lock
            for lock, number, shared in first
            for other, _, also in second
            if lock == other and number != a.mine and not (shared and also)
        }

    def named(self, locks: set[int]) -> set[str]:
        """Return the names of locks and flags; others are processors."""
        return {self.names.get(lock, ONE_PROCESSOR) for lock in locks}


def _simplified(span: Span, witness: Witness, flags: Container[int]) -> object:
    """Number the holdings of a span from 0, mark what it takes down, and return all that is to say of it."""
    for access in span.parts.values():
        access.held = frozenset(hold for hold in access.held if hold[0] > FIRST or hold[0] in flags)
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
        elif not witness.state.layouts[life.cls].count and life.cut_off(span.thread, span.started):
            access.alone = CUT_OFF
    return (
        span.pc, span.lock, span.shared, span.mine, span.thread, span.virtual, span.kind, span.masked,
        span.fixed, span.closed, span.switched,
        frozenset(
            (p, a.write, a.held, a.locks, a.atomic, a.virtual, a.once, a.alone, a.met)
            for p, a in span.parts.items()
        ),
    )  # fmt: skip


def _stays(span: Span, handler: bool, masked: bool) -> bool:
    """Say whether nothing can come in between on a span's processor: another process, or a handler."""
    if span.handler:
        return True
    return masked if handler else span.fixed and not span.switched
