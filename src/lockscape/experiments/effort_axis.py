"""The effort axis: what each port takes, in places and lines, counted on the one simulated kernel.

A port's lines are those that it changes in the uniprocessor kernel with the same build options (modified, new
and removed, as in the paper's Table 3) and those of the code that it brings. Its places are those that take
or release a lock, less the uniprocessor kernel's own. What multiprocessor support took in real kernels is
another thing, counted in their source (`SourceEffort`), and never put on one axis with these.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from lockscape.experiments.pool import each_done
from lockscape.experiments.result import plan_digest
from lockscape.experiments.store import Content, digest_with_sources, read_kept, write_kept
from lockscape.ports.effort import Change, added_sites, both, difference, effort
from lockscape.ports.plan import Plan, load_plan
from lockscape.ports.port import port
from lockscape.systems.load import UNIPROCESSOR

COUNTS = "counts"
"""Folder of counts that are kept, in that of finished runs."""


class PortEffort(msgspec.Struct, frozen=True):
    """What a port takes.

    `sites`: all its places by kind of lock; `added_sites`: how many more than the uniprocessor kernel has.
    `change`: lines of the kernel, `replaced_lines` of them in functions that the port's own code replaces
    whole; `new_lines`: of the code that the port brings. `options_lines`: in how many lines the uniprocessor
    kernel with the port's build options differs from the plain one (a queue for each processor, say): work as
    well where a kernel does not have that, but no locking, and not in `lines`.
    """

    sites: dict[str, int]
    added_sites: int
    change: Change
    replaced_lines: int
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
    found = effort(pair)
    replaced = {name for name in pair.port.brought() if name not in pair.new}
    return PortEffort(
        found.sites, added_sites(found), found.change,
        sum(each.change.changed for each in found.functions if each.name in replaced), found.new_lines,
        difference(port(load_plan(UNIPROCESSOR)), pair.uniprocessor).changed,
    )  # fmt: skip


def port_efforts(
    plans: Sequence[Plan], folder: Path | None = None, workers: int | None = None
) -> list[PortEffort]:
    """Count ports on all cores, or take from `folder` those that were counted before."""
    return counted(port_effort, plans, "effort", PortEffort, folder, workers)


def counted(
    count: Callable[[Plan], Content], plans: Sequence[Plan], what: str, of: type[Content],
    folder: Path | None = None, workers: int | None = None,
) -> list[Content]:  # fmt: skip
    """Count something in the listing of each plan's port, on all cores.

    `folder` keeps what was counted under the name `what`, and what it has is taken from there.
    """
    where = [_path(folder, what, plan) for plan in plans]
    found = {n: kept for n, path in enumerate(where) if (kept := read_kept(path, of)) is not None}
    todo = [number for number in range(len(plans)) if number not in found]
    for at, done in each_done(count, [plans[number] for number in todo], workers):
        found[todo[at]] = done
        write_kept(where[todo[at]], msgspec.json.encode(done))
    return [found[number] for number in range(len(plans))]


def _path(folder: Path | None, what: str, plan: Plan) -> Path | None:
    key = digest_with_sources(f"{what} {plan_digest(plan)}".encode())
    return None if folder is None else folder / COUNTS / f"{key}.json"
