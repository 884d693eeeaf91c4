"""``lockscape workloads``."""

import sys
from pathlib import Path

import click

from lockscape.cli.options import form_of, output_options
from lockscape.report.manifest import Stopwatch
from lockscape.report.output import emit


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|FILE.toml|trace:FILE]...")
@click.option("--strace", "traces", multiple=True, metavar="FILE", type=click.Path(path_type=Path),
              help="Show what a file of 'strace -f -ttt -T -o FILE' says, and what is replayed.")  # fmt: skip
@output_options
def workloads(names: tuple[str, ...], traces: tuple[Path, ...], form: str | None = None) -> None:
    """Show workloads: their mix of system calls, and the kernel's share of the time.

    Both are measured, in a run on the uniprocessor kernel.

    \b
    lockscape workloads                          those that come with lockscape
    lockscape workloads ./mine.toml              one of yours
    lockscape workloads --strace make.strace     what a real program calls, and which of it is replayed
    lockscape workloads trace:make.strace        its calls and kernel share as a workload
    """
    from lockscape.experiments.workload_run import measure_workload
    from lockscape.report.workloads import (
        trace_record,
        trace_table,
        workload_record,
        workloads_document,
        workloads_table,
    )
    from lockscape.workloads.choose import choose_workload
    from lockscape.workloads.replay import load_replay
    from lockscape.workloads.strace import load_strace
    from lockscape.workloads.workload_file import workload_names

    watch = Stopwatch()
    read = [trace_record(str(path), load_strace(path), load_replay(path)) for path in traces]
    chosen = {name: choose_workload(name) for name in names or (() if traces else workload_names())}
    made = [workload_record(name, each, measure_workload(each)) for name, each in chosen.items()]
    tables = [workloads_table(made, form_of(form) == "csv")] if made else []
    tables += [trace_table(each) for each in read]
    emit(workloads_document(made, read, watch.manifest()), tuple(tables), form_of(form), sys.stdout)
