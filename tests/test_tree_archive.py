"""Archives: every packing, every header format, damage at every byte, and hostile members."""

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import TreeError
from lockscape.source import archive as archive_module
from lockscape.source import decompress, tarstream
from lockscape.source.archive import Archive, archive_label
from lockscape.source.decompress import expanded, format_of
from lockscape.source.scan import scan
from lockscape.source.select import FileSet
from lockscape.source.tarstream import TarStream
from lockscape.source.tree import Problem
from tree_tools import (
    END,
    EVERYTHING,
    PACKINGS,
    contents_of,
    header,
    member,
    one_line,
    open_files,
    pax,
    read,
    tar,
)

SMALL = {"kernel/a.c": b"spin_lock(&a);\n" * 40, "mm/b.h": b"b" * 512, "README": b"words\n"}
C_FILES = FileSet(("**/*.[chS]",))


def archive(data: bytes, folder: Path, name: str = "tree.bin") -> Archive:
    (folder / name).write_bytes(data)
    return Archive(str(folder / name))


def found_in(data: bytes, folder: Path, select: FileSet = EVERYTHING) -> dict[str, bytes]:
    return read(archive(data, folder), select)[1]


def error_of(data: bytes, folder: Path, select: FileSet = EVERYTHING) -> str:
    with pytest.raises(TreeError) as caught:
        read(archive(data, folder), select)
    return one_line(caught.value)


# --- packings


@pytest.mark.parametrize("packing", PACKINGS)
def test_the_packing_is_told_by_the_content(packing: str, tmp_path: Path) -> None:
    data = PACKINGS[packing](tar(SMALL))
    for name in ("x", "x.tar.gz", "x.zip", "x.c"):
        assert read(archive(data, tmp_path, name))[1] == SMALL


def test_several_streams_in_one_file(tmp_path: Path) -> None:
    data = tar(SMALL)
    parts = [data[:700], data[700:701], b"", data[701:]]
    frame = zstandard.ZstdCompressor().compress
    skipped = struct.pack("<II", 0x184D2A53, 5) + b"hello"
    packed = {
        "gzip members": b"".join(map(gzip.compress, parts)),
        "gzip and zeros": gzip.compress(data) + bytes(100),
        "gzip and other bytes": gzip.compress(data) + b"other bytes",
        "bzip2 streams": b"".join(map(bz2.compress, parts)),
        "bzip2 and other bytes": bz2.compress(data) + b"other bytes",
        "xz streams with padding": b"".join(lzma.compress(part) + bytes(8) for part in parts),
        "zstd frames": b"".join(map(frame, parts)),
        "zstd, skipped frames": skipped + frame(data) + skipped,
    }
    for name, content in packed.items():
        assert found_in(content, tmp_path) == SMALL, name


@pytest.mark.parametrize("pack", [lzma.compress, zstandard.ZstdCompressor().compress])
def test_other_bytes_behind_xz_and_zstd(pack: object, tmp_path: Path) -> None:
    message = error_of(pack(tar(SMALL)) + b"other bytes", tmp_path)  # type: ignore[operator]
    assert "is damaged: " in message
    assert "copy or fetch it again" in message


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_truncation_is_noticed(packing: str, tmp_path: Path) -> None:
    """Of a plain archive, all but the second block of its end mark and the padding must be there."""
    data = tar(SMALL)
    needed = len(data.rstrip(b"\0")) // 512 * 512 + 1024
    data = PACKINGS[packing](data[: needed + 512])
    whole = needed if packing == "tar" else len(data)
    for end in range(0, len(data), 61 if packing == "tar" else 1):
        if end < whole:
            assert "tree.bin' " in error_of(data[:end], tmp_path)
        else:
            assert found_in(data[:end], tmp_path) == SMALL


def test_truncation_names_file_and_place(tmp_path: Path) -> None:
    data = tar(SMALL)
    assert error_of(data[:700], tmp_path) == (
        f"{str(tmp_path / 'tree.bin')!r} is damaged: it breaks off inside a file "
        "at byte 700 of the expanded archive; copy or fetch it again"
    )
    packed = lzma.compress(data)[:-30]
    assert error_of(packed, tmp_path) == (
        f"{str(tmp_path / 'tree.bin')!r} is damaged: the xz data break off "
        f"near byte {len(packed)} of the file; copy or fetch it again"
    )


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(PACKINGS)), st.data())
def test_no_damage_does_more_than_an_error(packing: str, data: st.DataObject) -> None:
    content = bytearray(PACKINGS[packing](tar(SMALL)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = found_in(bytes(content), Path(folder))
        except TreeError as error:
            one_line(error)
            return
    if packing in ("tar.gz", "tar.bz2", "tar.xz", "tar.zst"):  # these carry checksums of the content
        assert found == SMALL


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(
        [b"", b"\x1f\x8b\x08\0", b"\xfd7zXZ\0", b"BZh9", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"]
    ),
    st.binary(max_size=1500),
)
def test_random_bytes_are_no_archive(magic: bytes, rest: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        error_of(magic + rest, Path(folder))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_random_headers_with_right_checksums(data: st.DataObject) -> None:
    """Any field of a header may hold anything."""
    blocks = b""
    for _ in range(data.draw(st.integers(1, 4))):
        block = bytearray(header(b"linux/a.c", data.draw(st.integers(0, 600)), data.draw(flags)))
        for at, length in ((0, 100), (124, 12), (156, 1), (157, 100), (257, 8), (345, 155)):
            if data.draw(st.booleans()):
                some = data.draw(st.binary(max_size=length))
                block[at : at + len(some)] = some
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        blocks += bytes(block) + data.draw(st.binary(max_size=600)).ljust(1024, b"\0")
    with tempfile.TemporaryDirectory() as folder:
        try:
            found_in(blocks + END, Path(folder))
        except TreeError as error:
            one_line(error)


flags = st.sampled_from([bytes([flag]) for flag in b"01234567xgLKSDVMNX\0\xff"])


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    frame = zstandard.ZstdCompressor().compress(bytes(1 << 20))
    data = zstandard.ZstdCompressor().compress(header(b"linux/a.c", 300 << 20)) + 300 * frame
    message = error_of(data, tmp_path)
    assert f"{str(tmp_path / 'tree.bin')!r} expands more than 200 times (" in message
    assert "give the folder" in message


@pytest.mark.parametrize("packing", PACKINGS)
def test_well_packed_data_are_expanded_in_pieces(packing: str, tmp_path: Path) -> None:
    data = PACKINGS[packing](bytes(20 << 20))
    sizes = [len(chunk) for chunk in expanded(io.BytesIO(data), "x", format_of(data))]
    assert sum(sizes) == 20 << 20
    assert max(sizes) <= decompress.CHUNK_BYTES


def test_an_xz_file_may_not_ask_for_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompress, "XZ_MEMORY_BYTES", 1 << 20)
    assert "Memory usage limit" in error_of(lzma.compress(tar(SMALL), preset=1), tmp_path)


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    path = str(tmp_path / "tree.bin")
    for data, said in {
        b"": f"{path!r} is an empty file: give a tar archive",
        b"int main;\n" * 99: f"{path!r} is no tar archive (plain, gzip, xz, bzip2 or zstd): ",
        gzip.compress(b"int main;\n" * 99): f"{path!r} holds no tar archive: give one, or",
        gzip.compress(b""): f"{path!r} holds no tar archive: give one, or",
        bytes(10240): f"{path!r} is an empty archive: give a kernel's source",
        PACKINGS["tar.xz"](bytes(10240)): f"{path!r} is an empty archive: give a kernel's source",
        member(b"linux/", flag=b"5") + END: f"no file of {path!r} matches '**': ",
    }.items():
        assert error_of(data, tmp_path).startswith(said)


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, said in {
        "none": "no such file or directory; give a readable tar archive",
        "pipe": "is neither a folder nor a file: give a tar archive",
        ".": "is neither a folder nor a file: give a tar archive",
        "nul\0": "embedded null byte",
    }.items():
        with pytest.raises(TreeError) as caught:
            Archive(str(tmp_path / name))
        assert said in one_line(caught.value)


def test_labels() -> None:
    for name in ("linux-2.4.31.tar", "linux-2.4.31.tar.gz", "a/linux-2.4.31.tgz", "linux-2.4.31.tar.ZST"):
        assert archive_label(name) == "linux-2.4.31"
    assert archive_label("linux-6.1") == "linux-6.1"
    assert archive_label(".tar") == ".tar"


# --- header formats


long_names = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0/"), min_size=1, max_size=120
).filter(lambda name: name not in (".", ".."))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(long_names, min_size=1, max_size=4).map("/".join),
            st.sampled_from(
                [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
            ),
            st.binary(max_size=1100),
            st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=150),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.booleans(),
)
def test_members_are_those_of_tarfile(
    entries: list[tuple[str, bytes, bytes, str]], format: int, comment: bool
) -> None:
    out = io.BytesIO()
    headers = {"comment": "284ce8b6"} if comment and format == tarfile.PAX_FORMAT else None
    with tarfile.open(fileobj=out, mode="w", format=format, pax_headers=headers, encoding="utf-8") as made:
        for name, kind, content, target in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = target if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            made.addfile(info, io.BytesIO(content))
    data = out.getvalue()
    kinds = {
        tarfile.REGTYPE: "file",
        tarfile.SYMTYPE: "symbolic link",
        tarfile.LNKTYPE: "hard link",
        tarfile.DIRTYPE: "folder",
        tarfile.FIFOTYPE: "named pipe",
    }
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as expected:
        members = [(info.name, kinds[info.type], info.size, info.linkname) for info in expected]
    chunks = iter([data[at : at + 300] for at in range(0, len(data), 300)])
    seen = [(name.rstrip("/"), *rest) for name, *rest in TarStream(chunks, "x").members()]
    assert seen == [(name.rstrip("/"), *rest) for name, *rest in members]


def test_old_and_odd_headers(tmp_path: Path) -> None:
    signed = bytearray(header(b"linux/\xe9.c", 1))
    total = sum(signed) - sum(signed[148:156]) + 8 * 32 - 256  # as programs with signed characters add up
    signed[148:156] = b"%06o\0 " % total
    data = (
        member(b"a backup", flag=b"V")
        + member(b"linux/", flag=b"0")  # version 7 marks folders by their slash only
        + header(b"linux/old.c", 2, b"\0", magic=b"") + b"v7".ljust(512, b"\0")
        + header(b"linux/contiguous.c", 1, b"7") + b"c".ljust(512, b"\0")
        + header(b"linux/binary.c", b"\x80" + (3).to_bytes(11, "big")) + b"256".ljust(512, b"\0")
        + header(b"linux/blanks.c", b"       3 \0") + b"123".ljust(512, b"\0")
        + bytes(signed) + b"s".ljust(512, b"\0")
        + pax({"path": "linux/pax.c", "size": "4", "mtime": "1.5", "SCHILY.dev": "\n=1"})
        + header(b"short", 0) + b"size".ljust(512, b"\0")
        + member(b"././@LongLink", b"linux/" + b"l" * 200 + b".c\0", b"L") + member(b"cut", b"long")
        + pax({"path": "linux/solaris.c"}, b"X") + member(b"x", b"solaris")
        + pax({"comment": "git's commit"}, b"g") + member(b"linux/last.c", b"last")
        + END
    )  # fmt: skip
    assert found_in(data, tmp_path) == {
        "old.c": b"v7",
        "contiguous.c": b"c",
        "binary.c": b"256",
        "blanks.c": b"123",
        "\udce9.c": b"s",
        "pax.c": b"size",
        "l" * 200 + ".c": b"long",
        "solaris.c": b"solaris",
        "last.c": b"last",
    }


def test_global_pax_records_hold_until_replaced(tmp_path: Path) -> None:
    data = pax({"path": "a.c"}, b"g") + member(b"x", b"1") + pax({"path": "b.c"}) + member(b"y", b"2") + END
    assert found_in(data, tmp_path) == {"a.c": b"1", "b.c": b"2"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (header(b"a.c", b"\xff" * 12), "is no number"),
        (header(b"a.c", b"-0000000001\0"), "is no number"),
        (header(b"a.c", b"0000000008\0"), "is no number"),
        (header(b"a.c", b"\x80" + b"\xff" * 11), "breaks off inside a file"),
        (pax({"size": "-1"}) + header(b"a.c"), "is no decimal number"),
        (pax({"size": "9" * 5000}) + header(b"a.c"), "is no decimal number"),
        (member(b"p", b"8 path=a\n", b"x") + header(b"a.c"), "a pax header that cannot be read"),
        (member(b"p", b"10 path=a\n", b"x")[:-1] + b"\n" + header(b"a.c"), "breaks off before its end mark"),
        (member(b"p", b"0 x=1\n", b"x") + header(b"a.c"), "a pax header that cannot be read"),
        (member(b"p", b"-5 x=1\n", b"x") + header(b"a.c"), "a pax header that cannot be read"),
        (member(b"p", b"999999999999 x=1\n", b"x") + header(b"a.c"), "a pax header that cannot be read"),
        (pax({"path": "a.c"}) + END, "an extended header without its member"),
        (header(b"p", 2 << 20, b"x") + bytes(3 << 20), "an extended header of 2097152 bytes"),
        (
            header(b"p", b"\x80" + (1 << 40).to_bytes(11, "big"), b"L"),
            "an extended header of 1099511627776 bytes",
        ),
        (member(b"a.c", b"x") + b"garbage" * 200, "no valid header (wrong checksum) at byte 1024"),
    ],
)
def test_damaged_headers_are_named(data: bytes, said: str, tmp_path: Path) -> None:
    message = error_of(data, tmp_path)
    assert said in message
    assert "is damaged: " in message
    assert message.endswith("of the expanded archive; copy or fetch it again")


def test_global_headers_do_not_gather(tmp_path: Path) -> None:
    tar_stream = TarStream(
        iter([b"".join(pax({f"k{i}": "v" * 500}, b"g") for i in range(200)) + member(b"a") + END]), "x"
    )
    assert [entry.path for entry in tar_stream.members()] == ["a"]
    assert tar_stream._defaults == {}


def test_a_second_archive_behind_the_end_is_said(tmp_path: Path) -> None:
    one = member(b"linux/a.c", b"1") + END
    done, found = read(archive(one + bytes(2048) + one, tmp_path))
    assert found == {"a.c": b"1"}
    assert [problem.reason for problem in done.problems] == [
        "a second archive follows the first one's end mark: not read"
    ]
    assert read(archive(one + bytes(2048) + b"what a tape held before" * 99, tmp_path))[0].problems == ()


# --- the top folder


def made_of(*names: str) -> bytes:
    made = [
        member(name.encode(), b"", b"5") if name[-1] == "/" else member(name.encode(), b"x") for name in names
    ]
    return b"".join(made) + END


@pytest.mark.parametrize(
    ("names", "include", "expected"),
    [
        (["linux/", "linux/kernel/a.c", "linux/b.c"], "**", ["b.c", "kernel/a.c"]),
        (["linux/kernel/a.c", "linux/b.c"], "kernel/**", ["kernel/a.c"]),
        (["linux/kernel/a.c"], "*/kernel/**", ["linux/kernel/a.c"]),
        (["./", "./linux/", "./linux/b.c"], "**", ["b.c"]),
        (["./kernel/a.c", "./b.c"], "**", ["b.c", "kernel/a.c"]),
        (["kernel/", "kernel/a.c", "mm/", "mm/b.c"], "**", ["kernel/a.c", "mm/b.c"]),
        (["kernel/a.c", "mm/b.c"], "kernel/**", ["kernel/a.c"]),
        (["kernel/", "kernel/a.c", "kernel/irq/b.c"], "kernel/**", ["kernel/a.c", "kernel/irq/b.c"]),
        (["kernel/", "kernel/a.c", "kernel/irq/b.c"], "**", ["a.c", "irq/b.c"]),
        (["kernel/a.c", "kernel/kernel/b.c"], "kernel/**", ["kernel/a.c", "kernel/kernel/b.c"]),
        (["linux/a.c", "linux/fs/b.c", "README"], "**/*.c", ["linux/a.c", "linux/fs/b.c"]),
        (["README", "linux/kernel/a.c"], "kernel/**", []),
        (["linux/kernel/a.c", "README"], "kernel/**", []),
        (["linux/kernel/a.c", "other/"], "kernel/**", []),
        (["linux//kernel/./a.c"], "kernel/*", ["kernel/a.c"]),
        (["linux", "linux/a.c"], "**/*.c", ["linux/a.c"]),
        (["/etc/x.c", "../y.c", "linux/a.c"], "a.c", ["a.c"]),
    ],
)
def test_a_shared_top_folder_is_taken_off(
    names: list[str], include: str, expected: list[str], tmp_path: Path
) -> None:
    tree = archive(made_of(*names), tmp_path)
    if not expected:
        with pytest.raises(TreeError, match="no file of"):
            read(tree, FileSet((include,)))
        return
    done, found = read(tree, FileSet((include,)))
    assert sorted(found) == expected
    assert done.tree.files == len(expected)


def test_a_tree_can_be_read_again_with_another_set(tmp_path: Path) -> None:
    tree = archive(tar(SMALL), tmp_path)
    assert sorted(read(tree, FileSet(("mm/*",)))[1]) == ["mm/b.h"]
    assert read(tree)[1] == SMALL


# --- hostile members

AWAY = "leads out of the archive: not read"


@pytest.mark.parametrize(
    ("hostile", "problem"),
    [
        (member(b"/etc/x.c", b"x"), Problem("/etc/x.c", AWAY)),
        (member(b"//x.c", b"x"), Problem("//x.c", AWAY)),
        (member(b"../x.c", b"x"), Problem("../x.c", AWAY)),
        (member(b"linux/../../x.c", b"x"), Problem("linux/../../x.c", AWAY)),
        (member(b"linux/..", b"x"), None),
        (member(b"linux/x/../y.c", b"x"), Problem("linux/x/../y.c", AWAY)),
        (member(b"/etc/passwd", b"x"), None),
        (member(b"../", flag=b"5"), None),
        (pax({"path": "/etc/x.c"}) + member(b"linux/y.c", b"x"), Problem("/etc/x.c", AWAY)),
        (
            pax({"path": b"linux/x.c\0.c"}) + member(b"linux/y.c", b"x"),
            Problem("linux/x.c\0.c", "has a NUL character in its name: not read"),
        ),
        (
            member(b"linux/x.c", flag=b"2", target=b"/etc/passwd"),
            Problem("x.c", "a symbolic link that leads out of the archive: not followed"),
        ),
        (
            member(b"linux/kernel/x.c", flag=b"2", target=b"../../../passwd"),
            Problem("kernel/x.c", "a symbolic link that leads out of the archive: not followed"),
        ),
        (member(b"linux/kernel/x.c", flag=b"2", target=b"../a.c"), None),
        (member(b"linux/x.c", flag=b"2", target=b"x.c"), None),
        (member(b"linux/x", flag=b"2", target=b"/etc"), None),
        (
            member(b"linux/x.c", flag=b"1", target=b"linux/a.c"),
            Problem("x.c", "a hard link to 'linux/a.c': not followed in a stream"),
        ),
        (member(b"linux/x.c", flag=b"3"), Problem("x.c", "a character device: not read")),
        (member(b"linux/x.c", flag=b"4"), Problem("x.c", "a block device: not read")),
        (member(b"linux/x.c", flag=b"6"), Problem("x.c", "a named pipe: not read")),
        (member(b"linux/x.c", b"?", flag=b"Z"), Problem("x.c", "a member of an unknown type: not read")),
        (
            pax({"GNU.sparse.major": "1", "GNU.sparse.name": "linux/x.c", "GNU.sparse.realsize": "9" * 15})
            + member(b"linux/GNUSparseFile.0/x.c", b"0\n"),
            Problem("x.c", "a sparse file: not read"),
        ),
    ],
)
def test_hostile_members_are_listed_if_the_set_names_them(
    hostile: bytes, problem: Problem | None, tmp_path: Path
) -> None:
    for data in (
        hostile + member(b"linux/a.c", b"good") + END,
        member(b"linux/a.c", b"good") + hostile + END,
    ):
        done, found = read(archive(data, tmp_path), C_FILES)
        assert found == {"a.c": b"good"}
        assert done.problems == (() if problem is None else (problem,))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["tree.bin"]


def test_an_old_sparse_file_with_a_long_map(tmp_path: Path) -> None:
    start = bytearray(header(b"linux/x.c", 512, b"S", magic=b"ustar  \0"))
    start[482] = 1
    start[148:156] = b" " * 8
    start[148:156] = b"%06o\0 " % sum(start)
    more, last = bytearray(512), bytearray(512)
    more[504] = 1
    data = bytes(start + more + last) + b"d" * 512 + member(b"linux/a.c", b"good") + END
    done, found = read(archive(data, tmp_path))
    assert found == {"a.c": b"good"}
    assert done.problems == (Problem("x.c", "a sparse file: not read"),)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (member(b"linux/a.c", b"second"), b"second"),
        (member(b"./linux//a.c", b"second"), b"second"),
        (member(b"linux/a.c", b"second") + member(b"linux/a.c", b"third"), b"third"),
        (member(b"linux/a.c", flag=b"2", target=b"b.c"), None),
        (member(b"linux/a.c", flag=b"2", target=b"b.c") + member(b"linux/a.c", b"third"), b"third"),
    ],
)
def test_of_a_repeated_member_the_last_counts(later: bytes, expected: bytes | None, tmp_path: Path) -> None:
    data = member(b"linux/b.c", b"b") + member(b"linux/a.c", b"first") + later + END
    done, found = read(archive(data, tmp_path))
    assert found == {"b.c": b"b"} | ({} if expected is None else {"a.c": expected})
    assert done.problems == (Problem("a.c", "stands more than once in the archive: the last one counts"),)


def test_problems_outside_of_the_set_after_all_are_dropped(tmp_path: Path) -> None:
    data = member(b"linux/kernel/x.c", flag=b"6") + member(b"kernel/a.c", b"good") + END
    done, found = read(archive(data, tmp_path), FileSet(("kernel/**",)))
    assert found == {"kernel/a.c": b"good"}
    assert done.problems == ()


def test_a_file_too_large_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_FILE_BYTES", 2 << 20)
    files = {"huge.c": b"h" * (3 << 20), "most.c": b"m" * (2 << 20), "a.c": b"good"}
    done, found = read(archive(PACKINGS["tar.zst"](tar(files)), tmp_path))
    assert sorted(found) == ["a.c", "most.c"]
    assert done.problems == (Problem("huge.c", "larger than 2 MiB, not read as source"),)


def test_a_claim_of_terabytes_reserves_nothing(tmp_path: Path) -> None:
    data = header(b"linux/a.c", b"\x80" + (1 << 50).to_bytes(11, "big")) + b"x" * 5000
    assert "breaks off inside a file" in error_of(data, tmp_path)
    wide = header(b"linux/a.c", archive_module.MAX_FILE_BYTES) + b"x" * 5000
    assert "breaks off inside a file" in error_of(wide, tmp_path)


# --- resources


def expanding_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("expand")]


def test_stopping_early_ends_the_thread_and_closes_the_file(tmp_path: Path) -> None:
    tree = archive(tar({f"{i}.c": bytes(3 << 20) for i in range(9)}), tmp_path)
    batches = tree.batches(EVERYTHING)
    next(iter(batches))
    assert expanding_threads()
    batches.close()  # type: ignore[attr-defined]
    assert not expanding_threads()
    assert not any("tree.bin" in name for name in open_files())


def failing(files: object) -> None:
    raise KeyError("work")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_the_work_ends_the_scan(workers: int, tmp_path: Path) -> None:
    tree = archive(PACKINGS["tar.zst"](tar({f"{i}.c": os.urandom(3 << 20) for i in range(9)})), tmp_path)
    with pytest.raises(KeyError, match="work"):
        scan(tree, EVERYTHING, failing, workers=workers)
    for _ in range(100):
        if not expanding_threads():
            break
        time.sleep(0.02)
    assert not expanding_threads()


def test_batches_in_flight_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream is read no further than the batches that were asked for, and a few chunks."""
    monkeypatch.setattr(decompress, "CHUNK_BYTES", 1 << 20)
    tree = archive(tar({f"{i}.c": bytes(1 << 20) for i in range(40)}), tmp_path)
    batches = tree.batches(EVERYTHING)
    first = next(iter(batches))
    assert sum(file.data.nbytes for file in first.load()) <= 5 << 20
    reached = max(int(line.split()[1]) for line in positions("tree.bin"))
    assert reached <= (4 << 20) + (decompress.AHEAD_CHUNKS + 3) * decompress.CHUNK_BYTES
    batches.close()  # type: ignore[attr-defined]


def positions(name: str) -> list[str]:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("this system does not tell how far a file was read")
    found = [link.name for link in folder.iterdir() if link.is_symlink() and name in str(link.readlink())]
    return [Path(f"/proc/self/fdinfo/{number}").read_text().splitlines()[0] for number in found]


@pytest.mark.slow
def test_real_kernels_read_from_an_archive_like_from_a_folder(trees: Path, tmp_path: Path) -> None:
    folder = trees / "linux-2.0.40"
    with tarfile.open(tmp_path / "tree.bin", "w:gz") as made:
        made.add(folder, "linux-2.0.40")
    from lockscape.source.tree import Directory

    one = scan(Directory(str(folder)), C_FILES, contents_of)
    other = scan(Archive(str(tmp_path / "tree.bin")), C_FILES, contents_of)
    assert one.files == other.files
    assert one.tree.identity == other.tree.identity


def test_constants_that_the_documentation_names() -> None:
    assert decompress.BOMB_RATIO > 20  # real archives reach 10
    assert tarstream.MAX_HEADER_BYTES >= 1 << 16
