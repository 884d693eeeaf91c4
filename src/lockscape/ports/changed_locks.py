"""What-ifs of one lock of a plan: that it costs nothing, is split in two, or is one for each instance."""

from collections.abc import Collection, Mapping

import msgspec

from lockscape.errors import InputError
from lockscape.kernel.build import MASKED_SECTIONS, SEMAPHORES
from lockscape.ports.mutants import holds
from lockscape.ports.plan import Plan, Rule
from lockscape.ports.port import Port
from lockscape.ports.rewrite import apply_plan
from lockscape.program.locks import LockClass
from lockscape.program.nodes import Expr, Field, Function, Section, Var
from lockscape.program.objects import Object, layout
from lockscape.program.walk import walk

HOLDING = ("exclusive", "shared", "retry")
"""Modes of rules that hold a lock; the others let it go for a while, or say who comes in with it."""

UNTAKEN = ("version", "rcu")
"""Kinds of locks that nobody takes and waits for."""


def lock_classes(plan: Plan) -> dict[str, LockClass]:
    """Return the locks that a plan's kernel has, by name, those of the uniprocessor kernel too."""
    return {lock.name: lock for lock in (*SEMAPHORES, *plan.lock)}


def with_lock(plan: Plan, changed: LockClass) -> Plan:
    """Return a plan with a lock class in the place of that of its name, or besides."""
    locks = {lock.name: lock for lock in plan.lock} | {changed.name: changed}
    return msgspec.structs.replace(plan, lock=tuple(locks.values()))


def freed(plan: Plan, lock: str) -> Plan:
    """Return a plan in which a lock costs nothing: a bound (`lockscape.machine.ahead`)."""
    return with_lock(plan, msgspec.structs.replace(lock_classes(plan)[lock], free=True))


def sites(plan: Plan, lock: str) -> list[int]:
    """Return the numbers of the rules that hold a lock, counted from 0 as in the plan's file."""
    return [k for k, rule in enumerate(plan.rule) if rule.lock == lock and rule.mode in HOLDING]


def second_name(plan: Plan, lock: str) -> str:
    """Return a name for the second half of a lock that the plan has not."""
    number = 2
    while f"{lock}_{number}" in lock_classes(plan):
        number += 1
    return f"{lock}_{number}"


def split(plan: Plan, lock: str, second: Collection[int], first_last: bool = False) -> Plan:
    """Return a plan in which the rules of these numbers hold another lock of the same kind.

    Where the lock is let go for a while, or a new process comes in with it, both are; they are taken back in
    the order of the halves, or with `first_last` the other way.
    """
    name = second_name(plan, lock)
    rules: list[Rule] = []
    for number, rule in enumerate(plan.rule):
        moved = msgspec.structs.replace(rule, lock=name)
        if number in second:
            rules.append(moved)
        elif rule.lock == lock and rule.mode not in HOLDING:
            rules += [rule, moved] if first_last else [moved, rule]
        else:
            rules.append(rule)
    twin = msgspec.structs.replace(lock_classes(plan)[lock], name=name)
    return with_lock(msgspec.structs.replace(plan, rule=tuple(rules)), twin)


def per_instance(port: Port, lock: str) -> dict[str, Plan]:
    """Return plans with a lock for each object of a class instead of one for all, by class.

    They are the classes of which all of the lock's sections name an object, those that the first section
    names first. Raises `InputError`, saying why, if the lock is not one for all or has no such class.
    """
    plan = port.plan
    known = lock_classes(plan)[lock]
    mine = sites(plan, lock)
    if any(plan.rule[k].of for k in mine):
        raise InputError(f"is one for each {known.object} already")
    let_go = next((r for r in plan.rule if r.lock == lock and r.mode not in HOLDING), None)
    if let_go is not None:
        raise InputError(f"is let go at {let_go.at!r}, where no object is named")
    named = {k: _named(port, plan.rule[k]) for k in mine}
    bare = next((k for k in mine if not named[k]), None)
    if bare is not None:
        raise InputError(f"{plan.rule[bare].at!r} names no object that has instances")
    shared = [cls for cls in named[mine[0]] if all(cls in named[k] for k in mine)]
    if not shared:
        other = next(k for k in mine if not set(named[k]) & set(named[mine[0]]))
        raise InputError(f"{plan.rule[mine[0]].at!r} and {plan.rule[other].at!r} name no object of one class")
    return {cls: _of_each(plan, known, {k: named[k][cls] for k in mine}, cls) for cls in shared}


def _of_each(plan: Plan, lock: LockClass, objects: Mapping[int, str], cls: str) -> Plan:
    rules = tuple(
        msgspec.structs.replace(rule, of=objects[k]) if k in objects else rule
        for k, rule in enumerate(plan.rule)
    )
    moved = msgspec.structs.replace(lock, object=cls)
    return with_lock(msgspec.structs.replace(plan, rule=rules), moved)


def _named(port: Port, rule: Rule) -> dict[str, str]:
    """Return the objects that stand where a rule takes its lock, by class, as its `of` would name them.

    Those of a section in the order of its targets; of a function or call the parameters. Objects that a
    kernel has only one of are left out.
    """
    kind, _, place = " ".join(rule.at.split()).partition(" ")
    name, _, inner = place.partition("/")
    function = port.source.get(name)
    if function is None:
        return {}
    if kind == "section":
        section = next(s for s in walk(function.body) if isinstance(s, Section) and s.name == inner)
        found = [_written(function, target.base) for target in section.targets]
    else:
        found = [(function.types[p], p) for p in function.params if function.types.get(p)]
    named: dict[str, str] = {}
    for cls, text in found:
        if text and cls in Object.declared and layout(Object.declared[cls]).count != "1":
            named.setdefault(cls, text)
    return named


def _written(function: Function, expression: Expr) -> tuple[str, str]:
    """Return class and text of an expression as a rule's `of` writes it, nothing for one that cannot be."""
    match expression:
        case Var(name=name) if function.types.get(name):
            return function.types[name], name
        case Field(base=base, cls=cls, name=name):
            below = _written(function, base)[1]
            refers = layout(Object.declared[cls]).infos.get(name)
            return (refers.refers, f"{below}.{name}") if below and refers and refers.refers else ("", "")
    return "", ""


def rules_of_holds(port: Port) -> dict[tuple[str, int], int]:
    """Return which rule makes each hold of a port: (function, number among its holds) -> number of the rule.

    Found by applying the plan with a lock of its own for each rule.
    """
    known: Mapping[str, LockClass] = port.program.locks
    locks, rules = dict(known), []
    for number, rule in enumerate(port.plan.rule):
        if rule.lock in known:
            locks[f"{rule.lock}#{number}"] = known[rule.lock]
            rule = msgspec.structs.replace(rule, lock=f"{rule.lock}#{number}")
        rules.append(rule)
    apart = msgspec.structs.replace(port.plan, rule=tuple(rules))
    ported = apply_plan(port.source, apart, locks, MASKED_SECTIONS, bool(port.options["preemptible"]))
    return {
        (function.name, ordinal): int(hold.lock.partition("#")[2])
        for function in ported.values()
        for ordinal, hold in enumerate(holds(function.body))
        if "#" in hold.lock
    }
