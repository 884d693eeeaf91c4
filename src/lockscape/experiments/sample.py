"""Draws sets of costs from their ranges: a sample has a number and is the same on every computer."""

import functools
import hashlib
from collections.abc import Iterator, Mapping
from importlib import resources

from lockscape.errors import InputError
from lockscape.machine.costs import StepCost, preset, step_costs

MOST_SAMPLES = 1_000_000


@functools.cache
def kernel_steps() -> Mapping[str, StepCost]:
    """Return what the kernel's steps cost, by name."""
    return step_costs((resources.files("lockscape.kernel") / "costs.toml").read_text("utf-8"))


@functools.lru_cache(maxsize=256)
def cost_factors(sample: int, machine: str) -> dict[str, float]:
    """Return what each cost of the kernel and of a machine is multiplied by in sample number `sample`.

    Sample 0 is the stated costs: no factors. In any other each cost is drawn on its own: with equal chance
    below or above the stated value, and evenly within that half of its range, so that the stated value is
    the median.
    """
    if not 0 <= sample <= MOST_SAMPLES:
        raise InputError(f"cost sample {sample}: from 0 (the stated costs) to {MOST_SAMPLES}")
    ranges = _ranges(machine) if sample else ()
    return {name: _draw(f"{sample}:{name}", low, stated, high) / stated for name, low, stated, high in ranges}


def _ranges(machine: str) -> Iterator[tuple[str, int, int, int]]:
    for step in kernel_steps().values():
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
