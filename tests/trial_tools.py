"""Kernels for trials, each made once, and what a trial finds in one."""

from functools import cache

import pytest

from lockscape.experiments.choose import choose_plan
from lockscape.experiments.trials import Kernel, kernel_of, run_trial, trials
from lockscape.machine.faults import Detector
from lockscape.ports.plan import plan_names

SHOWN = (
    "giant", "coarse-funnel", "fine", "linux-2.4", "lock-free", "reimplementation", "application-kernel",
    "virtualization-para",
)  # fmt: skip
"""Plans that the fast tests try: of each family one."""


every_plan = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in SHOWN else pytest.mark.slow)
        for name in plan_names()
        if name != "uniprocessor"
    ],
)
"""Makes a test one of each plan; those that are not `SHOWN` are slow."""


@cache
def kernel(name: str, **options: int) -> Kernel:
    """Return the kernel of a plan or system, ready for trials, with some build options changed."""
    return kernel_of(choose_plan(name), **options)


def fault_in(name: str, title: str) -> str:
    """Return what is wrong in the trial of a plan whose name has these words, or nothing."""
    (trial,) = (each for each in trials() if title in each.name)
    return run_trial(kernel(name), trial, Detector)[1]
