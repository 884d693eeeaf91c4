"""Locking plans: data that says where a port takes which lock, and with which options its kernel is built.

A plan is a TOML file. Each rule is anchored at a place of the kernel's source::

    section F/NAME    the section NAME of function F
    call F/G          the statements of F that call G
    body F            the whole of F
    entry             every way into the kernel from user mode and by interrupts, but a new process' first

and says what happens there, its mode: hold a lock (``exclusive``, ``shared``, ``retry``, ``rcu``), ``drop``
one that may be held, let a new process ``arrive`` with it, or go to the master processor (``funnel``).
Rules with the same anchor nest in the order of the file.
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from lockscape.errors import InputError, unknown
from lockscape.program.locks import LockClass

Mode = Literal["exclusive", "shared", "retry", "rcu", "drop", "arrive", "funnel"]


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

    `new_code`: modules of `lockscape.ports` that join the kernel. `options`: its build options. `costs`:
    instructions of steps that differ from the reference. `atomic`: fields and bitmaps ("Class.part") that
    atomic operations change; `local`: those that only their own processor uses; `published`: those that RCU
    readers may read while they change. `nests`: locks of which one may be taken while another of the class
    is held, each with the order. `covered`: sections that need no rule, each with the reason. `features`:
    what sets its kernel apart, with the source of each.
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
    nests: dict[str, str] = {}
    covered: dict[str, str] = {}
    features: dict[str, str] = {}


def plan_names() -> list[str]:
    """Return the names of the plans that come with lockscape."""
    folder = resources.files("lockscape.ports") / "plans"
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def load_plan(name: str) -> Plan:
    """Load a plan by name. Raises `InputError` for one that does not exist, naming the nearest."""
    if name not in plan_names():
        raise InputError(unknown("plan", name, plan_names()))
    text = (resources.files("lockscape.ports") / "plans" / f"{name}.toml").read_text("utf-8")
    return parse_plan(text, name)


def read_plan(path: Path) -> Plan:
    """Read a plan from a file of the user's."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a plan: {error}") from error
    return parse_plan(text, str(path))


def parse_plan(text: str, name: str) -> Plan:
    """Parse a plan. Raises `InputError`, naming the plan, for text that is none."""
    try:
        return msgspec.convert(tomllib.loads(text), Plan)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"{name}: not a plan: {error}") from error
