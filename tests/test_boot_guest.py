"""What a guest is made of: archives, images, modules, packages, a file system."""

import gzip
import lzma
import os
import stat
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from boot_tools import KERNEL_FILES, image, module, package
from lockscape.errors import FetchError, InputError, MissingToolError
from lockscape.real.debian import debian_kernel
from lockscape.real.guest.cpio import Entry, archive, file, folder
from lockscape.real.guest.ext2 import BLOCK_BYTES, DISK_BYTES, empty_ext2, find_mke2fs
from lockscape.real.guest.initramfs import Guest, initramfs
from lockscape.real.guest.kernel_image import read_image
from lockscape.real.guest.modules import ModuleError, Modules, in_folder, read_module
from lockscape.real.kernels import choose_kernel
from lockscape.real.package import unpacked
from tools import require

NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)

# ---- archives ----


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=8))
def test_cpio_lists_and_unpacks_what_we_write(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    cpio = require("cpio")
    made = archive([folder("d"), *(file(f"d/{name}", content, 0o640) for name, content in files.items())])
    listed = subprocess.run(
        [cpio, "-it", "--quiet"], input=made, capture_output=True, check=True
    ).stdout.decode()
    assert listed.splitlines() == ["d", *(f"d/{name}" for name in files)]
    where = tmp_path_factory.mktemp("cpio")
    done = subprocess.run([cpio, "-id", "--quiet"], input=made, cwd=where, capture_output=True, check=True)
    assert done.stderr == b""
    for name, content in files.items():
        assert (where / "d" / name).read_bytes() == content
        assert stat.S_IMODE((where / "d" / name).stat().st_mode) == 0o640


def test_devices_have_their_numbers() -> None:
    cpio = require("cpio")
    made = archive([Entry("console", stat.S_IFCHR | 0o600, device=(5, 1))])
    done = subprocess.run([cpio, "-itvn", "--quiet"], input=made, capture_output=True, check=True)
    line = done.stdout.decode().split()
    assert line[0] == "crw-------"
    assert line[4:6] == ["5,", "1"]


@pytest.mark.parametrize("path", ["", "/etc/passwd", "a/../b", "a\0b", "TRAILER!!!"])
def test_names_that_an_archive_cannot_hold_are_refused(path: str) -> None:
    with pytest.raises(InputError, match="no name of a file"):
        archive([file(path, b"")])


def test_the_initramfs_says_what_process_1_shall_do() -> None:
    guest = Guest(3, (b"one", b"two"), False, b"records", 8 << 20)
    text = initramfs(b"program", [], guest).decode("latin-1")
    orders = text[text.index("blocks ") :].split("070701")[0].rstrip("\0").splitlines()
    assert orders == [
        "blocks /dev/ram0 /disk", "mount ext2 /dev/ram0", "directory /work/0", "directory /work/1",
        "directory /work/2", "stream /streams/0", "stream /streams/1", "run 3",
    ]  # fmt: skip


# ---- images ----


def test_an_image_says_its_version_and_its_bits(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(image())
    found = read_image(tmp_path / "a")
    assert (found.release, found.bits, found.protocol) == ("9.8.7-test", 64, 0x20F)
    (tmp_path / "b").write_bytes(image("2.6.11 (x@y) #2 SMP", 0x203))
    assert read_image(tmp_path / "b").bits == 32
    (tmp_path / "c").write_bytes(image("2.6.32-5-amd64 (x@y) #2 SMP", 0x20A))
    assert read_image(tmp_path / "c").bits == 64


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "no bzImage"), (b"\x7fELF" + bytes(999), "ELF file"), (b"\x1f\x8b" + bytes(999), "gzip"),
     (image(protocol=0x1FF), "loaded low"), (image(version=""), "without its kernel's version")],
)  # fmt: skip
def test_what_is_no_image_is_refused_in_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match=why) as told:
        read_image(tmp_path / "x")
    assert "\n" not in str(told.value)


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=0x400), st.integers(0, 0x240), st.binary(max_size=8))
def test_damaged_images_end_in_an_error_or_a_version(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int, change: bytes
) -> None:
    damaged = bytearray(image())
    damaged[place : place + len(change)] = change
    path = tmp_path_factory.mktemp("image") / "x"
    for content in (noise, bytes(damaged)):
        path.write_bytes(content)
        try:
            assert read_image(path).release.isprintable()
        except InputError as error:
            assert "\n" not in str(error)


# ---- modules ----


def written(where: Path, modules: dict[str, bytes]) -> Modules:
    for name, content in modules.items():
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_bytes(content)
    return in_folder(where)


def test_modules_come_after_what_they_depend_on(tmp_path: Path) -> None:
    found = written(tmp_path, {
        "kernel/fs/ext4/ext4.ko": module(["jbd2", "mb-cache"], "pre: crypto-crc32c post: never", ["fs-ext2"]),
        "kernel/fs/jbd2/jbd2.ko": module(), "kernel/fs/mb-cache.ko": module(),
        "kernel/crypto/crc32c_generic.ko": module(aliases=["crypto-crc32c"]),
        "kernel/arch/x86/crypto/crc32c-fast.ko": module(aliases=["crypto-crc32c"]),
        "kernel/net/unwanted.ko": module(),
    })  # fmt: skip
    assert [each.name for each in found.order(["fs-ext2"])] == ["jbd2", "mb_cache", "crc32c_generic", "ext4"]
    assert len(found.order_all()) == 6


def test_what_is_built_in_is_not_loaded(tmp_path: Path) -> None:
    found = written(tmp_path, {
        "modules.builtin": b"kernel/fs/ext4/ext4.ko\nkernel/fs/jbd2/jbd2.ko\n",
        "modules.builtin.modinfo": b"ext4.alias=fs-ext2\0ext4.license=GPL\0",
        "kernel/block/brd.ko": module(["jbd2"]),
    })  # fmt: skip
    assert [each.name for each in found.order(["fs-ext2", "brd"])] == ["brd"]


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))))
    )
)
def test_any_graph_without_circles_is_ordered(
    tmp_path_factory: pytest.TempPathFactory, graph: tuple[int, set[tuple[int, int]]]
) -> None:
    count, pairs = graph
    needs = {k: sorted(b for a, b in pairs if a == k and b < k) for k in range(count)}
    found = written(
        tmp_path_factory.mktemp("m"), {f"m{k}.ko": module([f"m{b}" for b in needs[k]]) for k in needs}
    )
    order = [int(each.name[1:]) for each in found.order_all()]
    assert sorted(order) == list(range(count))
    assert all(order.index(b) < order.index(a) for a in needs for b in needs[a])


def test_circles_and_gaps_are_told(tmp_path: Path) -> None:
    found = written(tmp_path, {"a.ko": module(["b"]), "b.ko": module(["a"]), "c.ko": module(["gone"])})
    with pytest.raises(ModuleError, match="circle: a b a"):
        found.order(["a"])
    with pytest.raises(ModuleError, match="no module 'gone', which c needs"):
        found.order(["c"])


@pytest.mark.parametrize("suffix", ["", ".xz", ".gz", ".zst"])
def test_modules_are_decompressed(tmp_path: Path, suffix: str) -> None:
    pack = {"": bytes, ".xz": lzma.compress, ".gz": gzip.compress, ".zst": zstandard.compress}[suffix]
    path = tmp_path / f"a.ko{suffix}"
    path.write_bytes(pack(module()))
    assert read_module(path) == module()
    path.write_bytes(pack(module())[:-5] if suffix else b"no module")
    with pytest.raises(ModuleError):
        read_module(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(ModuleError):
        read_module(path)


# ---- packages and folders ----


@pytest.mark.parametrize("suffix", ["", ".xz", ".zst"])
def test_a_package_is_unpacked_once(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "linux-image-test_1_amd64.deb"
    path.write_bytes(package(KERNEL_FILES, suffix))
    made = unpacked(path, tmp_path / "store")
    assert sorted(p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file()) == [
        "boot/vmlinuz-9.8.7-test", "lib/modules/9.8.7-test/kernel/brd.ko"
    ]  # fmt: skip
    (made / "boot/mark").touch()
    assert unpacked(path, tmp_path / "store") == made
    assert (made / "boot/mark").exists()
    assert [p.name for p in (tmp_path / "store").iterdir()] == [made.name]


def test_a_package_leaves_its_folder_in_no_way(tmp_path: Path) -> None:
    link = tarfile.TarInfo("./boot/link")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
    device = tarfile.TarInfo("./boot/device")
    device.type = tarfile.CHRTYPE
    hostile = {"./boot/../../escaped": b"x", "/boot/absolute": b"x", "./boot/link/through": b"x"}
    path = tmp_path / "bad.deb"
    path.write_bytes(package(KERNEL_FILES | hostile, others=[link, device]))
    made = unpacked(path, tmp_path / "store")
    assert not (tmp_path / "outside").exists()
    assert not list(tmp_path.rglob("escaped"))
    assert not (made / "boot/link").is_symlink()
    assert not (made / "boot/device").exists()


@pytest.mark.parametrize(
    "content", [b"", b"!<arch>\n", package(KERNEL_FILES)[:400], package({"./boot/other": b"x"}), b"x" * 99]
)
def test_what_is_no_package_is_refused_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.deb"
    path.write_bytes(content)
    with pytest.raises(InputError) as told:
        unpacked(path, tmp_path / "store")
    assert "\n" not in str(told.value)
    assert not list((tmp_path / "store").glob("*")) if (tmp_path / "store").exists() else True


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 900), st.binary(min_size=1, max_size=20))
def test_damaged_packages_end_in_an_error_or_a_folder(
    tmp_path_factory: pytest.TempPathFactory, place: int, change: bytes
) -> None:
    where = tmp_path_factory.mktemp("deb")
    damaged = bytearray(package(KERNEL_FILES))
    damaged[place : place + len(change)] = change
    (where / "x.deb").write_bytes(damaged)
    try:
        unpacked(where / "x.deb", where / "store")
    except InputError as error:
        assert "\n" not in str(error)


def test_a_kernel_is_found_with_its_modules(tmp_path: Path) -> None:
    for path, content in KERNEL_FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    for name in (tmp_path, tmp_path / "boot/vmlinuz-9.8.7-test"):
        found = choose_kernel(str(name))
        assert found.image.release == "9.8.7-test"
        assert found.modules is not None
        assert [each.name for each in found.modules.order(["brd"])] == ["brd"]
    (tmp_path / "boot/vmlinuz-other").write_bytes(image())
    with pytest.raises(InputError, match="2 kernels in"):
        choose_kernel(str(tmp_path))
    with pytest.raises(InputError, match="no kernel 'nothing'"):
        choose_kernel("nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="neither vmlinuz nor bzImage"):
        choose_kernel(str(tmp_path / "empty"))


# ---- the file system ----


def test_the_empty_ext2_is_one_with_linear_directories(tmp_path: Path) -> None:
    require(find_mke2fs())
    disk, records = tmp_path / "disk", empty_ext2()
    assert len(records) < 1 << 20
    with disk.open("wb") as made:
        made.truncate(DISK_BYTES)
        for at in range(0, len(records), 8 + BLOCK_BYTES):
            made.seek(struct.unpack_from("<Q", records, at)[0])
            made.write(records[at + 8 : at + 8 + BLOCK_BYTES])
    tools = {"env": os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C"}, "text": True,
             "capture_output": True}  # fmt: skip
    subprocess.run(["e2fsck", "-fn", str(disk)], check=True, **tools)  # type: ignore[call-overload]
    said = subprocess.run(["dumpe2fs", "-h", str(disk)], check=True, **tools).stdout  # type: ignore[call-overload]
    facts = {line.split(":")[0]: line.split(":", 1)[1].strip() for line in said.splitlines() if ":" in line}
    assert facts["Inode count"] == "262144"
    assert "dir_index" not in facts["Filesystem features"]
    assert "has_journal" not in facts["Filesystem features"]


# ---- Debian's packages, with an apt that is none ----

APT_CACHE = """#!/bin/sh
echo "cache $*" >> "$LOG"
cat "$SHOWN"
"""
APT_GET = """#!/bin/sh
echo "get $*" >> "$LOG"
case "$*" in
*update*) echo "E: Failed to fetch https://host.example/x  404" >&2; exit 100 ;;
*download*) cp "$PACKAGE" . || { echo "E: Can't find it" >&2; exit 100; } ;;
esac
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what apt is asked (log), knows (shown) and has (one package)."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("apt-get", APT_GET), ("apt-cache", APT_CACHE)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    package_file = tmp_path / "linux-image-9.8.7-cloud-amd64_9.8.7-1_amd64.deb"
    package_file.write_bytes(package(KERNEL_FILES))
    (tmp_path / "shown").write_text(
        "Package: linux-image-cloud-amd64\nDepends: linux-image-9.8.7-cloud-amd64 (= 9.8.7-1)\nDescription: x\n"
    )
    for name, path in (("LOG", tmp_path / "log"), ("SHOWN", tmp_path / "shown"), ("PACKAGE", package_file)):
        monkeypatch.setenv(name, str(path))
    return tmp_path


def test_debians_kernel_is_fetched_once_and_looked_for_again_if_asked(apt: Path) -> None:
    for update, asked in ((False, 3), (False, 3), (True, 6)):
        folder, named = debian_kernel("debian", update, apt / "store")
        assert (folder / "boot/vmlinuz-9.8.7-test").is_file()
        assert named == "linux-image-9.8.7-cloud-amd64 9.8.7-1"
        assert len((apt / "log").read_text().splitlines()) == asked
    log = (apt / "log").read_text()
    assert f"Dir::State={apt}/store/apt/amd64" in log
    assert "APT::Architecture=amd64" in log
    assert "install" not in log


def test_an_older_package_makes_room_for_a_newer_one(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debian_kernel("debian", False, apt / "store")
    newer = apt / "linux-image-9.9.0-cloud-amd64_9.9.0-1_amd64.deb"
    newer.write_bytes(package(KERNEL_FILES | {"./boot/config": b"newer"}))
    monkeypatch.setenv("PACKAGE", str(newer))
    (apt / "shown").write_text("Depends: linux-image-9.9.0-cloud-amd64 (= 9.9.0-1)\n")
    assert debian_kernel("debian", True, apt / "store")[1] == "linux-image-9.9.0-cloud-amd64 9.9.0-1"
    assert debian_kernel("debian", False, apt / "store")[1] == "linux-image-9.9.0-cloud-amd64 9.9.0-1"


def test_what_apt_cannot_do_is_told_without_addresses(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKAGE", str(apt / "gone"))
    with pytest.raises(FetchError, match=r"cannot download linux-image-9\.8\.7-cloud-amd64: Can't find it"):
        debian_kernel("debian", False, apt / "store")
    (apt / "shown").write_text("")
    with pytest.raises(FetchError, match="no package linux-image-cloud-amd64: Failed to fetch …") as told:
        debian_kernel("debian", False, apt / "store")
    assert "host.example" not in str(told.value)
    monkeypatch.setenv("PATH", str(apt / "nothing"))
    with pytest.raises(MissingToolError, match="no apt-get"):
        debian_kernel("debian", False, apt / "store")
