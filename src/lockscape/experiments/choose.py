"""Which plan a system's or method's name means, and whether a plan can be run at all."""

from pathlib import Path

from lockscape.errors import InputError, unknown
from lockscape.experiments.sample import kernel_steps
from lockscape.kernel.build import OPTIONS
from lockscape.machine.state import MOST_PROCESSORS
from lockscape.ports.plan import Plan, load_plan, plan_names, read_plan

UNIPROCESSOR = "uniprocessor"
"""The kernel without a port: it has no exclusion between processors."""

MOST = {"hz": 10_000, "slice_ticks": 10_000, "groups": 1024}
"""Largest numbers that make sense, by build option."""

NEW_CODE = (
    "master", "slaves", "application", "device", "hypervisor_objects", "coscheduling", "hypervisor",
    "hypervisor_full", "hypervisor_para", "cells", "clustered", "clustered_names", "clustered_pages",
    "clustered_files", "clustered_memory", "clustered_dispatch", "lockfree",
)  # fmt: skip
"""Modules of `lockscape.ports` that hold functions for a kernel."""

MOST_CYCLES = 1 << 40
"""Largest number of any other option, of instructions and of cycles."""


def choose_plan(name: str) -> Plan:
    """Return the plan of a method or system by its name, or the one in a file whose name ends in .toml.

    Case does not matter in names and spaces stand for hyphens. Raises `InputError` for a name that is none,
    naming the nearest, and for a plan that could not be run.
    """
    if name.endswith(".toml"):
        plan = read_plan(Path(name))
        check_plan(plan, name)
        return plan
    known = plan_names()
    wanted = "-".join(name.casefold().split())
    if wanted not in known:
        raise InputError(unknown("system or method", name, known) + ", or your own FILE.toml")
    plan = load_plan(wanted)
    check_plan(plan, wanted)
    return plan


def check_plan(plan: Plan, name: str) -> None:
    """Raise `InputError` for build options that do not exist or have impossible values."""
    for option, value in plan.options.items():
        if option not in OPTIONS:
            raise InputError(f"{name}: " + unknown("build option", option, sorted(OPTIONS)))
        low, high = int(OPTIONS[option] > 1), MOST.get(option, MOST_CYCLES)  # a size is never 0
        if not low <= value <= high:
            raise InputError(f"{name}: build option {option} = {value}: give a number from {low} to {high}")
    for step, instructions in plan.costs.items():
        if step not in kernel_steps():
            raise InputError(f"{name}: " + unknown("cost", step, sorted(kernel_steps())))
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
        if module not in NEW_CODE:
            raise InputError(f"{name}: " + unknown("module of new code", module, NEW_CODE))


def most_processors(plan: Plan) -> int:
    """Return how many processors a plan's kernel can use: one if nothing excludes them from each other."""
    return 1 if plan.method == UNIPROCESSOR else MOST_PROCESSORS
