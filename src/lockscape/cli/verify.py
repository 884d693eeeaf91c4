"""``lockscape verify``."""

import sys
from pathlib import Path

import click

from lockscape.cli.options import form_of, jobs_option, kept_options, output_options, runs_progress
from lockscape.report.manifest import Stopwatch
from lockscape.report.output import emit


@click.command()
@click.argument("systems", nargs=-1, metavar="[SYSTEM...]")
@kept_options
@jobs_option
@output_options
def verify(
    systems: tuple[str, ...], resume: str | None, fresh: bool, jobs: int | None, form: str | None = None
) -> None:
    """Set published figures of the 22 systems beside simulated ones, with their ratio, good or bad.

    Those that cannot be simulated are listed with the reason. Nothing is tuned to them.

    \b
    lockscape verify                    all that is published and could be found
    lockscape verify k42 linux-2.4      of two systems
    """
    from lockscape import catalog
    from lockscape.experiments.store import default_folder
    from lockscape.experiments.verify import checks
    from lockscape.experiments.verify import verify as run_checks
    from lockscape.report.verify import verify_csv, verify_document, verify_tables

    watch = Stopwatch()
    wanted = {catalog.system(name).id for name in systems}
    of = {figure.id: figure.system for figure in catalog.figures()}
    chosen = [each for each in checks() if not wanted or of[each.figure] in wanted]
    if not chosen:
        raise click.UsageError(f"nothing is published of {', '.join(sorted(wanted))} that could be found")
    folder = Path(resume) if resume is not None else default_folder()
    with runs_progress(sum(len(each.runs) for each in chosen)) as progress:
        found = run_checks(chosen, folder, jobs, progress, fresh)
    document = verify_document(found, watch.manifest())
    tables = (verify_csv(document),) if form == "csv" else tuple(verify_tables(document))
    emit(document, tables, form_of(form), sys.stdout)
