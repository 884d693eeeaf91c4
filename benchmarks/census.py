"""The census' speed beside ripgrep's and tree-sitter's, on one tree, in one run.

    python benchmarks/census.py linux-6.1 [--repeat 5] [--archive linux-6.1.tar.xz ...] [--git REPO@REV]

Whole processes are timed, start-up included, in turn (A B A B …), on the same cores; medians and the ratio
of each pair are printed. ripgrep prints every match of the same names (`-o -w -F`); lockscape also strips
comments and literals, tells calls from prototypes and counts by kind. tree-sitter parses
a sample of the tree, on all cores; its speed is in megabytes a second of source.
An archive is set beside the slower of its decompression alone and the pass over the directory.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from lockscape.source.profile import load_profile
from lockscape.source.scan import scan, worker_count
from lockscape.source.select import FileSet
from lockscape.source.tree import Directory, Files

DECOMPRESS = {".xz": ["xz", "-dc"], ".gz": ["gzip", "-dc"], ".bz2": ["bzip2", "-dc"], ".zst": ["zstd", "-dc"]}

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""As on a user's machine: without byte code on disk Python compiles numba anew in each process (1.5 s)."""


def seconds(command: Sequence[str]) -> float:
    """Return the wall-clock seconds of a whole process; its output is read and thrown away."""
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"{command[0]} failed with {done.returncode}")
    return time.perf_counter() - start


def interleaved(commands: dict[str, Sequence[str]], repeat: int) -> dict[str, list[float]]:
    """Time the commands in turn, after one uncounted run of each."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(repeat + 1):
        for name, command in commands.items():
            took = seconds(command)
            if round_:
                times[name].append(took)
    return times


def row(name: str, times: list[float], megabytes: float) -> float:
    """Print a row and return the median."""
    median = statistics.median(times)
    print(f"{name:28} {min(times):7.2f} {median:7.2f} {max(times):7.2f} s {megabytes / median:8.0f} MB/s")
    return median


def sizes(files: Files) -> int:
    """Return the bytes of a buffer of files."""
    return int((files.ends - files.starts).sum())


def parse(paths: list[str]) -> int:
    """Parse files with tree-sitter and return their bytes."""
    import tree_sitter
    import tree_sitter_c

    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_c.language()))
    size = 0
    for path in paths:
        text = Path(path).read_bytes()
        parser.parse(text)
        size += len(text)
    return size


def compare_parser(tree: Path, census: Sequence[str], megabytes: float, repeat: int) -> None:
    """Set the census beside tree-sitter on a sample of the tree, in turn."""
    speeds = [(megabytes / seconds(census), tree_sitter_speed(tree)) for _ in range(repeat)]
    ratios = [mine / parser for mine, parser in speeds]
    parser = statistics.median(speed for _, speed in speeds)
    spread = f"{min(ratios):.0f} to {max(ratios):.0f}"
    print(f"{'tree-sitter, a sample':28} {parser:33.1f} MB/s")
    print(f"lockscape is {statistics.median(ratios):.0f} times as fast as tree-sitter ({spread})")


def tree_sitter_speed(tree: Path, megabytes: int = 100) -> float:
    """Return tree-sitter's megabytes a second on every n-th file, on all cores."""
    paths = sorted(str(p) for p in tree.rglob("*.[ch]") if p.is_file() and not p.is_symlink())
    step = max(1, sum(map(os.path.getsize, paths)) // (megabytes * 1_000_000))
    workers = worker_count()
    with get_context("fork").Pool(workers) as pool:
        start = time.perf_counter()
        size = sum(
            pool.map(parse, [paths[::step][n :: 8 * workers] for n in range(8 * workers)], chunksize=1)
        )
        return size / 1e6 / (time.perf_counter() - start)


def main() -> None:
    """Run the comparison."""
    options = argparse.ArgumentParser(description="lockscape's census beside ripgrep and tree-sitter")
    options.add_argument("tree", type=Path)
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--archive", type=Path, action="append", default=[])
    options.add_argument("--git", action="append", default=[], metavar="REPO@REV")
    given = options.parse_args()
    if not shutil.which("rg"):
        sys.exit("ripgrep (rg) is not installed")
    megabytes = sum(p.value for p in scan(Directory(str(given.tree)), FileSet(), sizes).parts) / 1e6
    cores = worker_count()
    print(
        f"{given.tree.name}: {megabytes:,.0f} MB in *.c *.h *.S, {cores} cores, {given.repeat} runs in turn"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as names:
        names.write("\n".join(sorted({o.name for o in load_profile("linux").operations()})) + "\n")
        names.flush()
        census = [sys.executable, "-m", "lockscape", "census", "--profile", "linux", "--csv"]
        ripgrep = [
            "rg",
            f"-j{cores}",
            "--no-ignore",
            "--hidden",
            "-g",
            "*.[chS]",
            "-owF",
            "-f",
            names.name,
            str(given.tree),
        ]
        times = interleaved(
            {"ripgrep -o": ripgrep, "lockscape census": [*census, str(given.tree)]}, given.repeat
        )
    print(f"{'':28} {'min':>7} {'median':>7} {'max':>7}")
    row("ripgrep -o", times["ripgrep -o"], megabytes)
    mine = row("lockscape census", times["lockscape census"], megabytes)
    pairs = [a / b for a, b in zip(times["ripgrep -o"], times["lockscape census"], strict=True)]
    spread = f"{min(pairs):.2f} to {max(pairs):.2f}"
    print(f"lockscape runs at {statistics.median(pairs):.2f} of ripgrep's speed ({spread})")
    compare_parser(given.tree, [*census, str(given.tree)], megabytes, given.repeat)
    for archive in given.archive:
        alone_command = [*DECOMPRESS[archive.suffix], str(archive)]
        compare_input(archive.name, alone_command, [*census, str(archive)], mine, megabytes, given.repeat)
    for revision in given.git:
        repository, _, name = revision.partition("@")
        alone_command = ["git", "-C", repository, "archive", "--format=tar", name]
        compare_input(revision, alone_command, [*census, revision], mine, megabytes, given.repeat)


def compare_input(
    name: str, alone: Sequence[str], census: Sequence[str], directory: float, megabytes: float, repeat: int
) -> None:
    """Set an archive or a revision beside its unpacking alone and the pass over the directory."""
    times = interleaved({"alone": alone, "census": census}, max(2, repeat // 2))
    unpack = row(f"{name[-18:]} alone", times["alone"], megabytes)
    took = row(f"{name[-18:]} census", times["census"], megabytes)
    print(f"{name}: {took / max(unpack, directory):.2f} times the slower of the two")


if __name__ == "__main__":
    main()
