"""Replays what ``strace -f -ttt -T`` has written: its calls, in a simulated kernel, by as many processes as
were at work at the same time.

Not all of it can be had; `left_out` says what, for one file, and this module for all:

- Calls that the simulated kernel does not have are left out, with the time in them; computation before them
  counts.
- Files that were there before are made in advance, with the size that reads and stat show, and lie in memory:
  no read waits for the disk. Symbolic links can be read but are not followed: what is opened by their name is
  a file or directory of its own. O_TRUNC does not shorten, a mapping is a page.
- What strace itself takes between two calls is estimated from the shortest gaps, and taken off all of them.
- A process takes over from another that ended, or waits for it; else the order between processes is the
  simulated kernel's. So that calls find what they found, files and directories that come from another process
  are made in advance, and directories that others use stay.
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
from lockscape.kernel.entry import (
    BRK,
    CLOSE,
    FSTAT,
    FSYNC,
    IOCTL,
    LSEEK,
    MKDIR,
    MMAP,
    MUNMAP,
    OPEN,
    READ,
    READLINK,
    RENAME,
    RMDIR,
    STAT,
    SYNC,
    TIME,
    UNLINK,
    WRITE,
    YIELD,
)
from lockscape.kernel.files import APPENDING, CREATING, READING, WRITING
from lockscape.workloads.load import Node, Stream
from lockscape.workloads.replay_names import Names
from lockscape.workloads.strace import Log, load_strace
from lockscape.workloads.strace_files import Followed, Opened, Operation, follow
from lockscape.workloads.strace_lanes import lanes_of
from lockscape.workloads.user import FIRST_CALL

MOST_LANES = 4096
FIRST_MARK = 64
"""Marks of times begin here, above those that PostMark sets."""

MOST_NAMES = 8
"""Calls that are named among those left out, the commonest."""

MOST_DESCRIPTORS = 256
"""What the simulated kernel's processes have, in one lane."""

_ON_FILES = {"read": READ, "write": WRITE, "fstat": FSTAT, "fsync": FSYNC}
_ON_NAMES = {"stat": STAT, "unlink": UNLINK, "mkdir": MKDIR, "rmdir": RMDIR, "readlink": READLINK}
_ALONE = {"sync": SYNC, "yield": YIELD, "ioctl": IOCTL}

Row = tuple[int, int, int, int, int, int]


class Replay(msgspec.Struct, frozen=True, tag="replay"):
    """A file of strace as a workload. `operations`: of all processes together."""

    title: str
    path: str
    sha256: str
    processes: int
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
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    made = _made(str(path), digest)
    done, left = made.followed.replayed.total(), made.followed.left.total()
    title = f"replay of {path.name}: {done:,} of {done + left:,} calls of {len(made.log.calls):,} processes"
    return Replay(
        title, str(path), digest, len(made.rows), sum(len(rows) for rows in made.rows), tuple(_left_out(made))
    )


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
    lanes = lanes_of(log)
    count = max(lanes.values()) + 1
    if count > MOST_LANES:
        raise InputError(f"{path}: {count:,} processes at work at once; at most {MOST_LANES:,}")
    followed = follow(log)
    names = Names(followed.operations, lanes)
    rows = [_Lane(names, k) for k in range(count)]
    for operation in followed.operations:
        rows[lanes[operation.pid]].do(operation)
    for lane in rows:
        lane.end()
    return _Made([lane.rows for lane in rows if lane.rows] or [rows[0].rows], names.tree(), followed, log)


def _scaled(rows: Sequence[Row], clock_mhz: int) -> NDArray[np.int64]:
    """Return rows with cycles instead of microseconds of computation."""
    made = np.array(rows, np.int64).reshape(len(rows), 6)
    made[:, 5] *= clock_mhz
    return made


@dataclass
class _Held:
    """An open file of a lane: its descriptor there (-1 until it is used), how many descriptors of the trace
    it stands for, and its position."""

    descriptor: int = -1
    users: int = 0
    position: int = 0


class _Lane:
    """Makes the rows of one simulated process."""

    def __init__(self, names: Names, number: int) -> None:
        self.names, self.number = names, number
        self.rows: list[Row] = []
        self.held: dict[Opened, _Held] = {}
        self.free = set(range(MOST_DESCRIPTORS))
        self.maps: dict[int, int] = {}
        self.mappings = self.times = 0
        self.think = 0

    def do(self, operation: Operation) -> None:
        """Add the rows of an operation; computation before one that makes none comes before the next."""
        self.think += operation.think_us
        kind, file = operation.kind, operation.file
        if file is not None:
            self.on_file(kind, operation, file)
        elif kind in _ON_NAMES:
            self.on_name(kind, operation.path)
        elif kind == "rename":
            self.rename(operation.path, operation.other)
        elif kind == "mmap":
            self.mappings += 1
            self.maps[operation.amount] = self.mappings
            self.row(MMAP, expected=self.mappings)
        elif kind == "munmap":
            self.unmap(operation.amount)
        elif kind == "brk":
            self.row(BRK, operation.amount)
        elif kind == "time":
            self.times += 1
            self.row(TIME, FIRST_MARK + self.times)
        else:
            self.row(_ALONE[kind])

    def row(self, call: int, a: int = 0, b: int = 0, c: int = 0, expected: int = -1) -> None:
        self.rows.append((FIRST_CALL + call, a, b, c, expected + 1, self.think))
        self.think = 0

    def hold(self, file: Opened, held: _Held) -> None:
        """Open a file in this lane, where it is not yet: also one that another lane has opened."""
        held.descriptor = self.lowest()
        is_directory = self.names.is_directory(file.path)
        directories, name = self.names.place(file.path, is_directory)
        how = READING if is_directory else self.how(file)
        self.row(OPEN, directories, name, how, expected=held.descriptor)
        self.free.remove(held.descriptor)

    def lowest(self) -> int:
        """Return the descriptor that the next open gives."""
        if not self.free:
            raise InputError(
                f"more than {MOST_DESCRIPTORS} files open at once in one process: give another trace"
            )
        return min(self.free)

    def how(self, file: Opened) -> int:
        flags = file.how
        writes = flags & {"O_WRONLY", "O_RDWR"} or file in self.names.written
        how = WRITING if writes else READING
        if "O_CREAT" in flags or self.names.may_be_gone(file.path, self.number):
            how |= CREATING & ~WRITING
        return how | (APPENDING if "O_APPEND" in flags else 0)

    def drop(self, file: Opened) -> None:
        """Close a file in this lane, if no other descriptor of the trace is it."""
        held = self.held.get(file)
        if held is not None:  # else another lane's thread has opened it, and closes it at its end
            held.users -= 1
            if held.users <= 0:
                self.close(file)

    def close(self, file: Opened) -> None:
        held = self.held.pop(file)
        if held.descriptor >= 0:
            self.row(CLOSE, held.descriptor)
            self.free.add(held.descriptor)

    def on_file(self, kind: str, operation: Operation, file: Opened) -> None:
        """Add the rows of an operation on an open file."""
        if kind == "close":
            self.drop(file)
            return
        if kind == "write" and self.names.is_directory(file.path):
            kind = "fstat"  # what a trace in pieces may say
        held = self.held.setdefault(file, _Held())
        if kind in ("open", "dup"):
            held.users += 1
            if kind == "dup":
                return
        if held.descriptor < 0:
            self.hold(file, held)
        if kind == "lseek" or (kind in ("read", "write") and operation.at != held.position):
            self.row(LSEEK, held.descriptor, operation.at)
            held.position = operation.at
        if kind in _ON_FILES:
            self.row(_ON_FILES[kind], held.descriptor, operation.amount)
            held.position += operation.amount if kind in ("read", "write") else 0

    def on_name(self, kind: str, path: str) -> None:
        directory = self.names.is_directory(path)
        if (kind == "rmdir" and self.names.stays(path, self.number)) or (kind == "unlink" and directory):
            kind = "stat"
        directories, name = self.names.place(path, directory)
        self.row(_ON_NAMES[kind], directories, name)

    def rename(self, old: str, new: str) -> None:
        """Rename a file, or between directories make the new name and delete the old one.

        A directory keeps its old name, and the new one is there before.
        """
        if self.names.is_directory(old) or self.names.is_directory(new):
            self.on_name("stat", old)
            return
        directories, name = self.names.place(old, False)
        target, renamed = self.names.place(new, False)
        if directories == target:
            self.row(RENAME, directories, name, renamed)
        else:
            self.row(OPEN, target, renamed, CREATING, expected=self.lowest())
            self.row(CLOSE, self.lowest())
            self.row(UNLINK, directories, name)

    def unmap(self, number: int) -> None:
        mapped = self.maps.pop(number, 0)
        if mapped:
            self.row(MUNMAP, mapped)

    def end(self) -> None:
        """Give back what the trace left open or mapped, as exit does."""
        for file in list(self.held):
            self.close(file)
        for number in list(self.maps):
            self.unmap(number)
