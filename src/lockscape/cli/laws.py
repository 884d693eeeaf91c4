"""``lockscape laws``."""

import sys

import click

from lockscape.cli.options import form_of, output_options
from lockscape.report.manifest import Stopwatch


@click.command()
@click.argument("curves", nargs=-1, required=True, metavar="CURVE...")
@click.option("--by", "measure", type=click.Choice(["speedup", "throughput", "makespan"]), default=None,
              help="What is fitted.  [default: the first of these that a curve has]")  # fmt: skip
@click.option("--scale", type=click.Choice(["measured", "fitted"]), default=None,
              help="gamma: as measured with N = 1, or fitted.  [default: measured for speedups]")  # fmt: skip
@click.option("--processes", type=click.IntRange(1, 10**6), default=None, metavar="N",
              help="So many equal processes ran, for a CSV; JSON says it itself.")  # fmt: skip
@output_options
def laws(
    curves: tuple[str, ...], measure: str | None, scale: str | None, processes: int | None,
    form: str | None = None,
) -> None:  # fmt: skip
    """Fit Amdahl's law and the universal scalability law to curves.

    A CURVE is a CSV file with a column of processors (or users, threads) and one of throughputs, speedups or
    times, the CSV or JSON of 'lockscape simulate', or - for standard input. Printed are the parameters with
    their standard errors, the peak with its interval, residuals, and every reason to doubt the fit.

    \b
    lockscape laws measured.csv                           your own measurements
    lockscape simulate fine --csv | lockscape laws -      a simulated curve
    lockscape laws curves.json --by throughput            another measure of the same runs
    """
    from lockscape.experiments.curve_file import read_curves
    from lockscape.experiments.laws import fit
    from lockscape.report.laws import laws_csv, laws_document, print_laws
    from lockscape.report.output import emit

    watch = Stopwatch()
    found = [each for name in dict.fromkeys(curves) for each in read_curves(name, measure, processes)]  # type: ignore[arg-type]
    fitted = [fit(each, scale) for each in found]  # type: ignore[arg-type]
    document = laws_document(fitted, watch.manifest())
    if form is None:
        print_laws(document, sys.stdout)
    else:
        emit(document, (laws_csv(document),), form_of(form), sys.stdout)
