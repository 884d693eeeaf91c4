"""``lockscape unlock``."""

import sys
from pathlib import Path
from typing import Any

import click

from lockscape.cli.options import form_of, jobs_option, kept_options, output_options, runs_progress
from lockscape.cli.request import UNASKED, read_request, run_options
from lockscape.report.manifest import Stopwatch

SHORT = {"files": 200, "transactions": 500}
"""The default of PostMark's settings: a path is some hundred runs."""

TRIALS = 20
"""Trials that there are (`lockscape.experiments.trials`)."""


@click.command()
@click.argument("system", metavar="SYSTEM|METHOD|FILE.toml")
@click.option("--to", "target", default=None, metavar="SYSTEM|FILE.toml",
              help="The fine-grained kernel to go to.  [default: the one known for SYSTEM]")  # fmt: skip
@run_options(str(SHORT["transactions"]), str(SHORT["files"]))
@click.option("--cpus", type=click.IntRange(2, 1024), default=8, show_default=True, metavar="N",
              help="The number of processors that decides.")  # fmt: skip
@click.option("--steps", type=click.IntRange(0, 1000), default=None, metavar="K",
              help="Take K locks out, one after the other.  [default: as long as it pays]")  # fmt: skip
@click.option("--wide", type=click.IntRange(1, 1000), default=8, show_default=True, metavar="N",
              help="Try the N locks held longest at each step; all if none of them gains.")  # fmt: skip
@click.option("--trials", type=click.IntRange(1, TRIALS), default=2, show_default=True, metavar="N",
              help=f"Look for faults of each state in N trials, {TRIALS} at most.")  # fmt: skip
@kept_options
@jobs_option
@output_options
def unlock(
    system: str, target: str | None, cpus: int, steps: int | None, wide: int, trials: int, resume: str | None,
    fresh: bool, jobs: int | None, form: str | None = None, **settings: Any,
) -> None:  # fmt: skip
    """Walk from a giant lock to a fine-grained kernel, one lock at a time: what to unlock next.

    Each step takes the lock out of the giant one that makes the workload end first on N processors. Each
    state is run for real, looked at for faults, and its effort counted. Beside each lock: which Linux gave
    the same data a lock of their own, and which one no longer uses them under its big kernel lock.

    \b
    lockscape unlock linux-2.0                            to the locks of the fine-grained port
    lockscape unlock linux-2.0 --workload kernelbuild     with another workload
    lockscape unlock linux-2.6                            from one lock to what 2.6 has
    lockscape unlock linux-2.2 --to ./mine.toml           to your own plan
    """
    from lockscape.experiments.choose import choose
    from lockscape.experiments.releases import placed, releases
    from lockscape.experiments.request import run_on
    from lockscape.experiments.store import default_folder
    from lockscape.experiments.unlock import Setting, walk_path
    from lockscape.experiments.unlock_ends import ends
    from lockscape.report.output import emit
    from lockscape.report.unlock import print_unlock, unlock_csv, unlock_document

    watch = Stopwatch()
    path = ends(system, target)
    request, _ = read_request(UNASKED | settings, SHORT)
    spec = run_on(choose(system), request, cpus)
    folder = Path(resume) if resume is not None else default_folder()
    setting = Setting(spec, steps, wide, trials, folder, jobs, runs_progress, fresh)
    walked = walk_path(path, setting)
    document = unlock_document(
        walked, placed(path.fine, path.parts), releases(setting.run, spec), spec, watch.manifest()
    )
    if form is None:
        print_unlock(document, sys.stdout)
    else:
        emit(document, (unlock_csv(document),), form_of(form), sys.stdout)
