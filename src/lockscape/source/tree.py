"""Source trees: what they hold, read in batches of bounded size.

A tree is a directory (here), a tar archive (`archive`) or a git revision (`revision`). All three
hand out `Batch` objects; loading a batch gives `Files`: many files in one buffer, so that the compiled
lexer is called once for hundreds of files. Links are never followed and nothing is ever written.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lockscape.errors import TreeError, reason_of
from lockscape.source.select import FileSet

PADDING = 16
"""Zero bytes (at least) behind each file in a buffer, so that word-wide reads stay inside it."""

BATCH_BYTES = 4 << 20
"""A batch of files is closed when its buffer holds this many bytes."""

BATCH_FILES = 256
"""A batch of a directory or a revision names at most this many files."""

MAX_FILE_BYTES = 1 << 30
"""A larger single file is not source code: it is listed as a problem instead of read."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """An input that could not be read: its path in the tree and why. Counted, never dropped."""

    path: str
    reason: str


@dataclass
class Files:
    """Loaded files: `data[start:end]` is a file's bytes, with `PADDING` zeros or more behind it.

    `data` is uint8; `starts` and `ends` are int64 of shape (number of files,), starts are multiples
    of 8.
    """

    paths: list[str]
    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    problems: list[Problem] = field(default_factory=list)

    def content(self, index: int) -> bytes:
        """Return the bytes of file number `index` (a copy)."""
        return self.data[self.starts[index] : self.ends[index]].tobytes()


class Batch(Protocol):
    """A part of a tree that is loaded at once, in a worker where that helps."""

    def load(self) -> Iterator[Files]:
        """Yield the batch's files, at most about `BATCH_BYTES` (or one larger file) at a time."""
        ...


class Tree(Protocol):
    """Source code to measure. `label` is for tables, `origin` what the user named."""

    label: str
    origin: str
    kind: str
    """``directory``, ``archive`` or ``revision``."""
    commit: str | None
    """The full commit identity of a revision."""
    in_memory: bool
    """Batches carry their bytes (archives): load them in threads, not in other processes."""

    def batches(self, select: FileSet) -> Iterator[Batch]:
        """Yield batches that cover every regular file of the set, each once."""
        ...

    def problems(self) -> list[Problem]:
        """Return what could not be listed, after `batches` is exhausted."""
        ...

    def strip(self, path: str) -> str | None:
        """Return `path` relative to the tree's top, or None for a path outside the file set.

        Only archives need it: whether all members share one top folder is known at their end.
        """
        ...


class FilesBuilder:
    """Gathers files into one growing buffer and hands it over as `Files`."""

    def __init__(self) -> None:
        self.data: NDArray[np.uint8] = np.empty(BATCH_BYTES + (1 << 20), np.uint8)
        self.used = 0
        self._paths: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._problems: list[Problem] = []

    @property
    def full(self) -> bool:
        """Whether the buffer should be handed over before another file is added."""
        return self.used >= BATCH_BYTES

    def room(self, size: int) -> None:
        """Make sure that `size` more bytes and the padding fit."""
        needed = self.used + size + 2 * PADDING
        if needed > len(self.data):
            grown = np.empty(max(needed, 2 * len(self.data)), np.uint8)
            grown[: len(self.data)] = self.data  # all of it: a file that is being read lies behind `used`
            self.data = grown

    def close_file(self, path: str, size: int) -> None:
        """Record that the `size` bytes at `used` are the file `path`."""
        start, end = self.used, self.used + size
        self._paths.append(path)
        self._starts.append(start)
        self._ends.append(end)
        after = (end + PADDING + 7) & ~7
        self.data[end:after] = 0
        self.used = after

    def add(self, path: str, content: bytes) -> None:
        """Add a file whose bytes are at hand."""
        self.room(len(content))
        self.data[self.used : self.used + len(content)] = np.frombuffer(content, np.uint8)
        self.close_file(path, len(content))

    def problem(self, path: str, reason: str) -> None:
        """Record a file that could not be read."""
        self._problems.append(Problem(path, reason))

    def take(self) -> Files:
        """Return what was gathered. The builder is empty after it and may reuse the buffer."""
        files = Files(
            self._paths,
            self.data[: self.used],
            np.array(self._starts, np.int64),
            np.array(self._ends, np.int64),
            self._problems,
        )
        self.used = 0
        self._paths, self._starts, self._ends = [], [], []
        self._problems = []
        return files


_spare: list[FilesBuilder] = []
"""Buffers to use again: fresh memory costs a page fault for every 4 KiB that is read into it."""


@dataclass(frozen=True)
class DirectoryBatch:
    """Paths below `root`, read where the batch is loaded."""

    root: str
    paths: tuple[str, ...]

    def load(self) -> Iterator[Files]:
        """Yield the files; unreadable ones become problems."""
        builder = _spare.pop() if _spare else FilesBuilder()
        for path in self.paths:
            if builder.full:
                yield builder.take()
            try:
                size = _read_into(builder, f"{self.root}/{path}")
            except OSError as error:
                builder.problem(path, reason_of(error))
            else:
                builder.close_file(path, size)
        yield builder.take()
        if len(builder.data) <= 2 * BATCH_BYTES:
            _spare.append(builder)


def _read_into(builder: FilesBuilder, name: str) -> int:
    """Read a regular file to the end of the builder's buffer and return its size in bytes."""
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = 0
        builder.room(1 << 16)
        while True:
            at = builder.used + size
            free = len(builder.data) - at - 2 * PADDING
            got = os.readv(handle, [builder.data.data[at : at + free]])
            size += got
            if got < free:  # of a regular file only its end gives less than was asked for
                return size
            if size > MAX_FILE_BYTES:
                raise OSError(errno.EFBIG, f"larger than {MAX_FILE_BYTES >> 20} MiB, not read as source")
            builder.room(2 * size)
    finally:
        os.close(handle)


class Directory:
    """A directory as a tree. Symbolic links, devices and pipes are not source and are passed over."""

    kind: str = "directory"
    commit: str | None = None
    in_memory: bool = False

    def __init__(self, origin: str, label: str | None = None) -> None:
        path = Path(origin)
        if not path.is_dir():
            raise TreeError(
                f"no directory {origin!r}: give a kernel's source folder, a tar archive or REPO@REV"
            )
        self.origin = origin
        self.root = str(path.resolve())
        self.label = label or path.resolve().name
        self._problems: list[Problem] = []

    def batches(self, select: FileSet) -> Iterator[Batch]:
        """Yield batches of at most `BATCH_FILES` names, folders in sorted order."""
        self._problems = []
        names: list[str] = []
        for root in select.roots:
            for path in self._walk(root):
                if select.matches(path):
                    names.append(path)
                    if len(names) == BATCH_FILES:
                        yield DirectoryBatch(self.root, tuple(names))
                        names = []
        if names:
            yield DirectoryBatch(self.root, tuple(names))

    def _walk(self, top: str) -> Iterator[str]:
        folders = [top]
        while folders:
            folder = folders.pop()
            below: list[str] = []
            prefix = f"{folder}/" if folder else ""
            try:
                if top and folder == top and not self._inside(top):
                    continue
                with os.scandir(f"{self.root}/{folder}") as entries:
                    for entry in sorted(entries, key=_entry_name):
                        if entry.is_dir(follow_symlinks=False):
                            below.append(prefix + entry.name)
                        elif entry.is_file(follow_symlinks=False):
                            yield prefix + entry.name
            except FileNotFoundError:
                if folder != top:  # a folder of the set that this tree does not have is no problem
                    self._problems.append(Problem(folder, "vanished while it was read"))
            except OSError as error:
                self._problems.append(Problem(folder or ".", reason_of(error)))
            folders.extend(reversed(below))

    def _inside(self, top: str) -> bool:
        """Whether no part of `top` is a link: a set's folder must not lead out of the tree."""
        parts = top.split("/")
        for depth in range(1, len(parts) + 1):
            mode = os.lstat(f"{self.root}/{'/'.join(parts[:depth])}").st_mode
            if stat.S_ISLNK(mode):
                return False
        return True

    def problems(self) -> list[Problem]:
        """Return the folders that could not be listed."""
        return list(self._problems)

    def strip(self, path: str) -> str | None:
        """Return `path`: a directory's paths are relative already."""
        return path


def _entry_name(entry: os.DirEntry[str]) -> str:
    return entry.name
