"""Makes Figure 2 over samples of all costs and its ablations, and writes the record, once per release.

    python tools/record_figure2.py --folder RUNS --samples 200 [--machine pentium4]
    python tools/record_figure2.py --folder RUNS --ablations linux-2.0-fine
    python tools/record_figure2.py --folder RUNS --again 0 7 19

Each finished run is kept in the folder, so that it can be interrupted and goes on where it stopped; a change
of any source file that a run depends on begins anew. The record (`lockscape/experiments/recorded`) holds the
makespans and throughputs of every sample as integers. The sources must be committed: the record names them.
With `--ablations` these are run again, and all else stays as it was recorded. With `--again` some samples are
run again, after a change that should not touch them: if all have the same bits the record says so.
"""

import argparse
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import msgspec

import lockscape
from lockscape.experiments import figure2
from lockscape.experiments.choose import choose_plan
from lockscape.experiments.result import plan_digest
from lockscape.experiments.statements import SYSTEMS
from lockscape.experiments.store import sources_digest

PACKAGE = Path(lockscape.__file__).parent
OUT = PACKAGE / "experiments" / "recorded"


def commit_of_sources() -> str:
    """Return the revision of the sources; they may not be changed."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(PACKAGE), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    changed = [line for line in git("status", "--porcelain", ".").splitlines() if "recorded" not in line]
    if changed:
        sys.exit(f"commit the sources first: {changed[0]}")
    return git("rev-parse", "HEAD")


def record_ablations(names: Collection[str], given: argparse.Namespace, commit: str) -> None:
    """Run ablations again and write them into the record in place of what it has of them."""
    before = figure2.recorded(given.machine)
    found = {each.name: each for each in before.ablations}
    for name in names:
        found[name] = figure2.run_ablation(
            name, given.machine, folder=given.folder, workers=given.jobs, commit=commit
        )
    write(msgspec.structs.replace(before, ablations=tuple(found[name] for name in figure2.ABLATIONS)))


def note_again(numbers: Collection[int], given: argparse.Namespace, commit: str) -> None:
    """Run samples again, and note in the record that these sources give the same bits, if they do."""
    before = figure2.recorded(given.machine)
    if not set(numbers) <= set(range(len(before.samples))):
        sys.exit(f"--again {max(numbers)}: the record has samples 0 to {len(before.samples) - 1}")
    for number in numbers:
        found = figure2.run_sample(figure2.sample_specs(number, given.machine), given.folder, given.jobs)
        where = figure2.differing(before.samples[number], found)
        if where:
            sys.exit(f"sample {number} is not what was recorded, {where}: record all samples")
        print(f"sample {number}: the same", file=sys.stderr, flush=True)
    plans = {name: plan_digest(choose_plan(name)) for name in SYSTEMS}
    known = sorted({*before.again.get(commit, ()), *numbers})
    write(msgspec.structs.replace(before, plans=plans, again=before.again | {commit: tuple(known)}))


def write(record: figure2.Record) -> None:
    """Write a record to its place."""
    OUT.mkdir(exist_ok=True)
    (OUT / f"figure2-{record.machine}.json").write_bytes(figure2.encode(record))


def main() -> None:
    """Run the samples in order, and write the file after each; or ablations, or some samples again, only."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--samples", type=int)
    what.add_argument("--ablations", nargs="+", choices=figure2.ABLATIONS, metavar="NAME")
    what.add_argument("--again", type=int, nargs="+", metavar="N")
    parser.add_argument("--machine", default="pentium4")
    parser.add_argument("--jobs", type=int, default=None)
    given = parser.parse_args()
    commit = commit_of_sources()
    if given.ablations:
        record_ablations(given.ablations, given, commit)
        return
    if given.again:
        note_again(given.again, given, commit)
        return
    samples: list[figure2.SampleRecord] = []
    ablations: tuple[figure2.AblationRecord, ...] = ()
    for number in range(given.samples + 1):
        specs = figure2.sample_specs(number, given.machine)
        samples.append(figure2.run_sample(specs, given.folder, given.jobs))
        if number == 0:
            ablations = tuple(
                figure2.run_ablation(name, given.machine, folder=given.folder, workers=given.jobs)
                for name in figure2.ABLATIONS
            )
        record = figure2.Record(
            figure2.FORMAT, lockscape.__version__, commit, sources_digest(), given.machine,
            specs[0].processes, specs[0].seeding, specs[0].postmark,
            {name: plan_digest(choose_plan(name)) for name in SYSTEMS}, tuple(samples), ablations,
        )  # fmt: skip
        write(record)
        print(f"sample {number}: {samples[-1].makespan_cycles}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
