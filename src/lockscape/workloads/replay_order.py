"""What comes before what in every replay, whoever is quicker: the order that fork and wait make.

What a process did before a fork comes before all that the child does. A wait takes any child that has ended:
what children did comes before what their maker does only when it has waited for all of them.
"""

from lockscape.workloads.strace_files import Operation

Event = tuple[int, int]
"""A process, and which of its operations it is."""


class Order:
    """Is shown all operations, one after the other."""

    def __init__(self) -> None:
        self.clocks: dict[int, dict[int, int]] = {}
        """For each process, how many operations of every process come before what it does next."""
        self.loose: dict[int, list[int]] = {}
        """Children by their makers, since these had last waited for all of them."""
        self.waits: dict[int, int] = {}

    def see(self, operation: Operation) -> Event:
        """Take the next operation; return what it is to be known by."""
        process = operation.process
        clock = self.clocks.setdefault(process, {})
        clock[process] = clock.get(process, 0) + 1
        if operation.kind == "fork":
            self.clocks[operation.amount] = dict(clock)
            self.loose.setdefault(process, []).append(operation.amount)
        elif operation.kind == "wait":
            self.waits[process] = self.waits.get(process, 0) + 1
            if self.waits[process] == len(self.loose[process]):
                self.gather(process)
        return process, clock[process]

    def gather(self, process: int) -> None:
        """All children of a process have ended, and it has waited for them."""
        clock = self.clocks[process]
        for child in self.loose.pop(process):
            for other, count in self.clocks.pop(child, {}).items():
                clock[other] = max(count, clock.get(other, 0))
        self.waits[process] = 0

    def comes_after(self, process: int, event: Event) -> bool:
        """Return whether what a process does now comes after an event in every replay."""
        return self.clocks[process].get(event[0], 0) >= event[1]


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
