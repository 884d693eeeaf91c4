"""One tree read as a folder, as an archive and as a git revision gives one result."""

import hashlib
import os
import random
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import TreeError
from lockscape.source.archive import Archive
from lockscape.source.open_tree import open_tree
from lockscape.source.revision import Revision
from lockscape.source.scan import Scan, scan
from lockscape.source.select import FileSet
from lockscape.source.tree import Directory, Problem, Tree
from tree_tools import (
    EVERYTHING,
    PACKINGS,
    contents_of,
    one_line,
    open_files,
    read,
    repository,
    tar,
    write_folder,
)

SMALL = {
    "kernel/sched.c": b"spin_lock(&runqueue_lock);\n" * 700,
    "kernel/fork.c": b"int fork;\n",
    "include/linux/spinlock.h": b"",
    "arch/i386/kernel/entry.S": b"\0\xff\xfe" * 99,
    "drivers/net/no_newline.c": b"x" * 511,
    "drivers/net/block.c": b"x" * 512,
    "drivers/net/block_and_one.c": b"y" * 513,
    "Documentation/locking.txt": b"words",
    "README": b"words",
}
ODD = {
    "a\n.c": b"newline",
    "\x1b[31mred.c": b"escape",
    "<script>alert(1)</script>.c": b"markup",
    "d\udcff\udc80/\udcfe.c": b"no UTF-8",
    "ü/é.c": b"UTF-8",
    "-rf.c": b"option",
    " . /  .c": b"blanks",
    "q\"u'o\\te.c": b"quotes",
    "..c/...c": b"dots",
    "a@b/c@d.c": b"at",
}


def as_folder(files: dict[str, bytes], folder: Path) -> Tree:
    return Directory(str(write_folder(folder / "folder", files)))


def as_revision(files: dict[str, bytes], folder: Path) -> Tree:
    repository(folder / "repo.git", files)
    return Revision(str(folder / "repo.git"), "main")


def as_work_tree(files: dict[str, bytes], folder: Path) -> Tree:
    repository(folder / "repo", files, bare=False)
    return Revision(str(folder / "repo"), "HEAD")


def as_archive(packing: str, format: int) -> Callable[[dict[str, bytes], Path], Tree]:
    def make(files: dict[str, bytes], folder: Path) -> Tree:
        (folder / "tree.bin").write_bytes(PACKINGS[packing](tar(files, format=format)))
        return Archive(str(folder / "tree.bin"))

    return make


FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
KINDS: dict[str, Callable[[dict[str, bytes], Path], Tree]] = {
    "folder": as_folder,
    "bare": as_revision,
    "work tree": as_work_tree,
    **{f"{p} {f}": as_archive(p, format) for p in PACKINGS for f, format in FORMATS.items()},
}


def identity(files: dict[str, bytes]) -> str:
    """What sha256sum, sort and sha256sum make of the files."""
    rows = sorted((os.fsencode(name), hashlib.sha256(data).hexdigest()) for name, data in files.items())
    return "sha256:" + hashlib.sha256(b"".join(b"%s  %s\n" % (s.encode(), n) for n, s in rows)).hexdigest()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("files", [SMALL, ODD], ids=["small", "odd"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same(kind: str, files: dict[str, bytes], workers: int, tmp_path: Path) -> None:
    done, found = read(KINDS[kind](files, tmp_path), workers=workers)
    assert found == files
    assert done.problems == ()
    assert done.tree.identity == identity(files)
    assert done.tree.files == len(files)
    assert done.tree.bytes == sum(map(len, files.values()))
    assert [file.path for file in done.files] == sorted(files, key=os.fsencode)


@pytest.mark.parametrize("kind", ["folder", "bare", "tar.zst pax"])
def test_a_set_selects_the_same_files(kind: str, tmp_path: Path) -> None:
    select = FileSet(("kernel/**/*.[chS]", "drivers/net/**", "no/such/folder/**"), ("**/block.c",))
    done, found = read(KINDS[kind](SMALL, tmp_path), select)
    assert sorted(found) == [
        "drivers/net/block_and_one.c",
        "drivers/net/no_newline.c",
        "kernel/fork.c",
        "kernel/sched.c",
    ]
    assert done.problems == ()


@pytest.mark.parametrize("kind", KINDS)
def test_a_tree_without_files_of_the_set_is_an_error(kind: str, tmp_path: Path) -> None:
    with pytest.raises(TreeError, match="matches 'no/\\*'") as caught:
        read(KINDS[kind](SMALL, tmp_path), FileSet(("no/*",)))
    one_line(caught.value)


names = st.binary(min_size=1, max_size=24).map(lambda raw: raw.replace(b"\0", b"0").replace(b"/", b"_"))
names = names.filter(lambda raw: raw not in (b".", b"..") and raw.lower() != b".git")
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: os.fsdecode(b"/".join(parts)))


def without_conflicts(files: dict[str, bytes]) -> dict[str, bytes]:
    folders = {"/".join(name.split("/")[:i]) for name in files for i in range(1, name.count("/") + 1)}
    return {name: data for name, data in files.items() if name not in folders}


@settings(max_examples=20, deadline=None)
@given(
    st.dictionaries(paths, st.binary(max_size=1100), min_size=1, max_size=8).map(without_conflicts),
    st.sampled_from(sorted(PACKINGS)),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_random_trees_with_odd_names(files: dict[str, bytes], packing: str, format: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for make in (as_folder, as_revision, as_archive(packing, format)):
            done, found = read(make(files, folder))
            assert found == files
            assert done.tree.identity == identity(files)
        shutil.rmtree(folder / "folder")


@pytest.mark.parametrize("workers", [1, 2])
def test_many_batches_and_files_around_a_batch(workers: int, tmp_path: Path) -> None:
    sizes = [(4 << 20) - 40, 4 << 20, 6 << 20, 3 << 20, *range(600)]
    files = {f"{size}.c": random.Random(size).randbytes(size) for size in sizes}
    for kind in ("folder", "bare", "tar gnu", "tar.zst gnu"):
        done, found = read(KINDS[kind](files, tmp_path), workers=workers)
        assert len(done.parts) >= 3
        assert done.tree.identity == identity(files), kind
        assert [name for name in files if found[name] != files[name]] == [], kind


def read_by_work(files: object) -> list[tuple[int, bool]]:
    starts, ends, data = files.starts, files.ends, files.data  # type: ignore[attr-defined]
    followed = [*starts[1:], len(data)]
    return [
        (int(start), not data[end:after].any() and after - end >= 16)
        for start, end, after in zip(starts, ends, followed, strict=True)
    ]


@pytest.mark.parametrize("kind", ["folder", "bare", "tar gnu"])
def test_files_are_aligned_and_followed_by_zeros(kind: str, tmp_path: Path) -> None:
    files = {f"{size}.c": b"\xff" * size for size in range(0, 700, 7)}
    for part in scan(KINDS[kind](files, tmp_path), EVERYTHING, read_by_work).parts:
        assert all(start % 8 == 0 and zeros for start, zeros in part.value)


def longest_line(files: object) -> int:
    return max(map(len, contents_of(files)[0].split(b"\n")))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "bare", "tar.xz gnu"])
def test_a_line_of_100_megabytes(kind: str, tmp_path: Path) -> None:
    line = b"spin_lock(&a);" * (100_000_000 // 14)
    tree = KINDS[kind]({"one.c": line, "two.c": b"int two;\n"}, tmp_path)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        done, peak = fresh.submit(scan_and_peak, tree.origin).result()
    assert done.parts[0].value == len(line)
    assert done.files[0].sha256 == hashlib.sha256(line).hexdigest()
    assert done.tree.bytes == len(line) + 9
    assert peak < 700 << 20  # the line up to four times (growing buffer, copies of the work), and libraries


def scan_and_peak(origin: str) -> tuple[Scan[int], int]:
    from resource import RUSAGE_SELF, getrusage

    done = scan(open_tree(origin), EVERYTHING, longest_line, workers=1)
    return done, getrusage(RUSAGE_SELF).ru_maxrss << 10


def test_links_pipes_and_sockets_of_a_folder_are_not_source(tmp_path: Path) -> None:
    tree = as_folder({"real.c": b"real", "sub/other.c": b"other"}, tmp_path)
    folder = tmp_path / "folder"
    outside = tmp_path / "outside"
    write_folder(outside, {"secret.c": b"secret"})
    (folder / "loop.c").symlink_to("loop.c")
    (folder / "loop").symlink_to(".")
    (folder / "sub" / "up").symlink_to("..")
    (folder / "out").symlink_to(outside)
    (folder / "out.c").symlink_to(outside / "secret.c")
    os.mkfifo(folder / "pipe.c")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(folder / "socket.c"))
    if os.geteuid() == 0:
        os.mknod(folder / "device.c", 0o600 | 0o020000, os.makedev(1, 5))  # reads as endless zeros
    done, found = read(tree)
    assert found == {"real.c": b"real", "sub/other.c": b"other"}
    assert done.problems == ()
    with pytest.raises(TreeError, match="no file of"):
        read(tree, FileSet(("out/**", "sub/up/**", "loop/**")))


def test_unreadable_files_and_folders_are_listed() -> None:
    """As another user if need be: permissions do not stop root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_folder(folder, {"a.c": b"a", "shut.c": b"shut", "closed/b.c": b"b", "sub/c.c": b"c"})
        folder.chmod(0o755)
        (folder / "shut.c").chmod(0)
        (folder / "closed").chmod(0)
        with ProcessPoolExecutor(1, mp_context=get_context("fork")) as other:
            done = other.submit(scan_without_rights, name).result()
        (folder / "closed").chmod(0o755)
    assert [file.path for file in done.files] == ["a.c", "sub/c.c"]
    assert done.problems == (Problem("closed", "permission denied"), Problem("shut.c", "permission denied"))


def scan_without_rights(name: str) -> Scan[list[bytes]]:
    if os.geteuid() == 0:
        os.setuid(65534)
    return scan(Directory(name), EVERYTHING, contents_of, workers=1)


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = open_files()
    for kind in ("folder", "tar.gz gnu", "tar.zst pax"):
        read(KINDS[kind](SMALL, tmp_path), workers=2)
    assert {name for name in open_files() - before if "tree.bin" in name or "folder" in name} == set()
