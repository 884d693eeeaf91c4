"""A curve out of booted runs, and every reason to doubt it."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from lockscape.real.boot_result import BootCurve, BootPoint, BootRun, SimulatorRecord
from lockscape.real.boot_run import NOMINAL_HZ
from lockscape.real.host_result import Doubt, WorkloadName
from lockscape.real.median import median_of

MODES = ("user", "kernel", "spin", "idle")
"""What a simulated processor's time is spent in."""

ENOUGH_RUNS = 3
"""The medians of so many runs of a point agree within 3%: docs/real/boot.md has the measurement."""

_MOST_SPREAD = 0.03
MOST_LATE = 0.001
"""Of all rounds: more of them without a processor that was late are a doubt."""

_MOST_ALL_IDLE = 0.01


def curve_of(
    name: WorkloadName, runs: Mapping[int, Sequence[BootRun]], simulator: SimulatorRecord, processes: int
) -> BootCurve:
    """Return the curve of a workload's runs, by number of processors; 1 must be among the numbers."""
    alone = median_of([run.makespan_cycles for run in runs[1]])
    points = []
    for cpus, made in sorted(runs.items()):
        here = median_of([run.makespan_cycles for run in made])
        steady = [run.steady_per_s for run in made if run.steady_per_s is not None]
        points.append(
            BootPoint(
                cpus=cpus,
                makespan_cycles=round(here.value),
                makespan_s=here.value / NOMINAL_HZ,
                makespan=here,
                speedup=alone.value / here.value,
                speedup_low=alone.low / here.high,
                speedup_high=alone.high / here.low,
                steady_per_s=median(steady) if len(steady) == len(made) else None,
                time_shares=_shares(_middle(made)),
                runs=tuple(made),
            )
        )
    doubts = (*_doubts(points, simulator), *_of_calls(processes))
    return BootCurve(name, tuple(points), _middle(runs[1]).calls, doubts)


def _middle(runs: Sequence[BootRun]) -> BootRun:
    """Return the run with the median makespan, of an even number the shorter one of the two."""
    return sorted(runs, key=lambda run: run.makespan_cycles)[(len(runs) - 1) // 2]


def _shares(run: BootRun) -> dict[str, float]:
    sums = {mode: sum(getattr(each, f"{mode}_cycles") for each in run.processors) for mode in MODES}
    whole = sum(sums.values()) or 1
    return {mode: cycles / whole for mode, cycles in sums.items()}


def _doubts(points: Sequence[BootPoint], simulator: SimulatorRecord) -> Iterator[Doubt]:
    runs = [run for point in points for run in point.runs]
    least = min(len(point.runs) for point in points)
    if least < ENOUGH_RUNS:
        yield Doubt(
            "few",
            f"{least} run{'s' * (least > 1)} of each point: how far they spread is not known; "
            f"give --repeat {ENOUGH_RUNS}.",
        )
    wide = max(points, key=lambda point: point.makespan.spread)
    if wide.makespan.spread > _MOST_SPREAD:
        yield Doubt(
            "spread",
            f"With {wide.cpus} processors the runs spread over {wide.makespan.spread:.1%} of their median; "
            "give more --repeat, or more --transactions.",
        )
    late = max(run.late * simulator.quantum / run.makespan_cycles for run in runs)
    if late > MOST_LATE:
        yield Doubt(
            "late",
            f"In {late:.2%} of all rounds the host let a processor wait, and others went on without it: give "
            "fewer --jobs, or a quieter host.",
        )
    idle = max(run.all_idle_s / run.makespan_s for run in runs)
    if idle > _MOST_ALL_IDLE:
        yield Doubt(
            "idle",
            f"For {idle:.1%} of the time no processor had anything to do: that time is the host's.",
        )
    if simulator.guest_clock == "host":
        yield Doubt(
            "clock",
            "The guest's timers follow the host's clock: the slower it is, the more of its interrupts come.",
        )


def _of_calls(processes: int) -> Iterator[Doubt]:
    if processes > 1:
        yield Doubt(
            "calls",
            f"Costs of calls are of {processes} processes, which also interrupt each other: that touches "
            "their means and extremes, but not their medians; give --processes 1.",
        )
