"""Runs one piece of work over all files of a tree, on all cores, with bounded memory.

Directories and revisions are read inside worker processes (opening tens of thousands of files holds the
interpreter's lock); archives are one stream, so they are decompressed here while threads do
the work, which must release the lock to gain from that.
"""

import hashlib
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from lockscape.errors import TreeError
from lockscape.source.select import FileSet
from lockscape.source.tree import Batch, Files, Problem, Tree

_R = TypeVar("_R")

Progress = Callable[[int, int], None]
"""Called now and then with the files and the bytes done so far."""


@dataclass(frozen=True)
class TreeInfo:
    """Which tree was measured: enough to recognise the same content again, however it was packed.

    `identity` is the SHA-256 over the sorted lines ``<sha256 of the file>  <path>\\n`` of the files read,
    the same as ``sha256sum FILES | LC_ALL=C sort -k2 | sha256sum``; empty if it was not asked for.
    """

    label: str
    origin: str
    kind: str
    commit: str | None
    identity: str
    files: int
    bytes: int


class FileInfo(NamedTuple):
    """A file that was read: path from the tree's top, size, SHA-256 (hexadecimal; empty if not asked for)."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Done(Generic[_R]):
    """What the work returned for one buffer of files."""

    paths: tuple[str | None, ...]
    """Relative to the tree's top; None for a file that turned out not to belong to the set."""
    numbers: NDArray[np.int64]
    """Each file's index in `Scan.files`, or -1."""
    value: _R


@dataclass(frozen=True)
class Scan(Generic[_R]):
    """All results of a pass over a tree. `files` are in the byte order of their paths."""

    tree: TreeInfo
    files: tuple[FileInfo, ...]
    parts: tuple[Done[_R], ...]
    problems: tuple[Problem, ...]


def worker_count() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def scan(
    tree: Tree,
    select: FileSet,
    work: Callable[[Files], _R],
    *,
    identify: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Scan[_R]:
    """Apply `work` to every file of `tree` that `select` names, in batches, and gather the results.

    `work` must be picklable and must not keep the buffer. Without `identify` no file is hashed, which saves
    a fifth of a census' time, and the tree's identity stays empty. Raises TreeError when no file matches.
    """
    workers = workers or worker_count()
    loaded: list[tuple[list[str], list[bytes], list[int], _R]] = []
    problems: list[Problem] = []
    count = size = 0
    for part in _run(tree, select, partial(_load_and_work, work, identify), workers):
        for paths, digests, sizes, trouble, value in part:
            loaded.append((paths, digests, sizes, value))
            problems += trouble
            count += len(paths)
            size += sum(sizes)
            if progress is not None:
                progress(count, size)
    problems += tree.problems()
    files, numbers = _number(tree, [part[:3] for part in loaded])
    if not files and not problems:
        patterns = " ".join(select.include)
        raise TreeError(
            f"no file of {tree.origin!r} matches {patterns!r}: is it a kernel's source, and the set right?"
        )
    parts = tuple(
        Done(tuple(files[n].path if n >= 0 else None for n in of_part.tolist()), of_part, part[3])
        for of_part, part in zip(numbers, loaded, strict=True)
    )
    return Scan(_identify(tree, files, identify), files, parts, tuple(sorted(problems)))


_Part = tuple[list[str], list[bytes], list[int], list[Problem], _R]


def _load_and_work(work: Callable[[Files], _R], hashed: bool, batch: Batch) -> list[_Part[_R]]:
    return [
        (
            f.paths,
            _digests(f) if hashed else [b""] * len(f.paths),
            (f.ends - f.starts).tolist(),
            f.problems,
            work(f),
        )
        for f in batch.load()
    ]


def _digests(files: Files) -> list[bytes]:
    view = files.data.data
    spans = zip(files.starts.tolist(), files.ends.tolist(), strict=True)
    return [hashlib.sha256(view[start:end]).digest() for start, end in spans]


def _run(
    tree: Tree, select: FileSet, call: Callable[[Batch], list[_Part[_R]]], workers: int
) -> Iterator[list[_Part[_R]]]:
    batches = iter(tree.batches(select))
    head = list(islice(batches, 2))
    if workers == 1 or len(head) < 2:
        yield from map(call, chain(head, batches))
        return
    with _executor(tree, workers) as pool:
        waiting: deque[Future[list[_Part[_R]]]] = deque()
        try:
            for batch in chain(head, batches):
                waiting.append(pool.submit(call, batch))
                if len(waiting) > (workers + 1 if tree.in_memory else 64):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _executor(tree: Tree, workers: int) -> Executor:
    if tree.in_memory:
        return ThreadPoolExecutor(workers)
    method = "fork" if sys.platform == "linux" else "spawn"
    return ProcessPoolExecutor(workers, multiprocessing.get_context(method), _ignore_interrupt)


def _ignore_interrupt() -> None:
    """Leave Ctrl-C to the parent, which stops handing out work and says that it was interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _number(
    tree: Tree, loaded: list[tuple[list[str], list[bytes], list[int]]]
) -> tuple[tuple[FileInfo, ...], list[NDArray[np.int64]]]:
    """Put the files of all buffers in order; return them and, by buffer, each file's number or -1."""
    found = [
        (os.fsencode(path), part, index)
        for part, (paths, _, _) in enumerate(loaded)
        for index, path in enumerate(map(tree.strip, paths))
        if path is not None
    ]
    found.sort()
    numbers = [np.full(len(paths), -1, np.int64) for paths, _, _ in loaded]
    files: list[FileInfo] = []
    for number, (path, part, index) in enumerate(found):
        numbers[part][index] = number
        files.append(FileInfo(os.fsdecode(path), loaded[part][2][index], loaded[part][1][index].hex()))
    return tuple(files), numbers


def _identify(tree: Tree, files: tuple[FileInfo, ...], hashed: bool) -> TreeInfo:
    text = "".join([f"{file.sha256}  {file.path}\n" for file in files])
    identity = f"sha256:{hashlib.sha256(os.fsencode(text)).hexdigest()}" if hashed else ""
    size = sum(file.bytes for file in files)
    return TreeInfo(tree.label, tree.origin, tree.kind, tree.commit, identity, len(files), size)
