"""What a result was made with: enough to make it again."""

import platform
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from lockscape import __version__
from lockscape.inputs import noted

if TYPE_CHECKING:  # numpy behind it would be most of the start of commands that read no tree
    from lockscape.source.scan import TreeInfo


class TreeRecord(msgspec.Struct, frozen=True):
    """A tree in a manifest. `identity` is the SHA-256 over its files' SHA-256 sums, see `TreeInfo`."""

    label: str
    origin: str
    kind: str
    commit: str | None
    identity: str
    files: int
    bytes: int


def tree_record(tree: "TreeInfo") -> TreeRecord:
    """Return a tree as it stands in documents."""
    return TreeRecord(tree.label, tree.origin, tree.kind, tree.commit, tree.identity, tree.files, tree.bytes)


class Unread(msgspec.Struct, frozen=True):
    """An input that could not be read or understood."""

    path: str
    reason: str


class InputRecord(msgspec.Struct, frozen=True):
    """A file that a command read, by name, as given or from the current folder; ``-``: standard input."""

    name: str
    sha256: str
    bytes: int


class PackageRecord(msgspec.Struct, frozen=True):
    """An installed package that brought a plan, a system or new code; `sha256` is over its code and data."""

    name: str
    version: str
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """How a result came about. `started` is UTC in ISO 8601, `elapsed_s` wall-clock seconds.

    `command` is empty for a result that no command made; `inputs` are the files that it read, besides trees;
    `packages` those that brought something of it.
    """

    lockscape: str
    command: tuple[str, ...]
    trees: tuple[TreeRecord, ...]
    started: str
    elapsed_s: float
    python: str
    platform: str
    inputs: tuple[InputRecord, ...] = ()
    packages: tuple[PackageRecord, ...] = ()


class Stopwatch:
    """Started with a command; makes its manifest when it is done."""

    def __init__(self) -> None:
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()

    def manifest(self, trees: "tuple[TreeInfo, ...]" = ()) -> Manifest:
        """Return the manifest of the running command."""
        read = noted()
        return Manifest(
            lockscape=__version__,
            command=read.command,
            trees=tuple(map(tree_record, trees)),
            started=self._started.isoformat(timespec="seconds"),
            elapsed_s=round(time.perf_counter() - self._clock, 3),
            python=platform.python_version(),
            platform=f"{platform.system()} {platform.machine()}",
            inputs=tuple(InputRecord(name, *each) for name, each in read.files.items()),
            packages=tuple(PackageRecord(name, *each) for name, each in read.packages.items()),
        )
