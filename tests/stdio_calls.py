"""The system calls that PostMark's operations make through the C library: what strace shows.

Written from the library's rules and held against the real program; the simulated C library and the compiled
one are held against this.

The rules are those of `lockscape.workloads.user`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from lockscape.workloads.postmark import (
    APPEND,
    BEFORE,
    BYTES,
    CREATE,
    DELETE,
    KIND,
    MKDIR,
    READ,
    RMDIR,
    Libc,
    Operations,
    PostmarkOptions,
)

O_RDONLY, O_WRONLY, O_RDWR = 0, 1, 2
O_CREAT, O_TRUNC, O_APPEND = 0o100, 0o1000, 0o2000
"""Flags of open, as Linux has them on x86."""

SEEK_SET, SEEK_END = 0, 2

DIRECTORY_MODE = 0o700
"""With which PostMark makes its subdirectories."""

PAGE_BYTES = 4096

MODERN_BUFFER_LIMIT_BYTES = 8192
"""A modern buffer is never larger (BUFSIZ), whatever the file system's block size."""


class SystemCall(NamedTuple):
    """A system call, or a page fault that the C library causes (``fault``).

    `flags` are those of open, the mode of mkdir, the origin of lseek. `asked` are bytes: of read and write,
    the length of mmap and munmap, the offset of lseek. `result` is what the call returns: bytes
    transferred, the new offset of lseek, the file's size for fstat; else 0. Names are those of the plain
    calls: open for openat, fstat for fstat64 and newfstatat, lseek for _llseek, mmap for mmap2.
    """

    name: str
    flags: int = 0
    asked: int = 0
    result: int = 0


def system_calls(
    operations: Operations, libc: Libc = "modern", block_bytes: int = PAGE_BYTES
) -> Iterator[tuple[int, SystemCall]]:
    """Yield every call, with the row of its operation, on a file system whose st_blksize is `block_bytes`.

    Marks make no call: PostMark's time() is none on a modern Linux, and never touches the working folders.
    A fault taken inside a read stands before it.
    """
    files = (
        _Stdio(operations.options, libc, block_bytes)
        if operations.options.buffered
        else _Plain(operations.options)
    )
    for row, operation in enumerate(operations.rows.tolist()):
        for call in _steps(files, operation[KIND], operation[BYTES], operation[BEFORE]):
            yield row, call


def _steps(files: "_Stdio | _Plain", kind: int, count: int, before: int) -> Iterator[SystemCall]:
    if kind == CREATE:
        yield from files.create(count)
    elif kind == READ:
        yield from files.read(count)
    elif kind == APPEND:
        yield from files.append(before, count)
    elif kind == DELETE:
        yield SystemCall("unlink")
    elif kind == MKDIR:
        yield SystemCall("mkdir", DIRECTORY_MODE)
    elif kind == RMDIR:
        yield SystemCall("rmdir")


def _parts(count: int, block: int) -> Iterator[int]:
    """Yield PostMark's blocks of `count` bytes: full ones, then the rest, even if that is 0."""
    for _ in range(count // block):
        yield block
    yield count % block


class _Plain:
    """Unbuffered files: each block is one call."""

    def __init__(self, options: PostmarkOptions) -> None:
        self._options = options

    def create(self, count: int) -> Iterator[SystemCall]:
        yield SystemCall("open", O_RDWR | O_CREAT)
        yield from self._write(count)

    def append(self, before: int, count: int) -> Iterator[SystemCall]:
        yield SystemCall("open", O_RDWR | O_APPEND)
        yield from self._write(count)

    def read(self, count: int) -> Iterator[SystemCall]:
        yield SystemCall("open", O_RDONLY)
        for part in _parts(count, self._options.read_block_bytes):
            yield SystemCall("read", 0, part, part)
        yield SystemCall("close")

    def _write(self, count: int) -> Iterator[SystemCall]:
        for part in _parts(count, self._options.write_block_bytes):
            yield SystemCall("write", 0, part, part)
        yield SystemCall("close")


class _Stdio:
    """Buffered streams of either library."""

    def __init__(self, options: PostmarkOptions, libc: Libc, block: int) -> None:
        self._options = options
        self._mapped = libc == "2005"
        self._buffer = block if self._mapped else min(block, MODERN_BUFFER_LIMIT_BYTES)
        self._pages = -(-self._buffer // PAGE_BYTES)

    def create(self, count: int) -> Iterator[SystemCall]:
        yield SystemCall("open", O_WRONLY | O_CREAT | O_TRUNC)
        yield from self._allocate(0)
        yield from self._write(count)
        yield from self._close()

    def append(self, before: int, count: int) -> Iterator[SystemCall]:
        yield SystemCall("open", O_WRONLY | O_CREAT | O_APPEND)
        if self._mapped:  # the seek allocates the buffer, asks for the size and goes there
            yield from self._allocate(before)
            yield SystemCall("fstat", 0, 0, before)
            yield SystemCall("lseek", SEEK_SET, before, before)
        else:
            yield SystemCall("lseek", SEEK_END, 0, before)
            yield from self._allocate(before)
        yield from self._write(count)
        yield from self._close()

    def read(self, count: int) -> Iterator[SystemCall]:
        yield SystemCall("open", O_RDONLY)
        yield from self._allocate(count)
        yield from self._fill(count)
        yield from self._close()

    def _allocate(self, size: int) -> Iterator[SystemCall]:
        yield SystemCall("fstat", 0, 0, size)
        if self._mapped:
            yield SystemCall("mmap", 0, self._pages * PAGE_BYTES)

    def _close(self) -> Iterator[SystemCall]:
        yield SystemCall("close")
        if self._mapped:
            yield SystemCall("munmap", 0, self._pages * PAGE_BYTES)

    def _touch(self, pages: int, used: int) -> tuple[int, list[SystemCall]]:
        """Return how many pages of the buffer are in memory once `used` bytes are, and the faults it took."""
        needed = max(pages, -(-used // PAGE_BYTES))
        return needed, [SystemCall("fault")] * (needed - pages) if self._mapped else []

    def _write(self, count: int) -> Iterator[SystemCall]:
        used = pages = 0
        room = 0  # nothing fits before the buffer is allocated
        for part in _parts(count, self._options.write_block_bytes):
            kept = min(part, room)
            used, room, rest = used + kept, room - kept, part - kept
            pages, faults = self._touch(pages, used)
            yield from faults
            if not rest:
                continue
            whole = rest - rest % self._buffer
            for written in filter(None, (used, whole)):
                yield SystemCall("write", 0, written, written)
            used = rest - whole
            room = self._buffer - used
            pages, faults = self._touch(pages, used)
            yield from faults
        if used:
            yield SystemCall("write", 0, used, used)

    def _fill(self, count: int) -> Iterator[SystemCall]:
        held = pages = 0
        left = count  # in the file
        for part in _parts(count, self._options.read_block_bytes):
            wanted = part
            while wanted > held:
                wanted, held = wanted - held, 0
                asked = self._buffer if wanted < self._buffer else wanted - wanted % self._buffer
                got = min(asked, left)
                left -= got
                if wanted < self._buffer:
                    held = got
                    pages, faults = self._touch(pages, got)
                    yield from faults
                else:
                    wanted -= got
                yield SystemCall("read", 0, asked, got)
            held -= wanted
