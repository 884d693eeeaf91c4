"""Locking plans: data that says where a port takes which lock, and with which options its kernel is built.

A plan is a TOML file. Each rule is anchored at a place of the kernel's source::

    section F/NAME    the section NAME of function F
    call F/G          the statements of F that call G
    body F            the whole of F
    entry             every way into the kernel from user mode and by interrupts, but a new process' first

and says what happens there, its mode: hold a lock (``exclusive``, ``shared``, ``retry``, ``rcu``), ``drop``
one that may be held, let a new process ``arrive`` with it, go to the master processor (``funnel``), leave it
to the processor that holds the lock, if another does (``forward``), make each addition to a field that is
atomic a loop of compare-and-swap (``cas``), or have what was written before seen before each insertion into a
part that is published (``barrier``).
Rules with the same anchor nest in the order of the file.

A file with a ``base`` is a variant: it says only what it changes of the plan of that name. What-ifs and
ablations are written so::

    base = "linux-2.4"
    title = "Linux 2.4 with the big kernel lock let go while a directory is searched"

    [[without]]                 # rules to take out: those of a lock, at a place, or both
    at = "body create_dentry"
    lock = "kernel_flag"

    [[rule]]                    # further rules, after those of the base
    at = "body search"
    lock = "kernel_flag"
    mode = "drop"
"""

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

import msgspec

from lockscape.errors import InputError, unknown
from lockscape.ports import packages
from lockscape.program.locks import LockClass

Mode = Literal["exclusive", "shared", "retry", "rcu", "drop", "arrive", "funnel", "forward", "cas", "barrier"]
"""What a rule does at its anchor: see `lockscape.program.nodes.Hold`; and what it makes of a section without
a lock."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule: at the anchor `at`, `lock` of the object `of` in a `mode`.

    `of` is a variable of the function, or ``variable.field``; empty for a lock of the kernel's only object of
    a class. `source` cites the real kernel: ``file:function{text}``; or says why the method asks for it.
    """

    at: str
    lock: str = ""
    of: str = ""
    mode: Mode = "exclusive"
    source: str = ""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A locking plan.

    `new_code`: modules that join the kernel, of `lockscape.ports` or, by their full names, of an installed
    package (`lockscape.ports.packages`). `options`: its build options. `costs`:
    instructions of steps that differ from the reference. `atomic`: fields and bitmaps ("Class.part") that
    atomic operations change; `local`: those that only their own processor uses; `published`: those that RCU
    readers may read while they change. `covered`: sections that need no rule, each with the reason.
    `features`: what sets its kernel apart, with the source of each.
    """

    title: str
    method: str
    new_code: tuple[str, ...] = ()
    options: dict[str, int] = {}
    costs: dict[str, int] = {}
    lock: tuple[LockClass, ...] = ()
    rule: tuple[Rule, ...] = ()
    atomic: dict[str, str] = {}
    local: dict[str, str] = {}
    published: dict[str, str] = {}
    covered: dict[str, str] = {}
    features: dict[str, str] = {}


class Without(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules to take out of the base: at the anchor `at`, of the lock `lock`, or both."""

    at: str = ""
    lock: str = ""

    def __post_init__(self) -> None:
        """Refuse one that names nothing."""
        if not self.at and not self.lock:
            raise ValueError("[[without]] names neither a place (at) nor a lock: give one of them or both")

    def __str__(self) -> str:
        """Return what it names, in words."""
        return " ".join(([f"of {self.lock}"] if self.lock else []) + ([f"at {self.at!r}"] if self.at else []))

    def takes(self, rule: Rule) -> bool:
        """Return whether a rule goes."""
        return self.at in ("", rule.at) and self.lock in ("", rule.lock)


class Change(Plan, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What changes of a plan, see `Variant`: with `locks`, the locking is that of the plan of this name.

    The plan itself then gives options, costs and features only. Tables go over the plan's, entry by entry: an
    empty text takes an entry out. A lock replaces the plan's of the same name; one whose rules are all taken
    out goes too. `blocking`: names of locks whose waiters sleep, and that no interrupt handler takes;
    `spin_cycles`: how long they spin first, of all locks whose waiters sleep (None: as the locks say).
    """

    title: str = ""
    method: str = ""
    locks: str = ""
    without: tuple[Without, ...] = ()
    blocking: tuple[str, ...] = ()
    spin_cycles: int | None = None


class Variant(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A change of the plan named `base`."""

    title: str
    base: str


def plan_names() -> list[str]:
    """Return the names of the plans that come with lockscape."""
    folder = resources.files("lockscape.ports") / "plans"
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def load_plan(name: str) -> Plan:
    """Load a plan by name, lockscape's own or an installed package's.

    Raises `InputError` for one that does not exist, naming the nearest.
    """
    if name in plan_names():
        text = (resources.files("lockscape.ports") / "plans" / f"{name}.toml").read_text("utf-8")
        return parse_plan(text, name)
    found = packages.text_of("plans", name)
    if found is None:
        raise InputError(unknown("plan", name, [*plan_names(), *packages.names("plans")]))
    with packages.told(found[:1]):
        try:
            plan = parse_plan(found[1], name)
        except RecursionError as error:
            raise InputError(f"{name}: its base or its locks lead back to itself") from error
        packages.owners(plan.new_code)
        return plan


def parse_plan(text: str, name: str) -> Plan:
    """Parse a plan or a variant of one. Raises `InputError`, naming the plan, for text that is none."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name}: not a plan: {error}") from error
    return convert_plan(data, name)


def convert_plan(data: Mapping[str, Any], name: str) -> Plan:
    """Return the plan, or the variant of one, that a table of a TOML file says. Raises `InputError`."""
    try:
        if "base" not in data:
            return msgspec.convert(data, Plan)
        variant = msgspec.convert(data, Variant)
    except msgspec.ValidationError as error:
        raise InputError(f"{name}: not a plan: {error}") from error
    return changed_plan(load_plan(variant.base), variant, name)


def relocked(base: Plan, locking: Plan, title: str) -> Plan:
    """Return the kernel of a plan with another plan's locking, as a variant with `locks` has it."""
    return _applied(Change(title=title), base, locking, title)


def changed_plan(plan: Plan, change: Change, name: str) -> Plan:
    """Return a plan with a change made. Raises `InputError`, naming `name`, for one that cannot be made."""
    return _applied(change, plan, load_plan(change.locks) if change.locks else plan, name)


def _applied(change: Change, plan: Plan, locking: Plan, name: str) -> Plan:
    """Return the plan that a change makes of one, and of the plan whose locking it has."""
    for each in change.without:
        if not any(each.takes(rule) for rule in locking.rule):
            raise InputError(f"{name}: no rule {each} to take out of the plan {locking.title!r}")
    kept = tuple(rule for rule in locking.rule if not any(each.takes(rule) for each in change.without))
    rules = (*kept, *change.rule)
    unused = {rule.lock for rule in locking.rule} - {rule.lock for rule in rules}
    locks = {lock.name: lock for lock in (*locking.lock, *change.lock) if lock.name not in unused}
    for lock in change.blocking:
        if lock not in locks:
            raise InputError(f"{name}: blocking: " + unknown("lock", lock, list(locks)))
        locks[lock] = msgspec.structs.replace(locks[lock], blocking=True, masks=False)
    if change.spin_cycles is not None:
        spin = {"spin_cycles": change.spin_cycles}
        locks = {k: msgspec.structs.replace(v, **spin) if v.sleeps else v for k, v in locks.items()}
    return Plan(
        title=change.title or plan.title,
        method=change.method or locking.method,
        new_code=tuple(dict.fromkeys((*locking.new_code, *change.new_code))),
        options=plan.options | change.options,
        costs=plan.costs | change.costs,
        lock=tuple(locks.values()),
        rule=rules,
        atomic=_over(locking.atomic, change.atomic),
        local=_over(locking.local, change.local),
        published=_over(locking.published, change.published),
        covered=_over(locking.covered, change.covered),
        features=_over(plan.features, change.features),
    )


def _over(under: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in {**under, **over}.items() if text}
