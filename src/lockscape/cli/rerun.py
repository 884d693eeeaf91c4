"""``lockscape rerun``."""

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from lockscape.cli.options import Again, form_of, jobs_option, output_options, runs_progress
from lockscape.errors import LockscapeError
from lockscape.inputs import noting
from lockscape.report.manifest import Stopwatch
from lockscape.report.output import emit
from lockscape.report.repeated import Result, compared, parse_result, read_result
from lockscape.report.rerun import print_rerun, rerun_csv, rerun_document

REPEATABLE = (
    "study", "systems", "methods", "census", "footprint", "simulate", "unlock", "sweep", "figure2", "whatif",
    "table1", "laws", "verify", "port", "workloads", "advise", "calibrate", "compare", "contention", "map",
)  # fmt: skip
"""Commands that are made again: they give the same result twice, and what they write is held back."""

REFUSED = {
    "boot": "guests are in step only within a quantum; boot again and put both curves into lockscape compare",
    "host": "it measures this host, which is never the same twice; put both curves into lockscape compare",
    "fetch": "it downloads, and a file of another's does not say from where",
    "rerun": "repeat the result that it names",
}
"""Commands that are not, and why."""


@click.command()
@click.argument("file", metavar="FILE.json|FILE.parquet", type=click.Path(path_type=Path))
@jobs_option
@output_options
def rerun(file: Path, jobs: int | None, form: str | None = None) -> None:
    """Repeat a result, and say whether it is identical.

    FILE is what a command printed with --json, or the Parquet file of a sweep. The same command is run again
    in the current folder, and everything is made anew; both documents are compared value by value, but for
    times. Nothing else is written. The exit code is 0 if they are identical, 1 if they differ or what was
    read has changed, 2 for a file that cannot be repeated.

    \b
    lockscape simulate fine --json > fine.json
    lockscape rerun fine.json
    """
    watch = Stopwatch()
    with TemporaryDirectory(prefix="lockscape-") as folder:
        again = Again(Path(folder), jobs)
        try:
            if file.suffix == ".parquet":
                recorded, now = _rows_again(file, jobs)
            else:
                recorded = read_result(file)
                now = _made_again(recorded, again)
            found = compared(recorded, now)
        except LockscapeError as error:
            raise click.ClickException(str(error)) from error
    document = rerun_document(str(file), recorded, found, again.left_out, watch.manifest())
    if form is None:
        print_rerun(document, sys.stdout)
    else:
        emit(document, (rerun_csv(document),), form_of(form), sys.stdout)
    click.get_current_context().exit(0 if document.verdict == "identical" else 1)


def _made_again(recorded: Result, again: Again) -> Result:
    """Run the command that made a result; raises `click.ClickException` for one that cannot be."""
    program, *arguments = recorded.manifest.command or ("",)
    name = arguments[0] if arguments else ""
    if program != "lockscape" or name not in REPEATABLE:
        why = REFUSED.get(name, f"it is none of {', '.join(REPEATABLE)}")
        raise click.ClickException(f"the command {' '.join((program, name))!r} is not repeated: {why}")
    out = io.StringIO()
    failed: LockscapeError | None = None
    with redirect_stdout(out):
        try:
            main = click.get_current_context().find_root().command
            main.main(arguments, "lockscape", standalone_mode=False, obj=again)
        except LockscapeError as error:  # perhaps a result that has failures in it
            failed = error
        except click.UsageError as error:
            raise click.ClickException(f"the recorded command is none: {error.format_message()}") from error
    if failed is not None and not out.tell():
        raise click.ClickException(f"it cannot be repeated: {failed}")
    return parse_result(out.getvalue(), "what the recorded command printed")


def _rows_again(file: Path, jobs: int | None) -> tuple[Result, Result]:
    """Return the rows of a sweep's Parquet file, and the same run again."""
    from lockscape.experiments.grid import grid
    from lockscape.experiments.sweep import sweep
    from lockscape.report.parquet import made_again, read_parquet

    asked, recorded = read_parquet(file)
    with noting((), strange=True):
        found = grid(asked, file.parent)
        with runs_progress(sum(cell.spec is not None for cell in found.cells)) as progress:
            done = sweep(found, workers=jobs, progress=progress)
        return recorded, made_again(asked, done, file.parent)
