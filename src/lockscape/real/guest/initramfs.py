"""Puts an initramfs together: process 1, what it shall do, and what it needs for that."""

import stat
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from lockscape.real.guest.cpio import Entry, archive, file, folder
from lockscape.real.guest.initrd import initrd
from lockscape.real.guest.modules import Module

FileSystem = Literal["ext2", "tmpfs"]
"""What the workload's files are in."""

_RAM_DISK = "/dev/ram"
WORK = "/work"
"""Where the file system of the workload is mounted; native/init.c says the same."""


class Guest(NamedTuple):
    """What a guest does: so many `processes` execute the `streams` in turns, together.

    `shared`: all in one directory, else each in its own. `disk` are the records of an ext2 (see
    `lockscape.real.guest.ext2`), None for a tmpfs. `disk_bytes` is the size of the RAM disk.
    """

    processes: int
    streams: Sequence[bytes]
    shared: bool
    disk: bytes | None
    disk_bytes: int

    @property
    def file_system(self) -> FileSystem:
        """The type of its file system."""
        return "tmpfs" if self.disk is None else "ext2"


def initramfs(process_1: bytes, modules: Sequence[Module], guest: Guest) -> bytes:
    """Return the initramfs of a guest: a cpio archive, not compressed."""
    return archive(_entries(process_1, modules, guest, 0))


def initrd_of(process_1: bytes, guest: Guest, block_bytes: int) -> bytes:
    """Return the same for a kernel that takes no initramfs, see `lockscape.real.guest.initrd`.

    It is in the first RAM disk itself, so the workload has the second one.
    """
    return initrd(_entries(process_1, (), guest, 1), block_bytes)


def _entries(process_1: bytes, modules: Sequence[Module], guest: Guest, disk: int) -> Iterator[Entry]:
    yield from map(folder, ("dev", "proc", "sys", WORK[1:], "modules", "streams"))
    yield Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    yield Entry("dev/tty1", stat.S_IFCHR | 0o600, device=(4, 64))  # the console of 2.0
    yield Entry(f"{_RAM_DISK[1:]}{disk}", stat.S_IFBLK | 0o600, device=(1, disk))
    yield file("init", process_1, 0o755)
    for module in modules:
        yield file(f"modules/{module.name}.ko", module.content)
    for number, stream in enumerate(guest.streams):
        yield file(f"streams/{number}", stream)
    if guest.disk is not None:
        yield file("disk", guest.disk)
    yield file(
        "config", "".join(f"{line}\n" for line in _orders(modules, guest, f"{_RAM_DISK}{disk}")).encode()
    )


def _orders(modules: Sequence[Module], guest: Guest, disk: str) -> Iterator[str]:
    """Yield the lines of /config, see native/init.c."""
    for module in modules:
        parameters = f"rd_nr=1 rd_size={guest.disk_bytes >> 10}" if module.name == "brd" else ""
        yield f"module /modules/{module.name}.ko {parameters}"
    if guest.disk is not None:
        yield f"blocks {disk} /disk"
    yield f"mount {guest.file_system} {disk if guest.disk is not None else guest.file_system}"
    for number in range(1 if guest.shared else guest.processes):
        yield f"directory {WORK}/{number}"
    for number in range(len(guest.streams)):
        yield f"stream /streams/{number}"
    yield f"run {guest.processes}"
