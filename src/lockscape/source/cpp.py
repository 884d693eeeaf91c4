"""The study's original pipeline for Table 3: GNU cpp, GNU indent and diff, run on each file of a set.

``cpp -P -nostdinc -m32`` with and without the macros, blank lines removed, ``indent`` in its default (GNU)
style on C files and headers, blank lines removed again, and ``diff -w``.

The source may be hostile, so cpp never sees a path of the tree: every file is written as a numbered file into
one private temporary folder, and each include directive is replaced by the number of the file of the set that
it names, or dropped. To know all directives for certain, what cpp gets has no comments and no line splices
any more (lines keep their numbers), and the C dialect is one without raw strings.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from lockscape.errors import MissingToolError
from lockscape.source.conditionals import CONDITIONALS, Item
from lockscape.source.hunks import Delta, Measured, differing
from lockscape.source.includes import Sources, is_assembler
from lockscape.source.tree import Problem

TIMEOUT_SECONDS = 20
"""A program that runs longer on one file is stopped; the largest file of the study takes about 0.1 s."""

MAX_OUTPUT_BYTES = 256 << 20
"""A program that writes more for one file is stopped (where the program prlimit is there, on Linux)."""

MAX_MEMORY_BYTES = 2 << 30
"""A program that needs more memory for one file is stopped (where prlimit is there)."""

MAX_MESSAGES = 20
"""Error messages of cpp kept for each file and side."""

_PACKAGES = {"cpp": "cpp", "indent": "indent", "diff": "diffutils"}
_OPTIONS = ("-P", "-nostdinc", "-m32", "-w")
# Operators that would look for files outside, and the dialect (raw strings would hide directives from us).
_SAFETY = ("-U__has_include", "-U__has_include_next", "-U__has_embed", "-D_Pragma(x)=")
_DIALECT = "-std=gnu89"
_MESSAGE = re.compile(r"^(\d{6})\.[cS]:(\d+):(?:\d+:)? (?:fatal )?error: (.*)$", re.MULTILINE)
_HUNK = re.compile(rb"^(\d+)(?:,(\d+))?([acd])(\d+)(?:,(\d+))?$", re.MULTILINE)
_FILE_PRAGMA = re.compile(r"\b(?:dependency|pch_preprocess)\b")
_KEPT = frozenset((*CONDITIONALS, "define", "undef", "pragma", "ident", "sccs"))


class StoppedError(Exception):
    """A program that gave no result for one file, and why."""


class Pipeline:
    """The programs and a private temporary folder with the sanitised files; a context manager.

    Raises MissingToolError when cpp, GNU indent or diff is not there. The folder is removed on leaving, also
    after an interruption.
    """

    def __init__(self, sources: Sources, without: Mapping[str, str], with_: Mapping[str, str]) -> None:
        self._sources = sources
        self._sides = tuple([f"-D{name}={body}" for name, body in m.items()] for m in (without, with_))
        self._programs = {name: _find(name) for name in _PACKAGES}
        self._names = {path: _name(number, path) for number, path in enumerate(sources.contents)}
        self._paths = list(sources.contents)
        self._limits = _limits()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        self.tools: Mapping[str, str] = {}

    def __enter__(self) -> Self:
        """Write the files and ask the programs for their versions."""
        self._temporary = tempfile.TemporaryDirectory(prefix="lockscape-")
        self.folder = Path(self._temporary.name)
        try:
            self.tools = {name: self._version(name) for name in self._programs}
            for path, name in self._names.items():
                (self.folder / name).write_bytes(sanitised(self._sources, path, self._names))
        except BaseException:
            self._temporary.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder."""
        self._temporary.cleanup()

    def run(self, workers: int) -> Generator[Measured, None, None]:
        """Yield the result of each file in the order of the contents, `workers` files at a time.

        Closing the generator early ends the programs that still run.
        """
        with ThreadPoolExecutor(workers) as pool:
            try:
                yield from pool.map(self.measure, self._paths)
            finally:
                self._closed = True
                pool.shutdown(wait=False, cancel_futures=True)
                for process in tuple(self._running):
                    _end(process)

    def measure(self, path: str) -> Measured:
        """Run the whole pipeline on one file."""
        problems: list[Problem] = []
        delta = Delta()
        scratch = self._names[path].partition(".")[0]
        (self.folder / scratch).mkdir()
        try:
            sides = [
                self.side(path, f"{scratch}/{side}", macros, problems)
                for side, macros in enumerate(self._sides)
            ]
        except StoppedError as error:
            problems.append(Problem(path, f"counted as empty: {error}"))
        else:
            delta = Delta(*(self._read(side).count(b"\n") for side in sides))
            for without, with_ in self._hunks(path, sides, problems):
                delta.hunk(without, with_)
        shutil.rmtree(self.folder / scratch)
        return Measured(delta, self._sources.reached(path), tuple(dict.fromkeys(problems)))

    def side(self, path: str, stem: str, macros: list[str], problems: list[Problem]) -> str:
        """Preprocess and indent one file; return the name of the result, whose lines are not blank."""
        assembler = is_assembler(path)
        options = [*_OPTIONS, *_SAFETY, *([] if assembler else [_DIALECT]), *macros]
        status, messages = self._call([self._programs["cpp"], *options, self._names[path]], f"{stem}.cpp")
        found = list(self._located(messages))
        if status and not found:
            raise StoppedError(f"cpp: {messages.strip().partition(chr(10))[0]}")
        problems += found
        self._drop_blank(f"{stem}.cpp")
        if assembler:
            return f"{stem}.cpp"
        try:
            argv = [self._programs["indent"], "-npro", "-st"]
            status, messages = self._call(argv, f"{stem}.indent", f"{stem}.cpp")
        except StoppedError as error:
            status, messages = 1, str(error)
        if status:
            reason = messages.strip().partition("\n")[0]
            problems.append(Problem(path, f"left as cpp wrote it, indent failed: {reason}"))
            return f"{stem}.cpp"
        self._drop_blank(f"{stem}.indent")
        return f"{stem}.indent"

    def _hunks(self, path: str, sides: list[str], problems: list[Problem]) -> list[tuple[int, int]]:
        try:
            argv = [self._programs["diff"], "--text", "-w", *sides]
            status, messages = self._call(argv, f"{sides[0]}.diff")
            if status > 1:
                raise StoppedError(f"diff: {messages.strip().partition(chr(10))[0]}")
        except StoppedError as error:
            problems.append(Problem(path, f"lines compared without diff: {error}"))
            texts = (self._read(side).decode("latin-1") for side in sides)
            return differing(*(["".join(line.split()) for line in text.split("\n")] for text in texts))
        return [_sizes(match) for match in _HUNK.finditer(self._read(f"{sides[0]}.diff"))]

    def _located(self, messages: str) -> Iterator[Problem]:
        for match, _ in zip(_MESSAGE.finditer(messages), range(MAX_MESSAGES), strict=False):
            yield Problem(f"{self._paths[int(match[1])]}:{match[2]}", f"cpp: {match[3]}")

    def _read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def _drop_blank(self, name: str) -> None:
        lines = self._read(name).split(b"\n")
        (self.folder / name).write_bytes(b"".join(line + b"\n" for line in lines if line.strip()))

    def _version(self, name: str) -> str:
        """Return the first line of a program's version; raises MissingToolError if it is another program."""
        program = self._programs[name]
        self._call([program, "--version"], "version")
        version = self._read("version").decode("utf-8", "replace")
        suitable = "GNU" in version
        if name == "cpp":
            (self.folder / "probe.c").touch()
            status, _ = self._call([program, *_OPTIONS, *_SAFETY, _DIALECT, "probe.c"], "probe")
            suitable = status == 0
        if not suitable:
            raise MissingToolError(
                f"{program!r} is not the GNU program for x86 that is needed: "
                f"install the Debian package {_PACKAGES[name]!r}, or measure without the original pipeline"
            )
        return version.partition("\n")[0]

    def _call(self, argv: list[str], output: str, source: str = os.devnull) -> tuple[int, str]:
        """Run a program with output to a file; return its status and messages, or raise StoppedError."""
        errors = self.folder / f"{output}-messages"
        with (
            open(self.folder / output, "wb") as out,
            open(errors, "wb") as err,
            open(self.folder / source, "rb") as given,
            subprocess.Popen(
                [*self._limits, *argv],
                stdin=given,
                stdout=out,
                stderr=err,
                cwd=self.folder,
                env=_environment(),
                process_group=0,
            ) as process,
        ):
            self._running.add(process)
            try:
                if self._closed:
                    raise StoppedError("interrupted")
                status = process.wait(TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                raise StoppedError(f"did not end within {TIMEOUT_SECONDS} s") from None
            finally:
                _end(process)
                self._running.discard(process)
        if status < 0:
            raise StoppedError(f"stopped by {signal.Signals(-status).name}")
        with open(errors, "rb") as written:
            return status, written.read(1 << 16).decode("utf-8", "replace")


def sanitised(sources: Sources, path: str, names: Mapping[str, str]) -> bytes:
    """Return what cpp is given for a file: no comments, no splices, only includes of numbered files.

    Every line keeps its number. `names` are the numbered files by path.
    """
    parsed = sources.parsed(path)
    bounds = pairwise([*(item.offset for item in parsed.items), len(parsed.text)])
    parts = []
    for item, (start, end) in zip(parsed.items, bounds, strict=True):
        raw = parsed.text[start:end]
        if item.name is None:
            parts.append("\n".join(map(_unspliced, raw.split("\n"))))
        else:
            parts.append(_directive(sources, path, item, names) + "\n" * (1 + raw.count("\v")))
    return "".join(parts).encode("latin-1")


def _unspliced(line: str) -> str:
    return line.replace("\v", "") + "\n" * line.count("\v")


def _directive(sources: Sources, path: str, item: Item, names: Mapping[str, str]) -> str:
    if item.includes:
        target = sources.target(path, item.text)
        return f'#include "{names[target]}"' if target else ""
    if item.name not in _KEPT or (item.name == "pragma" and _FILE_PRAGMA.search(item.text)):
        return ""
    return f"#{item.name}{item.text}"


def _name(number: int, path: str) -> str:
    return f"{number:06d}.{'S' if is_assembler(path) else 'c'}"


def _sizes(match: re.Match[bytes]) -> tuple[int, int]:
    """Return how many lines of both sides a hunk has, from its header such as ``5,7c5`` or ``8a9``."""
    first, first_end, kind, second, second_end = match.groups()
    without = int(first_end or first) - int(first) + 1 if kind != b"a" else 0
    with_ = int(second_end or second) - int(second) + 1 if kind != b"d" else 0
    return without, with_


def _find(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingToolError(
            f"{name!r} is not installed: install the Debian package {_PACKAGES[name]!r}, "
            "or measure without the original pipeline"
        )
    return found


def _limits() -> tuple[str, ...]:
    found = shutil.which("prlimit")
    if found is None:
        return ()
    return (found, f"--as={MAX_MEMORY_BYTES}", f"--fsize={MAX_OUTPUT_BYTES}", "--core=0", "--")


def _environment() -> dict[str, str]:
    """Return the programs' whole environment: nothing else of the user's (CPATH) reaches them."""
    return {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath), "SOURCE_DATE_EPOCH": "0"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program that still runs and those that it started (cpp starts the compiler proper)."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
