"""Reads the header of an x86 kernel's image, a bzImage, by the boot protocol.

Offsets and fields are those of Documentation/arch/x86/boot.rst in Linux.
"""

import re
import struct
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from lockscape.errors import InputError, reason_of

Bits = Literal[32, 64]
"""Of the words of a kernel."""

SETUP_BYTES = 64 * 512
"""The header and the real-mode setup code with the version's string lie within so many bytes."""

_MAGIC_AT, _VERSION_AT, _STRING_AT, _FLAGS_AT, _XLOADFLAGS_AT = 0x202, 0x206, 0x20E, 0x211, 0x236
_LOADED_HIGH, _KERNEL_64 = 1, 1
_FIRST_WITH_LENGTH, _FIRST_WITH_XLOADFLAGS = 0x206, 0x20C
_LONGEST_STRING = 256


class KernelImage(NamedTuple):
    """A kernel: `release` is what uname -r says (6.1.0-57-cloud-amd64), `version` the whole string.

    `bits` is of its entry: an image before Linux 3.8 does not say it, and is then taken from its string.
    """

    path: Path
    release: str
    version: str
    protocol: int
    bits: Bits

    @property
    def takes_initramfs(self) -> bool:
        """Whether it unpacks an initramfs, as Linux does since 2.6 (2.5.46)."""
        return not re.match(r"2\.[0-4]\.", self.release)

    @property
    def disk_block_bytes(self) -> int:
        """Bytes of a block of its RAM disk and so of the file system on it; before 2.4 it is always 1024.

        RAM disks before 2.6.25 lose what they hold when a file system of other blocks is mounted.
        """
        return 1024 if re.match(r"2\.[0-3]\.", self.release) else 4096

    @property
    def takes_long_line(self) -> bool:
        """Whether its command line may be longer than 255 characters: a later protocol says how long."""
        return self.protocol >= _FIRST_WITH_LENGTH


def read_image(path: Path) -> KernelImage:
    """Return what an image's header says. Raises `InputError`, in one line, for what is no bzImage."""
    try:
        with path.open("rb") as opened:
            return _read(path, opened)
    except OSError as error:
        raise InputError(f"{str(path)!r}: {reason_of(error)}; give a kernel's bzImage") from error


def _read(path: Path, opened: BinaryIO) -> KernelImage:
    data = opened.read(SETUP_BYTES)
    if len(data) < 0x268 or data[_MAGIC_AT : _MAGIC_AT + 4] != b"HdrS":
        raise InputError(
            f"{str(path)!r}: no bzImage{_what(data)}; give arch/x86/boot/bzImage, or vmlinuz of /boot"
        )
    protocol, offset = _short(data, _VERSION_AT), _short(data, _STRING_AT)
    if protocol < 0x200 or not data[_FLAGS_AT] & _LOADED_HIGH:
        raise InputError(f"{str(path)!r}: a zImage, which is loaded low; give a bzImage")
    version = _string(data, offset + 0x200) if offset else ""
    if not version:
        raise InputError(f"{str(path)!r}: a bzImage without its kernel's version; give another build")
    if protocol >= _FIRST_WITH_XLOADFLAGS:
        bits: Bits = 64 if _short(data, _XLOADFLAGS_AT) & _KERNEL_64 else 32
    else:
        bits = 64 if any(word in version for word in ("x86_64", "amd64")) else 32
    return KernelImage(path, version.split()[0], version, protocol, bits)


def _short(data: bytes, at: int) -> int:
    found: int = struct.unpack_from("<H", data, at)[0]
    return found


def _string(data: bytes, at: int) -> str:
    """Return a string of printable ASCII that ends with a zero, without what else there is; "" for none."""
    text = data[at : at + _LONGEST_STRING].split(b"\0")[0].decode("ascii", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _what(data: bytes) -> str:
    """Say what else it is, of what is easily mistaken for one."""
    kinds = {
        b"\x7fELF": ", but an ELF file (vmlinux?)",
        b"\x1f\x8b": ", but something compressed with gzip",
        b"!<arch>": ", but an archive (a .deb whose name does not end so?)",
        b"MZ": ", but a program for Windows or EFI of another kind",
    }
    return next((text for start, text in kinds.items() if data.startswith(start)), "")
