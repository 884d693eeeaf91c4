"""``lockscape contention``."""

import math
import sys
from typing import TYPE_CHECKING

import click

from lockscape.cli.options import form_of, output_options
from lockscape.errors import InputError
from lockscape.report.manifest import Stopwatch

if TYPE_CHECKING:
    from lockscape.experiments.relief import Setting
    from lockscape.real.contention_rows import Measurement

MOST_CUSTOMERS = 4096
"""The exact analysis takes a step for each."""


def _finite(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuse what is no number, which the range lets through."""
    if value is not None and math.isnan(value):
        raise click.BadParameter(f"{value} is no number", ctx, param)
    return value


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--cpus", type=click.IntRange(1, MOST_CUSTOMERS), default=None, metavar="N",
              help="Processors that were measured; a run says it itself.")  # fmt: skip
@click.option("--elapsed", type=click.FloatRange(0, min_open=True, max=1e9), default=None, metavar="S",
              callback=_finite, help="How long was measured, in seconds; a run says it itself.")  # fmt: skip
@click.option("--processes", type=click.IntRange(1, MOST_CUSTOMERS), default=None, metavar="N",
              help="Processes or threads that did the work.  [default: as many as processors]")  # fmt: skip
@click.option("--idle", type=click.FloatRange(0, 100, max_open=True), default=None, metavar="PERCENT",
              callback=_finite, help="Share of the processors' time without work.")  # fmt: skip
@click.option("--demand", type=click.Choice(["waits", "holds"]), default="waits", show_default=True,
              help="Take the time under a lock from how long it was waited for, or held.")  # fmt: skip
@click.option("--system", default=None, metavar="SYSTEM", help="Which system of a run's document.")
@click.option("--at", type=click.IntRange(min=1), default=None, metavar="N",
              help="Which of its numbers of processors.  [default: the most]")  # fmt: skip
@click.option("--locks", type=click.Choice(["top", "all"]), default="top", show_default=True,
              help="The 20 locks that were waited for longest, or all.")  # fmt: skip
@output_options
def contention(
    file: str, cpus: int | None, elapsed: float | None, processes: int | None, idle: float | None,
    demand: str, system: str | None, at: int | None, locks: str, form: str | None = None,
) -> None:  # fmt: skip
    """Rank the locks of a real machine by the time waited for them, and predict what relieving each gains.

    FILE is what 'perf lock contention' prints (best with -x, and -l), /proc/lock_stat, the --json of
    'lockscape simulate', 'whatif' or 'host', or - for standard input. Gains are predicted by a closed
    queueing network, with all that they assume below the table; nothing is run.

    \b
    perf lock contention -ab -l -x, sleep 10 2>locks.csv
    lockscape contention locks.csv --cpus 8 --elapsed 10
    lockscape simulate linux-2.4 --json | lockscape contention -
    """
    from lockscape.real.contention import read_contention
    from lockscape.real.contention_rows import Choice
    from lockscape.report.contention import contention_csv, contention_document, print_contention
    from lockscape.report.output import emit
    from lockscape.report.text import printable

    watch = Stopwatch()
    measured = read_contention(file, Choice(system, at))
    for line in measured.unread:
        print(f"lockscape: line {line.line} not understood: {printable(line.text)}", file=sys.stderr)
    more = measured.lines_not_understood - len(measured.unread)
    if more:
        print(f"lockscape: and {more:,} more lines not understood", file=sys.stderr)
    setting = _setting(measured, cpus, elapsed, processes, idle)
    if demand == "holds" and not any(lock.hold_s for lock in measured.locks):
        raise InputError(f"{measured.title}: no times under locks; leave out --demand holds")
    document = contention_document(measured, setting, demand, watch.manifest())  # type: ignore[arg-type]
    if form is None:
        print_contention(document, locks == "all", sys.stdout)
    else:
        emit(document, (contention_csv(document),), form_of(form), sys.stdout)


def _setting(
    measured: "Measurement",
    cpus: int | None,
    elapsed: float | None,
    processes: int | None,
    idle: float | None,
) -> "Setting | None":
    """Return what was measured, None if the processors or the time are neither known nor given."""
    from lockscape.experiments.relief import Setting

    given = {"--cpus": cpus, "--elapsed": elapsed, "--processes": processes, "--idle": idle}
    known = (measured.cpus, measured.elapsed_s, measured.processes, measured.idle)
    twice = [
        name for name, own in zip(given, known, strict=True) if own is not None and given[name] is not None
    ]
    if twice:
        raise click.UsageError(f"{', '.join(twice)}: the run says that itself")
    cpus, elapsed = measured.cpus or cpus, measured.elapsed_s or elapsed
    if cpus is None or elapsed is None:
        return None
    idle = measured.idle if idle is None else idle / 100
    return Setting(cpus, elapsed, measured.processes or processes, idle)
