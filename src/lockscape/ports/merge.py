"""One lock in place of several: a fine-grained plan before its locks are told apart.

Every section that had some of the locks has the giant one instead, held alone. What the locks kept apart, it
keeps apart. Only the order of locks can become wrong: the giant one is then taken under a lock of its own
that is also taken under the giant one. `lockscape.ports.lockorder` refuses that.
"""

from collections.abc import Collection, Iterator

import msgspec

from lockscape.errors import InputError, unknown
from lockscape.ports.plan import Plan, Rule
from lockscape.program.locks import LockClass

SEVERAL = ("drop", "arrive", "funnel")
"""Modes of a lock that is held over more than its data's sections, or of the master processor."""

STAYS = ("barrier",)
"""Modes that order, and keep nobody apart."""


def parts(plan: Plan) -> tuple[str, ...]:
    """Return what a plan's giant lock can be split into, in the order of its rules: locks, ``rcu``, ``cas``.

    Sleeping locks are none: a process may sleep while it holds one, as it may not with a lock that spins.
    Raises `InputError` for a plan whose locks are not those of data: it drops one, goes to a master.
    """
    for rule in plan.rule:
        if rule.mode in SEVERAL:
            raise InputError(
                f"plan {plan.title!r} is not fine-grained: {rule.mode} {rule.lock} at {rule.at!r}; name "
                "another one to go to"
            )
    sleeping = {lock.name for lock in plan.lock if lock.sleeps}
    named = {lock.name for lock in plan.lock}
    found = dict.fromkeys(_part(rule) for rule in plan.rule if rule.mode not in STAYS)
    return tuple(name for name in found if name not in sleeping and (name in named or name in ("rcu", "cas")))


def apart(plan: Plan) -> Plan:
    """Return a plan in which each of the `parts` is held alone, wherever it is taken: none is as strict in
    the order of locks."""
    every = parts(plan)
    nameless = tuple(LockClass(name, "Kernel", "bkl", True) for name in every if name in ("rcu", "cas"))
    rules = tuple(Rule(r.at, _part(r), r.of) if _part(r) in every else r for r in plan.rule)
    return msgspec.structs.replace(plan, lock=(*plan.lock, *nameless), rule=rules)


def merged(plan: Plan, split: Collection[str], giant: LockClass) -> Plan:
    """Return a plan in which all `parts` but those `split` are the lock `giant`.

    It masks interrupts if one of them does. With all of them split it is the plan itself. Raises `InputError`
    for one that is no part.
    """
    every = parts(plan)
    for name in split:
        if name not in every:
            raise InputError(unknown("lock", name, every))
    gone = {name for name in every if name not in split}
    if not gone:
        return plan
    masks = any(lock.masks for lock in plan.lock if lock.name in gone)
    one = msgspec.structs.replace(giant, recursive=True, masks=masks)
    kept = (lock for lock in plan.lock if lock.name not in gone)
    return msgspec.structs.replace(plan, lock=(one, *kept), rule=tuple(_rules(plan, gone, giant.name)))


def _part(rule: Rule) -> str:
    return rule.lock or rule.mode


def _rules(plan: Plan, gone: set[str], giant: str) -> Iterator[Rule]:
    """Yield the rules with `giant` for the locks `gone`, once at a place: it is taken first of them."""
    held = set[str]()
    for rule in plan.rule:
        if _part(rule) not in gone:
            yield rule
        elif rule.at not in held:
            held.add(rule.at)
            yield Rule(rule.at, giant, source=rule.source)
