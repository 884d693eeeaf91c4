"""The order of locks, as Linux' lockdep builds it, and deadlocks with interrupts.

An edge from one class of locks to another says that somebody took the second while holding the first. There
is none between a lock that the scheduler drops and a sleeping one, for it is not held while one waits. A
cycle is a fault. So are two locks of one class without a declared order of their objects, and, with one, a
cycle of the locks themselves; and two locks of one group (funnels). The language has no try-lock, which
would make no edge.

A class taken by interrupt handlers must never be held with interrupts allowed, nor anything taken under it:
the handler could come and wait for ever for what it interrupted (lockdep's irq-safe and irq-unsafe).
Recursive locks are free of this, and so are readers of unfair locks among themselves.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lockscape.machine.activity import BOTTOM_HALF, HANDLER, TAIL, Activity, Held, Tracker
from lockscape.machine.findings import Findings, Kind, Now, Rules
from lockscape.machine.places import Places


@dataclass(frozen=True)
class Step:
    """One lock taken under another, where: `first` and `second` are (object, offset) of the locks."""

    first: tuple[int, int]
    first_pc: int
    second: tuple[int, int]
    now: Now


class LockOrder:
    """The graph of lock classes and where each class is used."""

    def __init__(self, tracker: Tracker, rules: Rules, places: Places, findings: Findings) -> None:
        self.tracker = tracker
        self.locks = tracker.locks
        self.may_nest = [lock.name in rules.nesting for lock in tracker.locks]
        self.places = places
        self.findings = findings
        self.nested: set[tuple[int, int]] = set()
        self.classes: dict[int, dict[int, Step]] = {}
        self.instances: dict[int, dict[int, Step]] = {}
        self.into: dict[int, set[int]] = {}
        self.handled: dict[int, tuple[Now, bool, int]] = {}
        """Classes taken by handlers: where, whether shared, and by what kind of activity."""
        self.open: dict[tuple[int, bool, int], Now] = {}
        """Classes held with interrupts allowed: (class, shared, kind of activity), and where."""

    def acquire(self, act: Activity, place: int, offset: int, cls: int, shared: bool, now: Now) -> None:
        """A lock is about to be taken: look at what is held already."""
        held = self.tracker.holds(act)
        if held and self.tracker.recursive[cls] and any(h.lock == place + offset for h in held):
            return
        for before in held:
            if before.cls == cls:
                self.same_class(before, place, offset, shared, now)
            elif (before.cls, cls) not in self.nested:
                self.nest(before, place, offset, cls, now)
        if not self.tracker.recursive[cls] and not self.tracker.sleeps[cls]:
            self.used(act, cls, shared, now)

    def reads(self, act: Activity, place: int, offset: int, cls: int, now: Now) -> None:
        """An optimistic read begins: it waits for a writer, but is held by nobody."""
        for before in self.tracker.holds(act):
            if before.lock == place + offset:
                self.own(before, self.places.lock(place, offset), now)
            elif before.cls != cls and (before.cls, cls) not in self.nested:
                self.nest(before, place, offset, cls, now)
        if act.kind >= BOTTOM_HALF:
            self.used(act, cls, True, now)

    # --- order --------------------------------------------------------------------------------------------

    def nest(self, before: Held, place: int, offset: int, cls: int, now: Now) -> None:
        """A lock is taken under one of another class, for the first time."""
        self.nested.add((before.cls, cls))
        first, second = self.locks[before.cls], self.locks[cls]
        if (
            first.group
            and first.group == second.group
            and not self.findings.known("group", before.pc, now[3])
        ):
            name = self.places.lock(place, offset)
            text = (
                f"{name} taken at {self.places.place(now[3])} while {self.name(before)} of the same group "
                f"{first.group!r} is held since {self.places.place(before.pc)}: release that one first"
            )
            self.report("lock order", before, now, (name, self.name(before)), text)
        dropped = self.tracker.dropped_on_sleep
        if (dropped[before.cls] and second.sleeps) or (first.sleeps and dropped[cls]):
            return
        edges = self.classes.setdefault(before.cls, {})
        if cls in edges:
            return
        step = Step((before.place, before.lock - before.place), before.pc, (place, offset), now)
        path = _path(self.classes, cls, before.cls)
        if path is None:
            edges[cls] = step
            self.check_reach()
        else:
            self.cycle([step, *path])

    def same_class(self, before: Held, place: int, offset: int, shared: bool, now: Now) -> None:
        """A lock is taken under another one of its class, or under itself."""
        lock, cls = place + offset, before.cls
        name = self.places.lock(place, offset)
        if lock == before.lock:
            if not (shared and before.shared and not self.locks[cls].fair):
                self.own(before, name, now)
        elif not self.may_nest[cls]:
            if not self.findings.known("nesting", before.pc, now[3]):
                text = (
                    f"{name} taken at {self.places.place(now[3])} while {self.name(before)} is held since "
                    f"{self.places.place(before.pc)}: declare an order of the objects for "
                    f"{self.locks[cls].name} and keep it, or release the first"
                )
                self.report("lock order", before, now, (self.name(before), name), text)
        elif lock not in self.instances.setdefault(before.lock, {}):
            step = Step((before.place, before.lock - before.place), before.pc, (place, offset), now)
            path = _path(self.instances, lock, before.lock)
            if path is None:
                self.instances[before.lock][lock] = step
                self.into.setdefault(lock, set()).add(before.lock)
            else:
                self.cycle([step, *path])

    def cycle(self, steps: list[Step]) -> None:
        """Report locks that are taken in a circle."""
        if self.findings.known("lock order", *sorted(s.now[3] for s in steps)):
            return
        told = "; ".join(
            f"{self.places.lock(*s.second)} by {self.places.party(*s.now)} under "
            f"{self.places.lock(*s.first)} of {self.places.place(s.first_pc)}"
            for s in steps
        )
        text = f"locks are taken in a circle: {told}: take them in one order everywhere"
        names = tuple(self.places.lock(*s.second) for s in steps)
        self.findings.report("lock order", [s.now for s in steps], names, text)

    def free(self, place: int, offsets: Iterable[int]) -> None:
        """Forget the locks at these offsets of an object that is freed."""
        for offset in offsets:
            self.instances.pop(place + offset, None)
            for before in self.into.pop(place + offset, ()):
                self.instances.get(before, {}).pop(place + offset, None)

    # --- interrupts ---------------------------------------------------------------------------------------

    def used(self, act: Activity, cls: int, shared: bool, now: Now) -> None:
        """A spinning lock is taken: by a handler, or with interrupts allowed."""
        new = False
        if act.kind >= BOTTOM_HALF:
            known = self.handled.get(cls)
            if known is None or (known[1] and not shared) or (known[2] < act.kind):
                new = True
                self.handled[cls] = (now, shared and (known is None or known[1]), act.kind)
        if not act.masked and act.kind != HANDLER and (cls, shared, act.kind) not in self.open:
            new = True
            self.open[cls, shared, act.kind] = now
        if new:
            self.check_reach()

    def unmasked(self, act: Activity, virtual: int, now_time: int) -> None:
        """Interrupts are allowed again: the locks still held are now open to them."""
        for held in self.tracker.holds(act):
            if not self.tracker.recursive[held.cls] and not self.tracker.sleeps[held.cls]:
                self.used(act, held.cls, held.shared, (now_time, virtual, act.context, held.pc))

    def check_reach(self) -> None:
        """Look for a class of handlers from which one leads to a class that is open to interrupts."""
        for safe, there, cls, here in self.meetings(self.open):
            self.interrupted(safe, there, cls, here)

    def meetings(self, held: Mapping[tuple[int, bool, int], Now]) -> Iterator[tuple[int, Now, int, Now]]:
        """Yield each class that a handler takes here, and where, with one that is `held` with interrupts
        allowed (as in `open`, perhaps of another run of the same program), and where: the same class, or one
        that is taken under it here."""
        for safe, (there, safe_shared, kind) in self.handled.items():
            for (cls, shared, by), here in held.items():
                if by >= kind or (by == TAIL and kind == BOTTOM_HALF):
                    continue
                if cls == safe:
                    if not (safe_shared and shared and not self.locks[cls].fair):
                        yield safe, there, cls, here
                elif _path(self.classes, safe, cls) is not None:
                    yield safe, there, cls, here

    def interrupted(self, safe: int, there: Now, cls: int, here: Now) -> None:
        """Report a handler that could wait for what it interrupted."""
        if self.findings.known("irq", there[3], here[3]):
            return
        first, second = self.locks[safe].name, self.locks[cls].name
        under = "" if safe == cls else f", under which {second} is taken,"
        text = (
            f"an interrupt handler takes {first} at {self.places.place(there[3])}{under} and {second} is "
            f"taken with interrupts allowed at {self.places.place(here[3])}: mask interrupts there, or the "
            "handler waits for ever for what it interrupted"
        )
        self.findings.report("self-deadlock", (there, here), (first, second), text)

    def wait(self, act: Activity, place: int, offset: int, shared: bool, now: Now) -> None:
        """An activity waits for a lock: it must not be one that its own context or processor holds."""
        mine = [*act.held, *self.tracker.owned[act.virtual]]
        for held in mine:
            if held.lock == place + offset and not (held.shared and shared):
                self.own(held, self.places.lock(place, offset), now)
                return

    def kept(self, held: list[Held], where: str, now: Now) -> None:
        """Report locks that are still held where none may be."""
        for one in held:
            if not self.findings.known("kept", one.pc, now[3]):
                text = (
                    f"{self.places.party(*now)} {where} with {self.name(one)} held, which was taken at "
                    f"{self.places.place(one.pc)}: release it on every way out"
                )
                self.report("lock not released", one, now, (self.name(one),), text)

    def own(self, held: Held, name: str, now: Now) -> None:
        """Report a wait for a lock that the waiter itself has."""
        if self.findings.known("own", held.pc, now[3]):
            return
        text = (
            f"{self.places.party(*now)} waits for {name}, which it took itself at "
            f"{self.places.place(held.pc)}: mask interrupts there if a handler waits, else do "
            "not take it twice"
        )
        self.report("self-deadlock", held, now, (name,), text)

    # --- reports ------------------------------------------------------------------------------------------

    def name(self, held: Held) -> str:
        """Return the name of a lock that is held."""
        return self.places.lock(held.place, held.lock - held.place)

    def report(self, kind: Kind, held: Held, now: Now, names: tuple[str, ...], text: str) -> None:
        """Report a lock held and where another is asked for, both by one context."""
        then = (now[0], now[1], now[2], held.pc)
        self.findings.report(kind, (then, now), names, text)


def _path(graph: dict[int, dict[int, Step]], start: int, goal: int) -> list[Step] | None:
    """Return the steps of a path between two nodes of a graph, if there is one."""
    came: dict[int, tuple[int, Step] | None] = {start: None}
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here == goal:
            found: list[Step] = []
            step = came[here]
            while step is not None:
                found.append(step[1])
                step = came[step[0]]
            return found[::-1]
        for there, why in graph.get(here, {}).items():
            if there not in came:
                came[there] = (here, why)
                waiting.append(there)
    return None
