"""The footprint's speed: lockscape's own evaluator beside the pipeline of cpp, indent and diff, in one run.

    python benchmarks/footprint.py linux-2.0.40 linux-2.6.11 ... [--repeat 5] [--workers 2]

Both measure the files of the study's Table 3 with its macros, on the same cores, reading the tree each time.
They take turns (ours, theirs, ours, theirs, ...) after one uncounted turn; medians and their ratio are
printed, for each tree and for all trees together.
"""

import argparse
import statistics
import time

from lockscape.source.footprint import PAPER_DEFINES, PAPER_FILES, Method, footprint
from lockscape.source.open_tree import open_tree
from lockscape.source.scan import worker_count

METHODS: tuple[Method, ...] = ("evaluate", "cpp")


def seconds(name: str, method: Method, workers: int) -> float:
    start = time.perf_counter()
    footprint(open_tree(name), select=PAPER_FILES, defines=PAPER_DEFINES, method=method, workers=workers)
    return time.perf_counter() - start


def row(name: str, ours: float, theirs: float) -> None:
    print(f"{name:24} {ours:9.3f} s {theirs:9.3f} s {theirs / ours:7.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trees", nargs="+", metavar="TREE")
    parser.add_argument("--repeat", type=int, default=5, help="counted turns of each (5)")
    parser.add_argument("--workers", type=int, default=worker_count(), help="cores to use (all)")
    arguments = parser.parse_args()
    print(
        f"{'tree':24} {'evaluator':>11} {'cpp, indent':>11} {'ratio':>7}   medians, {arguments.workers} cores"
    )
    sums = [0.0, 0.0]
    for name in arguments.trees:
        times: dict[Method, list[float]] = {method: [] for method in METHODS}
        for turn in range(arguments.repeat + 1):
            for method in METHODS:
                took = seconds(name, method, arguments.workers)
                if turn:
                    times[method].append(took)
        medians = [statistics.median(times[method]) for method in METHODS]
        row(open_tree(name).label, *medians)
        sums = [total + median for total, median in zip(sums, medians, strict=True)]
    row("all", *sums)


if __name__ == "__main__":
    main()
