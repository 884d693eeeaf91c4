"""Writes cpio archives in the format newc, which Linux takes for its initramfs since 2.5.46.

The format is that of Documentation/driver-api/early-userspace/buffer-format.rst in Linux: for each entry a
header of ASCII, six characters of magic and 13 numbers of eight hexadecimal digits, then its name and its
content, both padded to four bytes.
"""

import stat
from collections.abc import Iterable
from typing import NamedTuple

from lockscape.errors import InputError

_MAGIC = "070701"
TRAILER = "TRAILER!!!"
"""The name of the entry that ends an archive."""
LARGEST = 2**32 - 1
"""Bytes of a file: its size has eight hexadecimal digits."""


class Entry(NamedTuple):
    """A file, folder or device. `mode` has its type (see `stat`); `device` is (major, minor)."""

    path: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def file(path: str, content: bytes, mode: int = 0o644) -> Entry:
    """Return a regular file."""
    return Entry(path, stat.S_IFREG | mode, content)


def folder(path: str) -> Entry:
    """Return a folder."""
    return Entry(path, stat.S_IFDIR | 0o755)


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the archive of entries, which belong to root and are of 1970. Folders come before their files.

    Raises `InputError` for a name that the format cannot hold.
    """
    parts: list[bytes] = []
    for number, entry in enumerate(entries, 1):
        _check(entry)
        parts += _entry(number, entry)
    return b"".join([*parts, *_entry(0, Entry(TRAILER, 0))])


def _check(entry: Entry) -> None:
    path = entry.path
    if not path or path.startswith("/") or "\0" in path or path == TRAILER or ".." in path.split("/"):
        raise InputError(f"{path!r}: no name of a file in an initramfs; give one relative to its root")
    if len(entry.content) > LARGEST:
        raise InputError(f"{path!r}: {len(entry.content):,} bytes; an initramfs holds at most {LARGEST:,}")


def _entry(number: int, entry: Entry) -> list[bytes]:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (
        number, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, *entry.device, len(name), 0,
    )  # fmt: skip
    header = _MAGIC.encode() + b"".join(b"%08X" % field for field in fields)
    return [_padded(header + name), _padded(entry.content)]


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
