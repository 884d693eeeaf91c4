"""Makes an empty ext2 with the host's mke2fs, and keeps of it only the blocks that are not zero.

The guest has so no need of mke2fs: its process 1 writes these blocks into a RAM disk, whose other blocks are
zero from the beginning.
"""

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lockscape.errors import InputError, MissingToolError

BLOCK_BYTES = 4096
"""Of the file system, and of a record (as in native/init.c)."""

DISK_BYTES = 1 << 30
"""Of the guest's disk."""
INODES = 262_144
"""The RAM disk of a guest, and so many inodes: with a small table Linux's ext4 driver avoids those that were
freed lately, and this would show as contention."""

FEATURES = "^dir_index,^resize_inode,^large_file"
"""mke2fs hashes directories by default; the paper's are linear. Linux 2.0 does not write with large_file."""

TIMEOUT_SECONDS = 120
"""In which the file system must be made."""


def empty_ext2(disk_bytes: int = DISK_BYTES, inodes: int = INODES, block_bytes: int = BLOCK_BYTES) -> bytes:
    """Return the records of an empty ext2: the offset of a block (8 bytes, little-endian) and its content.

    Raises `MissingToolError` if mke2fs is not installed, `InputError` if it does not do it.
    """
    with tempfile.TemporaryDirectory(prefix="lockscape-ext2-") as folder:
        path = Path(folder) / "disk"
        with path.open("wb") as disk:
            disk.truncate(disk_bytes)
        make_ext2(path, inodes, block_bytes)
        with path.open("rb") as disk:
            return b"".join(struct.pack("<Q", at) + block for at, block in _blocks(disk))


def make_ext2(path: Path, inodes: int, block_bytes: int) -> None:
    """Make an empty ext2 that fills a file. Raises as `empty_ext2` does."""
    program = find_mke2fs()
    command = [program, "-q", "-F", "-t", "ext2", "-b", str(block_bytes), "-I", "128", "-N", str(inodes),
               "-m", "0", "-O", FEATURES, str(path)]  # fmt: skip
    # not the user's /etc/mke2fs.conf: the same image every time but for its UUID and dates
    environment = {**os.environ, "MKE2FS_CONFIG": os.devnull, "LC_ALL": "C"}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=TIMEOUT_SECONDS,
        env=environment,
    )  # fmt: skip
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
        raise InputError(
            f"mke2fs fails: {said or done.returncode}; install another e2fsprogs, or say --filesystem tmpfs"
        )


def find_mke2fs() -> str:
    """Return the path of mke2fs, which a user's PATH may lack. Raises `MissingToolError` without one."""
    found = shutil.which("mke2fs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise MissingToolError("no mke2fs: install it (apt install e2fsprogs), or say --filesystem tmpfs")
    return found


def _blocks(disk: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and content of each block that is not zero; holes of the file are not read."""
    end, zero, at = os.fstat(disk.fileno()).st_size, b"\0" * BLOCK_BYTES, 0
    while True:
        try:
            at = os.lseek(disk.fileno(), at, os.SEEK_DATA)
        except OSError:  # ENXIO: there is no data behind it
            return
        at -= at % BLOCK_BYTES
        hole = os.lseek(disk.fileno(), at, os.SEEK_HOLE)
        while at < min(hole, end):
            block = os.pread(disk.fileno(), BLOCK_BYTES, at)
            if block != zero[: len(block)]:
                yield at, block.ljust(BLOCK_BYTES, b"\0")
            at += BLOCK_BYTES
