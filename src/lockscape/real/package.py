"""Unpacks the kernel and the modules of a Debian package, by itself: dpkg need not be installed.

A .deb is an archive of ar with a tar archive data.tar.*, see deb(5). Only regular files below boot/ and
lib/modules/ are taken; links, devices, owners and modes are not.
"""

import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from lockscape.errors import InputError, reason_of

_WANTED = ("boot", "lib/modules", "usr/lib/modules")
LARGEST = 2 << 30
"""Bytes unpacked. Debian's linux-image-686 has 0.4 GB."""

_PIECE_BYTES = 1 << 20


def kernels_folder() -> Path:
    """Return where kernels are kept: ``kernels`` in ``$LOCKSCAPE_CACHE``, else in the user's cache."""
    from platformdirs import user_cache_path

    named = os.environ.get("LOCKSCAPE_CACHE")
    return (Path(named) if named else user_cache_path("lockscape")) / "kernels"


def unpacked(package: Path, store: Path | None = None) -> Path:
    """Return the folder with what a package holds, in the cache, by its SHA-256: it is unpacked once.

    Raises `InputError`, in one line, for what is no package with a kernel, and leaves nothing behind then.
    """
    store = store or kernels_folder()
    try:
        with package.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            target = store / f"{package.name.removesuffix('.deb')[:80]}-{digest[:12]}"
            if not target.is_dir():
                opened.seek(0)
                _unpack(package, opened, target)
    except OSError as error:
        raise InputError(f"{str(package)!r}: {reason_of(error)}") from error
    return target


def _unpack(package: Path, opened: BinaryIO, target: Path) -> None:
    from zstandard import ZstdError

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=target.parent) as folder:
        made = Path(folder) / "made"
        made.mkdir()
        try:
            with tarfile.open(fileobj=_data(package, opened), mode="r|") as archive:
                _extract(archive, made)
        except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, ZstdError, ValueError) as error:
            raise InputError(f"{str(package)!r}: a damaged package ({error}); get it again") from error
        if not any(made.rglob("vmlinuz*")):
            raise InputError(f"{str(package)!r}: no kernel in it; give a package linux-image-…")
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():  # unless another process was quicker
                raise


def _extract(archive: tarfile.TarFile, made: Path) -> None:
    room = LARGEST
    for member in archive:
        path = PurePosixPath(member.name)
        if not member.isreg() or ".." in path.parts or path.is_absolute():
            continue
        if not any(path.is_relative_to(each) for each in _WANTED):
            continue
        room -= member.size
        if room < 0:
            raise ValueError(f"more than {LARGEST >> 20} MB")
        source = archive.extractfile(member)
        assert source is not None
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        with (made / path).open("wb") as sink:
            shutil.copyfileobj(source, sink, _PIECE_BYTES)


def _data(package: Path, opened: BinaryIO) -> IO[bytes]:
    """Return the tar archive of a package, decompressed, at its beginning."""
    if opened.read(8) != b"!<arch>\n":
        raise InputError(f"{str(package)!r}: no Debian package; give a linux-image-….deb")
    while len(header := opened.read(60)) == 60:
        name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), header[48:58].strip()
        if header[58:] != b"`\n" or not size.isdigit():
            break
        if name.startswith("data.tar"):
            return _decompressed(name.removeprefix("data.tar"), _Part(opened, int(size)))
        opened.seek(int(size) + int(size) % 2, os.SEEK_CUR)
    raise InputError(f"{str(package)!r}: a damaged package (no data.tar in it); get it again")


def _decompressed(suffix: str, part: "_Part") -> IO[bytes]:
    stream = cast(BinaryIO, part)
    if suffix == ".zst":
        import zstandard

        return cast(IO[bytes], zstandard.ZstdDecompressor().stream_reader(stream))
    if suffix == ".xz":
        return lzma.open(stream)
    if suffix == ".gz":
        return cast(IO[bytes], gzip.open(stream))
    if suffix == ".bz2":
        return bz2.open(stream)
    if suffix:
        raise ValueError(f"data.tar{suffix} is of no known compression")
    return stream


class _Part:
    """So many next bytes of a file, to be read once."""

    def __init__(self, opened: BinaryIO, size: int) -> None:
        self._opened, self._left = opened, size

    def read(self, size: int = -1) -> bytes:
        data = self._opened.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data
