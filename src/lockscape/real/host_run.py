"""What one run on this host took, from what its processes say and what the kernel counts."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lockscape.real.executors import ProcessRun
from lockscape.real.host_result import HostRun
from lockscape.real.together import Together, Watch
from lockscape.workloads.postmark import CREATED, KIND, MARK, NOTHING, TRANSACTED, Operations

TICK_SHARE = 0.02
"""A run is long enough to see others' time if a tick of /proc/stat is at most this share of it."""


@dataclass(frozen=True)
class Ticks:
    """Time of processors, in ticks: with a program, and stolen by a hypervisor. Interrupts are nobody's."""

    busy: int
    stolen: int

    def __sub__(self, other: "Ticks") -> "Ticks":
        return Ticks(self.busy - other.busy, self.stolen - other.stolen)


class Meter:
    """Takes the time of some processors between the common start and the last end: `ticks`, afterwards."""

    def __init__(self, processors: frozenset[int]) -> None:
        self.processors = processors
        self.ticks = Ticks(0, 0)

    def watching(self, other: Watch | None) -> Watch:
        """Return what watches a run for it, within what `other` does."""

        @contextlib.contextmanager
        def watch(processes: list[int]) -> Iterator[None]:
            with other(processes) if other is not None else contextlib.nullcontext():
                before = _processor_ticks(self.processors)
                yield
                self.ticks = _processor_ticks(self.processors) - before

        return watch


def _processor_ticks(processors: frozenset[int]) -> Ticks:
    """Return the time of some processors since the host's start."""
    busy = stolen = 0
    for line in Path("/proc/stat").read_text("ascii").splitlines():
        name, *numbers = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in processors:
            user, nice, system = map(int, numbers[:3])
            busy += user + nice + system
            stolen += int(numbers[7]) if len(numbers) > 7 else 0
    return Ticks(busy, stolen)


def host_run(
    done: Together, processes: Sequence[ProcessRun], counts: Sequence[int], ticks: Ticks, cpus: int
) -> HostRun:
    """Return a run of `processes` on `cpus` processors, whose time meanwhile was `ticks`.

    `counts`: the operations in the transactions of each process; none for a workload without.
    """
    ends = [each.end_ns for each in processes if each.end_ns is not None]
    makespan = ((max(ends) if ends else done.end_ns) - done.start_ns) / 1e9
    user, system = sum(each.user_s for each in processes), sum(each.system_s for each in processes)
    second = os.sysconf("SC_CLK_TCK")
    seen = makespan * TICK_SHARE * second >= 1
    whole = makespan * cpus
    return HostRun(
        makespan_s=makespan,
        user_s=user,
        system_s=system,
        voluntary_switches=sum(each.voluntary_switches for each in processes),
        involuntary_switches=sum(each.involuntary_switches for each in processes),
        steady_per_s=_steady(processes, counts),
        others_share=max(0.0, ticks.busy / second - user - system) / whole if seen else None,
        stolen_share=ticks.stolen / second / whole if seen else None,
    )


def _steady(processes: Sequence[ProcessRun], counts: Sequence[int]) -> float | None:
    """Return the operations per second while all were in their transactions, each at its average rate."""
    if not counts or not all(each.marks_ns for each in processes):
        return None
    spans = [(each.marks_ns[CREATED], each.marks_ns[TRANSACTED]) for each in processes]
    if max(begin for begin, _ in spans) >= min(end for _, end in spans):
        return None
    return sum(count * 1e9 / (end - begin) for count, (begin, end) in zip(counts, spans, strict=True))


def in_transactions(work: Operations) -> int:
    """Return how many operations of a process are in its transactions, those without effect left out."""
    kinds = work.rows[:, KIND]
    _, created, transacted, _ = np.flatnonzero(kinds == MARK)
    return int(np.count_nonzero(kinds[created + 1 : transacted] != NOTHING))
