"""Which mixes of the workloads are like a user's kernel.

A mix says which share of the busy time on the uniprocessor kernel each workload has. All mixes in steps of
`STEP` are looked at; those that come as near to what is known as any, or at most one step farther, stand for
the user's kernel together. With nothing known these are all of them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from lockscape.errors import InputError, unknown
from lockscape.experiments.advise_kernel import COMPARED, Kernel
from lockscape.experiments.advise_subsystems import Shares

_STEPS = 20
STEP = 1 / _STEPS
"""By how much shares of a mix differ: the resolution of everything that follows from them."""

Weights = tuple[float, ...]
"""Share of the time of each workload, together 1."""


class Mixes(msgspec.Struct, frozen=True):
    """Mixes that stand for a kernel.

    `nearest`: the one that comes nearest (of several the one that is most even), its `distance` (0 to 1: the
    share of the time that is elsewhere), and the kernel's share in it. `all` are the weights of all, in the
    order of `workloads`.
    """

    workloads: tuple[str, ...]
    nearest: Weights
    distance: float
    kernel: float
    all: tuple[Weights, ...]


class _Target(NamedTuple):
    """What is compared: the kernel's share, and the split of its time among `COMPARED`; None: not known."""

    kernel: float | None
    split: dict[str, float] | None


def mixes(kernel: Kernel, shares: Sequence[Shares]) -> Mixes:
    """Return the mixes that stand for a kernel.

    Raises `InputError` for a workload that contradicts the rest.
    """
    names = tuple(each.workload for each in shares)
    target = _target(kernel)
    if kernel.workload is not None:
        return _alone(kernel.workload, shares, target)
    found = [(_distance(weights, shares, target), weights) for weights in _weights(len(shares), _STEPS)]
    least, nearest = min(found, key=lambda each: (round(each[0], 9), sum(w * w for w in each[1])))
    near = tuple(weights for distance, weights in found if distance <= least + STEP + 1e-9)
    return Mixes(names, nearest, least, _kernel(nearest, shares), near)


def _alone(name: str, shares: Sequence[Shares], target: _Target) -> Mixes:
    """Return the mix that is one workload. Raises `InputError` if another is nearer by more than a step."""
    distances = {each.workload: _distance((1.0,), [each], target) for each in shares}
    if name not in distances:
        raise InputError(unknown("workload", name, sorted(distances)))
    nearer = min(distances, key=lambda other: distances[other])
    kernel = {each.workload: each.kernel for each in shares}
    if distances[nearer] < distances[name] - STEP:
        raise InputError(
            f"workload {name} ({kernel[name]:.0%} in the kernel) contradicts the profile or the kernel's "
            f"share, which are nearer to {nearer} ({kernel[nearer]:.0%}): drop one of them"
        )
    return Mixes((name,), (1.0,), distances[name], kernel[name], ((1.0,),))


def _target(kernel: Kernel) -> _Target:
    split = None
    if kernel.profile is not None:
        split = _normal({name: kernel.profile.subsystems.get(name, 0.0) for name in COMPARED})
    return _Target(kernel.share, split)


def _normal(split: dict[str, float]) -> dict[str, float] | None:
    whole = sum(split.values())
    return {name: value / whole for name, value in split.items()} if whole > 0 else None


def _weights(parts: int, left: int) -> Iterator[Weights]:
    """Yield every way to divide `left` steps among parts."""
    if parts == 1:
        yield (left / _STEPS,)
        return
    for first in range(left + 1):
        for rest in _weights(parts - 1, left - first):
            yield (first / _STEPS, *rest)


def _kernel(weights: Weights, shares: Sequence[Shares]) -> float:
    return sum(w * each.kernel for w, each in zip(weights, shares, strict=True))


def split_of(weights: Weights, shares: Sequence[Shares]) -> dict[str, float] | None:
    """Return how a mix's kernel time is split among `COMPARED`, None if it has none."""
    return _normal({
        name: sum(w * e.kernel * e.subsystems[name] for w, e in zip(weights, shares, strict=True))
        for name in COMPARED
    })  # fmt: skip


def _distance(weights: Weights, shares: Sequence[Shares], target: _Target) -> float:
    """Return which share of the time is elsewhere than it should be.

    The kernel's share counts as it is; the split of its time counts for the time in the kernel.
    """
    inside = _kernel(weights, shares)
    off = abs(inside - target.kernel) if target.kernel is not None else 0.0
    if target.split is None:
        return off
    split = split_of(weights, shares)
    apart = 1.0 if split is None else sum(abs(split[name] - target.split[name]) for name in COMPARED) / 2
    return off + apart * (target.kernel if target.kernel is not None else 1.0)
