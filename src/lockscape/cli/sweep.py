"""``lockscape sweep``."""

import sys
from contextlib import nullcontext
from pathlib import Path

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
from lockscape.errors import LockscapeError
from lockscape.report.manifest import Stopwatch
from lockscape.report.output import emit


@click.command()
@click.argument("experiment", metavar="EXPERIMENT.toml", type=click.Path(path_type=Path))
@click.option("-o", "--output", default=None, type=click.Path(path_type=Path), metavar="FILE.parquet",
              callback=instead(lambda again: again.folder / "rows.parquet"),
              help="Where the rows go; a file there is replaced.  [default: EXPERIMENT.parquet]")  # fmt: skip
@click.option("--scheduler", default=None, metavar="tcp://HOST:PORT", callback=instead(nothing),
              help="Make the runs on a Dask cluster instead of this machine's cores.")  # fmt: skip
@kept_options
@jobs_option
@output_options
def sweep(
    experiment: Path, output: Path | None, scheduler: str | None, resume: str | None, fresh: bool,
    jobs: int | None, form: str | None = None,
) -> None:  # fmt: skip
    """Run a grid of simulations: systems, workloads, processors, processes, machines, costs, seeds.

    The file says which (the documentation has a page on sweeps). Each cell of the grid is a row of the
    Parquet file. Finished runs are kept: the same command goes on after an interruption.

    \b
    lockscape sweep grid.toml                                  on all cores, to grid.parquet
    lockscape sweep grid.toml --scheduler tcp://10.0.0.1:8786  on a Dask cluster
    lockscape sweep grid.toml --csv | lockscape laws -         a law fitted to each curve
    """
    from lockscape.experiments.cluster import cluster
    from lockscape.experiments.experiment_file import load_experiment
    from lockscape.experiments.grid import grid
    from lockscape.experiments.store import default_folder
    from lockscape.experiments.sweep import sweep as run_grid
    from lockscape.report.parquet import named_files, writable, write_parquet
    from lockscape.report.sweep import print_sweep, sweep_csv, sweep_document

    watch = Stopwatch()
    asked = load_experiment(experiment)
    file = output or Path(experiment.with_suffix(".parquet").name)
    writable(file)
    found = grid(asked, experiment.parent)
    folder = Path(resume) if resume is not None else default_folder()
    runs = sum(cell.spec is not None for cell in found.cells)
    with (
        cluster(scheduler) if scheduler is not None else nullcontext() as makers,
        runs_progress(runs) as progress,
    ):
        done = run_grid(found, folder, jobs, progress, fresh, makers)
    write_parquet(asked, done, file, named_files(experiment.parent, experiment))
    document = sweep_document(asked, done, str(file), watch.manifest())
    if form is None:
        print_sweep(document, sys.stdout)
    else:
        emit(document, (sweep_csv(document),), form_of(form), sys.stdout)
    failed = sum(row.outcome == "failed" for row in done.rows)
    if failed:
        sys.stdout.flush()
        raise LockscapeError(f"{failed} of {runs} runs failed: see the column 'problem' of {file}")
