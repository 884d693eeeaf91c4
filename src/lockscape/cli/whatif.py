"""``lockscape whatif``."""

import sys
from pathlib import Path
from typing import Any

import click

from lockscape.cli.options import form_of, jobs_option, kept_options, output_options, runs_progress
from lockscape.cli.request import UNASKED, read_request, run_options
from lockscape.report.manifest import Stopwatch

CPUS = 8


@click.command()
@click.argument("system", metavar="SYSTEM|METHOD|FILE.toml")
@run_options()
@click.option("--cpus", type=click.IntRange(1, 1024), default=CPUS, show_default=True, metavar="N",
              help="Number of processors.")  # fmt: skip
@click.option("--locks", type=click.Choice(["top", "all"]), default="top", show_default=True,
              help="The 10 locks that are waited for longest, or all that are taken.")  # fmt: skip
@click.option("--trials", type=click.IntRange(1, 10), default=4, show_default=True, metavar="N",
              help="Trials under the fault detector of each change.")  # fmt: skip
@kept_options
@jobs_option
@output_options
def whatif(
    system: str, cpus: int, locks: str, trials: int, resume: str | None, fresh: bool, jobs: int | None,
    form: str | None = None, **settings: Any,
) -> None:  # fmt: skip
    """Rank the locks of a system by what a run would gain if one of them were changed.

    Each lock in turn costs nothing (a bound, which no kernel reaches), is split in two by the data that its
    places share, or becomes one for each instance. Every gain comes from a run of its own. Splits and
    instances are tried under the fault detector first; unsafe ones are listed with their fault.

    \b
    lockscape whatif linux-2.4                            PostMark on 8 processors
    lockscape whatif coarse --workload netserve --cpus 4  another workload
    lockscape whatif ./mine.toml --transactions 1000      your own locking plan
    """
    from lockscape.experiments.choose import choose
    from lockscape.experiments.request import run_on
    from lockscape.experiments.store import default_folder
    from lockscape.experiments.whatif import whatif as ranked
    from lockscape.report.output import emit
    from lockscape.report.whatif import print_whatif, whatif_csv, whatif_document

    watch = Stopwatch()
    request, _ = read_request(UNASKED | settings, {})
    spec = run_on(choose(system), request, cpus)
    folder = Path(resume) if resume is not None else default_folder()
    with runs_progress(5, "steps") as progress:
        found = ranked(spec, locks == "all", trials, folder, jobs, progress, fresh)
    document = whatif_document(found, watch.manifest())
    if form is None:
        print_whatif(document, sys.stdout)
    else:
        emit(document, (whatif_csv(document),), form_of(form), sys.stdout)
