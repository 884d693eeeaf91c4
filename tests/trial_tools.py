"""Kernels for trials, each made once, and what a trial finds in one."""

from collections.abc import Collection
from functools import cache

import pytest

from lockscape.experiments.choose import choose_plan
from lockscape.experiments.trials import Kernel, kernel_of, run_trial, trials
from lockscape.machine.faults import Detector
from lockscape.ports.plan import load_plan, plan_names
from lockscape.systems.load import load_system, system_ids

SHOWN = (
    "giant", "coarse-funnel", "fine", "linux-2.4", "lock-free", "reimplementation", "application-kernel",
    "virtualization-para",
)  # fmt: skip
"""Plans that the fast tests try: of each family one."""

PLANS = [load_plan(name) for name in plan_names()]

SYSTEMS = [
    name
    for id in system_ids()
    for name in (id, *(f"{id}@{variant}" for variant in load_system(id).variants))
    if load_system(name).plan not in PLANS
]
"""Systems, and variants of them, that have a plan of their own."""


def each_plan(shown: Collection[str]) -> pytest.MarkDecorator:
    """Return what makes a test one of each plan and each system, those that are not `shown` slow."""
    names = dict.fromkeys((*plan_names(), *SYSTEMS))
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=() if name in shown else pytest.mark.slow)
            for name in names
            if name != "uniprocessor"
        ],
    )


every_plan, some_plans, other_plans = each_plan(SHOWN), each_plan(SHOWN[::2]), each_plan(SHOWN[1::2])
"""Make a test one of each plan: the fast tests try all of `SHOWN`, or one half. Each kind of call has a trial in
four plans, and each plan has trials of half of the kinds."""


@cache
def kernel(name: str, **options: int) -> Kernel:
    """Return the kernel of a plan or system, ready for trials, with some build options changed."""
    return kernel_of(choose_plan(name), **options)


def fault_in(name: str, title: str) -> str:
    """Return what is wrong in the trial of a plan or a system whose name has these words, or nothing."""
    (trial,) = (each for each in trials() if title in each.name)
    return run_trial(kernel(name), trial, Detector)[1]
