"""Finds the modules that a guest needs, and the order in which its process 1 loads them.

A module says in its section .modinfo what it depends on and which aliases it has, as text that ends with
zeros; this is where depmod has modules.dep from, which a package that is only unpacked does not have.
"""

import gzip
import io
import lzma
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, cast

from lockscape.errors import InputError, reason_of

LARGEST = 64 << 20
"""Bytes of a module, decompressed. The largest of Debian's kernels has about 10 MB with debugging symbols."""

SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")
"""Of a module's file, which may be compressed."""

_INFO = re.compile(rb"\0(depends|softdep|alias)=([^\0]*)(?=\0)")


class Module(NamedTuple):
    """A module as process 1 gets it: decompressed."""

    name: str
    content: bytes


class ModuleError(InputError):
    """A module that is missing, unreadable or in a circle."""


class Modules:
    """Modules that can be loaded: files, and the names and aliases that are built into the kernel."""

    def __init__(self, files: Sequence[Path], builtin: frozenset[str] = frozenset()) -> None:
        self._files = {_name(path): path for path in files}
        self._builtin = builtin
        self._content: dict[str, bytes] = {}

    def find(self, wanted: str) -> str | None:
        """Return the name of the module that has this name or alias, "" if it is built in, or None.

        Of several with one alias that which is of no processor's instructions is taken.
        """
        name = _folded(wanted)
        if name in self._builtin:
            return ""
        if name in self._files:
            return name
        # aliases are looked for where they are: fs-ext2 below fs, crypto-crc32c below crypto
        place = name.split("_")[0]
        likely = [each for each, path in self._files.items() if place in path.parts]
        found = [each for each in likely if name in map(_folded, self._info(each, "alias"))]
        return min(found, key=lambda each: ("arch" in self._files[each].parts, each), default=None)

    def order(self, wanted: Sequence[str]) -> list[Module]:
        """Return modules and all that they depend on, each after its own; what is built in is left out.

        Raises `ModuleError` for one that there is not.
        """
        ordered: list[str] = []
        for name in wanted:
            self._add(name, ordered, ())
        return [Module(name, self._read(name)) for name in ordered]

    def order_all(self) -> list[Module]:
        """Return all files in such an order."""
        return self.order(list(self._files))

    def _add(self, wanted: str, ordered: list[str], below: tuple[str, ...]) -> None:
        name = self.find(wanted)
        if name is None:
            of = f", which {below[-1]} needs" if below else ""
            raise ModuleError(f"no module {wanted!r}{of}, among {len(self._files)}: give it with --modules")
        if name in below:
            raise ModuleError(f"modules depend on each other in a circle: {' '.join((*below, name))}")
        if not name or name in ordered:
            return
        for needed in self._needed(name):
            self._add(needed, ordered, (*below, name))
        ordered.append(name)

    def _needed(self, name: str) -> Iterator[str]:
        """Yield what a module depends on. Of soft ones those that can be had, for they may be missing."""
        for depends in self._info(name, "depends"):
            yield from filter(None, depends.split(","))
        for soft in self._info(name, "softdep"):
            before = soft.partition("pre:")[2].partition("post:")[0]
            yield from (each for each in before.split() if self.find(each) is not None)

    def _info(self, name: str, key: str) -> list[str]:
        found = _INFO.findall(self._read(name))
        return [value.decode("ascii", "replace") for each, value in found if each.decode() == key]

    def _read(self, name: str) -> bytes:
        if name not in self._content:
            self._content[name] = read_module(self._files[name])
        return self._content[name]


def in_folder(folder: Path) -> Modules:
    """Return the modules in a folder and below it. Links are not followed.

    Raises `InputError` if it cannot be read.
    """
    files: list[Path] = []
    builtin: set[str] = set()

    def refuse(error: OSError) -> None:
        raise InputError(
            f"{str(folder)!r}: {reason_of(error)}; give the folder of a kernel's modules"
        ) from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        files += (Path(parent, name) for name in sorted(names) if name.endswith(SUFFIXES))
        if "modules.builtin" in names:
            builtin |= _builtin(Path(parent))
    return Modules(files, frozenset(builtin))


def _builtin(folder: Path) -> set[str]:
    """Return names and aliases of what is built in, by modules.builtin and modules.builtin.modinfo."""
    text = (folder / "modules.builtin").read_text("utf-8", "replace")
    names = {_folded(Path(line).name.removesuffix(".ko")) for line in text.splitlines()}
    more = folder / "modules.builtin.modinfo"
    if more.is_file():
        found = re.findall(rb"[^\0=]*\.alias=([^\0]*)", more.read_bytes())
        names |= {_folded(alias.decode("ascii", "replace")) for alias in found}
    return names


def read_module(path: Path) -> bytes:
    """Return a module's content, decompressed. Raises `ModuleError` for what is none."""
    from zstandard import ZstdError

    try:
        with path.open("rb") as opened, _expanded(path.suffix, opened) as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise ModuleError(f"{str(path)!r}: {reason_of(error)}; give a kernel's module") from error
    except (EOFError, lzma.LZMAError, zlib.error, ZstdError) as error:
        raise ModuleError(f"{str(path)!r}: cannot be decompressed ({error}); give a whole file") from error
    if len(data) > LARGEST or not data.startswith(b"\x7fELF"):
        raise ModuleError(f"{str(path)!r}: no module of at most {LARGEST >> 20} MB; give a .ko file")
    return data


def _expanded(suffix: str, opened: BinaryIO) -> IO[bytes]:
    """Return a stream of what is compressed in a file, by the end of its name."""
    if suffix == ".zst":
        return io.BytesIO(_zstd(opened.read(LARGEST)))
    if suffix == ".xz":
        return lzma.open(opened)
    return cast(IO[bytes], gzip.open(opened)) if suffix == ".gz" else opened


def _zstd(packed: bytes) -> bytes:
    """Return what is compressed, in one piece: a stream does not tell that its end is missing."""
    from zstandard import ZstdDecompressor, ZstdError, frame_content_size

    if frame_content_size(packed) > LARGEST:
        raise ZstdError("it would be too large")
    return ZstdDecompressor().decompress(packed, max_output_size=LARGEST + 1)


def _name(path: Path) -> str:
    suffix = next(each for each in reversed(SUFFIXES) if path.name.endswith(each))
    return _folded(path.name.removesuffix(suffix))


def _folded(name: str) -> str:
    """Return a name with underscores, as the kernel takes both for one."""
    return name.replace("-", "_")
