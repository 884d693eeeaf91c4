"""``lockscape simulate``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from lockscape.cli.options import (
    form_of,
    instead,
    jobs_option,
    kept_options,
    nothing,
    output_options,
    runs_progress,
)
from lockscape.cli.request import read_request, run_options
from lockscape.cli.values import Failing, Numbers
from lockscape.errors import InputError
from lockscape.report.manifest import Stopwatch
from lockscape.report.output import Format, emit

if TYPE_CHECKING:  # the simulator behind it takes most of the time of commands that end early
    from lockscape.experiments.request import Request
    from lockscape.experiments.result import RunSpec
    from lockscape.systems.load import System

BASELINE = "linux-2.0"
"""What the paper's Figure 2 is relative to."""

SMALL = {"files": 20, "transactions": 60}
"""What is less than the paper's under the fault detector, which takes a hundred times as long."""


@click.command()
@click.argument("systems", nargs=-1, required=True, metavar="SYSTEM|METHOD|FILE.toml|all...")
@run_options()
@click.option("--cpus", type=Numbers(), default=None, help="Numbers of processors.  [default: 1-8]")
@click.option("--same-seed/--seed-each", default=True,
              help="The same seed for all processes, or the next one for each.  [default: same]")  # fmt: skip
@click.option("--postmark", "file", default=None, metavar="FILE",
              help="Read PostMark's own configuration file instead.")  # fmt: skip
@click.option("--libc", type=click.Choice(["2005", "modern"]), default="2005", show_default=True,
              help="The C library: a mapped buffer for every stream, or one from malloc.")  # fmt: skip
@click.option("--cost-sample", type=click.IntRange(0, 1_000_000), default=0, metavar="N",
              help="Draw costs from their ranges, number N.  [default: 0, the stated costs]")  # fmt: skip
@click.option("--costs", default=None, metavar="NAME|FILE.json",
              help="The kernel's costs as measured: linux-6.1-measured, or what 'lockscape calibrate' gave.  "
                   "[default: the stated ones]")  # fmt: skip
@click.option("--band", "samples", type=click.IntRange(1, 10_000), default=None, metavar="N",
              help="Show the 5-95% band of each curve over N samples of all costs.")  # fmt: skip
@click.option("--baseline", default=None, metavar="SYSTEM",
              help=f"Give speedups over this system on one processor too.  [default: {BASELINE} if it is "
                   "among the systems and all run on one machine]")  # fmt: skip
@click.option("--at", type=click.IntRange(1, 1024), default=None, metavar="N",
              help="Show times, locks and latencies on N processors.  [default: the most]")  # fmt: skip
@click.option("--locks", type=click.Choice(["top", "all"]), default="top", show_default=True,
              help="Show the 10 busiest locks of each system, or all.")  # fmt: skip
@click.option("--report-postmark", is_flag=True, help="Print PostMark's own report of every process as well.")
@click.option("--without", "lock", default=None, metavar="LOCK|MECHANISM",
              help="Take a lock out and show what goes wrong (by default on 4 processors), or run a system "
                   "without what sets it apart beside it.")  # fmt: skip
@click.option("--faults", is_flag=True,
              help="Look for faults of a system as it is (by default on 4 processors).")  # fmt: skip
@click.option("--fail", "failing", type=Failing(), default=None,
              help="Let a kernel instance fail, on the most processors: what it takes down.")  # fmt: skip
@click.option("--trace", default=None, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              callback=instead(nothing),
              help="Write a timeline too, for ui.perfetto.dev; FILE.gz is compressed.")  # fmt: skip
@click.option("--trace-from", type=click.FloatRange(0), default=0.0, metavar="MS",
              help="Where it begins, in simulated ms.  [default: the beginning]")  # fmt: skip
@click.option("--trace-to", type=click.FloatRange(0), default=None, metavar="MS",
              help="Where it ends.  [default: the end]")  # fmt: skip
@kept_options
@jobs_option
@output_options
def simulate(
    systems: tuple[str, ...], workload: str, lock: str | None, faults: bool,
    failing: tuple[int, float] | None, at: int | None, locks: str, report_postmark: bool,
    baseline: str | None, resume: str | None, fresh: bool, jobs: int | None, trace: Path | None,
    trace_from: float, trace_to: float | None, samples: int | None,
    form: str | None = None, **settings: Any,
) -> None:  # fmt: skip
    """Run a workload on simulated kernels and print how they scale (Figure 2).

    The same uniprocessor kernel, made multiprocessor by the locking plan of each SYSTEM or METHOD, runs
    PostMark, or another workload, on a simulated machine. Finished runs are kept: the same command goes on
    after an interruption.

    \b
    lockscape simulate giant coarse fine                  three methods on 1 to 8 processors
    lockscape simulate fine --cpus 1-8 --processes 64     with more processes than processors
    lockscape simulate fine --workload mailserver         another workload, or your own FILE.toml
    lockscape simulate fine --workload trace:make.strace  what 'strace -f -ttt -T -o make.strace make' saw
    lockscape simulate fine --band 20                     how sure the curve is, with 20 samples of costs
    lockscape simulate fine --without dcache_lock         the race, step by step
    lockscape simulate ./mine.toml --faults               is your own plan right?
    lockscape simulate cells --cpus 8 --fail 2@50         instance 2 fails after 50 ms
    lockscape simulate ./mine.toml --transactions 1000    your own locking plan
    """
    watch = Stopwatch()
    settings["workload"] = workload
    if report_postmark and workload != "postmark":
        raise click.UsageError("--report-postmark is PostMark's: say --workload postmark")
    chosen = _chosen(systems)
    mechanism = lock if any(lock == each.id for found in chosen for each in found.mechanisms) else None
    looks = {"--faults": faults, "--without": lock, "--fail": failing, "--trace": trace, "--band": samples}
    _check_together(
        {name for name, value in looks.items() if value not in (None, False)},
        len(chosen),
        bool(settings["cost_sample"] or settings["costs"]),
    )
    without = faults or (lock is not None and mechanism is None)
    cpus = settings["cpus"] or ((4,) if without else tuple(range(1, 9)))
    request, terse = read_request(settings, SMALL if without else {})
    if without:
        _without([_runs(found, request, cpus)[-1] for found in chosen], lock, form_of(form), watch)
        return
    if failing is not None:
        _failures([_runs(found, request, cpus)[-1] for found in chosen], failing, form_of(form), watch)
        return
    if at is not None and at not in cpus:
        raise InputError(f"--at {at}: none of the numbers of processors is {at}; add it to --cpus")
    if mechanism is not None:
        chosen = [each for found in chosen for each in (found, found.without(mechanism))]
    base = baseline or _usual_baseline(chosen, request)
    for found in chosen:
        _tell_limit(found, cpus)
    specs = [spec for found in chosen for spec in _runs(found, request, cpus)]
    if base is not None:
        specs += _runs(_chosen([base])[0], request, (1,))
    if trace is not None:
        _timeline(specs, at, trace, trace_from, trace_to)
    show = Show(at, locks == "all", report_postmark, terse)
    _curves(specs, base is not None, samples or 0, show, Making(resume, fresh, jobs), form_of(form), watch)


def _check_together(looks: set[str], systems: int, costs: bool) -> None:
    """Raise `InputError` for ways of looking at a run, by their options, that exclude each other."""
    if "--trace" in looks and ("--without" in looks or systems > 1):
        raise InputError("--trace: the timeline is of one run; give one system, and no --without")
    if "--fail" in looks and looks & {"--without", "--trace"}:
        raise InputError("--fail: shows one failure by itself; give no --without and no --trace")
    if "--band" in looks and (costs or looks & {"--without", "--fail", "--trace"}):
        raise InputError(
            "--band: is of curves with the stated costs; give no --without, --fail, --trace, --costs "
            "or --cost-sample"
        )
    if "--faults" in looks and len(looks) > 1:
        raise InputError("--faults: looks at a system as it is; give no --without, --fail, --trace or --band")


def _timeline(
    specs: "list[RunSpec]", at: int | None, path: Path, first_ms: float, last_ms: float | None
) -> None:
    """Write the timeline of the run on `at` processors, or on the most, and say so."""
    from lockscape.report.timeline import Window, write_timeline

    spec = max((s for s in specs if at is None or s.cpus == at), key=lambda s: s.cpus)
    with runs_progress(1) as progress:
        told = None if progress is None else lambda share: progress(share, 0)
        done = write_timeline(spec, path, Window(first_ms, last_ms), told)
    print(
        f"{path}: timeline of {spec.system} on {spec.cpus} processor{'s' * (spec.cpus > 1)}, "
        f"{done.slices:,} slices, {path.stat().st_size:,} bytes; open it at https://ui.perfetto.dev",
        file=sys.stderr,
    )


class Show(NamedTuple):
    """How much is shown."""

    at: int | None
    all_locks: bool
    postmark: bool
    terse: bool


class Making(NamedTuple):
    """How runs are made: where they are kept, and by how many at once."""

    resume: str | None
    fresh: bool
    jobs: int | None


def _chosen(names: Sequence[str]) -> "list[System]":
    """Return the systems that are asked for, each once."""
    from lockscape.experiments.choose import choose, expand

    return [choose(name) for name in expand(names)]


def _usual_baseline(chosen: "Sequence[System]", request: "Request") -> str | None:
    """Return the paper's baseline if it is among the systems, and all run on one machine: a system's time
    says nothing on another one."""
    machines = {request.machine or found.machine for found in chosen}
    return BASELINE if BASELINE in {found.id for found in chosen} and len(machines) == 1 else None


def _tell_limit(found: "System", cpus: tuple[int, ...]) -> None:
    """Say on which numbers of processors a system is not run, for it cannot use so many."""
    beyond = [str(number) for number in cpus if number > found.most_processors]
    if beyond:
        most = f"{found.most_processors} processor{'s' * (found.most_processors > 1)}"
        why = f" ({found.most_evidence})" if found.most_evidence else ""
        print(f"lockscape: {found.id}: at most {most}{why}: not run on {', '.join(beyond)}", file=sys.stderr)


def _runs(found: "System", request: "Request", cpus: tuple[int, ...]) -> "list[RunSpec]":
    from lockscape.experiments.request import runs_of

    return runs_of(found, request, cpus)


def _curves(
    specs: "list[RunSpec]", based: bool, samples: int, show: Show, making: Making, form: Format,
    watch: Stopwatch,
) -> None:  # fmt: skip
    """Make all runs and show them; if `based`, the last one is the baseline's."""
    from lockscape.experiments.band import run_samples
    from lockscape.experiments.store import default_folder
    from lockscape.report.simulate import simulate_document
    from lockscape.report.simulate_tables import curve_csv, print_curves, print_postmark

    folder = Path(making.resume) if making.resume is not None else default_folder()
    with runs_progress(len(specs) * (1 + samples)) as progress:
        points, drawn = run_samples(specs, samples, folder, making.jobs, progress, making.fresh)
    kept = sum(point.kept for point in points)
    if kept and sys.stderr.isatty():
        print(
            f"lockscape: {kept} of {len(points)} runs were kept from before (--fresh makes them again)",
            file=sys.stderr,
        )
    document = simulate_document(points, watch.manifest(), based, drawn=drawn)
    if form != "table":
        emit(document, (curve_csv(document),), form, sys.stdout)
        return
    print_curves(document, sys.stdout, show.all_locks, show.at)
    if show.postmark:
        print_postmark(document, sys.stdout, show.at, show.terse)


def _without(specs: "list[RunSpec]", lock: str | None, form: Format, watch: Stopwatch) -> None:
    from lockscape.experiments.without import without
    from lockscape.report.simulate import simulate_document
    from lockscape.report.without import print_removals, removals_csv

    with runs_progress(len(specs)) as progress:
        removals = []
        for number, spec in enumerate(specs):
            removals.append(without(spec, lock))
            if progress is not None:
                progress((number + 1) / len(specs), number + 1)
    document = simulate_document([], watch.manifest(), removals=removals, about=specs[0])
    if form == "table":
        print_removals(document, sys.stdout)
    else:
        emit(document, (removals_csv(document),), form, sys.stdout)


def _failures(specs: "list[RunSpec]", failing: tuple[int, float], form: Format, watch: Stopwatch) -> None:
    from lockscape.experiments.failure import failure
    from lockscape.report.failure import failures_csv, print_failures
    from lockscape.report.simulate import simulate_document

    with runs_progress(len(specs)) as progress:
        found = []
        for number, spec in enumerate(specs, 1):
            found.append(failure(spec, *failing))
            if progress is not None:
                progress(number / len(specs), number)
    document = simulate_document([], watch.manifest(), about=specs[0], failures=found)
    if form == "table":
        print_failures(document, sys.stdout)
    else:
        emit(document, (failures_csv(document),), form, sys.stdout)
