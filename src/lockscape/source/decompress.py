"""Expands a compressed file into a stream of chunks of bounded size, ahead of its reader.

The format is told by its first bytes, never by the file's name. What follows the compressed data is
treated as the usual programs treat it: several gzip members, xz or bzip2 streams or zstd frames in one
file are one stream. Of what follows, zeros are padding (an error with zstd); other bytes are ignored with
gzip and bzip2, and an error with xz and zstd.
"""

import bz2
import lzma
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Protocol, cast

from lockscape.errors import TreeError

CHUNK_BYTES = 8 << 20
"""No more than this is expanded at once, however well the data were compressed.

Between chunks the expanding thread waits for the interpreter's lock, so they are large: with 1 MiB, and
256 KiB of input, a census of Linux 6.1 as .tar.zst took 3.5 s instead of 3.1 s on two cores.
"""

INPUT_BYTES = 2 << 20
"""Bytes read from the file at once."""

AHEAD_CHUNKS = 3
"""So many chunks may wait for their reader."""

BOMB_RATIO = 200
"""Above this many bytes for one of the archive, it is refused."""
BOMB_BYTES = 256 << 20
"""More than `BOMB_RATIO` times its compressed size, once over `BOMB_BYTES`, is no source code.

Kernel archives expand by 4.1 (Linux 2.0.40, gzip -6) to 9.9 times (Linux 6.1, xz -6), measured; the densest
24 MiB of the latter, generated register lists, by 77 times.
"""

XZ_MEMORY_BYTES = 256 << 20
"""The memory an xz file may ask for; ``xz -9`` needs 65 MiB according to its manual page."""

_MAGIC = {"gzip": b"\x1f\x8b", "xz": b"\xfd7zXZ\0", "bzip2": b"BZh", "zstd": b"\x28\xb5\x2f\xfd"}
_MAGIC_BYTES = max(map(len, _MAGIC.values()))
_SKIPPABLE = b"\x2a\x4d\x18"  # behind 0x50 to 0x5f: a zstd frame without data (pzstd starts with one)


class DamagedError(Exception):
    """The compressed data end too early or contradict themselves; the message says which."""


def format_of(start: bytes) -> str | None:
    """Return ``gzip``, ``xz``, ``bzip2`` or ``zstd`` from a file's first bytes, or None for none of them."""
    if start[1:4] == _SKIPPABLE and start[0] >> 4 == 5:
        return "zstd"
    return next((name for name, magic in _MAGIC.items() if start.startswith(magic)), None)


def expanded(file: BinaryIO, name: str, packing: str | None) -> Iterator[bytes]:
    """Yield the expanded content of `file` (`packing` as `format_of` tells; None: as it is).

    `name` is for messages. Raises TreeError, in one line, for data that are truncated, damaged or a bomb.
    """
    source = _Input(file)
    size = 0
    try:
        for chunk in _chunks(source, packing):
            size += len(chunk)
            if packing and size > BOMB_BYTES and size > BOMB_RATIO * source.taken:
                raise TreeError(
                    f"{name!r} expands more than {BOMB_RATIO} times ({source.taken} bytes to over {size}): "
                    "that is no source code; if it is, unpack it and give the folder"
                )
            yield chunk
    except DamagedError as error:
        raise TreeError(
            f"{name!r} is damaged: {error} near byte {source.taken} of the file; copy or fetch it again"
        ) from error
    except TreeError:
        raise
    except OSError as error:
        raise TreeError(f"cannot read {name!r}: {(error.strerror or str(error)).lower()}") from error


def read_ahead(chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
    """Yield `chunks`, made by a thread of its own, `AHEAD_CHUNKS` ahead at most.

    All decompressors release the interpreter's lock, so that expanding runs beside what uses the chunks.
    Closing the generator ends the thread.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="expand")
    waiting: deque[Future[bytes | None]] = deque()
    try:
        for _ in range(AHEAD_CHUNKS):
            waiting.append(pool.submit(next, chunks, None))
        while (chunk := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, chunks, None))
            yield chunk
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Input:
    """A file that counts what was read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.taken = 0

    def read(self, size: int = INPUT_BYTES) -> bytes:
        data = self._file.read(size)
        self.taken += len(data)
        return data


class _Decompressor(Protocol):
    """What bz2 and lzma offer, and `_Gunzip` makes of zlib."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gunzip:
    """One gzip member, with the interface of the standard library's other decompressors."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        tail = self._inner.unconsumed_tail
        out = self._inner.decompress(tail + data if tail else data, max_length)
        self.needs_input = not self._inner.unconsumed_tail and len(out) < max_length
        return out


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)


def _chunks(source: _Input, packing: str | None) -> Iterator[bytes]:
    if packing == "zstd":
        return _zstd_chunks(source)
    if packing == "gzip":
        return _stream_chunks(source, packing, _Gunzip)
    if packing == "bzip2":
        return _stream_chunks(source, packing, bz2.BZ2Decompressor)
    if packing == "xz":
        return _stream_chunks(source, packing, _xz)
    return iter(lambda: source.read(CHUNK_BYTES), b"")


def _stream_chunks(source: _Input, packing: str, make: Callable[[], _Decompressor]) -> Iterator[bytes]:
    data = source.read()
    while data:
        one = make()
        yield from _one_stream(source, packing, one, data)
        data = _after(source, one.unused_data)
        if data and not data.startswith(_MAGIC[packing]):
            if packing == "xz":
                raise DamagedError("other bytes follow the xz data")
            return


def _one_stream(source: _Input, packing: str, one: _Decompressor, data: bytes) -> Iterator[bytes]:
    while not one.eof:
        try:
            chunk = one.decompress(data, CHUNK_BYTES)
        except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError) as error:
            raise DamagedError(f"wrong {packing} data ({error})") from error
        if chunk:
            yield chunk
        data = b""
        if one.needs_input and not one.eof:
            data = source.read()
            if not data:
                raise DamagedError(f"the {packing} data break off")


def _after(source: _Input, rest: bytes) -> bytes:
    """Return what follows one stream, without zeros before it, with a whole magic number if it has one."""
    rest = rest.lstrip(b"\0")
    while len(rest) < _MAGIC_BYTES and (more := source.read()):
        rest = (rest + more).lstrip(b"\0")
    return rest


def _zstd_chunks(source: _Input) -> Iterator[bytes]:
    import zstandard

    frames = _ZstdFrames(source)
    reader = zstandard.ZstdDecompressor().stream_reader(
        cast(BinaryIO, frames), read_size=INPUT_BYTES, read_across_frames=True
    )
    try:
        while chunk := reader.read(CHUNK_BYTES):
            yield chunk
    except zstandard.ZstdError as error:
        raise DamagedError(f"wrong zstd data ({error})") from error
    if not frames.complete:
        raise DamagedError("the zstd data break off")


class _ZstdFrames:
    """Hands on zstd data and follows their frames and blocks, to tell whether the last frame is whole.

    The reader of the zstandard package is the one of its interfaces that bounds what is expanded at
    once, but it takes data that break off for their end. The layout is that of RFC 8878, section 3.1.
    """

    def __init__(self, source: _Input) -> None:
        self._source = source
        self._held = b""  # the start of an element that is not yet whole
        self._skip = 0  # bytes of the current element that are still to come
        self._in_frame = False
        self._checksum_bytes = 0

    @property
    def complete(self) -> bool:
        return not (self._held or self._skip or self._in_frame)

    def read(self, size: int = INPUT_BYTES) -> bytes:
        data = self._source.read(size)
        seen = self._held + data
        at = self._skip
        while at < len(seen) and (length := self._element(seen, at)):
            at += length
        self._held = seen[at:]
        self._skip = max(at - len(seen), 0)
        return data

    def _element(self, seen: bytes, at: int) -> int:
        """Return the size of the header or block at `at`, 0 if too little of it is there to tell."""
        if self._in_frame:
            return self._block(seen[at : at + 3])
        start = seen[at : at + 8]
        if start[1:4] == _SKIPPABLE:
            return 8 + int.from_bytes(start[4:], "little") if len(start) == 8 else 0
        if len(start) < 5:
            return 0
        flags = start[4]
        alone = flags >> 5 & 1
        self._in_frame = True
        self._checksum_bytes = 4 * (flags >> 2 & 1)
        return 5 + (1 - alone) + (0, 1, 2, 4)[flags & 3] + (alone, 2, 4, 8)[flags >> 6]

    def _block(self, head: bytes) -> int:
        if len(head) < 3:
            return 0
        bits = int.from_bytes(head, "little")
        last, kind, size = bits & 1, bits >> 1 & 3, bits >> 3
        self._in_frame = not last
        return 3 + (1 if kind == 1 else size) + (self._checksum_bytes if last else 0)
