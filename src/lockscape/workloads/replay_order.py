"""What comes before what in every replay, whoever is quicker: the order that fork and wait make.

What a process did before a fork comes before all that the child does. A wait takes any child that has ended:
what children did comes before what their maker does only when it has waited for all of them.
"""

from collections import Counter

from lockscape.workloads.strace_files import Operation

Event = tuple[int, int]
"""A process, and which of its operations it is."""


class Order:
    """Is shown all operations, one after the other."""

    def __init__(self) -> None:
        self.clocks: dict[int, dict[int, int]] = {}
        """For each process, how many operations of it and of who it comes from are before its next."""
        self.loose: dict[int, list[int]] = {}
        """Children by their makers, since these had last waited for all of them."""
        self.waits: Counter[int] = Counter()
        self.gathered: dict[int, Event] = {}
        """The wait behind which all is that comes after a child's end."""

    def see(self, operation: Operation) -> Event:
        """Take the next operation; return what it is to be known by."""
        process = operation.process
        clock = self.clocks.setdefault(process, {})
        clock[process] = clock.get(process, 0) + 1
        event = process, clock[process]
        if operation.kind == "fork":
            self.clocks[operation.amount] = dict(clock)
            self.loose.setdefault(process, []).append(operation.amount)
        elif operation.kind == "wait":
            self.waits[process] += 1
            if self.waits[process] == len(self.loose[process]):
                self.gathered.update(dict.fromkeys(self.loose.pop(process), event))
                del self.waits[process]
        return event

    def comes_after(self, process: int, event: Event) -> bool:
        """Return whether what a process does now comes after an event in every replay."""
        clock = self.clocks[process]
        who, number = event
        while clock.get(who, 0) < number:
            if who not in self.gathered:
                return False
            who, number = self.gathered[who]
        return True


class Thread:
    """Things of which some must be done one after the other: changes after all, and all after changes."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.changed: Event | None = None
        self.used: dict[int, int] = {}
        """Uses since the last change."""

    def follows(self, event: Event, change: bool) -> bool:
        """Take the next one; return whether it comes after those that it must."""
        process, number = event
        follows = self.changed is None or self.order.comes_after(process, self.changed)
        if change:
            follows = follows and all(self.order.comes_after(process, each) for each in self.used.items())
            self.changed, self.used = event, {}
        else:
            self.used[process] = number
        return follows
