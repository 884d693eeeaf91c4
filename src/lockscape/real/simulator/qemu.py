"""Finds QEMU, compiles the plugin for it, and makes the command that boots a guest under it.

Only emulation (TCG) is used, never KVM: a plugin sees what is executed, and the host need not have as many
processors as the guest. A guest is a PC with a serial console and nothing else.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from lockscape.errors import InputError, MissingToolError
from lockscape.real.compile import NATIVE, compiled
from lockscape.real.guest.kernel_image import Bits

PROGRAM = "qemu-system-x86_64"
"""It runs kernels of 32 bits as well."""

OLDEST = (6, 1)
"""The first QEMU that takes a plugin's arguments by their names."""

API_SINCE = ((9, 1), 3), ((9, 0), 2), (OLDEST, 1)
"""Versions of the plugin API by QEMU's: since 9.0 older ones are refused, since 9.1 a function differs."""

PLUGIN_OPTIONS = ("-O2", "-shared", "-fPIC", "-fvisibility=hidden")
"""With which the plugin is compiled, for this host."""
INIT_OPTIONS = (
    "-O2", "-ffreestanding", "-nostdlib", "-static", "-fno-stack-protector", "-fno-pie", "-no-pie",
    "-fno-asynchronous-unwind-tables",
)  # fmt: skip
"""With which the guest's first process is compiled: it has no C library."""

CPU_MODELS: dict[Bits, str] = {64: "qemu64,+rdrand,-hypervisor", 32: "qemu32,+rdrand,-hypervisor"}
"""Without the sign of a hypervisor, which would make Linux use other spin locks than on a real machine."""

KERNEL_FROM: dict[Bits, int] = {64: 1 << 63, 32: 0xC0000000}
"""The lowest address of a kernel; 3 GB is what nearly all kernels of 32 bits are built for."""

MOST_PROCESSORS = 255
"""Of QEMU's machine `pc`, whose interrupt controllers have numbers of eight bits."""

_EXIT_PORT = 0xF4
_TIMEOUT_SECONDS = 60


class Qemu(NamedTuple):
    """An installed QEMU: its program, what it says of its version, and our plugin compiled for it."""

    program: str
    version: str
    plugin: Path


class Machine(NamedTuple):
    """A guest's machine. `quantum`: so many instructions a processor is ahead of another one, at most."""

    cpus: int
    memory_mb: int
    quantum: int


def find_qemu() -> Qemu:
    """Return the QEMU to use: $LOCKSCAPE_QEMU, or the one in PATH.

    Raises `MissingToolError` if there is none or no compiler, `InputError` for one that is too old.
    """
    named = os.environ.get("LOCKSCAPE_QEMU", PROGRAM)
    program = shutil.which(named)
    if program is None:
        raise MissingToolError(
            f"no {named}: install it (apt install qemu-system-x86), or name one in LOCKSCAPE_QEMU"
        )
    said = _said(program)
    found = re.search(r"version (\d+)\.(\d+)(\S*)", said)
    if found is None:
        raise InputError(f"{program} --version says no version of QEMU: name another in LOCKSCAPE_QEMU")
    version = int(found[1]), int(found[2])
    api = next((api for since, api in API_SINCE if version >= since), None)
    if api is None:
        raise InputError(
            f"{program} is QEMU {found[1]}.{found[2]}: 6.1 or later is needed; install a newer one"
        )
    plugin = compiled(NATIVE / "lockstep.c", (*PLUGIN_OPTIONS, f"-DPLUGIN_API={api}"))
    if set(str(plugin)) & set(" ,:"):  # they separate what QEMU and the linker read
        raise InputError(
            f"a blank, comma or colon in {str(plugin)!r}: set XDG_CACHE_HOME to a folder without"
        )
    return Qemu(program, f"{found[1]}.{found[2]}{found[3]}", plugin)


def process_1(bits: Bits) -> bytes:
    """Return the guest's process 1, compiled for kernels of so many bits."""
    return compiled(NATIVE / "init.c", (*INIT_OPTIONS, f"-m{bits}")).read_bytes()


def _said(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=_TIMEOUT_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingToolError(
            f"{program} cannot be run ({error}): name another in LOCKSCAPE_QEMU"
        ) from error
    return done.stdout.decode("utf-8", "replace")


def command(
    qemu: Qemu, machine: Machine, kernel: Path, bits: Bits, initramfs: Path, line: str, messages: int
) -> list[str]:
    """Return the command that boots a kernel with the command line `line`.

    Each processor is a socket of its own, as in machines before 2005: Linux before 2.6.12 takes cores for
    hyper-threads, and the BIOS tells kernels without ACPI (2.2) only of the first core of a socket.
    The console is on standard output; the plugin writes to the descriptor `messages`.
    """
    plugin = f"{qemu.plugin},fd={messages},quantum={machine.quantum},kernel={KERNEL_FROM[bits]:x}"
    return [
        qemu.program, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
        "-M", "pc,hpet=off", "-cpu", CPU_MODELS[bits],
        "-smp", f"{machine.cpus},sockets={machine.cpus},cores=1,threads=1",
        "-m", str(machine.memory_mb), "-accel", "tcg,thread=multi",
        "-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x},iosize=4",
        "-kernel", str(kernel), "-initrd", str(initramfs), "-append", line, "-plugin", plugin,
    ]  # fmt: skip


def environment(qemu: Qemu) -> dict[str, str]:
    """Return QEMU's environment: the plugin is its clock, see native/lockstep.c."""
    return {**os.environ, "LD_PRELOAD": str(qemu.plugin)}
