"""What a system's or method's name means, and whether its plan can be run at all."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from lockscape.errors import InputError, unknown
from lockscape.experiments.sample import steps_of
from lockscape.inputs import read_file
from lockscape.kernel.build import OPTIONS
from lockscape.machine.state import MOST_PROCESSORS
from lockscape.ports import packages
from lockscape.ports.plan import Plan, convert_plan, load_plan, plan_names
from lockscape.systems.load import UNIPROCESSOR, System, convert_system, load_system, system_ids

MOST = {"hz": 10_000, "slice_ticks": 10_000, "groups": 1024, "interrupt_threads": 2}
"""Largest numbers that make sense, by build option."""

NEW_CODE = (
    "master", "card_work", "forwarding", "interrupt_threads", "turnstiles", "one_clock", "slaves",
    "application", "device", "hypervisor_objects", "coscheduling", "migration", "hypervisor",
    "hypervisor_full", "hypervisor_para", "domain_lock", "cellular", "pipeline", "cells",
    "clustered", "clustered_names", "clustered_pages", "clustered_files", "clustered_memory",
    "clustered_dispatch", "lockfree", "synthesis", "object_cache", "servers", "linux_server",
)  # fmt: skip
"""Modules of `lockscape.ports` that hold functions for a kernel."""

MOST_CYCLES = 1 << 40
"""Largest number of any other option, of instructions and of cycles."""


ALL = "all"
"""Stands for all systems of Table 1."""


def choose(name: str) -> System:
    """Return the system, method or plan of a name, or what a file whose name ends in .toml says: either.

    ``NAME@VARIANT`` is a system's variant. Case does not matter in names and spaces stand for hyphens. Raises
    `InputError` for a name that is none, naming the nearest, and for what could not be run.
    """
    found = _from_file(name) if name.endswith(".toml") or ".toml@" in name else _by_name(name)
    check_plan(found.plan, found.id)
    return found


def choose_plan(name: str) -> Plan:
    """Return the plan of what `choose` finds."""
    return choose(name).plan


def expand(names: Sequence[str]) -> list[str]:
    """Return names, each once, with those of all systems in the place of ``all``."""
    return [*dict.fromkeys(each for name in names for each in (system_ids() if name == ALL else [name]))]


def _from_file(name: str) -> System:
    """Return the system that a file says, or the plan."""
    path, _, variant = name.partition(".toml@")
    file = Path(path + ".toml" if variant else name)
    try:
        data = tomllib.loads(read_file(file).decode())
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as a plan or a system: {error}") from error
    if "plan" in data:
        return convert_system(data, str(file), variant)
    if variant:
        raise InputError(f"{name}: a plan has no variants, only a system's file has: drop @{variant}")
    return _of_plan(name, convert_plan(data, name))


def _by_name(name: str) -> System:
    wanted = "-".join(name.casefold().split())
    id, at, variant = wanted.partition("@")
    if id in system_ids():
        return load_system(wanted if variant or not at else id)
    if wanted in plan_names():
        return _of_plan(wanted, load_plan(wanted))
    if id in packages.names("systems"):
        return load_system(wanted if variant or not at else id)
    if wanted in packages.names("plans"):
        return _of_plan(wanted, load_plan(wanted))
    known = sorted({*plan_names(), *system_ids(), *packages.names("plans"), *packages.names("systems")})
    raise InputError(unknown("system or method", name, known) + ", or your own FILE.toml")


def _of_plan(name: str, plan: Plan) -> System:
    """Return a plan as a system: on one processor only if nothing excludes several from each other."""
    return System.of_plan(name, plan, most=1 if plan.method == UNIPROCESSOR else MOST_PROCESSORS)


def check_plan(plan: Plan, name: str) -> None:
    """Raise `InputError` for build options that do not exist or have impossible values."""
    for option, value in plan.options.items():
        if option not in OPTIONS:
            raise InputError(f"{name}: " + unknown("build option", option, sorted(OPTIONS)))
        low, high = int(OPTIONS[option] > 1), MOST.get(option, MOST_CYCLES)  # a size is never 0
        if not low <= value <= high:
            raise InputError(f"{name}: build option {option} = {value}: give a number from {low} to {high}")
    for step, instructions in plan.costs.items():
        if step not in (known := steps_of(plan.new_code)):
            raise InputError(f"{name}: " + unknown("cost", step, sorted(known)))
        if not 0 <= instructions <= MOST_CYCLES:
            raise InputError(
                f"{name}: cost {step} = {instructions} instructions: give a number from 0 to {MOST_CYCLES}"
            )
    for lock in plan.lock:
        if not 0 <= lock.spin_cycles <= MOST_CYCLES:
            raise InputError(
                f"{name}: lock {lock.name}: spin_cycles = {lock.spin_cycles}: from 0 to {MOST_CYCLES}"
            )
    for module in plan.new_code:
        if "." in module:
            packages.owners([module])
        elif module not in NEW_CODE:
            raise InputError(f"{name}: " + unknown("module of new code", module, NEW_CODE))
