"""What a study runs: PostMark on every system of Table 1 (Figure 2), and all that the map needs (Figure 3).

All systems run on one machine, the paper's, or their times could not stand in one figure; `lockscape simulate
all` runs each on its own.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import msgspec

from lockscape.experiments.curve import Point, Progress, run_all
from lockscape.experiments.evidence import Family
from lockscape.experiments.figure2 import CPUS
from lockscape.experiments.preemption import Preemption
from lockscape.experiments.probes import families, preemptions
from lockscape.experiments.request import Request, runs_of
from lockscape.experiments.result import RunSpec
from lockscape.experiments.statements import SYSTEMS as FIGURE2
from lockscape.experiments.tradeoff import MACHINE, SMALL, Tradeoff, all_names, run_count, tradeoff
from lockscape.experiments.tradeoff import QUICK as MAP
from lockscape.systems.load import load_system, system_ids
from lockscape.workloads.postmark import PAPER, PostmarkOptions

BASELINE = "linux-2.0"
"""What the paper's Figure 2 is relative to: this system on one processor."""


class Size(NamedTuple):
    """How much a study runs: PostMark of this size, on so many processors, and the map or not.

    The kernels of the paper's Figure 2 are run on 1 to 8 processors in any case: its statements need them.
    """

    postmark: PostmarkOptions
    cpus: tuple[int, ...]
    map: bool


FULL = Size(PAPER, CPUS, True)
"""The paper's size: minutes."""

QUICK = Size(msgspec.structs.replace(SMALL, transactions=100), (1, 2, 4, 8), False)
"""PostMark smaller than on the map: seconds."""

Meter = Callable[[int, str], AbstractContextManager[Progress | None]]
"""Shows the progress of so many runs, of which it is told what they are."""


class Making(NamedTuple):
    """How runs are made: where they are kept, by how many workers, whether all anew; see `run_all`."""

    folder: Path | None = None
    workers: int | None = None
    fresh: bool = False


class Studied(NamedTuple):
    """What was run: a point for each system and number of processors, and the map's parts, if it is made."""

    points: list[Point]
    tradeoff: Tradeoff | None
    preemption: dict[str, Preemption]
    families: list[Family]


def study_specs(size: Size) -> list[RunSpec]:
    """Return the runs of Figure 2 for all systems, on as many processors as each can use."""
    request = Request(machine=MACHINE, postmark=size.postmark)
    return [
        spec
        for id in system_ids()
        for spec in runs_of(load_system(id), request, CPUS if id in FIGURE2 else size.cpus)
    ]


def study_runs(size: Size, making: Making, meter: Meter) -> Studied:
    """Make the runs of a study, or take those that are kept."""
    specs = study_specs(size)
    with meter(len(specs), f"runs of PostMark on {len(system_ids())} systems") as progress:
        points = run_all(specs, making.folder, making.workers, progress, making.fresh)
    if not size.map:
        return Studied(points, None, {}, [])
    names = all_names()
    with meter(run_count(names, MAP), "runs for the map") as progress:
        found = tradeoff(names, MAP, making.folder, making.workers, progress, making.fresh)
    counted = preemptions(names, None if making.fresh else making.folder, making.workers)
    rooms = families(names, MAP, making.folder, making.workers, fresh=making.fresh)
    return Studied(points, found, counted, rooms)
