"""Reads the members of a tar archive from a stream of chunks: v7, ustar, GNU and pax headers.

The standard library's `tarfile` does the same in stream mode, but takes some 75 microseconds per member:
6 s for the 84,000 members of Linux 6.1, while zstd expands all of their 1.3 GB in 1.5 s. This reader looks
only at what a scan needs, in 6 microseconds per member (measured with Python 3.11); a test compares the
two. Formats: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from collections.abc import Iterator
from os import fsdecode
from struct import Struct
from typing import NamedTuple
from zlib import adler32

from lockscape.errors import TreeError

BLOCK = 512
"""Bytes of a block of a tar archive."""
MAX_HEADER_BYTES = 1 << 20
"""Longest extended header or long name; real ones hold a path (PATH_MAX is 4096 bytes on Linux)."""

REGULAR, FOLDER = "file", "folder"
"""What an entry is."""
_KINDS = {
    b"0": REGULAR,
    b"\0": REGULAR,
    b"7": REGULAR,
    b"1": "hard link",
    b"2": "symbolic link",
    b"3": "character device",
    b"4": "block device",
    b"5": FOLDER,
    b"6": "named pipe",
    b"S": "sparse file",
    b"D": FOLDER,
}
_EXTENDED = b"xgLKX"  # pax (X: as Solaris marks it) and GNU headers that complete the next one
_LABEL = ord("V")  # names a volume; no member
_PAX_KEYS = (b"path", b"linkpath", b"size", b"GNU.sparse.name")  # all others change nothing here
_WITHOUT_DATA = b"123456"  # whatever their size field says, as tarfile has it
_FIELDS = Struct("100s24x12s12x8sc100s6s82x155s12x")  # name, size, checksum, type, target, magic, prefix
_ZEROS = bytes(BLOCK)


class Member(NamedTuple):
    """One entry: its path as the archive spells it, what it is, its size in bytes, a link's target."""

    path: str
    kind: str
    size: int
    target: str


class TarStream:
    """The members of an archive, in order; a member's data may be read until the next one is asked for."""

    def __init__(self, chunks: Iterator[bytes], name: str) -> None:
        self._chunks = chunks
        self._name = name
        self._chunk = b""
        self._view = memoryview(self._chunk)
        self._at = 0  # in the chunk
        self._base = 0  # of the chunk, in the expanded archive
        self._left = 0  # data and padding of the current member, in bytes
        self._defaults: dict[bytes, bytes] = {}  # a global pax header's records
        self.rest_has_members = False
        """Another archive follows the end of this one (known when all members were read)."""

    @property
    def offset(self) -> int:
        """Where the next byte is read, in bytes of the expanded archive."""
        return self._base + self._at

    def fail(self, what: str, offset: int | None = None) -> TreeError:
        """Return the error for an archive with something wrong at `offset` (the current one by default)."""
        at = self.offset if offset is None else offset
        return TreeError(
            f"{self._name!r} is damaged: {what} at byte {at} of the expanded archive; copy or fetch it again"
        )

    def read_into(self, view: memoryview) -> None:
        """Fill `view` with the next bytes of the current member."""
        end = self._at + len(view)
        if end <= len(self._chunk):
            view[:] = self._view[self._at : end]
            self._at = end
            self._left -= len(view)
            return
        done = 0
        while done < len(view):
            if self._at == len(self._chunk) and not self._next_chunk():
                raise self.fail("it breaks off inside a file")
            part = self._view[self._at : self._at + len(view) - done]
            view[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
        self._left -= done

    def members(self) -> Iterator[Member]:
        """Yield every member; raises TreeError for damaged headers and an archive that breaks off."""
        while (header := self._header()) is not None:
            if header[156] == _LABEL:
                continue
            if header[156] not in _EXTENDED and not self._defaults:
                yield self._member(header, self._defaults)
                continue
            records: dict[bytes, bytes] = {}
            while header[156] in _EXTENDED:
                self._extended(header, records)
                following = self._header()
                if following is None:
                    raise self.fail("an extended header without its member")
                header = following
            yield self._member(header, {**self._defaults, **records})
        self._finish()

    def _member(self, header: bytes, records: dict[bytes, bytes]) -> Member:
        path, digits, _, flag, target, magic, prefix = _FIELDS.unpack(header)
        size = self._number(digits)
        path = path.partition(b"\0")[0]
        target = target.partition(b"\0")[0]
        if prefix[0] and magic == b"ustar\0":
            path = prefix.partition(b"\0")[0] + b"/" + path
        kind = _KINDS.get(flag, "member of an unknown type")
        if flag == b"S":
            self._sparse_map(header)
        if records:
            path = records.get(b"GNU.sparse.name", records.get(b"path", path))
            target = records.get(b"linkpath", target)
            size = self._decimal(records[b"size"]) if b"size" in records else size
            if b"GNU.sparse" in records:
                kind = "sparse file"
        if kind == REGULAR and path[-1:] == b"/":
            kind = FOLDER  # as version 7 wrote folders
        if flag in _WITHOUT_DATA:
            size = 0
        self._left = (size + BLOCK - 1) & -BLOCK
        return Member(fsdecode(path), kind, size, fsdecode(target))

    def _header(self) -> bytes | None:
        """Return the next header block, None at the end of the archive."""
        self._skip(self._left)
        self._left = 0
        block = self._take(BLOCK)
        if len(block) == BLOCK:
            if checksum_agrees(block):
                return block
            if not block.strip(b"\0"):
                return None
        if self.offset <= BLOCK:
            raise TreeError(
                f"{self._name!r} holds no tar archive: give one, or a kernel's source folder, or REPO@REV"
            )
        if len(block) == BLOCK:
            raise self.fail("no valid header (wrong checksum)", self.offset - BLOCK)
        raise self.fail("it breaks off before its end mark" if not block else "it breaks off inside a header")

    def _extended(self, header: bytes, records: dict[bytes, bytes]) -> None:
        _, digits, _, kind, *_ = _FIELDS.unpack(header)
        size = self._number(digits)
        if size > MAX_HEADER_BYTES:
            raise self.fail(f"an extended header of {size} bytes (at most {MAX_HEADER_BYTES} are read)")
        data = self._take(size)
        if len(data) < size:
            raise self.fail("it breaks off inside an extended header")
        self._left = -size % BLOCK
        if kind == b"L":
            records[b"path"] = data.partition(b"\0")[0]
        elif kind == b"K":
            records[b"linkpath"] = data.partition(b"\0")[0]
        else:
            self._pax_records(data, self._defaults if kind == b"g" else records)

    def _pax_records(self, data: bytes, into: dict[bytes, bytes]) -> None:
        """Read records ``<length> <key>=<value>\\n``, where the length counts the whole record."""
        at = 0
        while at < len(data):
            digits = data[at : at + 12].partition(b" ")[0]
            end = at + (int(digits) if digits.isdigit() else 0)
            key, equals, value = data[at + len(digits) + 1 : end - 1].partition(b"=")
            if not equals or end > len(data) or data[end - 1 : end] != b"\n":
                raise self.fail("a pax header that cannot be read")
            if key in _PAX_KEYS:
                into[key] = value
            elif key.startswith(b"GNU.sparse."):
                into[b"GNU.sparse"] = value
            at = end

    def _sparse_map(self, header: bytes) -> None:
        """Pass over the further blocks of an old GNU sparse file's map."""
        more = header[482]
        while more:
            block = self._take(BLOCK)
            if len(block) < BLOCK:
                raise self.fail("it breaks off inside a sparse file's map")
            more = block[504]

    def _number(self, field: bytes) -> int:
        """Read a size: octal digits, or GNU's base-256 number (first bit set)."""
        try:
            if field[0] == 0x80:
                return int.from_bytes(field[1:], "big")
            size = int(field.partition(b"\0")[0].strip() or b"0", 8)
        except ValueError:
            size = -1
        if size < 0:
            raise self.fail(f"the size {field!r} is no number", self.offset - BLOCK)
        return size

    def _decimal(self, text: bytes) -> int:
        if not text.isdigit() or len(text) > 20:
            raise self.fail(f"the size {text[:20]!r} is no decimal number")
        return int(text)

    def _take(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end of the stream."""
        end = self._at + size
        if end <= len(self._chunk):
            part = self._chunk[self._at : end]
            self._at = end
            return part
        parts = [self._chunk[self._at :]]
        missing = size - len(parts[0])
        self._at = len(self._chunk)
        while missing and self._next_chunk():
            parts.append(self._chunk[:missing])
            self._at = len(parts[-1])
            missing -= self._at
        return b"".join(parts)

    def _skip(self, size: int) -> None:
        self._at += size
        while self._at > len(self._chunk):
            over = self._at - len(self._chunk)
            self._at = len(self._chunk)
            if not self._next_chunk():
                raise self.fail("it breaks off inside a file")
            self._at = over

    def _next_chunk(self) -> bool:
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._base += len(self._chunk)
        self._chunk, self._view, self._at = chunk, memoryview(chunk), 0
        return True

    def _finish(self) -> None:
        """Expand what follows the end mark, so that truncation and checksums are noticed there too."""
        first = True
        while block := self._take(BLOCK):
            if first and block != _ZEROS[: len(block)]:
                first = False
                self.rest_has_members = len(block) == BLOCK and checksum_agrees(block)
            if not first:
                self._at = len(self._chunk)


def checksum_agrees(block: bytes) -> bool:
    """Return whether a block of 512 bytes is a tar header by its checksum (of unsigned or signed bytes)."""
    field = block[148:156]
    try:
        stored = int(field.partition(b"\0")[0], 8)
    except ValueError:
        return False
    # The low half of Adler-32 is 1 plus the sum of the bytes modulo 65521: ten times as fast as sum(block).
    over = (adler32(block) & 0xFFFF) - 1 - sum(field) + len(field) * ord(" ") - stored
    if over % 65521 == 0:
        return True
    high = sum(byte > 127 for byte in block[:148] + block[156:])
    return high > 0 and (over - 256 * high) % 65521 == 0
