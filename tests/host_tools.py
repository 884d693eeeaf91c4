"""Processes for tests of real runs: Python programs that know the barrier, and the command as a process."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

PREAMBLE = """
import os, sys, time
folder, ready, start = map(int, sys.argv[1:4])
os.fchdir(folder)
os.write(ready, b"x"); os.close(ready)
os.read(start, 1)
"""


class Program:
    """An executor of a Python program that begins at the common start, in its folder."""

    def __init__(self, program: str, preamble: str = PREAMBLE) -> None:
        self.program = preamble + program

    def command(self, folder: int, ready: int, start: int) -> tuple[list[str], tuple[int, ...]]:
        return [sys.executable, "-I", "-S", "-c", self.program, *map(str, (folder, ready, start))], ()


SMALL = (
    "--processes",
    "3",
    "--transactions",
    "100",
    "--number",
    "20",
    "--repeat",
    "2",
    "--cpus",
    "1",
    "--iterations",
    "100000",
)
"""A small experiment: some tenths of a second."""

LONG = (
    "host",
    "postmark",
    "--transactions",
    "5000",
    "--processes",
    "3",
    "--repeat",
    "1000",
    "--cpus",
    "1",
    "--no-locks",
    "--no-overhead",
)
"""One that does not end before a test ends it."""


def start_long(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the command, and wait until its processes make files in `folder`."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "lockscape", *LONG, "--directory", str(folder),
         *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
    )  # fmt: skip
    for _ in range(1200):
        if sum(len(files) for _, _, files in os.walk(folder)) > 30:
            return process
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    output, _ = process.communicate()
    raise AssertionError(f"no files were made: {output.decode()}")


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until_gone(pids: list[int]) -> None:
    for _ in range(200):
        if not any(alive(pid) for pid in pids):
            return
        time.sleep(0.05)
    raise AssertionError(f"still there: {[pid for pid in pids if alive(pid)]}")


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
