"""``lockscape figure2``."""

import sys

import click

from lockscape.cli.options import form_of, jobs_option, output_options, runs_progress
from lockscape.report.manifest import Stopwatch


@click.command()
@click.option("--machine", default="pentium4", show_default=True, metavar="NAME",
              help="The machine preset; one that has a record: lockscape comes with pentium4's.")  # fmt: skip
@click.option("--check", "checks", type=click.IntRange(min=0), multiple=True, metavar="N",
              help="Run sample N again and compare it bit for bit; 0: the stated costs.")  # fmt: skip
@jobs_option
@output_options
def figure2(machine: str, checks: tuple[int, ...], jobs: int | None, form: str | None = None) -> None:
    """Show the paper's Figure 2, simulated: its statements, curves over samples of all costs, and causes.

    Nothing is run: the samples were run for the release and come with it. With --check some are run again,
    at full size, some seconds or a minute each.

    \b
    lockscape figure2                                  what holds, how surely, and why
    lockscape figure2 --check 0 --check 17             two samples again, compared bit for bit
    """
    from lockscape.experiments.figure2 import recorded
    from lockscape.report.figure2 import figure2_csv, figure2_document, print_figure2
    from lockscape.report.output import emit

    watch = Stopwatch()
    record = recorded(machine)
    if checks:
        _check(record.machine, checks, jobs)
        return
    document = figure2_document(record, watch.manifest())
    if form is None:
        print_figure2(document, sys.stdout)
    else:
        emit(document, (figure2_csv(document),), form_of(form), sys.stdout)


def _check(machine: str, checks: tuple[int, ...], jobs: int | None) -> None:
    from lockscape.errors import InputError
    from lockscape.experiments.figure2 import differing, recorded, run_sample, sample_specs

    known = {sample.sample: sample for sample in recorded(machine).samples}
    for number in checks:
        if number not in known:
            raise InputError(f"sample {number} was not recorded: give one from 0 to {max(known)}")
    for number in dict.fromkeys(checks):
        specs = sample_specs(number, machine)
        with runs_progress(len(specs)) as progress:
            again = run_sample(specs, None, jobs, progress)
        where = differing(known[number], again)
        if where:
            raise InputError(
                f"sample {number} is not what was recorded, first {where}: the sources changed "
                "what is simulated; record Figure 2 again (tools/record_figure2.py)"
            )
        print(f"sample {number}: {len(specs)} runs, the same bits as recorded")
