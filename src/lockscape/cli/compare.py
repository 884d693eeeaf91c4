"""``lockscape compare``."""

import sys

import click

from lockscape.cli.options import form_of, output_options
from lockscape.report.manifest import Stopwatch


@click.command()
@click.argument("curves", nargs=-1, required=True, metavar="CURVE...")
@output_options
def compare(curves: tuple[str, ...], form: str | None = None) -> None:
    """Put curves side by side: simulated, booted, run here, or your own, with their ratio at each point.

    A CURVE is a file: the JSON of 'simulate', 'boot' or 'host', or a CSV file as 'lockscape laws' reads it.
    Ratios are over the first curve.

    \b
    lockscape boot debian --json > booted.json
    lockscape simulate linux-2.6 --costs linux-6.1-measured --json > simulated.json
    lockscape compare booted.json simulated.json
    """
    from lockscape.experiments.compare import compare as put
    from lockscape.report.compare import compare_csv, compare_document, print_compare
    from lockscape.report.output import emit

    watch = Stopwatch()
    document = compare_document(put(curves), watch.manifest())
    if form is None:
        print_compare(document, sys.stdout)
    else:
        emit(document, (compare_csv(document),), form_of(form), sys.stdout)
