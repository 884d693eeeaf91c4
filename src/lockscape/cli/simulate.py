"""``lockscape simulate``."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from lockscape.cli.options import form_of, jobs_option, output_options, runs_progress
from lockscape.errors import InputError
from lockscape.report.manifest import Stopwatch
from lockscape.report.output import Format, emit

if TYPE_CHECKING:  # the simulator behind it takes most of the time of commands that end early
    from lockscape.experiments.result import RunSpec, Seeding
    from lockscape.systems.load import System
    from lockscape.workloads.choose import AnyWorkload
    from lockscape.workloads.postmark import PostmarkOptions
    from lockscape.workloads.stdio import Libc

POSTMARK = "postmark"
BASELINE = "linux-2.0"
"""What the paper's Figure 2 is relative to."""

PAPER = {"size": (100, 100), "number": 1000, "transactions": 10_000}
"""The paper's setting of PostMark, and the default."""

PROCESSES = 8

NO_POSTMARK: dict[str, Any] = dict.fromkeys(("transactions", "number", "size", "seed", "file"))
"""Settings that are PostMark's; only the seed is others', too."""

SMALL = {"size": (100, 100), "number": 20, "transactions": 60}
"""The default under the fault detector, which takes a hundred times as long."""


class Numbers(click.ParamType["tuple[int, ...]"]):
    """Numbers of processors: ``4``, ``1-8`` or ``1,2,4,8-16``."""

    name = "N,N-N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the numbers, sorted, each once."""
        from lockscape.machine.state import MOST_PROCESSORS

        if isinstance(value, tuple):
            return value
        found: set[int] = set()
        for part in str(value).split(","):
            low, dash, high = part.strip().partition("-")
            if not (low.isascii() and low.isdigit() and (not dash or (high.isascii() and high.isdigit()))):
                self.fail(f"{part!r} is no number of processors: write 4, 1-8 or 1,2,4", param, ctx)
            first, last = int(low[:9]), int((high or low)[:9])
            if not 1 <= first <= last <= MOST_PROCESSORS:
                self.fail(
                    f"{part!r}: give numbers from 1 to {MOST_PROCESSORS}, the smaller first", param, ctx
                )
            found.update(range(first, last + 1))
        return tuple(sorted(found))


class Size(click.ParamType["tuple[int, int]"]):
    """File sizes in bytes: ``100`` or ``500-10000``."""

    name = "BYTES[-BYTES]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return the lowest and the highest size."""
        low, dash, high = str(value).partition("-")
        digits = all(
            text.isascii() and text.isdigit() and len(text) < 11 for text in (low, high if dash else low)
        )
        if not digits:
            self.fail(f"{value!r} is no size: write 100 or 500-10000, in bytes", param, ctx)
        return int(low), int(high if dash else low)


class Failing(click.ParamType["tuple[int, float]"]):
    """A failure: ``2@50``, the kernel instance and the simulated time in ms."""

    name = "INSTANCE@MS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, float]:
        """Return the instance and the time."""
        found = re.fullmatch(r"([0-9]{1,4})@([0-9]{1,9}(?:\.[0-9]{1,6})?)", str(value), re.ASCII)
        if found is None:
            self.fail(f"{value!r} is no failure: write 2@50, the instance and the time in ms", param, ctx)
        return int(found[1]), float(found[2])


class Request(NamedTuple):
    """What is asked for, besides the systems."""

    cpus: tuple[int, ...]
    processes: int
    seeding: "Seeding"
    libc: "Libc"
    machine: str | None
    cost_sample: int
    postmark: "PostmarkOptions"
    terse: bool
    workload: "AnyWorkload | None"


@click.command()
@click.argument("systems", nargs=-1, required=True, metavar="SYSTEM|METHOD|FILE.toml|all...")
@click.option("--workload", default=POSTMARK, show_default=True, metavar="NAME|FILE.toml|trace:FILE",
              help="What is run: see 'lockscape workloads'; trace:FILE is strace's.")  # fmt: skip
@click.option("--cpus", type=Numbers(), default=None, help="Numbers of processors.  [default: 1-8]")
@click.option("--processes", type=click.IntRange(1, 4096), default=None, metavar="N",
              help="Processes that run side by side.  [default: 8, or as the workload says]")  # fmt: skip
@click.option("--transactions", type=click.IntRange(10, 1_000_000), default=None, metavar="N",
              help="Transactions of each process.  [default: 10000, as in the paper]")  # fmt: skip
@click.option("--number", type=click.IntRange(1, 250_000), default=None, metavar="N",
              help="Simultaneous files of each process.  [default: 1000]")  # fmt: skip
@click.option("--size", type=Size(), default=None, help="Sizes of the files.  [default: 100]")
@click.option("--seed", type=click.IntRange(1, 2**31 - 1), default=None, metavar="N",
              help="The workload's seed.  [default: PostMark's, 42]")  # fmt: skip
@click.option("--same-seed/--seed-each", default=True,
              help="The same seed for all processes, or the next one for each.  [default: same]")  # fmt: skip
@click.option("--postmark", "file", default=None, metavar="FILE",
              help="Read PostMark's own configuration file instead.")  # fmt: skip
@click.option("--libc", type=click.Choice(["2005", "modern"]), default="2005", show_default=True,
              help="The C library: a mapped buffer for every stream, or one from malloc.")  # fmt: skip
@click.option("--machine", default=None, metavar="NAME",
              help="The machine preset.  [default: each system's own; pentium4 for methods]")  # fmt: skip
@click.option("--cost-sample", type=click.IntRange(0, 1_000_000), default=0, metavar="N",
              help="Draw costs from their ranges, number N.  [default: 0, the stated costs]")  # fmt: skip
@click.option("--baseline", default=None, metavar="SYSTEM",
              help=f"Give speedups over this system on one processor too.  [default: {BASELINE} if it is "
                   "among the systems]")  # fmt: skip
@click.option("--at", type=click.IntRange(1, 1024), default=None, metavar="N",
              help="Show times, locks and latencies on N processors.  [default: the most]")  # fmt: skip
@click.option("--locks", type=click.Choice(["top", "all"]), default="top", show_default=True,
              help="Show the 10 busiest locks of each system, or all.")  # fmt: skip
@click.option("--report-postmark", is_flag=True, help="Print PostMark's own report of every process as well.")
@click.option("--without", "lock", default=None, metavar="LOCK|MECHANISM",
              help="Take a lock out and show what goes wrong (by default on 4 processors), or run a system "
                   "without what sets it apart beside it.")  # fmt: skip
@click.option("--fail", "failing", type=Failing(), default=None,
              help="Let a kernel instance fail, on the most processors: what it takes down.")  # fmt: skip
@click.option("--trace", default=None, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              help="Write a timeline too, for ui.perfetto.dev; FILE.gz is compressed.")  # fmt: skip
@click.option("--trace-from", type=click.FloatRange(0), default=0.0, metavar="MS",
              help="Where it begins, in simulated ms.  [default: the beginning]")  # fmt: skip
@click.option("--trace-to", type=click.FloatRange(0), default=None, metavar="MS",
              help="Where it ends.  [default: the end]")  # fmt: skip
@click.option("--resume", default=None, metavar="FOLDER",
              help="Where finished runs are kept and taken from.  [default: the user's cache]")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Make every run again, whatever is kept.")
@jobs_option
@output_options
def simulate(
    systems: tuple[str, ...], workload: str, lock: str | None, failing: tuple[int, float] | None,
    at: int | None, locks: str, report_postmark: bool, baseline: str | None, resume: str | None, fresh: bool,
    jobs: int | None, trace: Path | None, trace_from: float, trace_to: float | None, form: str | None = None,
    **settings: Any,
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
    lockscape simulate fine --without dcache_lock         the race, step by step
    lockscape simulate cells --cpus 8 --fail 2@50         instance 2 fails after 50 ms
    lockscape simulate ./mine.toml --transactions 1000    your own locking plan
    """
    watch = Stopwatch()
    settings["workload"] = workload
    if report_postmark and workload != POSTMARK:
        raise click.UsageError("--report-postmark is PostMark's: say --workload postmark")
    chosen = _chosen(systems)
    mechanism = lock if any(lock == each.id for found in chosen for each in found.mechanisms) else None
    if trace is not None and (lock is not None or len(chosen) > 1):
        raise InputError("--trace: the timeline is of one run; give one system, and no --without")
    if failing is not None and (lock is not None or trace is not None):
        raise InputError("--fail: shows one failure by itself; give no --without and no --trace")
    if lock is not None and mechanism is None:
        _without(chosen, lock, _request(settings, SMALL, (4,)), form_of(form), watch)
        return
    request = _request(settings, PAPER, tuple(range(1, 9)))
    if failing is not None:
        _failures(chosen, failing, request, form_of(form), watch)
        return
    if at is not None and at not in request.cpus:
        raise InputError(f"--at {at}: none of the numbers of processors is {at}; add it to --cpus")
    if mechanism is not None:
        chosen = [each for found in chosen for each in (found, found.without(mechanism))]
    base = baseline or (BASELINE if any(found.id == BASELINE for found in chosen) else None)
    for found in chosen:
        _tell_limit(found, request.cpus)
    specs = [spec for found in chosen for spec in _specs(found, request)]
    if base is not None:
        specs.append(_specs(_chosen([base])[0], request)[0])
    show = Show(at, locks == "all", report_postmark, request.terse)
    if trace is not None:
        _timeline(specs, at, trace, trace_from, trace_to)
    _curves(specs, base, show, resume, fresh, jobs, form_of(form), watch)


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


def _request(settings: dict[str, Any], defaults: dict[str, Any], cpus: tuple[int, ...]) -> Request:
    from lockscape.machine.costs import preset

    if settings["machine"] is not None:
        preset(settings["machine"])  # an unknown one is told before anything is built
    workload = _workload(settings)
    options, terse = _postmark(settings if workload is None else settings | NO_POSTMARK, defaults)
    processes = workload.processes if workload is not None else settings["processes"] or PROCESSES
    return Request(
        settings["cpus"] or cpus, processes, "same" if settings["same_seed"] else "each",
        settings["libc"], settings["machine"], settings["cost_sample"], options, terse, workload,
    )  # fmt: skip


def _workload(settings: dict[str, Any]) -> "AnyWorkload | None":
    """Return the workload that is not PostMark, with the settings that go over its file's."""
    from lockscape.workloads.choose import choose_workload
    from lockscape.workloads.replay import Replay

    if settings["workload"] == POSTMARK:
        return None
    found = choose_workload(settings["workload"], (POSTMARK,))
    for name in NO_POSTMARK:
        if name != "seed" and settings[name] is not None:
            raise click.UsageError(
                f"--{'postmark' if name == 'file' else name} is PostMark's: say --workload postmark"
            )
    changes = {name: settings[name] for name in ("processes", "seed") if settings[name] is not None}
    if isinstance(found, Replay):
        if changes:
            raise click.UsageError(f"--{next(iter(changes))}: a trace says itself what its processes do")
        return found
    return found.changed(**changes)


def _postmark(settings: dict[str, Any], defaults: dict[str, Any]) -> "tuple[PostmarkOptions, bool]":
    """Return PostMark's options, from a file or from ours, and whether the file asks for terse reports."""
    from lockscape.workloads.postmark import PostmarkOptions
    from lockscape.workloads.postmark_commands import read_commands

    given = [name for name in ("transactions", "number", "size", "seed") if settings[name] is not None]
    if settings["file"] is not None:
        if given:
            raise click.UsageError(f"--{given[0]} and --postmark exclude each other: set it in the file")
        found = read_commands(Path(settings["file"]))
        for problem in found.problems:
            print(f"lockscape: {problem}", file=sys.stderr)
        chosen = found.runs[-1].configuration if found.runs else found.configuration
        return chosen.options, chosen.terse
    value = {name: settings[name] if name in given else default for name, default in defaults.items()}
    low, high = value["size"]
    options = PostmarkOptions(
        size_low_bytes=low, size_high_bytes=high, files=value["number"], transactions=value["transactions"],
        seed=settings["seed"] or 42,
    )  # fmt: skip
    return options, False


def _chosen(names: Sequence[str]) -> "list[System]":
    """Return the systems that are asked for, each once."""
    from lockscape.experiments.choose import choose, expand

    return [choose(name) for name in expand(names)]


def _tell_limit(found: "System", cpus: tuple[int, ...]) -> None:
    """Say on which numbers of processors a system is not run, for it cannot use so many."""
    beyond = [str(number) for number in cpus if number > found.most_processors]
    if beyond:
        most = f"{found.most_processors} processor{'s' * (found.most_processors > 1)}"
        why = f" ({found.most_evidence})" if found.most_evidence else ""
        print(f"lockscape: {found.id}: at most {most}{why}: not run on {', '.join(beyond)}", file=sys.stderr)


def _specs(found: "System", request: Request) -> "list[RunSpec]":
    """Return the runs of a system: one processor first, which speedups are over, whether asked for or not."""
    from lockscape.experiments.result import RunSpec
    from lockscape.experiments.sample import cost_factors

    machine = request.machine or found.machine
    factors = cost_factors(request.cost_sample, machine)
    return [
        RunSpec(
            found.id, found.plan, cpus, request.processes, request.postmark, request.seeding, request.libc,
            machine, request.cost_sample, factors, request.workload,
        )
        for cpus in sorted({1, *request.cpus})
        if cpus <= found.most_processors
    ]  # fmt: skip


def _curves(
    specs: "list[RunSpec]", base: str | None, show: Show, resume: str | None, fresh: bool, jobs: int | None,
    form: Format, watch: Stopwatch,
) -> None:  # fmt: skip
    from lockscape.experiments.curve import run_all
    from lockscape.experiments.store import default_folder
    from lockscape.report.simulate import simulate_document
    from lockscape.report.simulate_tables import curve_csv, print_curves, print_postmark

    folder = Path(resume) if resume is not None else default_folder()
    with runs_progress(len(specs)) as progress:
        points = run_all(specs, folder, jobs, progress, fresh)
    kept = sum(point.kept for point in points)
    if kept and sys.stderr.isatty():
        print(
            f"lockscape: {kept} of {len(points)} runs were kept from before (--fresh makes them again)",
            file=sys.stderr,
        )
    alone = points.pop() if base is not None else None
    document = simulate_document(points, alone, watch.manifest())
    if form != "table":
        emit(document, (curve_csv(document),), form, sys.stdout)
        return
    print_curves(document, sys.stdout, show.all_locks, show.at)
    if show.postmark:
        print_postmark(document, sys.stdout, show.at, show.terse)


def _without(chosen: "Sequence[System]", lock: str, request: Request, form: Format, watch: Stopwatch) -> None:
    from lockscape.experiments.without import without
    from lockscape.report.simulate import simulate_document
    from lockscape.report.without import print_removals, removals_csv

    specs = [_specs(found, request)[-1] for found in chosen]
    with runs_progress(len(specs)) as progress:
        removals = []
        for number, spec in enumerate(specs):
            removals.append(without(spec, lock))
            if progress is not None:
                progress((number + 1) / len(specs), number + 1)
    document = simulate_document([], None, watch.manifest(), removals, specs[0])
    if form == "table":
        print_removals(document, sys.stdout)
    else:
        emit(document, (removals_csv(document),), form, sys.stdout)


def _failures(
    chosen: "Sequence[System]", failing: tuple[int, float], request: Request, form: Format, watch: Stopwatch
) -> None:
    from lockscape.experiments.failure import failure
    from lockscape.report.failure import failures_csv, print_failures
    from lockscape.report.simulate import simulate_document

    specs = [_specs(found, request)[-1] for found in chosen]
    with runs_progress(len(specs)) as progress:
        found = []
        for number, spec in enumerate(specs, 1):
            found.append(failure(spec, *failing))
            if progress is not None:
                progress(number / len(specs), number)
    document = simulate_document([], None, watch.manifest(), (), specs[0], found)
    if form == "table":
        print_failures(document, sys.stdout)
    else:
        emit(document, (failures_csv(document),), form, sys.stdout)
