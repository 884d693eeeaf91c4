"""Kernels for trials, each made once, and what a trial finds in one."""

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


every_plan = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in SHOWN else pytest.mark.slow)
        for name in dict.fromkeys((*plan_names(), *SYSTEMS))
        if name != "uniprocessor"
    ],
)
"""Makes a test one of each plan and each system; those that are not `SHOWN` are slow."""


@cache
def kernel(name: str, **options: int) -> Kernel:
    """Return the kernel of a plan or system, ready for trials, with some build options changed."""
    return kernel_of(choose_plan(name), **options)


def fault_in(name: str, title: str) -> str:
    """Return what is wrong in the trial of a plan or a system whose name has these words, or nothing."""
    (trial,) = (each for each in trials() if title in each.name)
    return run_trial(kernel(name), trial, Detector)[1]
