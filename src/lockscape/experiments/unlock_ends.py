"""Both ends of the path from a giant lock to a fine-grained kernel, and what lies between them.

Both ends are the same kernel, built with the same options: with one giant lock from entry to exit, and with a
lock for each object. In between the giant lock is taken around each section whose own lock is not there yet
(`lockscape.ports.merge`).
"""

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from lockscape.errors import InputError
from lockscape.experiments.choose import choose_plan
from lockscape.experiments.releases import kernel_port
from lockscape.kernel.build import options
from lockscape.ports.merge import merged, parts
from lockscape.ports.plan import Plan, Rule, load_plan, relocked
from lockscape.ports.port import Port
from lockscape.program.locks import LockClass
from lockscape.program.nodes import Hold
from lockscape.program.walk import walk
from lockscape.systems.load import ablation_names, load_ablation

GIANT = "giant"
"""The plan whose locking a kernel has at the beginning, unless its own is one lock from entry to exit."""

FLUSH = "body flush_thread"
"""A process of the kernel itself, which some kernels have: it begins inside."""


@dataclass(frozen=True)
class Ends:
    """The kernel with a giant lock and with locks of its own: `system` is what it was asked for by, `target`
    what the fine-grained one is called; `parts`, what the giant lock is split into; `dead`, locks of places
    that this kernel never comes to."""

    system: str
    target: str
    start: Plan
    fine: Plan
    giant: LockClass
    parts: tuple[str, ...]
    dead: tuple[str, ...]

    def between(self, split: Collection[str]) -> Plan:
        """Return the plan in which only the locks `split` are on their own."""
        return merged(self.fine, {*split, *self.dead}, self.giant)


def ends(system: str, target: str | None = None) -> Ends:
    """Return where the path of a system begins and ends: at `target`, or else at what is known for it.

    That is its ablation ``SYSTEM-fine``, or the system itself if that is fine-grained. Raises `InputError`
    for a system that is not made multiprocessor by locks alone, one for which no end is known, and one that
    is another kernel than its end.
    """
    own = choose_plan(system)
    fine = _target(system, own) if target is None else choose_plan(target)
    for plan in (own, fine):
        if plan.new_code:
            raise InputError(
                f"{system}: {plan.title!r} brings code of its own: give a kernel with locks only"
            )
    start = own if _is_giant(own) else _with_giant(system, own)
    _check_same_kernel(system, start, fine)
    every, held = parts(fine), _held(kernel_port(fine))
    alive = tuple(part for part in every if part in held)
    dead = tuple(part for part in every if part not in held)
    return Ends(system, target or fine.title, start, fine, _giant_lock(start), alive, dead)


def _held(kernel: Port) -> set[str]:
    """Return what is held somewhere in a kernel: locks, ``rcu``, ``cas``."""
    every = (node for name in kernel.reachable() for node in walk(kernel.ported[name].body))
    return {"cas", *(node.lock or node.mode for node in every if isinstance(node, Hold))}


def _target(system: str, own: Plan) -> Plan:
    """Return the fine-grained kernel that is known for a system."""
    known = f"{'-'.join(system.casefold().split())}-fine"
    if known in ablation_names():
        return load_ablation(known)
    try:
        found = parts(own)
    except InputError:
        found = ()
    if _is_giant(own) or len(found) < 2:
        raise InputError(
            f"{system}: no fine-grained kernel to go to is known: write a plan with base = {system!r} and "
            "locks = 'fine', and name it with --to"
        )
    return own


def _is_giant(plan: Plan) -> bool:
    """Return whether a plan is one lock that is taken at every entry."""
    return len({rule.lock for rule in plan.rule}) == 1 and any(rule.at == "entry" for rule in plan.rule)


def _with_giant(system: str, plan: Plan) -> Plan:
    """Return a plan's kernel with a giant lock instead of its locking."""
    found = relocked(
        plan, load_plan(GIANT), f"The kernel of {system}, with one giant lock instead of its own"
    )
    inside = Rule(FLUSH, _giant_lock(found).name, mode="arrive", source="it is in the kernel from the start")
    return msgspec.structs.replace(found, rule=(*found.rule, inside))


def _giant_lock(plan: Plan) -> LockClass:
    name = plan.rule[0].lock
    return next(lock for lock in plan.lock if lock.name == name)


def _check_same_kernel(system: str, start: Plan, fine: Plan) -> None:
    ours, theirs = options(**start.options), options(**fine.options)
    for name, value in ours.items():
        if theirs[name] != value:
            raise InputError(
                f"{system}: {fine.title!r} is another kernel, with {name} = {theirs[name]} instead of "
                f"{value}: write a plan with base = {system!r} and locks = 'fine', and name it with --to"
            )
