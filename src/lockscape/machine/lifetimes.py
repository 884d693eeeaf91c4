"""Objects as the detector knows them: who has them for himself, who gave them to whom, when they are freed.

An object that a thread allocates is its own until another thread touches it or it is put into a collection.
The collection hands it over: whoever gets it from there has seen all that was done to it before it was put
there, once the lock is released under which that happened.

Nor do locks keep an object for ever. What was done to it under a lock is done when somebody who holds that
lock takes it out of a collection: it is ordered before what he does then. And when he puts it into another
one, it is ordered before what is done under the locks that he holds there. So a process moves from the lock
of one run queue to that of another. Only accesses to this one object are ordered by all this.
"""

from dataclasses import dataclass
from typing import NamedTuple

from lockscape.machine.activity import Activity, Clock, Cover, Lockset, Tracker, in_order
from lockscape.machine.findings import Findings, Now, Rules
from lockscape.machine.places import Places
from lockscape.machine.state import State

SHARED, FREED = -1, -2
"""Owners of an object that are no thread."""


class Record(NamedTuple):
    """One access, kept for comparison with later ones by other threads."""

    cover: Cover
    write: bool
    how: int
    epoch: int
    now: Now


class Part:
    """What happened to one field or collection of an object."""

    __slots__ = (
        "atomic", "candidates", "clock", "done", "handled", "home", "last", "loose",
        "open", "plain", "records", "virtual", "wrote",
    )  # fmt: skip

    def __init__(self) -> None:
        self.records: dict[int, tuple[Cover, bool, int, int, Now]] = {}
        """The last access of each thread on each processor, reading and writing: the fields of a `Record`."""
        self.candidates: frozenset[int] | None = None
        """Locks held at every access: exclusively at the writes (Eraser's lockset)."""
        self.last: tuple[Cover, bool, int, int] | None = None
        self.virtual = -2
        """The processor of all accesses, -1 for several."""
        self.home: Now | None = None
        """The first access to a processor-local part: it belongs to that processor."""
        self.atomic = self.plain = self.loose = self.open = self.handled = False
        self.clock: Clock | None = None
        """What an atomic or publishing write of it makes known to its readers."""
        self.wrote: tuple[int, int, Now] | None = None
        """Which thread wrote it last, in which epoch, when and where (on weakly ordered machines only)."""
        self.done: tuple[dict[int, Now], ...] = ({}, {}, {})
        """Section executions that read, wrote or added to it: when and where they did so last."""


@dataclass
class Suspect:
    """Two accesses that are a race if the object can still be reached: `owner` made the later one."""

    first: Record
    second: Record
    offset: int
    owner: int
    epoch: int


Done = dict[tuple[int, Lockset], int]
"""Accesses that are over: the last epoch of each thread's accesses under a set of locks."""

Static = tuple[bool, frozenset[int], frozenset[int], frozenset[int]]
"""What is known of a class: whether its objects are made in the run, its local and its published parts, and
its references to objects."""


class Known:
    """One object: `owner` is the thread that has it for itself, or SHARED or FREED."""

    __slots__ = (
        "cls", "dynamic", "filled", "freed_at", "generation", "given", "got", "local", "moved", "owner",
        "parts", "place", "published", "references", "suspects", "taken",
    )  # fmt: skip

    def __init__(self, place: int, cls: int, owner: int, generation: int, static: Static) -> None:
        self.place = place
        self.cls = cls
        self.owner = owner
        self.generation = generation
        self.dynamic, self.local, self.published, self.references = static
        self.parts: dict[int, Part] = {}
        self.given: dict[int, Clock] = {}
        self.got: dict[int, Clock] = {}
        self.moved: dict[int, Done] = {}
        """What was over when it was put into a collection under these locks."""
        self.taken: dict[int, Done] = {}
        """What was over when these threads took it out of a collection."""
        self.suspects: list[Suspect] = []
        self.filled: tuple[int, int, Now] | None = None
        """Who made it wrote to it last before others could know it (on weakly ordered machines only)."""
        self.freed_at: Now = (0, 0, 0, 0)


class Lifetimes:
    """All objects that the trace has named."""

    def __init__(
        self, state: State, rules: Rules, tracker: Tracker, places: Places, findings: Findings
    ) -> None:
        self.state = state
        self.tracker = tracker
        self.places = places
        self.findings = findings
        self.objects: dict[int, Known] = {}
        self.static = [
            (not shape.count, rules.offsets(rules.local, state, shape.name),
             rules.offsets(rules.published, state, shape.name),
             frozenset(shape.fields[name] for name, info in shape.infos.items() if info.refers))
            for shape in state.layouts
        ]  # fmt: skip
        numbers = {name: k for k, name in enumerate(state.binary.classes)}
        self.values = [
            {offset: numbers.get(shape.kinds[name].values, -1) for name, offset in shape.collections.items()}
            for shape in state.layouts
        ]

    def meet(self, place: int) -> Known:
        """Return an object, which existed before the run if the trace has not named it yet."""
        known = self.objects.get(place)
        if known is None:
            cls = int(self.state.m[place])
            known = self.objects[place] = Known(place, cls, SHARED, 0, self.static[cls])
        return known

    def new(self, act: Activity, place: int, cls: int) -> None:
        """A thread allocates an object."""
        before = self.objects.get(place)
        generation = before.generation + 1 if before else 0
        known = self.objects[place] = Known(place, cls, act.thread, generation, self.static[cls])
        known.freed_at = before.freed_at if before else known.freed_at

    def free(self, now: Now, place: int) -> None:
        """A thread gives an object back."""
        known = self.meet(place)
        if known.owner == FREED:
            self.use_after_free(known, now, "freed again")
        known.owner = FREED
        known.freed_at = now
        known.parts, known.given, known.got, known.suspects = {}, {}, {}, []
        known.moved, known.taken = {}, {}

    def use_after_free(self, known: Known, now: Now, deed: str) -> None:
        """Report that a freed object is used."""
        then = known.freed_at
        if self.findings.known("use after free", then[3], now[3]):
            return
        name, places = self.places.object(known.place), self.places
        text = (
            f"{name} is {deed} by {places.party(*now)}, but {places.party(*then)} freed it: count "
            "references, or free it only after all RCU readers are through"
        )
        self.findings.report("use after free", (then, now), (name,), text)

    def unread(self, known: Known, offset: int, now: Now) -> None:
        """Report that a part for RCU readers is read by one that is none: what it finds may be freed."""
        if self.findings.known("unread", now[3]):
            return
        name = self.places.part(known.place, offset)
        text = (
            f"{name} is read by {self.places.party(*now)} outside an RCU read section, without a lock: what "
            "is found there may be freed at any time: begin a read section"
        )
        self.findings.report("use after free", (now,), (name,), text)

    def met_in_rcu(self, act: Activity, known: Known, now: Now) -> None:
        """In an RCU read section the same address must stay the same object."""
        first = act.met.setdefault(known.place, known.generation)
        if first != known.generation:
            self.use_after_free(known, now, "used after it became another object")

    # --- handing over -------------------------------------------------------------------------------------

    def in_collection(self, place: int, offset: int, value: int) -> Known | None:
        """Return the object that a collection's value refers to, if its values are objects."""
        cls = self.values[self.meet(place).cls].get(offset, -1)
        if cls < 0 or value <= 0:
            return None
        known = self.objects.get(value)
        if known is None:
            known = self.objects[value] = Known(value, cls, SHARED, 0, self.static[cls])
        return known

    def put(self, act: Activity, place: int, offset: int, value: int) -> None:
        """A thread puts an object into a collection, for others to get once it releases a lock."""
        known = self.in_collection(place, offset, value)
        if known is not None:
            self.put_under(act, known)
            act.putting.append((known, place + offset))
            if not act.cover.lockset.any:
                self.give(act)

    def put_under(self, act: Activity, known: Known) -> None:
        """An object is put into a collection under locks: what was over stays so for their holders."""
        over = dict(known.taken.get(act.thread, {}))
        for lock in act.cover.lockset.any:
            for key, epoch in known.moved.get(lock, {}).items():
                over[key] = max(epoch, over.get(key, 0))
        for lock in act.cover.lockset.exclusive if over else ():
            known.moved[lock] = over

    def take_out(self, act: Activity, place: int, offset: int, value: int) -> None:
        """A thread takes an object out of a collection: who accessed it under the same locks is through."""
        known = self.in_collection(place, offset, value)
        locks = act.cover.lockset
        if known is None or not locks.any or known.owner >= 0:
            return
        over: Done = {}
        for lock in locks.any:
            for key, epoch in known.moved.get(lock, {}).items():
                over[key] = max(epoch, over.get(key, 0))
        for part in known.parts.values():
            for cover, _, _, epoch, _ in part.records.values():
                if cover.lockset is locks or cover.lockset.excludes(locks):
                    key = cover.thread, cover.lockset
                    over[key] = max(epoch, over.get(key, 0))
        known.taken[act.thread] = over

    def give(self, act: Activity) -> None:
        """What a thread put into collections is given away."""
        clock = self.tracker.release(act.thread)
        for known, collection in act.putting:
            if known.owner != FREED:
                known.given[collection] = clock
                if known.owner == act.thread:
                    known.owner = SHARED
        act.putting.clear()

    def get(self, act: Activity, place: int, offset: int, value: int) -> None:
        """A thread gets an object out of a collection, or a reference to it."""
        known = self.in_collection(place, offset, value)
        clock = known.given.get(place + offset) if known is not None else None
        if known is None or clock is None:
            return
        if self.tracker.weakly_ordered and not act.cover.lockset.any:
            clock = in_order(
                clock
            )  # it was given when a lock was released, which this thread did not look at
        mine = known.got.get(act.thread)
        if mine is None:
            known.got[act.thread] = clock
        elif mine is not clock and any(mine.get(k, 0) < epoch for k, epoch in clock.items()):
            known.got[act.thread] = {k: max(clock.get(k, 0), mine.get(k, 0)) for k in clock | mine}
