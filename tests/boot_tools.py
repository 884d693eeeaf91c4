"""What tests of ``lockscape boot`` need: synthetic images, modules and packages, and a QEMU that is none."""

import io
import lzma
import os
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from lockscape.errors import LockscapeError
from lockscape.real.kernels import Kernel, choose_kernel
from tools import require


def image(version: str = "9.8.7-test (a@b) #1 SMP", protocol: int = 0x20F, bits: int = 64) -> bytes:
    """Return the beginning of a bzImage with this version."""
    data = bytearray(0x8000)
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x206, protocol)
    struct.pack_into("<H", data, 0x20E, 0x3000)
    data[0x211] = 1
    struct.pack_into("<H", data, 0x236, 1 if bits == 64 else 0)
    text = version.encode() + b"\0"
    data[0x3200 : 0x3200 + len(text)] = text
    return bytes(data)


def module(depends: Sequence[str] = (), softdep: str = "", aliases: Sequence[str] = ()) -> bytes:
    """Return what of a module is looked at."""
    parts = [f"alias={each}" for each in aliases]
    parts += [f"softdep={softdep}"] if softdep else []
    parts.append(f"depends={','.join(depends)}")
    return b"\x7fELF" + b"".join(b"\0" + part.encode() for part in parts) + b"\0name=x\0"


def package(files: Mapping[str, bytes], suffix: str = ".xz", others: Sequence[tarfile.TarInfo] = ()) -> bytes:
    """Return a Debian package with these files, and entries of other kinds before them."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for each in others:
            archive.addfile(each)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    data = tar.getvalue()
    if suffix == ".zst":
        import zstandard

        data = zstandard.compress(data)
    elif suffix == ".xz":
        data = lzma.compress(data)
    members = {"debian-binary": b"2.0\n", "control.tar.xz": b"not looked at", f"data.tar{suffix}": data}
    return b"!<arch>\n" + b"".join(
        f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        + content
        + b"\n" * (len(content) % 2)
        for name, content in members.items()
    )


KERNEL_FILES = {
    "./boot/vmlinuz-9.8.7-test": image(),
    "./lib/modules/9.8.7-test/kernel/brd.ko": module(),
    "./usr/share/doc/other": b"x",
}
"""A kernel with a module, and what is neither."""


def debian() -> Kernel:
    """Return Debian's cloud kernel, which is kept in the user's cache; it is fetched where all tools must be."""
    from lockscape.real.package import kernels_folder

    if os.environ.get("LOCKSCAPE_REQUIRE") != "all" and not list(
        (kernels_folder() / "debian/debian").glob("*.deb")
    ):
        pytest.skip("Debian's kernel is not kept: call 'lockscape boot debian' once")
    return choose_kernel("debian")


def need_simulator() -> None:
    """Skip without the tools that a boot needs; fail where all must be there."""
    require("qemu-system-x86_64")
    require("gcc")
    try:
        from lockscape.real.guest.ext2 import find_mke2fs

        find_mke2fs()
    except LockscapeError:
        require("mke2fs")


FAKE = '''#!{python} -I
"""A program that is called as QEMU is, and does what a test tells it."""
import os, re, sys, time
if "--version" in sys.argv:
    print("QEMU emulator version {version} (a test)")
    sys.exit()
plugin = sys.argv[sys.argv.index("-plugin") + 1]
cpus = int(sys.argv[sys.argv.index("-smp") + 1].split(",")[0])
messages = os.fdopen(int(re.search("fd=([0-9]+)", plugin)[1]), "w", buffering=1)
os.environ.pop("LD_PRELOAD", None)
def say(text):
    print(text, flush=True)
{does}
'''

DONE = """
say("lockscape: processors %d" % cpus)
messages.write('{"kind":"begin"}\\n')
messages.write('{"kind":"progress","user":5,"calls":3}\\n')
for number in range(cpus):
    messages.write('{"kind":"processor","number":%d,"user":1,"kernel":2,"spinning":1,"pauses":1,"calls":2}\\n' % number)
messages.write('{"kind":"call","code":4,"count":2,"total":9,"least":4,"most":5,"buckets":{"4":1,"5":1}}\\n')
messages.write('{"kind":"end","time":%d,"quantum":2000,"late":0,"all_idle":0,"all_idle_ns":0,"host_ns":1,"clock":true}\\n'
               % (1000 // cpus))
say("lockscape: ended 8")
say("lockscape: done")
sys.exit(1)
"""
"""A guest that does all it should."""


def fake_qemu(folder: Path, does: str, version: str = "7.2.22") -> Path:
    """Make a program that says it is QEMU and then `does` something."""
    import sys

    folder.mkdir(exist_ok=True)
    path = folder / "qemu"
    path.write_text(
        FAKE.replace("{python}", sys.executable).replace("{version}", version).replace("{does}", does)
    )
    path.chmod(0o755)
    return path
