"""The laboratory's speed: Figure 2 as a user runs it, and steps per second of every ported kernel.

    python benchmarks/figure2.py [--transactions 10000] [--files 1000] [--repeat 3] [--only methods]

Figure 2 is the whole process `lockscape simulate` for four systems on 1 to 8 processors, with start-up,
on all cores: its seconds, the seconds of cores that it used, and the largest memory of a process. The
methods, a port of each that has one, are timed in the same way, and so are all 22 systems, and these with 64
processes on 64 processors. Steps per second are executed rows of the program over CPU seconds of one core,
after the engine is compiled, medians of the repetitions; a waiting processor's looks at its lock are no
steps.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import load_run, run_to_end
from lockscape.machine import layout as at
from lockscape.ports.plan import load_plan, plan_names
from lockscape.workloads.postmark import PostmarkOptions

SYSTEMS = ("linux-2.0", "linux-2.2", "linux-2.4", "linux-2.6")

METHODS = (
    "giant", "coarse", "fine", "lock-free", "master-slave", "virtualization-para", "reimplementation",
)  # fmt: skip
"""A port of each method."""

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""As on a user's machine: without byte code on disk Python compiles numba anew in each process (1.5 s)."""


FIGURES = {
    "figure2": ("Figure 2, four systems", SYSTEMS, "1-8", 8),
    "methods": (f"{len(METHODS)} methods", METHODS, "1-8", 8),
    "systems": ("All systems", ("all",), "1-8", 8),
    "systems-64": ("All systems", ("all",), "64", 64),
}
"""What is timed: its title, systems, processors and processes."""


def figure(name: str, transactions: int, files: int, folder: str) -> None:
    """Time `lockscape simulate` as a process, nothing remembered from before."""
    what, systems, cpus, processes = FIGURES[name]
    command = [
        sys.executable, "-m", "lockscape", "simulate", *systems, "--cpus", cpus, "--size", "100",
        "--processes", str(processes), "--transactions", str(transactions), "--number", str(files),
        "--resume", folder, "--json",
    ]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT, check=True)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    size = f"{cpus} processors, {processes} x {transactions:,} transactions"
    cores = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    print(f"{what}, {size}: {seconds:.1f} s, {cores:.1f} s of cores, {used.ru_maxrss / 1024:.0f} MB")


def steps(name: str, cpus: int, transactions: int, files: int, repeat: int) -> None:
    """Print how many million rows a second a plan executes."""
    options = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=files, transactions=transactions)
    rates = []
    for _ in range(repeat + 1):
        loaded = load_run(RunSpec(name, load_plan(name), cpus, postmark=options))
        start = time.process_time()
        run_to_end(loaded)
        taken = time.process_time() - start
        rates.append(int(loaded.machine.state.m[at.H_STEPS]) / taken / 1e6)
    rates = rates[1:]
    print(
        f"{name:16} {cpus:4} processors  {statistics.median(rates):6.1f} M steps/s  (least {min(rates):.1f})"
    )


def all_steps(transactions: int, files: int, repeat: int) -> None:
    """Print the steps a second of every port, on 1 and on 8 processors."""
    for name in plan_names():
        for cpus in (1, 8):
            if name != "uniprocessor" or cpus == 1:
                steps(name, cpus, transactions, files, repeat)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--transactions", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", required=True, help="an empty folder for the figure's points")
    parser.add_argument("--only", choices=["steps", *FIGURES], help="one of the measurements")
    given = parser.parse_args()
    if given.only in (None, "steps"):
        all_steps(given.transactions // 5, given.files, given.repeat)
    for name in FIGURES:
        if given.only in (None, name):
            figure(name, given.transactions, given.files, given.folder)


if __name__ == "__main__":
    main()
