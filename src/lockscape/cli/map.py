"""``lockscape map``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from lockscape.errors import InputError
from lockscape.report.manifest import Stopwatch

if TYPE_CHECKING:  # the simulator behind it takes most of the time of commands that end early
    from lockscape.experiments.curve import Progress
    from lockscape.experiments.evidence import GivenCurve
    from lockscape.experiments.tradeoff import Question


@click.command()
@click.argument("names", nargs=-1, metavar="[SYSTEM|METHOD|FILE.toml|all...]")
@click.option("--cpus", type=click.IntRange(2, 1024), default=8, show_default=True, metavar="N",
              help="On how many processors; curves go there in powers of two.")  # fmt: skip
@click.option("--workload", "workloads", multiple=True, metavar="NAME|FILE.toml",
              help="What is run; give it again for more.  [default: postmark, mailserver, "
                   "kernelbuild, netserve and compute]")  # fmt: skip
@click.option("--machine", default="pentium4", show_default=True, metavar="NAME",
              help="The machine preset, the same for all.")  # fmt: skip
@click.option("--full", is_flag=True, help="PostMark of the paper's size, not a small one.")
@click.option("--effort", "axis", type=click.Choice(["lines", "sites"]), default="lines", show_default=True,
              help="What effort is: lines changed and new, or sites, places of locks.")  # fmt: skip
@click.option("--over", type=click.Choice(["one", "uniprocessor"]), default="one", show_default=True,
              help="Speedup over one processor, or over the kernel without its port.")  # fmt: skip
@click.option("--person-months", "months", is_flag=True,
              help="Person-months, too: an uncalibrated COCOMO II range and what it assumes.")  # fmt: skip
@click.option("--samples", type=click.IntRange(0, 1000), default=0, show_default=True, metavar="N",
              help="Run N samples of all costs, too: intervals, and how often statements hold.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1, 100), default=1, show_default=True, metavar="N",
              help="Draw each workload N times, with other seeds; speedups are of the total.")  # fmt: skip
@click.option("--curve", "curves", multiple=True, metavar="NAME=FILE",
              help="A real kernel's curve, booted, run or measured: linux-2.6=FILE.")  # fmt: skip
@click.option("--svg", default=None, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              callback=instead(nothing),
              help="Write the drawing as SVG, too.")  # fmt: skip
@click.option("--details", is_flag=True,
              help="With the conclusions' words and rules, peaks and laws, Table 1's sizes.")  # fmt: skip
@kept_options
@jobs_option
@output_options
def map(names: tuple[str, ...], form: str | None = None, **settings: Any) -> None:
    """Draw scalability against effort (Figure 3) from measurements, and check what the paper concludes.

    Every port of the one simulated kernel, and the 22 systems: what each takes, counted, and how much faster
    it gets, run. Regions are what a method's ports and systems cover with all workloads. Then each statement
    of the paper's section 6: holds, does not hold, or not testable, with the numbers. Finished runs are kept:
    the first map takes minutes, the next one seconds.

    \b
    lockscape map                                     everything, on 8 processors
    lockscape map giant coarse fine ./mine.toml       some methods, and a plan of your own
    lockscape map --cpus 32 --workload kernelbuild    another machine size and workload
    lockscape map --details --person-months           with rules, laws and an estimate in person-months
    lockscape map --curve linux-2.6=booted.json       beside a real kernel's curve
    lockscape map --svg figure3.svg                   as a picture
    """
    from lockscape.experiments.choose import expand
    from lockscape.experiments.tradeoff import all_names

    watch = Stopwatch()
    curves = [_curve(text) for text in settings["curves"]]
    question = _question(settings)
    _map(expand(names) or all_names(), question, curves, settings, form, watch)


def _question(settings: dict[str, Any]) -> "Question":
    from lockscape.experiments.tradeoff import FULL, QUICK
    from lockscape.machine.costs import preset

    preset(settings["machine"])  # an unknown one is told before anything is built
    size = FULL if settings["full"] else QUICK
    workloads = tuple(dict.fromkeys(settings["workloads"])) or size.workloads
    return size._replace(
        cpus=settings["cpus"], machine=settings["machine"], workloads=workloads, seeds=settings["seeds"]
    )


def _curve(text: str) -> "GivenCurve":
    """Return a curve that is given as NAME=FILE."""
    from lockscape.experiments.curve_file import read_curves
    from lockscape.experiments.evidence import GivenCurve
    from lockscape.experiments.scalability_axis import given_scaling

    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise click.UsageError(f"--curve {text!r}: give NAME=FILE, such as linux-2.6=booted.json")
    found = read_curves(file)
    chosen = found if len(found) == 1 else [each for each in found if each.name == name]
    if len(chosen) != 1:
        known = ", ".join(each.name for each in found[:6])
        raise InputError(f"{file}: {len(found)} curves, none of {name} ({known}); give a file with one curve")
    return GivenCurve(name, file, given_scaling("given", chosen[0]))


def _map(
    names: list[str], question: "Question", curves: "list[GivenCurve]", settings: dict[str, Any],
    form: str | None, watch: Stopwatch,
) -> None:  # fmt: skip
    """Measure and print."""
    from lockscape.experiments.probes import families, preemptions
    from lockscape.experiments.store import default_folder
    from lockscape.experiments.tradeoff import run_count, tradeoff
    from lockscape.report.map import Drawn, map_csv, map_document
    from lockscape.report.map_svg import write_svg
    from lockscape.report.map_tables import print_map
    from lockscape.report.output import emit

    folder = Path(settings["resume"]) if settings["resume"] is not None else default_folder()
    jobs, fresh = settings["jobs"], settings["fresh"]
    samples = settings["samples"]
    with runs_progress(run_count(names, question) * (1 + samples)) as progress:
        parts = _Parts(progress, 1 + samples, run_count(names, question))
        found = tradeoff(names, question, folder, jobs, parts.next(), fresh)
        drawn = []
        for number in range(1, 1 + samples):
            ask = question._replace(cost_sample=number)
            again = tradeoff(names, ask, folder, jobs, parts.next(), fresh, [e.effort for e in found.items])
            drawn.append(Drawn(again, families(names, ask, folder, jobs, fresh=fresh)))
    document = map_document(
        found, watch.manifest(), settings["axis"], settings["over"],
        preemptions(names, None if fresh else folder, jobs),
        families(names, question, folder, jobs, fresh=fresh), curves, settings["months"], drawn,
    )  # fmt: skip
    if settings["svg"] is not None:
        write_svg(document, settings["svg"])
    if form is None:
        print_map(document, sys.stdout, settings["details"])
    else:
        emit(document, (map_csv(document),), form_of(form), sys.stdout)


class _Parts:
    """Progress of several maps that are made one after the other, as one."""

    def __init__(self, whole: "Progress | None", parts: int, runs: int) -> None:
        self.whole, self.parts, self.runs, self.begun = whole, parts, runs, -1

    def next(self) -> "Progress | None":
        """Return the progress of the next one."""
        self.begun += 1
        whole, before = self.whole, self.begun
        if whole is None:
            return None
        return lambda share, done: whole((before + share) / self.parts, before * self.runs + done)
