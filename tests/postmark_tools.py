"""The real postmark program under strace, for tests that compare with it."""

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from lockscape.workloads.postmark import PostmarkOptions
from lockscape.workloads.postmark_commands import commands_of
from tools import require

_LINE = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
_FLAGS = {"O_RDONLY": 0, "O_WRONLY": 1, "O_RDWR": 2, "O_CREAT": 0o100, "O_TRUNC": 0o1000, "O_APPEND": 0o2000}
_FLAGS |= {"SEEK_SET": 0, "SEEK_END": 2}
_PLAIN = {"openat": "open", "newfstatat": "fstat", "fstat64": "fstat", "_llseek": "lseek", "mmap2": "mmap"}


class Traced(NamedTuple):
    """A call on the working folders: its plain name, the path of its file, flags or mode, bytes asked, result."""

    name: str
    path: str
    flags: int
    asked: int
    result: int


def postmark(
    folder: Path,
    commands: str,
    *wrapper: str,
    environment: dict[str, str] | None = None,
    errors: bytes | None = b"",
) -> bytes:
    """Run postmark in `folder` on a file of `commands`, and return what it prints.

    It must end well, and print exactly `errors` to stderr; None: anything, which is then returned as well.
    """
    (folder / "commands").write_text(commands)
    done = subprocess.run(
        [*wrapper, require("postmark"), "commands"],
        cwd=folder,
        env=None if environment is None else os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=60,
    )
    if errors is None:
        return done.stdout + done.stderr
    assert done.stderr == errors, done.stderr.decode()
    return done.stdout


def trace(folder: Path, options: PostmarkOptions) -> list[Traced]:
    """Return the calls on the working folders that the real program makes, in order, in an empty `folder`."""
    for location in options.locations:
        (folder / location.path).mkdir()
    kinds = "openat,newfstatat,fstat,lseek,read,write,close,unlink,mkdir,rmdir"
    output = folder / "trace"
    wrapper = [
        require("strace"),
        "-qq",
        "-s0",
        "-o",
        str(output),
        "-e",
        f"trace={kinds}",
        "-e",
        "signal=none",
    ]
    postmark(folder, commands_of(options) + "run\nquit\n", *wrapper)
    return parse_trace(output.read_text().splitlines())


def parse_trace(lines: list[str]) -> list[Traced]:
    """Return the calls on working files in strace's `lines`: all after the commands were read, but for output."""
    calls: list[Traced] = []
    paths: dict[str, str] = {}
    begun = False
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        name, arguments, result = _PLAIN.get(match[1], match[1]), match[2], int(match[3])
        begun = begun or '"commands"' in line
        first = arguments.split(", ")[0]
        path = re.search(r'"([^"]*)"', arguments)
        if name == "open" and path:
            paths[str(result)] = path[1]
        if not begun or paths.get(first) == "commands" or first == "1" or (path and path[1] == "commands"):
            continue
        where = paths[first] if first.isdigit() else path[1] if path else ""
        calls.append(_traced(name, where, arguments, result))
    return calls


def _traced(name: str, path: str, arguments: str, result: int) -> Traced:
    words = arguments.split(", ")
    flags = asked = 0
    if name == "open":
        flags, result = sum(_FLAGS[flag] for flag in words[2].split("|")), 0
    elif name == "mkdir":
        flags = int(words[1], 8)
    elif name == "lseek":
        asked, flags = int(words[1]), _FLAGS[words[2]]
    elif name in ("read", "write"):
        asked = int(words[-1])
    elif name == "fstat":
        size = re.search(r"st_size=(\d+)", arguments)
        result = int(size[1]) if size else -1
    return Traced(name, path, flags, asked, result)
