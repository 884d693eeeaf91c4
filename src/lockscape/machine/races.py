"""Races: locksets filtered by happens-before.

Two accesses of one part of an object by different threads, one of them a write, are a race unless

- the table of disciplines lets them meet (`may_meet`);
- one happened before the other: by a message (an interrupt sent, a device asked, a timer set), a wake-up, an
  atomic operation that returns a value, handing the object over through a collection, or a racy reference
  that was set before and is followed then. Locks do *not* order: else a race would hide whenever something
  else was locked in between. Nor does a switch;
- on different processors, both held a common lock, one of them exclusively;
- on one processor, neither could come while the other had not finished: both processes where the kernel is
  not preemptible, or with preemption or interrupts off; a handler and a process with interrupts off.

A thread that does something unprotected with an object made in this run may be taking it down, unreachable
for others. This is a race only if another thread comes to the object afterwards, or it is never freed
(`Suspect`). If the earlier of the two accesses was the one without a lock, another thread has come.
"""

from lockscape.machine.activity import BOTTOM_HALF, HANDLER, TAIL, Activity, Clock, Cover, Tracker
from lockscape.machine.findings import Findings, Now
from lockscape.machine.lifetimes import Known, Part, Record, Suspect
from lockscape.machine.places import Places
from lockscape.program import opcodes as op

MOST_RECORDS = 32
"""Accesses remembered for each part of an object; the oldest goes first."""

_MOST_SUSPECTS = 16

_NAMES = {op.EXCLUSIVE: "plain", op.ATOMIC: "atomic", op.RACY: "racy", op.OPTIMISTIC: "plain"}

MAY_MEET = frozenset({("atomic", "atomic"), ("racy", "plain"), ("racy", "atomic"), ("racy", "racy")})
"""Disciplines whose accesses may meet without a common lock, both ways round. What is not here must not.

Two pairs are decided before it is asked: readers inside an RCU read section meet the publishing writes of
parts that a port declares published; an optimistic reader is a shared holder of its sequence lock once it has
not had to retry, and did nothing if it had to.
"""


def may_meet(how: int, other: int) -> bool:
    """Say whether accesses of two disciplines may meet (numbers of lockscape.program.opcodes)."""
    pair = _NAMES[how], _NAMES[other]
    return pair in MAY_MEET or pair[::-1] in MAY_MEET


def excluded(a: Cover, b: Cover) -> bool:
    """Say whether something keeps two accesses by different threads apart."""
    if a.virtual != b.virtual:
        return a.lockset.excludes(b.lockset)
    if a.kind > b.kind:
        a, b = b, a
    if b.kind <= TAIL:
        return (a.fixed and b.fixed) or a.lockset.excludes(b.lockset)
    if a.kind == b.kind or (a.kind == TAIL and b.kind == BOTTOM_HALF):
        return True
    return a.masked or a.lockset.excludes(b.lockset, recursive=False)


class Races:
    """Compares each access with what is remembered of its part of the object."""

    def __init__(self, tracker: Tracker, places: Places, findings: Findings) -> None:
        self.clocks = tracker.clocks
        self.followed = tracker.followed
        self.lock_places = tracker.lock_places
        self.places = places
        self.findings = findings

    def access(
        self, known: Known, part: Part, offset: int, cover: Cover, how: int, write: bool, now: Now
    ) -> None:
        """Take note of an access."""
        epoch = self.clocks[cover.thread][cover.thread]
        mark = (cover, write, how, epoch)
        if mark == part.last:
            return
        part.last = mark
        key = cover.key | write | (how == op.ATOMIC) << 3
        records = part.records
        before = records.get(key)
        if before is None or before[0] is not cover:
            self.summarise(part, cover, how, write)
        record = (cover, write, how, epoch, now)
        if self.must_compare(part):
            self.compare(known, part, offset, Record(*record))
        if before is None and len(records) >= MOST_RECORDS:
            del records[next(iter(records))]
        records[key] = record

    def summarise(self, part: Part, cover: Cover, how: int, write: bool) -> None:
        """Keep what tells quickly that no pair of accesses can be a race."""
        if how == op.ATOMIC:
            part.atomic = True
        else:
            part.plain = True
            locks = cover.lockset.exclusive if write else cover.lockset.any
            if part.candidates is None:
                part.candidates = locks
            elif part.candidates and not part.candidates <= locks:
                part.candidates &= locks
        if part.virtual != cover.virtual:
            part.virtual = cover.virtual if part.virtual == -2 else -1
        if cover.kind >= BOTTOM_HALF:
            part.handled = True
        elif not cover.masked:
            part.open = True
        if cover.kind <= TAIL and not cover.fixed:
            part.loose = True

    def must_compare(self, part: Part) -> bool:
        """Say whether a race is possible at all."""
        if not part.plain:
            return False
        if part.handled and part.open:
            return True
        return (part.atomic or not part.candidates) and (part.virtual == -1 or part.loose)

    def compare(self, known: Known, part: Part, offset: int, record: Record) -> None:
        """Compare an access with those of other threads that it could race with."""
        cover = record.cover
        clock, got = self.clocks[cover.thread], known.got.get(cover.thread)
        local = offset in known.local
        for other in map(Record._make, part.records.values()):
            if other.cover.thread == cover.thread or not (record.write or other.write):
                continue
            if may_meet(record.how, other.how) or self.ordered(other, clock, got):
                continue
            if known.dynamic and self.ordered(other, self.followed[cover.thread], None):
                continue
            if (known.taken or known.moved) and self.over(known, other, cover):
                continue
            if excluded(other.cover, cover) or (local and other.cover.virtual != cover.virtual):
                continue
            self.suspect(known, Suspect(other, record, offset, cover.thread, record.epoch))

    def ordered(self, other: Record, clock: Clock, got: Clock | None) -> bool:
        """Say whether an earlier access happened before what a thread with this clock does."""
        return other.epoch <= clock.get(other.cover.thread, 0) or (
            got is not None and other.epoch <= got.get(other.cover.thread, 0)
        )

    def over(self, known: Known, other: Record, cover: Cover) -> bool:
        """Say whether an earlier access was over before the object was taken or moved (see `lifetimes`)."""
        key = other.cover.thread, other.cover.lockset
        moves = [known.taken.get(cover.thread), *(known.moved.get(lock) for lock in cover.lockset.any)]
        return any(done is not None and other.epoch <= done.get(key, 0) for done in moves)

    def suspect(self, known: Known, suspect: Suspect) -> None:
        """Report a race, at once or when the object turns out to be still reachable.

        If the earlier of the two was the one without any lock, the object was reachable then.
        """
        if not known.dynamic or not suspect.first.cover.lockset.any:
            self.report(known, suspect)
        elif len(known.suspects) < _MOST_SUSPECTS:
            known.suspects.append(suspect)

    def confirm(self, known: Known, act: Activity, freed: bool = False) -> None:
        """A thread comes to an object with suspects: they are races, unless it was handed over to it.

        A thread that was there before the suspected one took it down had not given it up, whatever it has
        learnt since: only a collection hands it back.
        """
        clock, got = self.clocks[act.thread], known.got.get(act.thread)
        left: list[Suspect] = []
        for suspect in known.suspects:
            knows = 0 if act.thread == suspect.first.cover.thread else clock.get(suspect.owner, 0)
            if suspect.owner == act.thread:
                left.append(suspect)
            elif suspect.epoch <= max(knows, got.get(suspect.owner, 0) if got else 0):
                suspect.owner, suspect.epoch = act.thread, clock[act.thread]
                left.append(suspect)
            else:
                self.report(known, suspect)
        known.suspects = [] if freed else left

    def report(self, known: Known, suspect: Suspect) -> None:
        """Report a race."""
        a, b = suspect.first, suspect.second
        pcs = sorted((a.now[3], b.now[3]))
        if self.findings.known("race", *pcs):
            return
        name = self.places.part(known.place, suspect.offset)
        remedy = "hold one lock in both places"
        if a.now[1] == b.now[1]:
            remedy = (
                "mask interrupts"
                if max(a.cover.kind, b.cover.kind) >= BOTTOM_HALF
                else "switch preemption off"
            )
            remedy += " around the first" if b.cover.kind >= BOTTOM_HALF else " around both"
        text = (
            f"race on {name}: {self.words(a)}; then, not ordered with it, {self.words(b)}: {remedy}, or "
            "declare the part atomic or racy with a reason"
        )
        self.findings.report("race", (a.now, b.now), (name,), text)

    def words(self, record: Record) -> str:
        """Return an access in words."""
        handlers = {HANDLER: "an interrupt handler in ", BOTTOM_HALF: "a bottom half in "}
        locks = sorted(record.cover.lockset.any)
        held = " and ".join(self.places.lock(self.lock_places[k], k - self.lock_places[k]) for k in locks)
        deed = "written" if record.write else "read"
        who = handlers.get(record.cover.kind, "") + self.places.party(*record.now)
        return f"{deed} by {who}, holding {held or 'no lock'}"
