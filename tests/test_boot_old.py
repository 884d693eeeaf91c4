"""Kernels before 2.6 and their initrd: an ext2 that debugfs fills."""

import gzip
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from lockscape.errors import InputError
from lockscape.real.boot import _command_line
from lockscape.real.guest.cpio import Entry, file, folder
from lockscape.real.guest.ext2 import DISK_BYTES, find_mke2fs
from lockscape.real.guest.initramfs import Guest, initrd_of
from lockscape.real.guest.initrd import initrd
from lockscape.real.guest.kernel_image import KernelImage
from tools import require

ENTRIES = (
    folder("dev"), folder("a"), Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),
    Entry("dev/ram1", stat.S_IFBLK | 0o600, device=(1, 1)), file("init", b"program", 0o755),
    file("a/0", bytes(range(256)) * 9_000),
)  # fmt: skip


def _old(release: str, protocol: int = 0x203) -> KernelImage:
    return KernelImage(Path("bzImage"), release, f"{release} (root@host)", protocol, 32)


def _debugfs(image: Path, order: str) -> bytes:
    env = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    return subprocess.run(["debugfs", "-R", order, image], capture_output=True, check=True, env=env).stdout


@pytest.mark.parametrize("block_bytes", [1024, 4096])
def test_an_initrd_is_a_sound_ext2_that_holds_the_entries(tmp_path: Path, block_bytes: int) -> None:
    require(find_mke2fs())
    image = tmp_path / "image"
    image.write_bytes(gzip.decompress(initrd(ENTRIES, block_bytes)))
    env = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C"}
    subprocess.run(["e2fsck", "-fn", image], check=True, capture_output=True, env=env)
    assert _debugfs(image, "cat /init") == b"program"
    assert _debugfs(image, "cat /a/0") == ENTRIES[-1].content
    assert re.search(rb"Mode: +0755", _debugfs(image, "stat /init"))
    assert re.search(
        rb"Type: character.*Device major/minor number: 05:01", _debugfs(image, "stat /dev/console"), re.S
    )
    assert re.search(
        rb"Type: block.*Device major/minor number: 01:01", _debugfs(image, "stat /dev/ram1"), re.S
    )


def test_an_initrd_too_large_for_debugfs_to_fill_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    require(find_mke2fs())
    monkeypatch.setattr("lockscape.real.guest.initrd.SPARE_BYTES", -(2 << 20))
    with pytest.raises(InputError, match="debugfs fails"):
        initrd(ENTRIES, 1024)


def test_the_workload_has_the_second_ram_disk(tmp_path: Path) -> None:
    """The first one holds the initrd itself."""
    require(find_mke2fs())
    image = tmp_path / "image"
    image.write_bytes(
        gzip.decompress(initrd_of(b"program", Guest(1, (b"s",), False, b"records", 1 << 20), 1024))
    )
    assert _debugfs(image, "cat /config").decode().splitlines()[:2] == [
        "blocks /dev/ram1 /disk",
        "mount ext2 /dev/ram1",
    ]
    assert b"01:01" in _debugfs(image, "stat /dev/ram1")


@pytest.mark.parametrize(
    ("release", "initramfs", "block_bytes"),
    [("2.0.40", False, 1024), ("2.2.26", False, 1024), ("2.4.31-rc1", False, 4096), ("2.6.11", True, 4096),
     ("6.1.0-57-686", True, 4096), ("12.4.1", True, 4096)],
)  # fmt: skip
def test_what_a_kernel_takes(release: str, initramfs: bool, block_bytes: int) -> None:
    assert _old(release).takes_initramfs == initramfs
    assert _old(release).disk_block_bytes == block_bytes


def test_the_command_line_fits_into_an_old_kernels_buffer() -> None:
    """255 characters, and not more than 8 words that 2.6.11 does not know: it panics."""
    for release in ("2.0.40", "2.2.26", "2.4.31", "2.6.11"):
        line = _command_line(_old(release), DISK_BYTES, "")
        assert len(line) <= 255
        assert f"ramdisk_size={DISK_BYTES >> 10}" in line
        assert ("root=/dev/ram0" in line) == (release != "2.6.11")
    assert "mitigations=off" in _command_line(_old("6.1.0", 0x20F), DISK_BYTES, "")
