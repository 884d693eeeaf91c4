"""Replays what ``strace -f -ttt -T`` has written: its calls, in a simulated kernel, by processes that make
each other as those of the trace did.

Not all of it can be had; `left_out` says what, for one file, and this module for all:

- Calls that the simulated kernel does not have are left out, with the time in them; computation before them
  counts.
- Files that were there before are made in advance, with the size that reads and stat show, and lie in memory:
  no read waits for the disk. Symbolic links can be read but are not followed: what is opened by their name is
  a file or directory of its own. O_TRUNC does not shorten, a mapping is a page, and faults are not in a
  trace.
- What strace itself takes between two calls is estimated from the shortest gaps, and taken off all of them.
- Between processes there is the order that fork, wait and pipes make; else it is the simulated kernel's. So
  that calls find what they found, files and directories that come from another process without an order by
  fork and wait are made in advance, and directories that others use stay.
"""

import functools
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError
from lockscape.inputs import digest_file
from lockscape.workloads.file_system import Node
from lockscape.workloads.load import Stream
from lockscape.workloads.replay_names import Names
from lockscape.workloads.replay_pipes import Pipes
from lockscape.workloads.replay_processes import Row, replay_processes, with_children
from lockscape.workloads.strace import Log, load_strace
from lockscape.workloads.strace_calls import follow
from lockscape.workloads.strace_files import Followed

MOST_PROCESSES = 65_536
"""Processes of a trace."""
MOST_GENERATIONS = 200
"""So many processes one replay has, and so many of them each made by the one before."""

MOST_NAMES = 8
"""Calls that are named among those left out, the commonest."""


class Replay(msgspec.Struct, frozen=True, tag="replay"):
    """A file of strace as a workload.

    `processes` are there at the beginning, and make `made` others. `operations`: of all together.
    """

    title: str
    path: str
    sha256: str
    processes: int
    made: int
    operations: int
    left_out: tuple[str, ...]

    def parts(self, clock_mhz: int) -> tuple[list[Stream], list[Node]]:
        """Return what each process does, and what is there before.

        Raises `InputError` if the file has changed.
        """
        made = _made(self.path, self.sha256)
        return [Stream(_scaled(rows, clock_mhz)) for rows in made.rows], made.tree


@dataclass(frozen=True)
class _Made:
    rows: list[list[Row]]
    tree: list[Node]
    followed: Followed
    log: Log


def load_replay(path: Path) -> Replay:
    """Read a file of strace as a workload. Raises `InputError` for one that cannot be replayed."""
    try:
        digest = digest_file(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    made = _made(str(path), digest)
    done, left = made.followed.replayed.total(), made.followed.left.total()
    return Replay(
        f"replay of {path.name}: {done:,} of {done + left:,} calls of {len(made.log.calls):,} processes",
        str(path), digest, len(made.rows), len(made.followed.makers) - made.followed.makers.count(None),
        sum(len(rows) for rows in made.rows), tuple(_left_out(made)),
    )  # fmt: skip


def _left_out(made: _Made) -> list[str]:
    """Return what of a file is not replayed, a sentence each, the commonest first."""
    followed, log = made.followed, made.log
    by_reason: dict[str, Counter[str]] = {}
    for (name, reason), count in followed.left.items():
        by_reason.setdefault(reason, Counter())[name] += count
    found = [
        f"{counts.total():,} calls: {reason} ({_commonest(counts)})"
        for reason, counts in sorted(by_reason.items(), key=lambda each: -each[1].total())
    ]
    if followed.threads:
        found.append(f"that {followed.threads:,} threads share memory and descriptors: they have copies")
    if log.unread:
        found.append(f"{log.unread:,} lines that were not understood")
    found.append(f"{followed.own_us:,} microseconds before each call, which strace itself took")
    return found


def _commonest(counts: Counter[str]) -> str:
    shown = [f"{name} {n:,}" for name, n in counts.most_common(MOST_NAMES)]
    return ", ".join([*shown, *([f"{len(counts) - MOST_NAMES} more"] if len(counts) > MOST_NAMES else [])])


@functools.lru_cache(maxsize=4)
def _made(path: str, sha256: str) -> _Made:
    try:
        now = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if now != sha256:
        raise InputError(f"{path}: has changed since it was read; run the command again")
    log = load_strace(Path(path))
    followed = follow(log)
    _check_size(path, followed.makers)
    names = Names(followed.operations)
    made = replay_processes(followed, names, Pipes(followed.operations, followed.makers))
    return _Made(with_children(made, followed.makers), names.tree(), followed, log)


def _check_size(path: str, makers: Sequence[int | None]) -> None:
    """Refuse more processes, or more generations of them, than a run has room for."""
    if len(makers) > MOST_PROCESSES:
        raise InputError(f"{path}: {len(makers):,} processes; at most {MOST_PROCESSES:,}")
    ages: list[int] = []
    for maker in makers:
        ages.append(1 + (0 if maker is None else ages[maker]))
    if max(ages) > MOST_GENERATIONS:
        raise InputError(
            f"{path}: {max(ages):,} processes of which each made the next; at most {MOST_GENERATIONS:,}"
        )


def _scaled(rows: Sequence[Row], clock_mhz: int) -> NDArray[np.int64]:
    """Return rows with cycles instead of microseconds of computation."""
    made = np.array(rows, np.int64).reshape(len(rows), 6)
    made[:, 5] *= clock_mhz
    return made
