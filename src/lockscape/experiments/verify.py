"""Published figures of the systems beside simulated ones: what of each is run, and what comes out.

`verification.toml` says for every figure of the catalogue (`lockscape.catalog.figures`) how it is
simulated, or why it cannot be::

    [[check]]
    figure = "volano-spin"
    observable = "share.spin"       # of `lockscape.experiments.observe`
    times = 100                     # percent of it
    run = {system = "linux-2.4", workload = "volano", cpus = 8}
    over = {…}                      # another run, to divide by its observable

    [[check]]
    figure = "cache-kernel-signal"
    cannot = "the reason"
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from lockscape.experiments.choose import choose
from lockscape.experiments.curve import Progress, run_all
from lockscape.experiments.observe import observe, trial_spec
from lockscape.experiments.result import RunSpec
from lockscape.systems.model import Datum, Text, Trial
from lockscape.workloads.workload_file import Workload

Weight = Annotated[int, msgspec.Meta(ge=1, le=1000)]
"""How many times an operation counts in a mix."""


class CheckRun(Trial, frozen=True, kw_only=True):
    """A run of `system`, perhaps on another machine or without a mechanism.

    `mix`: operations with their weights, instead of a workload by name: one process with some files.
    """

    system: Text
    machine: str = ""
    workload: str = ""
    without: str = ""
    mix: dict[str, Weight] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a run of nothing or of two things."""
        if bool(self.workload) == bool(self.mix):
            raise ValueError("give a workload or a mix")


class Check(Datum, frozen=True, kw_only=True):
    """How a published figure is simulated: an observable of `run`, over that of `over`; or why it is not.

    `note`: what sets the run apart from what was measured.
    """

    figure: Text
    observable: str = ""
    times: float = 1.0
    run: CheckRun | None = None
    over: CheckRun | None = None
    note: str = ""
    cannot: str = ""

    def __post_init__(self) -> None:
        """Refuse a check that says neither or both."""
        if bool(self.cannot) == (self.run is not None and bool(self.observable)):
            raise ValueError("give a run with an observable, or say why it cannot be simulated")

    @property
    def runs(self) -> tuple[CheckRun, ...]:
        """Return what it runs."""
        return tuple(each for each in (self.run, self.over) if each is not None)


@dataclass(frozen=True)
class Verified:
    """A check and its simulated value; None if it cannot be simulated."""

    check: Check
    value: float | None


class _Checks(Datum, frozen=True, kw_only=True):
    check: tuple[Check, ...]


@cache
def checks() -> tuple[Check, ...]:
    """Return the checks, a figure of the catalogue each."""
    text = (resources.files("lockscape.experiments") / "verification.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _Checks).check


def verify(
    chosen: Sequence[Check], folder: Path | None = None, workers: int | None = None,
    progress: Progress | None = None, fresh: bool = False,
) -> list[Verified]:  # fmt: skip
    """Run what the checks ask for, each run once, and return what comes out. Raises what runs raise."""
    wanted = list(dict.fromkeys(_key(each) for check in chosen for each in check.runs))
    runs = {_key(each): each for check in chosen for each in check.runs}
    points = run_all([_spec(runs[key]) for key in wanted], folder, workers, progress, fresh)
    results = {key: point.result for key, point in zip(wanted, points, strict=True)}
    found = []
    for check in chosen:
        if check.run is None:
            found.append(Verified(check, None))
            continue
        value = check.times * observe(results[_key(check.run)], check.observable)
        if check.over is not None:
            value /= observe(results[_key(check.over)], check.observable)
        found.append(Verified(check, value))
    return found


def _key(run: CheckRun) -> bytes:
    return msgspec.json.encode(run, order="deterministic")


def _spec(run: CheckRun) -> RunSpec:
    system = choose(run.system)
    if run.machine:
        system = replace(system, machine=run.machine)
    if run.without:
        system = system.without(run.without)
    if not run.mix:
        return trial_spec(system, run)
    work = Workload(
        title=", ".join(run.mix), evidence=("one call again and again, as a microbenchmark does",),
        processes=run.processes or 1, operations=run.operations or 200, mix=run.mix, files=20, file_bytes=100,
        names=20, bytes=100, think_cycles=1000,
    )  # fmt: skip
    return RunSpec(system.id, system.plan, run.cpus, work.processes, machine=system.machine, workload=work)
