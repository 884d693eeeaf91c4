"""``lockscape table1``."""

import sys

import click

from lockscape.cli.options import form_of, jobs_option, output_options, runs_progress
from lockscape.report.manifest import Stopwatch


@click.command()
@click.option("--machine", default="pentium4", show_default=True, metavar="NAME", help="The machine preset.")
@click.option("--check", "checks", multiple=True, metavar="ID",
              help="Measure a system again and compare it bit for bit.")  # fmt: skip
@jobs_option
@output_options
def table1(machine: str, checks: tuple[str, ...], jobs: int | None, form: str | None = None) -> None:
    """Show the paper's Table 1 again: its words for latency and scalability beside the measured ones.

    Nothing is run: the systems' models were measured for the release. With --check some are measured again,
    at full size, in a minute or less each.

    \b
    lockscape table1                                   the words, why they differ, and the numbers
    lockscape table1 --check linux-2.4                 one system again, compared bit for bit
    """
    from lockscape.experiments.measured import recorded
    from lockscape.report.output import emit
    from lockscape.report.table1 import print_table1, table1_csv, table1_document

    watch, record = Stopwatch(), recorded(machine)
    if checks:
        _check(machine, checks, jobs)
        return
    document = table1_document(record, watch.manifest())
    if form is None:
        print_table1(document, sys.stdout)
    else:
        emit(document, (table1_csv(document),), form_of(form), sys.stdout)


def _check(machine: str, checks: tuple[str, ...], jobs: int | None) -> None:
    from lockscape import catalog
    from lockscape.errors import InputError, unknown
    from lockscape.experiments.measured import differing, measure, recorded
    from lockscape.report.table1 import reference_of

    known = {each.system: each for each in recorded(machine).systems}
    for id in dict.fromkeys(checks):
        if id not in known:
            raise InputError(unknown("measured system", id, known))
        with runs_progress(3) as progress:
            reference = reference_of(catalog.system(id))
            again = measure(id, machine, reference, workers=jobs, progress=progress)
        where = differing(known[id], again)
        if where:
            raise InputError(
                f"{id} is not what was recorded: {where}: the sources changed what is simulated; measure "
                "Table 1 again (tools/record_table1.py)"
            )
        print(f"{id}: the same bits as recorded")
