"""Two things that conclusions need besides the map: kernels with preemption, and processes that share."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from lockscape.experiments.choose import choose, choose_plan
from lockscape.experiments.conclusions_locks import PREEMPTED
from lockscape.experiments.conclusions_others import GUESTS
from lockscape.experiments.curve import Progress, run_all
from lockscape.experiments.effort_axis import counted
from lockscape.experiments.evidence import Family
from lockscape.experiments.preemption import Preemption, preemption
from lockscape.experiments.request import Request, runs_of
from lockscape.experiments.tradeoff import Question
from lockscape.workloads.chat import Chat
from lockscape.workloads.choose import choose_workload

FAMILY = ("fine", *GUESTS)
"""Who runs the chat room: one kernel, and guests."""


def preemptions(
    names: Iterable[str], folder: Path | None = None, workers: int | None = None
) -> dict[str, Preemption]:
    """Count those of the names that the paper's statement is about, over both kernels."""
    chosen = [name for name in PREEMPTED if name in names]
    plans = [choose_plan(name) for name in chosen]
    return dict(
        zip(chosen, counted(preemption, plans, "preemption", Preemption, folder, workers), strict=True)
    )


def families(
    names: Iterable[str], question: Question, folder: Path | None = None, workers: int | None = None,
    progress: Progress | None = None, fresh: bool = False,
) -> list[Family]:  # fmt: skip
    """Run one chat room, whose processes share message queues and connections, on one and on all processors.

    Nothing is run unless all that are compared are among the names. Raises what runs raise.
    """
    if not set(FAMILY) <= set(names):
        return []
    room = choose_workload("volano")
    assert isinstance(room, Chat)
    room = room.changed(processes=1)
    request = Request(
        room.processes, machine=question.machine, cost_sample=question.cost_sample, workload=room
    )  # fmt: skip
    specs = [spec for name in FAMILY for spec in runs_of(choose(name), request, (question.cpus,))]
    points = run_all(specs, folder, workers, progress, fresh)
    return [_family(name, [p.result.makespan_s for p in points if p.spec.system == name], question.cpus)
            for name in FAMILY]  # fmt: skip


def _family(name: str, makespans_s: Sequence[float], cpus: int) -> Family:
    return Family(name, cpus, makespans_s[0] / makespans_s[-1])
