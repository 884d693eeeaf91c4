"""Who executes a workload on this host: PostMark itself, or the worker in native/host.c."""

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lockscape.errors import MissingToolError
from lockscape.real.compile import NATIVE, compiled
from lockscape.real.together import Ended, RunError
from lockscape.workloads.postmark import Operations
from lockscape.workloads.postmark_commands import commands_of
from lockscape.workloads.postmark_report import Seconds, progress, report

OPTIONS = ("-O2",)
"""How the worker is compiled."""

_SHOWN_CHARACTERS = 120

_RATE = re.compile(r" \(\d\S*( kilobytes| megabytes| bytes)? per second\)")


class ProcessRun(NamedTuple):
    """What one process took. End and PostMark's marks are in ns of CLOCK_MONOTONIC, if it tells them."""

    user_s: float
    system_s: float
    voluntary_switches: int
    involuntary_switches: int
    end_ns: int | None
    marks_ns: tuple[int, ...]


class Native:
    """A process of our own worker on a packed stream, which is in the open file `stream`."""

    def __init__(self, worker: Path, stream: int) -> None:
        self.worker = worker
        self.stream = stream

    def command(self, folder: int, ready: int, start: int) -> tuple[list[str], tuple[int, ...]]:
        """Return the command of a process, see `lockscape.real.together.Executor`."""
        numbers = map(str, (folder, ready, start, os.getpid()))
        return [str(self.worker), f"/proc/self/fd/{self.stream}", *numbers], (self.stream,)

    def read(self, ended: Ended) -> ProcessRun:
        """Return what a process says of itself. Raises RunError for a failed one."""
        words = ended.output.decode("utf-8", "replace").split()
        if ended.code != 0 or len(words) != 11 or words[0] != "ok":
            raise RunError(_native_failure(words, ended.code))
        begun, end, *marks, user, system, voluntary, involuntary = map(int, words[1:])
        assert begun <= end
        return ProcessRun(user / 1e6, system / 1e6, voluntary, involuntary, end, tuple(marks))


def _native_failure(words: list[str], code: int) -> str:
    if len(words) == 4 and words[0] == "failed" and words[3].isdigit():
        number = int(words[3])
        why = os.strerror(number).lower() if number else "fewer bytes than the file should have"
        return f"the worker failed: {words[1]} {words[2]!r}: {why}"
    return f"the worker ended with {_ending(code)} and said {_quoted(' '.join(words))}"


class Postmark:
    """A process of PostMark itself, whose commands are in the open file `commands`."""

    def __init__(self, program: str, commands: int, work: Operations) -> None:
        self.program = program
        self.commands = commands
        self.expected = _untimed(progress(work) + report(work, Seconds(1, 1, 1, 1)))

    def command(self, folder: int, ready: int, start: int) -> tuple[list[str], tuple[int, ...]]:
        """Return the command of a process, see `lockscape.real.together.Executor`."""
        launcher = str(Path(__file__).with_name("launcher.py"))
        numbers = map(str, (folder, ready, start, self.commands, os.getpid()))
        return [sys.executable, "-I", "-S", launcher, *numbers, self.program], (self.commands,)

    def read(self, ended: Ended) -> ProcessRun:
        """Return what a process took after its launcher. Raises RunError if it did not do all operations.

        PostMark says of an error, but goes on and ends well: its whole report is compared.
        """
        first, _, rest = ended.output.decode("utf-8", "replace").partition("\n")
        errors = [line for line in rest.splitlines() if line.startswith("Error")]
        if ended.code != 0 or errors:
            said = errors[0] if errors else rest or first
            raise RunError(f"PostMark ended with {_ending(ended.code)} and said {_quoted(said)}")
        if self.expected not in _untimed(rest):
            raise RunError(
                "PostMark's report is not that of the operations it should have done: use --executor native"
            )
        user, system, voluntary, involuntary = map(float, first.split())
        used = ended.usage
        return ProcessRun(
            max(0.0, used.ru_utime - user), max(0.0, used.ru_stime - system),
            used.ru_nvcsw - int(voluntary), used.ru_nivcsw - int(involuntary), None, (),
        )  # fmt: skip


AnyExecutor = Native | Postmark
"""What can run a workload's processes."""


def _untimed(text: str) -> str:
    """Return what PostMark prints without what depends on time."""
    return "\n".join(_RATE.sub("", line) for line in text.splitlines() if " seconds " not in line)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _quoted(text: str) -> str:
    return repr(text.strip()[:_SHOWN_CHARACTERS])


def postmark_program() -> str | None:
    """Return the path of PostMark, or None if it is not installed."""
    return shutil.which("postmark")


def need_postmark() -> str:
    """Return the path of PostMark. Raises MissingToolError with the package that has it."""
    found = postmark_program()
    if found is None:
        raise MissingToolError(
            "no program 'postmark': install it (apt install postmark) or use --executor native"
        )
    return found


@contextlib.contextmanager
def native_executors(streams: Sequence[bytes]) -> Iterator[list[Native]]:
    """Compile the worker, unless that was done, and give an executor for each stream."""
    worker = compiled(NATIVE / "host.c", OPTIONS)
    with _in_memory(streams) as files:
        yield [Native(worker, file) for file in files]


@contextlib.contextmanager
def postmark_executors(works: Sequence[Operations]) -> Iterator[list[Postmark]]:
    """Give an executor for each process of PostMark."""
    program = need_postmark()
    texts = [f"{commands_of(work.options)}run\nquit\n".encode() for work in works]
    with _in_memory(texts) as files:
        yield [Postmark(program, file, work) for file, work in zip(files, works, strict=True)]


@contextlib.contextmanager
def _in_memory(contents: Sequence[bytes]) -> Iterator[list[int]]:
    """Put each content into a file in memory, equal ones into the same, and give their descriptors."""
    files: dict[bytes, int] = {}
    try:
        for content in contents:
            if content not in files:
                files[content] = os.memfd_create("lockscape")
                os.write(files[content], content)
        yield [files[content] for content in contents]
    finally:
        for file in files.values():
            os.close(file)
