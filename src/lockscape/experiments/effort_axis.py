"""The effort axis: what each port takes, in places and lines, counted on the one simulated kernel.

A port's lines are those that it changes in the uniprocessor kernel with the same build options (modified, new
and removed, as in the paper's Table 3) and those of the code that it brings. Its places are those that take
or release a lock, less the uniprocessor kernel's own. What multiprocessor support took in real kernels is
another thing, counted in their source (`SourceEffort`), and never put on one axis with these.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lockscape.experiments.pool import each_done
from lockscape.experiments.result import plan_digest
from lockscape.experiments.store import digest_with_sources, read_kept, write_kept
from lockscape.ports.effort import Change, added_sites, both, difference, effort
from lockscape.ports.plan import Plan, load_plan
from lockscape.ports.port import port
from lockscape.systems.load import UNIPROCESSOR

KEPT = "efforts"
"""Folder of counts that are kept, in that of finished runs."""


class PortEffort(msgspec.Struct, frozen=True):
    """What a port takes.

    `sites`: all its places by kind of lock; `added_sites`: how many more than the uniprocessor kernel has.
    `change`: lines of the kernel; `new_lines`: of the code that the port brings. `options_lines`: in how many
    lines the uniprocessor kernel with the port's build options differs from the plain one (a queue for each
    processor, say): work as well where a kernel does not have that, but no locking, and not in `lines`.
    """

    sites: dict[str, int]
    added_sites: int
    change: Change
    new_lines: int
    options_lines: int

    @property
    def lines(self) -> int:
        """Return what is written or edited: changed lines and new code together."""
        return self.change.changed + self.new_lines

    @property
    def share(self) -> float:
        """Return the changed lines as a share of the uniprocessor kernel's."""
        return self.change.changed / self.change.lines_uniprocessor


class SourceEffort(msgspec.Struct, frozen=True):
    """What multiprocessor support takes in a real kernel: its census and its footprint.

    `source`: ``published`` in the paper's Tables 2 and 3, or ``measured`` by lockscape in the kernel's
    source. `system`: the id of Table 1. `lines_uniprocessor` are those without multiprocessor support,
    `changed_lines` are modified, new and removed.
    """

    system: str
    version: str
    source: str
    sites: dict[str, int]
    lines_uniprocessor: int
    changed_lines: int

    @property
    def all_sites(self) -> int:
        """Return the places of all kinds of locks, semaphores included, as Table 2 counts them."""
        return sum(self.sites.values())

    @property
    def share(self) -> float:
        """Return the changed lines as a share of the lines without multiprocessor support."""
        return self.changed_lines / self.lines_uniprocessor


def port_effort(plan: Plan) -> PortEffort:
    """Count a port."""
    pair = both(port(plan))
    counted = effort(pair)
    return PortEffort(
        counted.sites, added_sites(counted), counted.change, counted.new_lines,
        difference(port(load_plan(UNIPROCESSOR)), pair.uniprocessor).changed,
    )  # fmt: skip


def port_efforts(
    plans: Sequence[Plan], folder: Path | None = None, workers: int | None = None
) -> list[PortEffort]:
    """Count ports on all cores, or take from `folder` those that were counted before."""
    where = {number: _path(folder, plan) for number, plan in enumerate(plans)}
    found = {n: kept for n, path in where.items() if (kept := read_kept(path, PortEffort)) is not None}
    todo = [number for number in where if number not in found]
    for at, counted in each_done(port_effort, [plans[number] for number in todo], workers):
        found[todo[at]] = counted
        write_kept(where[todo[at]], msgspec.json.encode(counted))
    return [found[number] for number in where]


def _path(folder: Path | None, plan: Plan) -> Path | None:
    if folder is None:
        return None
    return folder / KEPT / f"{digest_with_sources(plan_digest(plan).encode())}.json"
