"""A small grid, and a real Dask cluster on this machine, for the tests of sweeps."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

GRID = """\
title = "Two locks"
systems = ["giant", "fine"]
processors = "1-2"
processes = 2
seeds = [1, 2]
cost_samples = [0, 3]

[postmark]
files = 10
transactions = 20
"""
"""16 runs of four kernels, each of which takes some hundredths of a second."""


def written(folder: Path, text: str = GRID) -> Path:
    """Write an experiment's file."""
    path = folder / "grid.toml"
    path.write_text(text)
    return path


class DaskCluster(NamedTuple):
    """A scheduler and its workers, each a process of its own, in other folders than the test."""

    address: str
    workers: list[subprocess.Popen[bytes]]


def _dask(program: str, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    folder.mkdir()
    command = [sys.executable, "-m", f"distributed.cli.{program}", "--host", "127.0.0.1", "--no-dashboard"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([*command, *arguments], cwd=folder, stdout=log, stderr=log)


@contextmanager
def dask_cluster(folder: Path, workers: int = 2) -> Iterator[DaskCluster]:
    """Start a scheduler and workers of one thread each; end them at the end."""
    file = folder / "scheduler.json"
    processes = [_dask("dask_scheduler", folder / "scheduler", "--port", "0", "--scheduler-file", str(file))]
    try:
        deadline = time.monotonic() + 60
        while not (file.exists() and file.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        address = str(json.loads(file.read_text())["address"])
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", "scratch")
        processes += [_dask("dask_worker", folder / f"{n}", address, *options) for n in range(workers)]
        yield DaskCluster(address, processes[1:])
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()
