"""Measures latency and scalability of the systems of Table 1 that have a model, and writes the record.

    python tools/record_table1.py --folder RUNS [--machine pentium4] [--only ID ...]

Finished runs are kept in the folder, so that it goes on where it was interrupted. With `--only` the other
systems stay as they were recorded, and those say at which revision they were measured. The sources must be
committed: the record names them.
"""

import argparse
from pathlib import Path
from typing import Any

import msgspec
from record_figure2 import OUT, commit_of_sources

import lockscape
from lockscape import catalog
from lockscape.experiments import measured
from lockscape.experiments.figure2 import ablation_plan
from lockscape.experiments.store import sources_digest
from lockscape.machine.execute import RunError
from lockscape.report.table1 import reference_of
from lockscape.systems.load import UNIPROCESSOR


def main() -> None:
    """Measure system by system, and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--machine", default="pentium4")
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--only", nargs="+", default=None)
    given = parser.parse_args()
    commit = commit_of_sources()
    keep: dict[str, Any] = {"machine": given.machine, "folder": given.folder, "workers": given.jobs}
    before = measured.recorded(given.machine) if given.only else None
    record = before or measured.Record(
        measured.FORMAT, lockscape.__version__, commit, sources_digest(), given.machine,
        measured.alone(UNIPROCESSOR, **keep), (), {}, (),
    )  # fmt: skip
    known = {each.system: each for each in record.systems}
    causes = {each.system: each for each in record.causes}
    failed = dict(record.failed)

    def measure(name: str, **how: Any) -> measured.Measured:
        found = measured.measure(name, **how, **keep)
        return msgspec.structs.replace(found, commit=commit) if before else found

    for system in catalog.systems():
        if given.only is None or system.id in given.only:
            try:
                known[system.id] = measure(system.id, reference=reference_of(system))
                failed.pop(system.id, None)
            except RunError as error:
                failed[system.id] = str(error).removeprefix(f"{system.id}: ")
    for name in measured.CAUSES:
        if given.only is None or name in given.only:
            causes[name] = measure(name, plan=ablation_plan(name))
    systems = tuple(known[each.id] for each in catalog.systems() if each.id in known)
    record = msgspec.structs.replace(record, systems=systems, failed=failed, causes=tuple(causes.values()))
    (OUT / f"table1-{given.machine}.json").write_bytes(measured.encode(record))


if __name__ == "__main__":
    main()
