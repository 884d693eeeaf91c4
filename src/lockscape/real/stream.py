"""Packs operations for the worker in native/worker.c, and makes those of the control workloads.

A packed stream is one block of bytes; numbers are 32 bits, unsigned, in the order of x86 (little-endian):

==============================  ========================================================================
8 numbers                       MAGIC; flags (BUFFERED, MAPPED); bytes of a block that is written, and of
                                one that is read; bytes of the longest write, and of the longest block read;
                                operations; directories
1 number a directory, and 1     where its name begins, in bytes from the beginning; the last is that of the
                                prefix of all file names
4 numbers an operation          kind; directory; name; bytes
the names                       each ends with a zero byte
==============================  ========================================================================

Kinds 0 to 7 and their operands are those of `lockscape.workloads.postmark` (a MARK has its number for a
name). COMPUTE computes `bytes` iterations in user mode. OVERWRITE opens a file, which it creates if there is
none but never shortens, and writes `bytes` from its beginning.
"""

import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError
from lockscape.workloads.postmark import (
    APPEND,
    BYTES,
    CREATE,
    CREATED,
    DELETED,
    DIRECTORY,
    KIND,
    MARK,
    NAME,
    READ,
    START,
    TRANSACTED,
    Libc,
    Operations,
    PostmarkOptions,
)

MAGIC = 0x3153534C
"""With what packed operations begin: ``LSS1``."""
BUFFERED, MAPPED = 1, 2
"""Flags of packed operations: streams are buffered; their buffers are mapped."""
COMPUTE, OVERWRITE = 8, 9
"""Operations besides PostMark's."""

ONE_FILE_OPERATIONS = 2
"""What a transaction on one file is: a READ and an OVERWRITE."""

_MAX_ITERATIONS = 2**32 - 1
MAX_NAME_BYTES = 1024
"""Longest name of a directory or prefix: native/worker.c has room for a path of 4096."""

Words = NDArray[np.uint32]
"""Packed operations."""


def pack(work: Operations, prefix: str = "", libc: Libc = "modern") -> bytes:
    """Return PostMark's operations packed.

    `prefix` stands before every file's name, so that processes can share a directory. With `libc` ``2005``
    each stream's buffer is mapped (see `lockscape.workloads.user`). Raises InputError for locations, which
    may lie anywhere, and for a prefix with subdirectories, which can be made only once.
    """
    if work.options.locations:
        raise InputError("a real run has no locations: its files are in a directory of its own")
    if prefix and len(work.directories) > 1:
        raise InputError(
            f"{work.options.subdirectories} subdirectories in one directory of all processes: give none"
        )
    rows = work.rows[:, [KIND, DIRECTORY, NAME, BYTES]].astype("<u4")
    return _packed(rows, work.options, work.directories, prefix, MAPPED if libc == "2005" else 0)


def one_file(options: PostmarkOptions, libc: Libc = "modern") -> bytes:
    """Return packed operations on one file, which all processes share: file 1 of the working folder.

    Each transaction reads it, then writes it over; it has `size_high_bytes`, and is written once before the
    transactions. It stays: who made the folder deletes it.
    """
    size = options.size_high_bytes
    middle = np.tile([[READ, 0, 1, size], [OVERWRITE, 0, 1, size]], (options.transactions, 1))
    rows = np.concatenate([[_mark(START), [OVERWRITE, 0, 1, size], _mark(CREATED)], middle, _end()])
    return _packed(rows.astype("<u4"), options, ("",), "", MAPPED if libc == "2005" else 0)


def compute(iterations: int) -> bytes:
    """Return a packed stream that only computes, in user mode. Raises InputError for too many iterations."""
    if not 1 <= iterations <= _MAX_ITERATIONS:
        raise InputError(f"{iterations} iterations: give a number from 1 to {_MAX_ITERATIONS}")
    rows = [_mark(START), _mark(CREATED), [COMPUTE, 0, 0, iterations], *_end()]
    return _packed(np.array(rows, "<u4"), PostmarkOptions(), ("",), "", 0)


def _mark(which: int) -> list[int]:
    return [MARK, 0, which, 0]


def _end() -> list[list[int]]:
    return [_mark(TRANSACTED), _mark(DELETED)]


def _packed(
    rows: Words, options: PostmarkOptions, directories: tuple[str, ...], prefix: str, flags: int
) -> bytes:
    """Put the parts of a stream together. `rows` are kind, directory, name and bytes of each operation."""
    names = [name.encode() for name in (*directories, prefix)]
    if max(map(len, names)) > MAX_NAME_BYTES:
        raise InputError(f"a name of more than {MAX_NAME_BYTES} bytes: give a shorter one")
    lengths = np.array([len(name) + 1 for name in names])
    begin = 4 * (8 + len(names)) + rows.nbytes
    header = [
        MAGIC,
        flags | (BUFFERED if options.buffered else 0),
        options.write_block_bytes,
        options.read_block_bytes,
        _most(rows, CREATE, APPEND, OVERWRITE),
        min(_most(rows, READ), options.read_block_bytes),
        len(rows),
        len(directories),
    ]
    offsets = begin + np.cumsum(lengths) - lengths
    start = np.concatenate([header, offsets]).astype("<u4").tobytes()
    return start + rows.tobytes() + b"".join(name + b"\0" for name in names)


def _most(rows: Words, *kinds: int) -> int:
    """Return the most bytes of an operation of some kinds."""
    return int(np.max(rows[np.isin(rows[:, 0], kinds), 3], initial=0))
