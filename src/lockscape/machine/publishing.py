"""Publishing without a barrier: what another processor reads before it must be there.

On a weakly ordered machine others may see a processor's stores in another order than it made them. Whoever
fills an object in and then puts it where others find it without a lock, or sets a word that tells them to
look, needs a barrier between the two. A read is a fault if its thread knows of the write only by a plain
store that no barrier of the writer's came before, so that it would be no race if stores were seen in order.
To find an object in a collection that is read without a lock is to read it: its key, and the link to others.

Barriers are the statement of that name, an atomic operation that returns a value, an interrupt sent and a
switch. A lock's release orders for those who take that lock. Store buffers are not simulated, and the
reader's half of the pair (a read barrier, or a data dependency) is not asked for. References in fields that
are racy on purpose are followed without a question.
"""

from lockscape.machine.activity import Activity, Tracker
from lockscape.machine.findings import Findings, Now
from lockscape.machine.lifetimes import Known, Part
from lockscape.machine.places import Places
from lockscape.program import opcodes as op


class Publishing:
    """Follows who wrote each part of each object last."""

    def __init__(self, tracker: Tracker, places: Places, findings: Findings) -> None:
        self.tracker = tracker
        self.places = places
        self.findings = findings
        self.met: set[tuple[int, int]] = set()
        """Rows that wrote something and rows that read it on another processor."""

    def access(self, now: Now, act: Activity, write: bool, known: Known, offset: int, how: int) -> None:
        """A part is read or written."""
        part = known.parts.get(offset)
        if write:
            if part is None:
                part = known.parts[offset] = Part()
            part.wrote = act.thread, self.tracker.clocks[act.thread][act.thread], now
            if known.owner == act.thread:
                known.filled = part.wrote
        elif part is not None and part.wrote is not None and how != op.ATOMIC:
            thread, epoch, then = part.wrote
            elsewhere = thread != act.thread and then[1] != now[1] and offset not in known.published
            if elsewhere and (how != op.RACY or self.told(known, thread, epoch)):
                self.read(now, act, known, self.places.part(known.place, offset), part.wrote)

    def found(self, now: Now, act: Activity, known: Known) -> None:
        """An object is found without a lock where its maker put it."""
        if known.filled is not None and known.filled[2][1] != now[1]:
            self.read(now, act, known, self.places.object(known.place), known.filled)

    def read(self, now: Now, act: Activity, known: Known, name: str, wrote: tuple[int, int, Now]) -> None:
        """Something is read that another processor wrote."""
        thread, epoch, then = wrote
        self.met.add((then[3], now[3]))
        mine, got = self.tracker.clocks[act.thread], known.got.get(act.thread, {})
        if mine.get(thread, 0) < epoch or max(mine.get(~thread, 0), got.get(~thread, 0)) >= epoch:
            return
        if self.findings.known("barrier", then[3], now[3]):
            return
        text = (
            f"{name} is read by {self.places.party(*now)}, which knows only by a plain store that "
            f"{self.places.party(*then)} wrote it: put a barrier between the two stores"
        )
        self.findings.report("publish without barrier", (then, now), (name,), text)

    def told(self, known: Known, thread: int, epoch: int) -> bool:
        """Say whether a word of the same object told of a write, and without a barrier."""
        clocks = [part.clock for part in known.parts.values() if part.clock is not None]
        return any(clock.get(thread, 0) >= epoch > clock.get(~thread, 0) for clock in clocks)
