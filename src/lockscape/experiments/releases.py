"""What Linux did with the data of each lock, release by release, read from the plans of its releases."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from lockscape.experiments.result import RunResult, RunSpec
from lockscape.kernel.build import SEMAPHORES
from lockscape.ports.effort import added_sites, both, effort
from lockscape.ports.held import Held, held_in_sections
from lockscape.ports.plan import Plan, load_plan
from lockscape.ports.port import Port, port
from lockscape.program.nodes import Section
from lockscape.program.walk import walk

RELEASES = ("linux-2.2", "linux-2.4", "linux-2.6")
"""The releases after 2.0, which had one lock from entry to exit."""

SLEEPING = frozenset(lock.name for lock in SEMAPHORES)
"""Locks that the uniprocessor kernel has as well: not a port's."""


class Placed(msgspec.Struct, frozen=True):
    """What a release does with some data: in how many `places` (sections) it uses them, in how many of those
    it always holds a lock besides the big kernel lock or never that one (`own`), and in how many never that
    one (`out`)."""

    release: str
    places: int
    own: int
    out: int


class Release(msgspec.Struct, frozen=True):
    """A release as it was: `makespan_s` of the same workload, `alone_s` on one processor; `added` places that
    take or release a lock and `lines` that differ, both from its own uniprocessor kernel."""

    name: str
    makespan_s: float
    alone_s: float
    added: int
    lines: int
    sections: Placed


def releases(run: Callable[[Sequence[RunSpec]], Sequence[RunResult]], spec: RunSpec) -> tuple[Release, ...]:
    """Return what the releases give where and with what `spec` runs; `run` makes runs."""
    plans = [load_plan(name) for name in RELEASES]
    many = [msgspec.structs.replace(spec, system=n, plan=p) for n, p in zip(RELEASES, plans, strict=True)]
    one = [msgspec.structs.replace(each, cpus=1) for each in many]
    results = run([*many, *one])
    return tuple(
        Release(name, several.makespan_s, alone.makespan_s, *_effort(plan), all_placed(name))
        for name, plan, several, alone in zip(RELEASES, plans, results, results[len(plans) :], strict=False)
    )


def _effort(plan: Plan) -> tuple[int, int]:
    counted = effort(both(kernel_port(plan)))
    return added_sites(counted), counted.change.changed


def kernel_port(plan: Plan) -> Port:
    """Return the port of a plan with everything that the kernel can do."""
    return port(plan, swapping=1)


def placed(fine: Plan, parts: Sequence[str]) -> dict[str, tuple[Placed, ...]]:
    """Return for each of the `parts` of a fine-grained plan what each release does with its data.

    Its data are the fields and collections that are named by the sections which the plan does under it.
    """
    kernel = kernel_port(fine)
    sections, fields = held_in_sections(kernel), _fields(kernel)
    found: dict[str, list[Placed]] = {part: [] for part in parts}
    for name in RELEASES:
        release = kernel_port(load_plan(name))
        held, theirs = held_in_sections(release), _fields(release)
        for part in parts:
            own = [section for section, sets in sections.items() if all(part in h for h in sets)]
            data = {field for section in own for field in fields[section]}
            same = [section for section in held if theirs[section] & data]
            found[part].append(_placed(name, release, held, same))
    return {part: tuple(releases) for part, releases in found.items()}


def all_placed(name: str) -> Placed:
    """Return the same for all sections of a release's kernel."""
    release = kernel_port(load_plan(name))
    held = held_in_sections(release)
    return _placed(name, release, held, list(held))


def _fields(kernel: Port) -> dict[str, set[str]]:
    """Return what each section concerns: fields and collections, as ``Class.field``."""
    return {
        f"{function.name}/{node.name}": {f"{field.cls}.{field.name}" for field in node.targets}
        for function in kernel.source.values()
        for node in walk(function.body)
        if isinstance(node, Section)
    }


def _placed(name: str, release: Port, held: Mapping[str, frozenset[Held]], sections: Sequence[str]) -> Placed:
    big = {lock.name for lock in release.plan.lock if lock.kind == "bkl"}
    own = sum(all(h - big - SLEEPING or not h & big for h in held[each]) for each in sections)
    out = sum(not any(h & big for h in held[each]) for each in sections)
    return Placed(name, len(sections), own, out)
