"""Makes Figure 2 over samples of all costs and its ablations, and writes the record, once per release.

    python tools/record_figure2.py --folder RUNS --samples 200 [--machine pentium4]

Each finished run is kept in the folder, so that it can be interrupted and goes on where it stopped; a change
of any source file that a run depends on begins anew. The record (`lockscape/experiments/recorded`) holds the
makespans and throughputs of every sample as integers. The sources must be committed: the record names them.
"""

import argparse
import subprocess
import sys
from pathlib import Path

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


def main() -> None:
    """Run the samples in order, and write the file after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--machine", default="pentium4")
    parser.add_argument("--jobs", type=int, default=None)
    given = parser.parse_args()
    commit = commit_of_sources()
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
        OUT.mkdir(exist_ok=True)
        (OUT / f"figure2-{given.machine}.json").write_bytes(figure2.encode(record))
        print(f"sample {number}: {samples[-1].makespan_cycles}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
