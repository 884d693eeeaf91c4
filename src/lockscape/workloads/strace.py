"""Reads what ``strace -f -ttt -T`` writes: the system calls of each process, with their times.

Both forms are read: to a file with ``-o`` (each line begins with the process' number) and to the terminal
(``[pid N]``, and no number while there is one process). Calls that another process' line interrupts come in
two parts, ``<unfinished ...>`` and ``<... resumed>``; they are put together. What cannot be understood is
counted, never skipped in silence.
"""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lockscape.errors import InputError
from lockscape.inputs import open_file

MOST_EXAMPLES = 5
"""Lines kept of those that were not understood."""

MOST_CHARACTERS = 1 << 20
"""A longer line is not looked into: strace cuts texts after 32 characters unless told otherwise."""

_HEAD = re.compile(r"(?:\[pid +(\d{1,10})\] +|(\d{1,10}) +)?(\d{1,12})\.(\d{6}) (.*)", re.DOTALL | re.ASCII)
_NAME = re.compile(r"([a-z_][a-z0-9_]{0,63})\(", re.ASCII)
_RESUMED = re.compile(r"<\.\.\. ([a-z_][a-z0-9_]{0,63}) resumed>(?: |(?=[^ ]))?", re.ASCII)
_END = re.compile(
    r"\s*= (?P<value>\?|-?\d{1,20}|0x[0-9a-fA-F]{1,16})"
    r"(?P<text>(?: .*?)??)(?: <(?P<took>\d{1,9}\.\d{6})>)?\s*",
    re.DOTALL | re.ASCII,
)
_ERROR = re.compile(r" (E[A-Z0-9]+)\b", re.ASCII)
_SIGNAL = re.compile(r"--- (?:stopped by )?([A-Z0-9_+]+)(?: .*)?---", re.DOTALL | re.ASCII)
_EXIT = re.compile(
    r"\+\+\+ (exited with \d{1,10}|killed by [A-Z0-9_+]+|superseded by execve)\b.*\+\+\+", re.ASCII
)
_MESSAGE = re.compile(
    r"(?:(?:/[\w.+-]+)*/)?strace: (?:Process \d{1,10} (?:attached|detached)|\[ .* \])$", re.ASCII
)
_UNFINISHED = re.compile(r"\s*<(?:unfinished|detached) \.\.\.>\s*$", re.ASCII)

_OPENING, _CLOSING = "([{", ")]}"

BEGETTING = frozenset({"fork", "vfork", "clone", "clone3"})
"""Calls whose result is the number of a new process."""


@dataclass(frozen=True, slots=True)
class Call:
    """A system call. `begun_us`: microseconds of the clock; `took_us`: None if strace did not say.

    `result` is None where strace writes ``?``, or the call did not return; `error` its name, or empty.
    """

    name: str
    arguments: tuple[str, ...]
    result: int | None
    error: str
    begun_us: int
    took_us: int | None

    @property
    def end_us(self) -> int:
        """Return when it was over, as far as strace says."""
        return self.begun_us + (self.took_us or 0)


@dataclass
class Log:
    """What a file of strace says.

    `calls`: of each process, in order; 0 stands for a process whose number is not told. `parents`: who made a
    process. `signals` and `ends` are counted by name and by how. `cut`: calls that did not return, by name.
    `unread`: how many lines were not understood, `examples` the first of them with their numbers.
    """

    calls: dict[int, list[Call]] = field(default_factory=dict)
    parents: dict[int, int] = field(default_factory=dict)
    signals: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    notes: int = 0
    unread: int = 0
    examples: list[tuple[int, str]] = field(default_factory=list)

    def count(self) -> Counter[str]:
        """Return how often each call was made."""
        return Counter(call.name for calls in self.calls.values() for call in calls)


def load_strace(path: Path) -> Log:
    """Read a file. Raises `InputError` if it cannot be read, or has no system call in it."""
    try:
        with io.TextIOWrapper(open_file(path), "utf-8", "replace", "\n") as lines:
            log = read_strace(lines)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if not log.calls:
        raise InputError(f"{path}: no system call in it; make it with: strace -f -ttt -T -o FILE PROGRAM")
    return log


def read_strace(lines: Iterable[str]) -> Log:
    """Read lines of strace's output, whatever they are."""
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        if line.strip() and not reader.line(line.rstrip("\n")):
            reader.log.unread += 1
            if len(reader.log.examples) < MOST_EXAMPLES:
                reader.log.examples.append((number, line[:200].rstrip("\n")))
    return reader.finish()


@dataclass(frozen=True, slots=True)
class _Begun:
    name: str
    text: str
    begun_us: int


class _Reader:
    """Reads line after line."""

    def __init__(self) -> None:
        self.log = Log()
        self.begun: dict[int, _Begun] = {}
        self.torn = ""
        """The beginning of a line into which strace wrote a message of its own, on a terminal."""

    def line(self, line: str) -> bool:
        """Read a line; return whether it was understood."""
        torn, self.torn = self.torn, ""
        if len(torn) + len(line) > MOST_CHARACTERS:
            self.log.unread += bool(torn)
            return False
        if message := _MESSAGE.search(line):
            self.log.notes += 1
            self.torn = torn + line[: message.start()]
            return True
        head = _HEAD.fullmatch(line)
        if head is None and torn:
            head, torn = _HEAD.fullmatch(torn + line), ""
        self.log.unread += bool(torn)  # what it began never went on
        if head is None:
            return False
        pid = int(head[1] or head[2] or 0)
        return self.event(pid, int(head[3]) * 1_000_000 + int(head[4]), head[5])

    def event(self, pid: int, time_us: int, text: str) -> bool:
        """Read what a line says of a process at a time."""
        if signal := _SIGNAL.fullmatch(text):
            self.log.signals[signal[1]] += 1
        elif end := _EXIT.fullmatch(text):
            self.log.ends[end[1]] += 1
            self.never_returned(pid)
        elif resumed := _RESUMED.match(text):
            whose = self.resumes(pid, resumed[1])
            if whose is None:
                return False
            begun = self.begun.pop(whose)
            return self.whole(whose, begun.begun_us, f"{begun.text}{text[resumed.end() :]}")
        elif _UNFINISHED.search(text):
            return self.part(pid, time_us, _UNFINISHED.sub("", text))
        else:
            return self.whole(pid, time_us, text)
        return True

    def part(self, pid: int, time_us: int, text: str) -> bool:
        """A call begins, and another process' line comes before it ends."""
        name = _NAME.match(text)
        if name is None:
            return False
        self.never_returned(pid)
        self.begun[pid] = _Begun(name[1], text, time_us)
        return True

    def resumes(self, pid: int, name: str) -> int | None:
        """Return whose call of this name goes on; on a terminal the first process has a number or not."""
        if pid in self.begun:
            return pid if self.begun[pid].name == name else None
        same = [other for other, begun in self.begun.items() if begun.name == name and 0 in (pid, other)]
        return same[0] if len(same) == 1 else None

    def whole(self, pid: int, time_us: int, text: str) -> bool:
        """A call from its name to its result."""
        name = _NAME.match(text)
        split = _arguments(text, name.end()) if name else None
        end = _END.fullmatch(text, split[1]) if split else None
        if name is None or split is None or end is None:
            return False
        self.never_returned(pid)
        error = _ERROR.match(end["text"])
        took = end["took"]
        took_us = None if took is None else int(took.replace(".", ""))
        result = _number(end["value"])
        call = Call(name[1], split[0], result, error[1] if error else "", time_us, took_us)
        self.log.calls.setdefault(pid, []).append(call)
        if call.name in BEGETTING and call.result is not None and call.result > 0:
            self.log.parents.setdefault(call.result, pid)
        return True

    def never_returned(self, pid: int) -> None:
        """A process goes on, or ends, without having come back from a call: it is kept without a result."""
        begun = self.begun.pop(pid, None)
        if begun is not None:
            split = _arguments(begun.text + ")", len(begun.name) + 1)
            call = Call(begun.name, split[0] if split else (), None, "", begun.begun_us, None)
            self.log.calls.setdefault(pid, []).append(call)
            self.log.cut[begun.name] += 1

    def finish(self) -> Log:
        """The file has ended: give the first process its number if only one can be meant."""
        self.log.unread += bool(self.torn)
        for pid in list(self.begun):
            self.never_returned(pid)
        log = self.log
        first = [pid for pid in log.calls if pid and pid not in log.parents]
        if 0 in log.calls and len(first) == 1:
            root = first[0]
            merged = [*log.calls.pop(0), *log.calls[root]]
            log.calls[root] = sorted(merged, key=lambda call: call.begun_us)
            log.parents = {child: root if by == 0 else by for child, by in log.parents.items()}
        return log


def _number(text: str) -> int | None:
    """Return a result: decimal, 0x…, or octal as that of umask (022)."""
    if text == "?":
        return None
    octal = len(text) > 1 and text[0] == "0" and text.isdigit() and max(text) < "8"
    return int(text, 8) if octal else int(text, 16 if text.startswith("0x") else 10)


def _arguments(text: str, start: int) -> tuple[tuple[str, ...], int] | None:
    """Split arguments at their commas; return them, and the place behind the parenthesis that ends them."""
    found: list[str] = []
    depth, begin = 0, start
    for place, character in _outside_texts(text, start):
        if character in _OPENING:
            depth += 1
        elif character == "," and depth == 0:
            found.append(text[begin:place].strip())
            begin = place + 1
        elif character in _CLOSING:
            if depth == 0:
                last = text[begin:place].strip()
                return (*found, *([last] if last or found else [])), place + 1
            depth -= 1
    return None


def _outside_texts(text: str, start: int) -> Iterator[tuple[int, str]]:
    """Yield the characters that are in no quoted text and no comment, with their places."""
    place, length = start, len(text)
    while place < length:
        character = text[place]
        if character == '"':
            place += 1
            while place < length and text[place] != '"':
                place += 2 if text[place] == "\\" else 1
        elif character == "/" and text.startswith("/*", place):
            close = text.find("*/", place + 2)
            place = length if close < 0 else close + 1
        else:
            yield place, character
        place += 1
