"""Makes the root file system of a guest whose kernel is too old for an initramfs: an ext2, its initrd.

Linux takes an initramfs since 2.5.46. Kernels before load a file system's image into the RAM disk /dev/ram0
and mount it. The host's mke2fs and debugfs make it, without privileges.
"""

import gzip
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from lockscape.errors import InputError, MissingToolError
from lockscape.real.guest.cpio import Entry
from lockscape.real.guest.ext2 import BLOCK_BYTES, TIMEOUT_SECONDS, find_mke2fs, make_ext2

SPARE_BYTES = 1 << 20
"""For folders, inodes and bitmaps; and an eighth of the content for indirect blocks."""


def initrd(entries: Iterable[Entry], block_bytes: int) -> bytes:
    """Return the image that holds the entries, compressed.

    Folders come before what is in them. Raises `MissingToolError` without mke2fs and debugfs.
    """
    held = list(entries)
    content = sum(len(each.content) + BLOCK_BYTES for each in held)
    size = -(-(content * 9 // 8 + SPARE_BYTES) // BLOCK_BYTES) * BLOCK_BYTES
    with tempfile.TemporaryDirectory(prefix="lockscape-initrd-") as folder:
        image, orders = Path(folder) / "image", Path(folder) / "orders"
        with image.open("wb") as made:
            made.truncate(size)
        make_ext2(image, len(held) + 64, block_bytes)
        orders.write_text("".join(f"{line}\n" for line in _orders(held, Path(folder))), "ascii")
        _fill(image, orders)
        return gzip.compress(image.read_bytes(), compresslevel=1, mtime=0)


def _orders(entries: Iterable[Entry], folder: Path) -> Iterator[str]:
    """Yield what debugfs shall do. Names are process 1's own ones, so without blanks."""
    for number, entry in enumerate(entries):
        path = f"/{entry.path}"
        if stat.S_ISDIR(entry.mode):
            yield f"mkdir {path}"
        else:
            parent, _, name = path.rpartition("/")
            yield f"cd {parent}/"
            yield _make(name, entry, folder / str(number))
            yield "cd /"
        yield f"set_inode_field {path} mode 0{entry.mode:o}"


def _make(name: str, entry: Entry, source: Path) -> str:
    """Return the order that makes a file, whose content is put into `source`, or a device."""
    if stat.S_ISREG(entry.mode):
        source.write_bytes(entry.content)
        return f"write {source} {name}"
    major, minor = entry.device
    return f"mknod {name} {'b' if stat.S_ISBLK(entry.mode) else 'c'} {major} {minor}"


def _fill(image: Path, orders: Path) -> None:
    """Let debugfs, which comes with mke2fs, do what the orders say."""
    program = Path(find_mke2fs()).with_name("debugfs")
    try:
        done = subprocess.run(
            [program, "-w", "-f", orders, image], stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    except OSError as error:
        raise MissingToolError("no debugfs beside mke2fs: install it (apt install e2fsprogs)") from error
    # it exits with 0 even if an order failed, but says so
    said = [
        line for line in done.stderr.decode("utf-8", "replace").splitlines()
        if line.strip() and not line.startswith("debugfs 1.")
    ]  # fmt: skip
    if done.returncode or said:
        raise InputError(
            f"debugfs fails: {said[0][:200] if said else done.returncode}; install another e2fsprogs"
        )
