"""What a command reads besides lockscape itself, noted while it is read, for the manifest of its result.

Whoever reads a file that the user named reads it with `read_file`; trees of source have identities of their
own. Outside of `noting` (lockscape as a library) nothing is kept.
"""

import hashlib
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from lockscape.errors import InputError

STANDARD_INPUT = "-"


class File(NamedTuple):
    """A file that was read: its SHA-256 (hexadecimal) and size."""

    sha256: str
    bytes: int


class Package(NamedTuple):
    """An installed package that brought a part: its version, the SHA-256 over its code and data."""

    version: str
    sha256: str


@dataclass
class Noted:
    """What one command has read, by name, as given or from the current folder.

    `command`: its arguments; `strange`: they do not come from who is there, so that only what is a file is
    read, and nothing waits for a pipe or a terminal.
    """

    command: tuple[str, ...] = ()
    strange: bool = False
    files: dict[str, File] = field(default_factory=dict)
    packages: dict[str, Package] = field(default_factory=dict)


_NOW: ContextVar[Noted | None] = ContextVar("noted", default=None)


@contextmanager
def noting(command: tuple[str, ...], strange: bool = False) -> Iterator[Noted]:
    """Note what is read from here on, for a command."""
    token = _NOW.set(Noted(command, strange))
    try:
        yield noted()
    finally:
        _NOW.reset(token)


def noted() -> Noted:
    """Return what has been noted so far; nothing outside of `noting`."""
    return _NOW.get() or Noted()


def read_file(path: Path, most: int = -1) -> bytes:
    """Return a file's content, or its first `most` bytes. Raises `OSError`, as opening and reading do."""
    with open_file(path) as file:
        content = file.read(most)
    _note(_name(path), hashlib.sha256(content).hexdigest(), len(content))
    return content


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file that is read piece by piece. Raises `OSError`."""
    with open_file(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        _note(_name(path), digest, file.tell())
    return digest


def read_standard_input(most: int = -1) -> bytes:
    """Return what standard input has, or its first `most` bytes. Raises `OSError`."""
    if noted().strange and sys.stdin.isatty():
        raise InputError("standard input was read, and is gone: give it again, as in 'lockscape … < FILE'")
    content = sys.stdin.buffer.read(most)
    _note(STANDARD_INPUT, hashlib.sha256(content).hexdigest(), len(content))
    return content


def note_package(name: str, version: str, sha256: str) -> None:
    """Note that something comes from an installed package."""
    noted().packages[name] = Package(version, sha256)


def open_file(path: Path) -> BufferedReader:
    """Open a file to read its bytes, without a note. Raises `OSError`."""
    if noted().strange and not stat.S_ISREG(path.stat().st_mode):
        raise InputError(f"{path}: is no regular file, and a command of another's reads no other")
    return path.open("rb")


def _name(path: Path) -> str:
    """Return a file's name from the current folder, if it is in there: that of a result says no machine's."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _note(name: str, sha256: str, size: int) -> None:
    noted().files[name] = File(sha256, size)
