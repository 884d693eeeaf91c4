"""Records what `lockscape advise` is taken from: a map, and where its workloads' kernel time goes.

    lockscape map --seeds 3 --json > MAP.json
    python tools/record_advise.py MAP.json

The map has to be of this lockscape, with everything in it and the default workloads.
"""

import argparse
from pathlib import Path

import msgspec

import lockscape
from lockscape.experiments.advise_record import FILE, FORMAT, Record, encode
from lockscape.experiments.advise_subsystems import sample_shares
from lockscape.experiments.choose import choose
from lockscape.experiments.result import plan_digest
from lockscape.experiments.run import simulate
from lockscape.experiments.tradeoff import Question, plain_run
from lockscape.report.map import MapDocument

OUT = Path(lockscape.__file__).parent / "experiments" / "recorded" / FILE


def main() -> None:
    """Sample the workloads and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("map", type=Path)
    document = msgspec.json.decode(parser.parse_args().map.read_bytes(), type=MapDocument)
    found = document.tradeoff
    question = Question(found.cpus, tuple(e.workload for e in found.workloads), found.machine, found.postmark)
    shares = []
    for each in found.workloads:
        spec = plain_run(each.workload, question)
        shares.append(sample_shares(spec, each.workload, simulate(spec).makespan_cycles))
    record = Record(
        FORMAT, document.manifest.lockscape, document.manifest.started,
        {item.name: plan_digest(choose(item.name).plan) for item in found.items},
        document.preemption, document.families, tuple(shares), found,
    )  # fmt: skip
    OUT.write_bytes(encode(record))


if __name__ == "__main__":
    main()
