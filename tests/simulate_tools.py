"""Small runs for the tests of the simulator: a specification, and its result, made once."""

from functools import cache
from typing import Any

from lockscape.experiments.result import RunResult, RunSpec
from lockscape.experiments.run import simulate
from lockscape.ports.plan import load_plan
from lockscape.workloads.postmark import PostmarkOptions

WORK = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=20, transactions=60)
"""PostMark so small that a run takes a tenth of a second."""


def spec(system: str = "giant", cpus: int = 1, **changes: Any) -> RunSpec:
    """Return the specification of a small run."""
    given: dict[str, Any] = {"processes": 3, "postmark": WORK, "seeding": "each", **changes}
    return RunSpec(system, load_plan(system), cpus, **given)


@cache
def result(system: str = "giant", cpus: int = 1) -> RunResult:
    """Return the result of a small run."""
    return simulate(spec(system, cpus))
