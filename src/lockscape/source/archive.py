"""Tar archives as trees, read as one stream: nothing is unpacked to disk, memory stays bounded.

A thread expands the data (`decompress`), this one finds the members (`tarstream`) and copies those of the
file set into batches; digests and the scan's work are done by the scan's threads.
"""

import re
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from lockscape.errors import TreeError, reason_of
from lockscape.source.decompress import expanded, format_of, read_ahead
from lockscape.source.select import FileSet
from lockscape.source.tarstream import BLOCK, FOLDER, REGULAR, Member, TarStream, checksum_agrees
from lockscape.source.tree import BATCH_BYTES, MAX_FILE_BYTES, PADDING, Batch, Files, Problem


@dataclass(frozen=True)
class ArchiveBatch:
    """Files of an archive in a buffer of their own, laid out as in `Files`."""

    paths: list[str]
    data: NDArray[np.uint8]
    starts: list[int]
    ends: list[int]

    def load(self) -> Iterator[Files]:
        """Yield the files."""
        yield Files(self.paths, self.data, np.array(self.starts, np.int64), np.array(self.ends, np.int64))


class _BatchBuilder:
    """Lays files out in a buffer until it is full."""

    def __init__(self, size: int) -> None:
        self._data: NDArray[np.uint8] = np.empty(max(BATCH_BYTES, _room(size)), np.uint8)
        self._view = self._data.data
        self._used = 0
        self._paths: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []

    def fits(self, size: int) -> bool:
        return self._used + _room(size) <= len(self._view)

    def add(self, path: str, size: int) -> memoryview:
        """Return the place for the `size` bytes of the file `path`."""
        start, end = self._used, self._used + size
        self._used += _room(size)
        self._view[end : self._used] = _ZEROS[: self._used - end]
        self._paths.append(path)
        self._starts.append(start)
        self._ends.append(end)
        return self._view[start:end]

    def done(self) -> ArchiveBatch:
        return ArchiveBatch(self._paths, self._data[: self._used], self._starts, self._ends)


_ZEROS = bytes(2 * PADDING)


def _room(size: int) -> int:
    return (size + PADDING + 7) & ~7


class TopFolder:
    """Whether the archive has one top folder that is not part of the tree, and which files that leaves.

    The rule: if every member lies in one folder, as in ``linux-6.1/...``, the folder is taken off all
    paths, unless more files belong to the set with it than without. So an archive that holds only
    ``kernel/`` keeps its paths when the set asks for ``kernel/**``; for a set that matches anywhere the
    folder is taken off. If the members do not share one folder, as after ``tar cf x.tar kernel mm fs``,
    all paths stay. Members outside of the archive (absolute, ``..``) do not take part.
    """

    def __init__(self, select: FileSet) -> None:
        self._select = select
        self._name: str | None = None
        self._shared = True
        self._stripped = False
        self._wanted: dict[str, bool] = {}  # whether the path without its top folder matches

    def wants(self, path: str, kind: str) -> bool:
        """Take note of a member of any kind; whether the set has it, with or without its top folder."""
        inner = False
        if self._shared:
            name, slash, rest = path.partition("/")
            if self._name is None:
                self._name = name
            self._shared = name == self._name and (bool(slash) or kind == FOLDER)
            inner = self._shared and kind != FOLDER and self._select.matches(rest)
        if kind == FOLDER or not (inner or self._select.matches(path)):
            return False
        self._wanted[path] = inner
        return True

    def decide(self) -> None:
        """Apply the rule, after the last member."""
        inner = sum(self._wanted.values())
        whole = 0
        if self._shared and inner < len(self._wanted):
            whole = sum(map(self._select.matches, self._wanted))
        self._stripped = self._shared and whole <= inner

    def strip(self, path: str) -> str | None:
        """Return the path in the tree of a file that `wants` named, None if it is not in the set."""
        if self._stripped:
            return path.partition("/")[2] if self._wanted[path] else None
        return path if self._select.matches(path) else None


class Archive:
    """A tar archive as a tree: plain or packed with gzip, xz, bzip2 or zstd, told by its first bytes.

    Nothing is ever written, so no member can escape or overwrite anything. Names are normalised
    (``./a//b`` is ``a/b``). A file that stands several times in the archive counts as its last one, as
    after unpacking. Listed as problems, if the set names them: members with an absolute path or ``..``,
    hard links and sparse files (their content is elsewhere or incomplete in a stream), devices and pipes,
    symbolic links that lead out of the archive, files above `MAX_FILE_BYTES`. Symbolic links that stay
    inside are passed over as in a directory: their target counts under its own name.
    """

    kind = "archive"
    commit: str | None = None
    in_memory = True

    def __init__(self, origin: str, label: str | None = None) -> None:
        self.origin = origin
        self.label = label or archive_label(origin)
        with _opened(origin) as file:
            self._packing = _packing(file, origin)
        self._start(FileSet())

    def _start(self, select: FileSet) -> None:
        self._select = select
        self._top = TopFolder(select)
        self._times: dict[str, int] = {}
        self._found: list[Problem] = []  # with the paths of the archive
        self._outside: list[Problem] = []  # of members that are not in the tree

    def batches(self, select: FileSet) -> Iterator[Batch]:
        """Yield batches of about `BATCH_BYTES`, each with a buffer of its own, while the stream is read.

        A path may carry a suffix that `strip` takes off. Raises TreeError, also after some batches.
        """
        self._start(select)
        with (
            _opened(self.origin) as file,
            closing(read_ahead(expanded(file, self.origin, self._packing))) as chunks,
        ):
            tar = TarStream(chunks, self.origin)
            empty = True
            building: _BatchBuilder | None = None
            for member in tar.members():
                empty = False
                path = self._accept(member)
                if path is None:
                    continue
                if building is not None and not building.fits(member.size):
                    yield building.done()
                    building = None
                if building is None:
                    building = _BatchBuilder(member.size)
                tar.read_into(building.add(path, member.size))
            if building is not None:
                yield building.done()
        self._top.decide()
        if tar.rest_has_members:
            self._outside.append(
                Problem(self.origin, "a second archive follows the first one's end mark: not read")
            )
        if empty:
            raise TreeError(f"{self.origin!r} is an empty archive: give a kernel's source")

    def _accept(self, member: Member) -> str | None:
        """Return the key of a file that is to be read, None for everything else, problems noted."""
        path, outside = _normal(member.path)
        if outside is not None:
            if member.kind != FOLDER and (
                self._select.matches(path) or self._select.matches(path.partition("/")[2])
            ):
                self._outside.append(Problem(member.path, outside))
            return None
        if not path or not self._top.wants(path, member.kind):
            return None
        times = self._times.get(path, 0)
        self._times[path] = times + 1
        if times == 1:
            self._found.append(Problem(path, "stands more than once in the archive: the last one counts"))
        reason = _obstacle(member, path)
        if reason is not None:
            self._found.append(Problem(path, reason))
        if member.kind != REGULAR or reason is not None:
            return None
        return f"{path}\0{times}" if times else path

    def problems(self) -> list[Problem]:
        """Return what the set names and could not be read, after `batches` is exhausted."""
        found = [(self._top.strip(problem.path), problem.reason) for problem in self._found]
        return self._outside + [Problem(path, reason) for path, reason in found if path is not None]

    def strip(self, path: str) -> str | None:
        """Return a batch's path as the tree's, None if it is not in the set or replaced later on."""
        name, _, times = path.partition("\0")
        if int(times or 0) + 1 != self._times[name]:
            return None
        return self._top.strip(name)


def _obstacle(member: Member, path: str) -> str | None:
    """Return why a member of the set cannot be read as a file, None for files and links inside."""
    if member.kind == REGULAR:
        if member.size > MAX_FILE_BYTES:
            return f"larger than {MAX_FILE_BYTES >> 20} MiB, not read as source"
        return None
    if member.kind == "symbolic link":
        return (
            "a symbolic link that leads out of the archive: not followed" if _leaves(path, member) else None
        )
    if member.kind == "hard link":
        return f"a hard link to {member.target!r}: not followed in a stream"
    return f"a {member.kind}: not read"


def _leaves(path: str, link: Member) -> bool:
    if link.target.startswith("/"):
        return True
    depth = path.count("/")
    for part in link.target.split("/"):
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            return True
    return False


def _normal(path: str) -> tuple[str, str | None]:
    """Return the path without empty, ``.`` and ``..`` parts, and why it is none in the archive, if so."""
    if path[:1] not in "/." and path[-1:] != "/" and not _ODD.search(path):
        return path, None
    parts = path.replace("\0", "").split("/")
    kept = "/".join(part for part in parts if part not in ("", ".", ".."))
    if path.startswith("/") or ".." in parts:
        return kept, "leads out of the archive: not read"
    return kept, "has a NUL character in its name: not read" if "\0" in path else None


_ODD = re.compile(r"//|/\.|\0")


def _opened(origin: str) -> BinaryIO:
    try:
        if not stat.S_ISREG(Path(origin).stat().st_mode):
            raise TreeError(f"{origin!r} is neither a folder nor a file: give a tar archive")
        return open(origin, "rb")
    except TreeError:
        raise
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise TreeError(f"cannot open {origin!r}: {reason}; give a readable tar archive") from error


def _packing(file: BinaryIO, origin: str) -> str | None:
    start = file.read(BLOCK)
    if not start:
        raise TreeError(f"{origin!r} is an empty file: give a tar archive")
    if len(start) == BLOCK and (checksum_agrees(start) or not start.strip(b"\0")):
        return None
    packing = format_of(start)
    if packing is None:
        raise TreeError(
            f"{origin!r} is no tar archive (plain, gzip, xz, bzip2 or zstd): "
            "give one, or a kernel's source folder, or REPO@REV"
        )
    return packing


def archive_label(origin: str) -> str:
    """Return an archive's name without folder and suffixes: ``linux-2.4.31`` of ``x/linux-2.4.31.tar.gz``."""
    name = Path(origin).name
    for suffix in (".gz", ".xz", ".bz2", ".zst", ".tgz", ".txz", ".tbz2", ".tzst", ".tar"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
    return name
