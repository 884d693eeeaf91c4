"""A curve out of repeated runs, and every reason to doubt it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median

from lockscape.real.facts import HostFacts
from lockscape.real.host_result import Doubt, ExecutorName, HostCurve, HostPoint, HostRun, WorkloadName
from lockscape.real.median import LEAST_RUNS, median_of
from lockscape.real.perf_lock import Contention

MOST_SPREAD = 0.1
"""A median whose interval is wider than this share of it is too unsure to conclude from (pyperf warns at a
standard deviation of 10% of the mean)."""

MOST_OTHERS, MOST_STOLEN, MOST_LOAD = 0.05, 0.02, 0.5
"""More of the processors' time for other programs or the hypervisor, or more load at first, is a doubt."""

LEAST_SECONDS = 0.5
"""Shorter runs are mostly beginning and end, and hide what other programs take."""


def curve_of(
    name: WorkloadName, executor: ExecutorName, runs: Mapping[int, Sequence[HostRun]],
    contention: Contention | None, processors: Sequence[int],
) -> HostCurve:  # fmt: skip
    """Return the curve of a workload's runs, by number of processors; 1 must be among the numbers.

    `processors`: the numbers of all that may be used, the first of which are.
    """
    alone = median_of([run.makespan_s for run in runs[1]])
    points = []
    for cpus, made in sorted(runs.items()):
        here = median_of([run.makespan_s for run in made])
        steady = [run.steady_per_s for run in made if run.steady_per_s is not None]
        low, high = (alone.low / here.high, alone.high / here.low) if cpus > 1 else (1.0, 1.0)
        points.append(HostPoint(
            cpus, tuple(processors[:cpus]), here.value, here, alone.value / here.value, low, high,
            median(steady) if len(steady) == len(made) else None, tuple(made),
        ))  # fmt: skip
    found = (*_of_runs(points), *_of_time(points), *_of_speedups(points), *_of_neighbours(points))
    return HostCurve(name, executor, tuple(points), contention, found)


def _of_runs(points: Sequence[HostPoint]) -> Iterator[Doubt]:
    """Yield what is wrong with the measurements themselves."""
    wide = max(points, key=lambda point: point.makespan.spread)
    if wide.makespan.spread > MOST_SPREAD:
        yield Doubt(
            "spread",
            f"on {_processors(wide.cpus)} the median's interval is {wide.makespan.spread:.0%} of it, too "
            "wide to conclude: give more --repeat, longer runs, or a quieter host.",
        )
    short = min(point.makespan_s for point in points)
    if short < LEAST_SECONDS:
        yield Doubt(
            "short",
            f"runs of {short:.2f} s: beginning and end weigh much, and others' time can hardly be seen: give "
            "more --transactions or --iterations.",
        )


def _of_time(points: Sequence[HostPoint]) -> Iterator[Doubt]:
    """Yield where others took the processors' time."""
    others = max(_median_share([run.others_share for run in point.runs]) for point in points)
    stolen = max(_median_share([run.stolen_share for run in point.runs]) for point in points)
    if others > MOST_OTHERS:
        yield Doubt("busy", f"other programs took {others:.0%} of these processors' time: stop them.")
    if stolen > MOST_STOLEN:
        yield Doubt("stolen", f"the hypervisor took {stolen:.0%} of these processors' time for other guests.")


def _of_speedups(points: Sequence[HostPoint]) -> Iterator[Doubt]:
    """Yield a speedup that no number of processors can give."""
    for point in points:
        if point.speedup_low > point.cpus:
            yield Doubt(
                "superlinear",
                f"{_processors(point.cpus)} are {point.speedup:.2f} times as fast as one: something held up "
                "the runs on one.",
            )


def _of_neighbours(points: Sequence[HostPoint]) -> Iterator[Doubt]:
    """Yield where the order of two neighbours is not decided."""
    for one, two in pairwise(points):
        if one.makespan.low <= two.makespan.high and two.makespan.low <= one.makespan.high:
            yield Doubt(
                "undecided",
                f"{one.cpus} and {_processors(two.cpus)} differ by less than their intervals: which is "
                "faster is not decided.",
            )


def host_doubts(host: HostFacts, cpus: int, processes: int, repeat: int) -> tuple[Doubt, ...]:
    """Return what makes all figures other than those of a quiet machine of equal processors, up to `cpus`."""
    return tuple(_of_host(host, cpus, processes, repeat))


def _of_host(host: HostFacts, cpus: int, processes: int, repeat: int) -> Iterator[Doubt]:
    if repeat < LEAST_RUNS:
        yield Doubt(
            "few",
            f"{repeat} run{'s' * (repeat > 1)} of each point: intervals are from the smallest to the largest "
            f"only; give --repeat {LEAST_RUNS} or more.",
        )
    if host.load > MOST_LOAD:
        yield Doubt("load", f"The load average was {host.load:.1f} at the beginning: stop other programs.")
    if host.cpu_quota is not None and host.cpu_quota < cpus:
        yield Doubt(
            "quota",
            f"A control group allows the time of {host.cpu_quota:g} processors: the curve ends there.",
        )
    used = set(host.processors[:cpus])
    shared = next((group for group in host.threads if len(used & set(group)) > 1), None)
    if shared is not None:
        yield Doubt(
            "threads",
            f"Processors {', '.join(map(str, shared))} are threads of one core: two of them are less than "
            "two processors; choose others with taskset.",
        )
    if host.governor not in (None, "performance"):
        yield Doubt("governor", f"The clock follows the load (governor {host.governor}): set performance.")
    if processes > host.online:
        yield Doubt(
            "small",
            f"{processes} processes on a host of {_processors(host.online)}: what more processors would do "
            "is not seen here.",
        )


def _median_share(shares: Sequence[float | None]) -> float:
    known = [share for share in shares if share is not None]
    return median(known) if known else 0.0


def _processors(number: int) -> str:
    return "1 processor" if number == 1 else f"{number:,} processors"
