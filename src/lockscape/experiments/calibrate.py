"""From measurement to model: costs of the kernel's steps with which its calls take what a real kernel's take.

`lockscape boot` counts the instructions of each system call of a real kernel. What the simulated kernel takes
for the same calls in the same workload is a sum over its steps, linear in their costs. There are many more
steps than calls, so the measurement does not say what each step costs: of all sets of factors with which the
calls take what was measured, that one is taken which is nearest to the stated costs (least relative entropy
of the time spent in each step). A step that only calls of one kind make is so scaled like them.

How much of a call a step is, is found by running: once with the stated costs, and once for every step with
that step's cost doubled.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError, reason_of
from lockscape.experiments.curve import Progress, run_all
from lockscape.experiments.result import RunResult, RunSpec
from lockscape.experiments.sample import kernel_steps
from lockscape.inputs import read_file
from lockscape.workloads.postmark import Libc, PostmarkOptions

MACHINE = "lockstep"
"""The machine preset of booted kernels: one instruction, one cycle."""

LEAST_SHARE = 0.002
"""A step that is less of a call is taken as none of it: timer interrupts that fall into other calls when a
step takes longer move a mean by as much."""

OF_INTERRUPTS = ("timer_interrupt done", "process runs")
"""Events that only interrupts and the scheduler make longer: their steps were not measured, and are left."""

USER = "(user mode)"
"""The row of what the program itself executes."""


class MeasuredCall(msgspec.Struct, frozen=True):
    """A system call of a real kernel: how many were counted, and their mean in instructions."""

    count: int
    mean: float


class Measurement(NamedTuple):
    """What was counted in a guest with one process on one processor: `calls` by the simulated kernel's name,
    `user` instructions of the program in all, and what ran."""

    kernel: str
    calls: Mapping[str, MeasuredCall]
    user: int
    postmark: PostmarkOptions
    libc: Libc


class CallFit(msgspec.Struct, frozen=True):
    """A call, in instructions: `measured` in the guest; of the model with `stated` costs, and as `fitted`.

    `count` and `model_count`: calls in the guest, and in the model.
    """

    call: str
    count: int
    model_count: int
    measured: float
    stated: float
    fitted: float


class Calibration(NamedTuple):
    """The factor of each step's cost that is not 1, and what the calls come to with them."""

    calls: tuple[CallFit, ...]
    factors: dict[str, float]


class _Call(msgspec.Struct):
    call: str
    count: int
    mean: float


class _Processor(msgspec.Struct):
    user_cycles: int


class _Run(msgspec.Struct):
    processors: list[_Processor]


class _Point(msgspec.Struct):
    cpus: int
    runs: list[_Run]


class _Curve(msgspec.Struct):
    name: str
    points: list[_Point]
    calls: list[_Call]


class _Kernel(msgspec.Struct):
    release: str


class _Workload(msgspec.Struct):
    processes: int
    libc: Libc
    postmark: PostmarkOptions


class _Boot(msgspec.Struct):
    """What is needed of the document of ``lockscape boot``."""

    document: str
    kernel: _Kernel | None = None
    workload: _Workload | None = None
    curves: list[_Curve] = []


def read_measurement(path: Path) -> Measurement:
    """Return what a document of ``lockscape boot`` says of the calls of one process on one processor.

    Raises `InputError` with the remedy for another document, and for one that does not hold that.
    """
    remedy = "give that of: lockscape boot KERNEL --cpus 1 --processes 1 --json"
    try:
        found = msgspec.json.decode(read_file(path), type=_Boot)
    except OSError as error:
        raise InputError(f"{path}: {reason_of(error)}; {remedy}") from error
    except msgspec.MsgspecError as error:
        raise InputError(f"{path}: no document of boot ({error}); {remedy}") from error
    if found.document != "boot" or found.workload is None or found.kernel is None:
        raise InputError(f"{path}: a document {found.document!r}; {remedy}")
    if found.workload.processes != 1:
        raise InputError(
            f"{path}: {found.workload.processes} processes, whose calls wait for each other; {remedy}"
        )
    curve = next((each for each in found.curves if each.name == "postmark"), None)
    point = next((each for each in curve.points if each.cpus == 1), None) if curve else None
    if curve is None or point is None or not point.runs:
        raise InputError(f"{path}: no run of PostMark on one processor; {remedy}")
    user = sum(each.user_cycles for each in point.runs[0].processors)
    work = found.workload
    return Measurement(found.kernel.release, _by_name(curve.calls), user, work.postmark, work.libc)


def _by_name(calls: Sequence[_Call]) -> dict[str, MeasuredCall]:
    """Join kinds of a call (open-read, open-create …), which are one call of the simulated kernel."""
    together: dict[str, list[_Call]] = {}
    for each in calls:
        if each.count:
            together.setdefault(each.call.partition("-")[0], []).append(each)
    return {
        name: MeasuredCall(count := sum(c.count for c in kinds), sum(c.count * c.mean for c in kinds) / count)
        for name, kinds in together.items()
    }


def calibrate(
    spec: RunSpec, measured: Measurement, folder: Path | None = None, workers: int | None = None,
    progress: Progress | None = None, fresh: bool = False,
) -> Calibration:  # fmt: skip
    """Return factors with which the calls of the run `spec` take what was measured.

    Raises `InputError` for a call that takes less in the guest than what no step's cost changes.
    """
    steps = [name for name, step in kernel_steps().items() if step.instructions]
    doubled = [msgspec.structs.replace(spec, cost_factors={name: 2.0}) for name in steps]
    stated, *changed = (p.result for p in run_all([spec, *doubled], folder, workers, progress, fresh))
    names = [name for name in _means(stated) if name == USER or name in measured.calls]
    base = np.array([_means(stated)[name] for name in names])
    shares = np.array([[_means(each)[name] for each in changed] for name in names]) - base[:, None]
    shares[np.abs(shares) < LEAST_SHARE * base[:, None]] = 0
    shares[:, [_is_of_interrupts(stated, each) for each in changed]] = 0
    target = np.array([_target(measured, name) for name in names])
    counts = np.array([_counts(stated)[name] for name in names], dtype=np.float64)
    wanted = target - (base - shares.sum(axis=1))
    for name, each, aim in zip(names, wanted, target, strict=True):
        if each <= 0:
            raise InputError(
                f"{name}: {aim:,.0f} instructions measured, less than the locks and the machine alone take "
                f"in the model ({aim - each:,.0f}); choose another --system"
            )
    factors = _nearest(np.maximum(shares, 0), wanted, counts)
    chosen = {name: round(float(f), 4) for name, f in zip(steps, factors, strict=True) if f != 1}
    (fitted,) = (p.result for p in run_all([msgspec.structs.replace(spec, cost_factors=chosen)], folder, 1))
    after = _means(fitted)
    return Calibration(
        tuple(
            CallFit(name, measured.calls[name].count if name in measured.calls else 1, int(counts[n]),
                    round(float(target[n]), 1), round(float(base[n]), 1), round(after[name], 1))
            for n, name in enumerate(names)
        ),
        chosen,
    )  # fmt: skip


def _is_of_interrupts(stated: RunResult, changed: RunResult) -> bool:
    """Return whether a change of one step made interrupts, or the way to a process, longer by a hundredth."""
    return any(changed.event(e).mean_cycles > 1.01 * stated.event(e).mean_cycles for e in OF_INTERRUPTS)


def _target(measured: Measurement, name: str) -> float:
    return float(measured.user) if name == USER else measured.calls[name].mean


def _means(result: RunResult) -> dict[str, float]:
    """Return the mean of each call, and what was spent in user mode, in cycles, which are instructions."""
    means = {each.call: each.mean_cycles for each in result.calls if each.count}
    return means | {USER: float(sum(each.user_cycles for each in result.processors))}


def _counts(result: RunResult) -> dict[str, int]:
    return {each.call: each.count for each in result.calls if each.count} | {USER: 1}


def _nearest(
    shares: NDArray[np.float64], wanted: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the factors f >= 0 of least relative entropy with ``shares @ f == wanted``.

    `shares` has shape (calls, steps): what a step is of a call; `counts` says how often each is called. A
    step's weight is the time spent in it, so f = exp(shares.T @ multipliers / weight); the multipliers
    minimise the dual, a smooth convex function.
    """
    from scipy.optimize import minimize

    weight = counts @ shares
    used = weight > 0
    a = shares[:, used] / wanted[:, None]  # each call in units of what is wanted of it
    scale = weight[used] / (counts @ wanted)

    def factors(multipliers: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(np.clip(a.T @ multipliers / scale, -50, 50))

    def dual(m: NDArray[np.float64]) -> float:
        return float(scale @ factors(m) - m.sum())

    def slope(m: NDArray[np.float64]) -> Any:
        return a @ factors(m) - 1

    def bend(m: NDArray[np.float64]) -> Any:
        return (a * (factors(m) / scale)) @ a.T

    found = minimize(dual, np.zeros(len(a)), jac=slope, hess=bend, method="trust-exact",
                     options={"gtol": 1e-10, "maxiter": 2000})  # fmt: skip
    result = np.ones(shares.shape[1])
    result[used] = factors(found.x)
    return result
