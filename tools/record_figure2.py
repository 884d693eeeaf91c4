"""Makes Figure 2 over samples of all costs and writes what came out, once per release.

    python tools/record_figure2.py --folder RUNS --samples 200 [--machine pentium4] --out FILE.json

Each finished run is kept in the folder, so that it can be interrupted and goes on where it stopped; a change
of any source file begins anew. The file holds the makespans and throughputs of every sample as integers.
"""

import argparse
import sys
from pathlib import Path

import msgspec

from lockscape.experiments.figure2 import SampleRecord, run_sample, sample_specs, shares


def main() -> None:
    """Run the samples in order and write the file after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--machine", default="pentium4")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    records: list[SampleRecord] = []
    for sample in range(given.samples + 1):
        records.append(run_sample(sample_specs(sample, given.machine), given.folder))
        document = {"machine": given.machine, "records": records}
        given.out.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
        print(f"sample {sample}: {records[-1].makespan_cycles}", file=sys.stderr)
    for name, makespan, throughput in shares(records[1:] or records):
        print(f"{name:10} holds in {makespan:6.1%} of samples by makespan, {throughput:6.1%} by throughput")


if __name__ == "__main__":
    main()
