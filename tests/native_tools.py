"""The native worker, compiled and run for tests: through the C library, and without one."""

import re
import subprocess
from pathlib import Path

from lockscape.real.compile import NATIVE, compiled
from postmark_tools import Traced, parse_trace
from tools import require

BARE = ("-O2", "-ffreestanding", "-nostdlib", "-static", "-fno-stack-protector", "-fno-pie", "-no-pie")
"""How a program without a library is compiled, for an old kernel as for a new one."""

ALONE = ("-1", "-1", "-1", "0")
"""Arguments of a worker that starts at once, in the current folder."""

HARNESS = """
#define FREESTANDING
#include "worker.c"
enum { NR_exit = sizeof(long) == 8 ? 60 : 1, ROOM = 1 << 22 };
static char stream[ROOM];
void begin(void)
{
    long bytes = sys_read(0, stream, ROOM), result = run_stream(stream, bytes, "");
    char text[LONGEST_PATH + 64];
    if (result < 0)
        sys_write(1, text, describe_failure(text) - text);
    raw_call(NR_exit, result < 0, 0, 0, 0, 0, 0);
}
#ifdef __x86_64__
__asm__(".globl _start\\n_start: xor %ebp, %ebp\\n and $-16, %rsp\\n call begin\\n");
#else
__asm__(".globl _start\\n_start: xor %ebp, %ebp\\n and $-16, %esp\\n call begin\\n");
#endif
"""
"""A program that reads a stream from standard input and executes it in its working folder."""


def hosted() -> Path:
    require("cc")
    return compiled(NATIVE / "host.c", ["-O2"])


def bare(folder: Path, bits: int) -> Path:
    """Compile the worker without a library, for x86-64 or i386."""
    require("gcc")
    (folder / "bare.c").write_text(HARNESS)
    return compiled(folder / "bare.c", [*BARE, f"-m{bits}", f"-I{NATIVE}"], cache=folder)


def run(command: list[str], folder: Path, stream: bytes = b"") -> str:
    """Execute a worker in a fresh `folder`, and return what it prints."""
    folder.mkdir()
    done = subprocess.run(command, cwd=folder, input=stream, capture_output=True, check=False, timeout=60)
    assert done.stderr == b""
    return done.stdout.decode()


def run_hosted(stream: bytes, folder: Path) -> list[str]:
    """Execute a stream through the C library, and return the words that the worker prints."""
    packed = folder.with_name(folder.name + ".stream")
    packed.write_bytes(stream)
    return run([str(hosted()), str(packed), *ALONE], folder).split()


def traced(command: list[str], folder: Path, stream: bytes = b"") -> list[Traced]:
    """Return the calls on its files that a worker makes in a fresh `folder`."""
    output = folder.with_name(folder.name + ".trace")
    kinds = "openat,open,newfstatat,fstat,?fstat64,lseek,read,write,close,unlink,mkdir,rmdir"
    run(
        [require("strace"), "-qq", "-s0", "-o", str(output), "-e", f"trace={kinds}", *command], folder, stream
    )
    lines = [re.sub(r"\bopen\(", "openat(AT_FDCWD, ", line) for line in output.read_text().splitlines()]
    begun = next(i for i, line in enumerate(lines) if re.search(r'"(s\d+(/\d+)?|\d+)"', line))
    return parse_trace(['openat(0, "commands", O_RDONLY) = 99', *lines[begun:]])
