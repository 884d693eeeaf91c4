"""Kernels for trials, each made once, and what a trial finds in one."""

from functools import cache

from lockscape.experiments.trials import Kernel, kernel_of, run_trial, trials
from lockscape.machine.faults import Detector
from lockscape.ports.plan import load_plan


@cache
def kernel(name: str, **options: int) -> Kernel:
    """Return the kernel of a plan, ready for trials, with some build options changed."""
    return kernel_of(load_plan(name), **options)


def fault_in(name: str, title: str) -> str:
    """Return what is wrong in the trial of a plan whose name has these words, or nothing."""
    (trial,) = (each for each in trials() if title in each.name)
    return run_trial(kernel(name), trial, Detector)[1]
