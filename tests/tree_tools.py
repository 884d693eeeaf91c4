"""Builds the same small tree as a folder, as an archive and as a git repository, and reads trees back."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pygit2
import zstandard
from pygit2.enums import FileMode, ObjectType

from lockscape.source.scan import Scan, scan
from lockscape.source.select import FileSet
from lockscape.source.tree import Files, Tree

EVERYTHING = FileSet(("**",))

PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": lambda data: gzip.compress(data, 6, mtime=0),
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
    "tar.zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}

Contents = Mapping[str, bytes]
"""Path to content; paths with surrogate escapes, as the os module gives them."""


def write_folder(folder: Path, files: Contents) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def tar(files: Contents, top: str = "linux-1.0/", format: int = tarfile.GNU_FORMAT) -> bytes:
    """Return a tar archive of the files below the folder `top`, as the standard library writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format, encoding="utf-8") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(top + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def header(
    name: bytes, size: int | bytes = 0, flag: bytes = b"0", target: bytes = b"", magic: bytes = b"ustar\x0000"
) -> bytes:
    """Return one tar header block, however odd, with a right checksum."""
    digits = size if isinstance(size, bytes) else b"%011o\0" % size
    block = bytearray(512)
    block[0 : len(name)] = name
    block[100:124] = b"0000644\x000000000\x000000000\0"
    block[124 : 124 + len(digits)] = digits
    block[136:148] = b"00000000000\0"
    block[148:156] = b" " * 8
    block[156:157] = flag
    block[157 : 157 + len(target)] = target
    block[257 : 257 + len(magic)] = magic
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: bytes, content: bytes = b"", flag: bytes = b"0", target: bytes = b"") -> bytes:
    """Return a header with its data, padded to whole blocks."""
    return header(name, len(content), flag, target) + content + bytes(-len(content) % 512)


def pax(records: Mapping[str, str | bytes], flag: bytes = b"x") -> bytes:
    """Return a pax header with these records."""
    data = b""
    for key, value in records.items():
        rest = b" " + key.encode() + b"=" + (value if isinstance(value, bytes) else value.encode()) + b"\n"
        length = len(rest) + 1
        while length != len(rest) + len(str(length)):
            length = len(rest) + len(str(length))
        data += str(length).encode() + rest
    return member(b"PaxHeader", data, flag)


END = bytes(1024)


def repository(folder: Path, files: Contents, bare: bool = True) -> pygit2.Repository:
    """Make a git repository with one commit of the files on branch ``main``."""
    made = pygit2.init_repository(str(folder), bare=bare, initial_head="main")
    nested: dict[str, object] = {}
    for name, content in files.items():
        at = nested
        *folders, last = name.split("/")
        for part in folders:
            at = at.setdefault(part, {})  # type: ignore[assignment]
        at[last] = content
    commit(made, write_tree(made, nested))
    return made


def write_tree(made: pygit2.Repository, entries: Mapping[str, object]) -> pygit2.Oid:
    """Write a tree object: bytes are a file, a mapping is a folder, a tuple an object id and its mode."""
    rows = []
    for name, entry in entries.items():
        if isinstance(entry, bytes):
            oid, mode = made.create_blob(entry), FileMode.BLOB
        elif isinstance(entry, tuple):
            oid, mode = entry
        else:
            oid, mode = write_tree(made, entry), FileMode.TREE  # type: ignore[arg-type]
        raw = os.fsencode(name)
        rows.append((raw + b"/" * (mode == FileMode.TREE), b"%o %s\0" % (mode, raw) + oid.raw))
    return made.write(ObjectType.TREE, b"".join(row for _, row in sorted(rows)))


def commit(made: pygit2.Repository, tree: pygit2.Oid, ref: str = "refs/heads/main") -> pygit2.Oid:
    author = pygit2.Signature("A", "a@example.org", 0, 0)
    return made.create_commit(ref, author, author, "a commit", tree, [])


def contents_of(files: Files) -> list[bytes]:
    return [files.content(index) for index in range(len(files.paths))]


def read(
    tree: Tree, select: FileSet = EVERYTHING, workers: int = 1
) -> tuple[Scan[list[bytes]], dict[str, bytes]]:
    """Scan the tree and return the scan and what each file holds, by path."""
    done = scan(tree, select, contents_of, workers=workers)
    found: dict[str, bytes] = {}
    for part in done.parts:
        for path, content in zip(part.paths, part.value, strict=True):
            if path is not None:
                assert path not in found
                found[path] = content
    return done, found


def one_line(error: BaseException) -> str:
    """Return an error's message, which must be one printable line."""
    text = str(error)
    assert text and text.isprintable(), text
    return text


def open_files() -> set[str]:
    """Return the files that this process holds open, where the system tells."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return set()
    return {str(link.readlink()) for link in folder.iterdir() if link.is_symlink()}
