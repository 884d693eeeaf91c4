"""``lockscape calibrate``."""

import sys
from pathlib import Path

import click

from lockscape.cli.options import form_of, jobs_option, kept_options, output_options, runs_progress
from lockscape.report.manifest import Stopwatch


@click.command()
@click.argument("measured", metavar="BOOT.json", type=click.Path(path_type=Path))
@click.option("--system", default="linux-2.6", show_default=True, metavar="SYSTEM|METHOD|FILE.toml",
              help="The simulated kernel whose steps get the costs.")  # fmt: skip
@kept_options
@jobs_option
@output_options
def calibrate(
    measured: Path, system: str, resume: str | None, fresh: bool, jobs: int | None, form: str | None = None
) -> None:
    """Make costs for the simulated kernel from the instructions that a real kernel's calls took.

    BOOT.json is what 'lockscape boot' printed of one process on one processor. The result is read by
    'lockscape simulate --costs'; its runs are then on the machine of booted kernels, one instruction a cycle.

    \b
    lockscape boot debian --cpus 1 --processes 1 --json > boot.json
    lockscape calibrate boot.json                         calls as measured, and as in the model
    lockscape calibrate boot.json --json > mine.json
    lockscape simulate linux-2.6 --costs mine.json        the simulated kernel with these costs
    """
    from lockscape.experiments.calibrate import MACHINE, read_measurement
    from lockscape.experiments.calibrate import calibrate as fit
    from lockscape.experiments.choose import choose
    from lockscape.experiments.request import Request, run_on
    from lockscape.experiments.store import default_folder
    from lockscape.report.calibrate import calibrate_document, calibrate_tables
    from lockscape.report.output import emit

    watch = Stopwatch()
    found = read_measurement(measured)
    request = Request(1, libc=found.libc, machine=MACHINE, postmark=found.postmark)
    spec = run_on(choose(system), request, 1)
    folder = Path(resume) if resume is not None else default_folder()
    with runs_progress(1) as progress:
        fitted = fit(spec, found, folder, jobs, progress, fresh)
    document = calibrate_document(spec, found, fitted, watch.manifest())
    emit(document, calibrate_tables(document), form_of(form), sys.stdout)
