"""Measures latency and scalability of the systems of Table 1 that have a model, and writes the record.

    python tools/record_table1.py --folder RUNS [--machine pentium4] [--only ID ...]

Finished runs are kept in the folder, so that it goes on where it was interrupted. With `--only` the other
systems stay as they were recorded. The sources must be committed: the record names them.
"""

import argparse
import sys
from pathlib import Path

from record_figure2 import OUT, commit_of_sources

import lockscape
from lockscape.experiments import measured
from lockscape.experiments.choose import UNIPROCESSOR
from lockscape.experiments.store import sources_digest


def main() -> None:
    """Measure system by system, and write the file after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--machine", default="pentium4")
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--only", nargs="+", default=None)
    given = parser.parse_args()
    commit = commit_of_sources()
    idle = measured.alone(UNIPROCESSOR, given.machine, folder=given.folder, workers=given.jobs)
    known = {each.system: each for each in measured.recorded(given.machine).systems} if given.only else {}
    for system in measured.runnable():
        if given.only is None or system.id in given.only:
            known[system.id] = measured.measure(
                system.id, given.machine, measured.reference_of(system), folder=given.folder,
                workers=given.jobs,
            )  # fmt: skip
            print(f"{system.id}: {measured.verdict(known[system.id], idle)}", file=sys.stderr, flush=True)
        record = measured.Record(
            measured.FORMAT, lockscape.__version__, commit, sources_digest(), given.machine, idle,
            tuple(known[each.id] for each in measured.runnable() if each.id in known),
        )  # fmt: skip
        (OUT / f"table1-{given.machine}.json").write_bytes(measured.encode(record))


if __name__ == "__main__":
    main()
