"""Draws sets of costs from their ranges: a sample has a number and is the same on every computer."""

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

from lockscape.errors import InputError
from lockscape.machine.costs import StepCost, preset, step_costs
from lockscape.ports import packages

MOST_SAMPLES = 1_000_000
"""Samples of costs that one command may ask for."""

COSTS = "costs.toml"
"""Of the kernel, and of a package with methods."""


@functools.cache
def kernel_steps() -> Mapping[str, StepCost]:
    """Return what the kernel's steps cost, by name."""
    return step_costs((resources.files("lockscape.kernel") / COSTS).read_text("utf-8"))


def steps_of(new_code: Sequence[str]) -> Mapping[str, StepCost]:
    """Return what steps cost by name: the kernel's, and those of the packages that new code comes from.

    Raises `InputError` for costs of a package that are none, or that are the kernel's already.
    """
    own = [package for package in packages.owners(new_code) if (package.folder / COSTS).is_file()]
    return {**kernel_steps(), **{name: cost for package in own for name, cost in _own_steps(package).items()}}


def _own_steps(package: packages.Package) -> dict[str, StepCost]:
    with packages.told([package]):
        steps = step_costs(package.text(COSTS))
        for name in steps:
            if name in kernel_steps():
                raise InputError(
                    f"{COSTS}: the step {name!r} is the kernel's: a plan changes it in its [costs]"
                )
        return steps


def cost_factors(sample: int, machine: str, new_code: tuple[str, ...] = ()) -> dict[str, float]:
    """Return what each cost of the kernel and of a machine is multiplied by in sample number `sample`.

    `new_code`: the modules of a plan, whose packages may have costs of their own.

    Sample 0 is the stated costs: no factors. In any other each cost is drawn on its own: with equal chance
    below or above the stated value, and evenly within that half of its range, so that the stated value is
    the median.
    """
    return dict(_factors(sample, machine, new_code))  # who takes it may change it


@functools.lru_cache(maxsize=256)
def _factors(sample: int, machine: str, new_code: tuple[str, ...]) -> Mapping[str, float]:
    if not 0 <= sample <= MOST_SAMPLES:
        raise InputError(f"cost sample {sample}: from 0 (the stated costs) to {MOST_SAMPLES}")
    ranges = _ranges(machine, new_code) if sample else ()
    return {name: _draw(f"{sample}:{name}", low, stated, high) / stated for name, low, stated, high in ranges}


def _ranges(machine: str, new_code: tuple[str, ...]) -> Iterator[tuple[str, int, int, int]]:
    for step in steps_of(new_code).values():
        if step.instructions:
            yield step.name, step.low, step.instructions, step.high
    for cost in preset(machine).cost:
        if cost.cycles:
            yield cost.name, cost.low, cost.cycles, cost.high


def _draw(name: str, low: int, stated: int, high: int) -> int:
    """Return a cost from the hash of its name: one bit chooses the half, 32 others the place in it."""
    digest = hashlib.sha256(name.encode()).digest()
    place = int.from_bytes(digest[1:5])
    first, last = (min(low, stated), stated) if digest[0] & 1 else (stated, max(high, stated))
    return first + place * (last - first + 1) // (1 << 32)
