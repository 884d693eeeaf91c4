"""Which processes of a strace a simulated process may replay one after the other: lanes.

As many lanes as there were processes at work at the same time. A shell that waits for the program that it has
started is not at work meanwhile, so that both are on one lane, and the order of their calls is kept.
"""

from bisect import bisect_left, insort

from lockscape.workloads.strace import Call, Log
from lockscape.workloads.strace_files import REPLAYED

WAITING = frozenset({
    "wait4", "waitpid", "waitid", "vfork", "pause", "nanosleep", "clock_nanosleep", "select", "pselect6",
    "poll", "ppoll", "epoll_wait", "epoll_pwait", "futex", "rt_sigsuspend", "rt_sigtimedwait",
})  # fmt: skip
"""Calls in which a process waits for others, or for a time, and is not at work."""

Span = tuple[int, int]
"""Begin and end in microseconds; the end is not in it."""


def at_work(calls: list[Call]) -> list[Span]:
    """Return when a process was at work: between calls that wait, where it made any call that is replayed.

    A shell that gets ready to wait for the program that it has started works no more.
    """
    spans = []
    begin, works = calls[0].begun_us, False
    for call in calls:
        if call.name in WAITING:
            spans += [(begin, call.begun_us + 1)] if works else []
            begin, works = call.end_us, False
        works = works or call.name in REPLAYED
    if works:
        spans.append((begin, max(begin, calls[-1].end_us) + 1))
    return spans


class _Lane:
    """The spans in which somebody on this lane is at work, in order."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def has_room(self, spans: list[Span]) -> bool:
        return not any(self._meets(span) for span in spans)

    def _meets(self, span: Span) -> bool:
        place = bisect_left(self.spans, (span[1], 0))
        return place > 0 and self.spans[place - 1][1] > span[0]

    def add(self, spans: list[Span]) -> None:
        for span in spans:
            insort(self.spans, span)


def lanes_of(log: Log) -> dict[int, int]:
    """Return each process' lane, counted from 0: its parent's if that has room, or the first that has."""
    lanes: list[_Lane] = []
    found: dict[int, int] = {}
    for pid in sorted(log.calls, key=lambda each: (log.calls[each][0].begun_us, each)):
        spans = at_work(log.calls[pid])
        parent = found.get(log.parents.get(pid, -1))
        order = ([] if parent is None else [parent]) + [k for k in range(len(lanes)) if k != parent]
        place = next((k for k in order if lanes[k].has_room(spans)), len(lanes))
        if place == len(lanes):
            lanes.append(_Lane())
        lanes[place].add(spans)
        found[pid] = place
    return found
