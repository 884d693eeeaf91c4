"""PostMark's own configuration files: commands, one a line, as its prompt takes them.

A line is a command if it begins with the command's name. PostMark takes what follows one character later as
the command's argument, and guesses where that makes no sense: ``set size10`` sets nothing, ``set size 10k``
sets 10, ``set bias read often`` sets 0. Here every accepted line means what it means to PostMark, and a
line that PostMark would not understand, would ignore in part or would misread is an InputError that names
the line. A line that only does nothing (empty, or after ``quit``) is reported among the problems.

Nothing is executed or written: shell escapes (``!command``) are refused, and files to write are passed over.
``load`` reads files in the folder of the first one, or below, and nowhere else (PostMark: in the current
folder). ``quit`` ends only the file that it is in. PostMark overruns its buffers when a path has about a
hundred characters; here a line may have MAX_LINE_CHARACTERS.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from lockscape.errors import InputError, reason_of
from lockscape.inputs import read_file
from lockscape.workloads.postmark import Location, PostmarkOptions, check_runnable

COMMANDS = (
    "set size",
    "set number",
    "set seed",
    "set transactions",
    "set location",
    "set subdirectories",
    "set read",
    "set write",
    "set buffering",
    "set bias read",
    "set bias create",
    "set report",
    "run",
    "load",
    "show",
    "help",
    "quit",
)
"""PostMark's commands, in its order: a line is the first that it begins with."""

MAX_LINES = 10_000
"""Lines that are read, over all loaded files, before the commands are refused."""
MAX_BYTES = 1_000_000
"""Bytes of them."""

_MAX_DEPTH = 16
MAX_LINE_CHARACTERS = 4096
"""Of a line, before it is refused."""

_NUMBERS = {
    "set number": "files",
    "set seed": "seed",
    "set transactions": "transactions",
    "set subdirectories": "subdirectories",
    "set read": "read_block_bytes",
    "set write": "write_block_bytes",
    "set bias read": "read_bias",
    "set bias create": "create_bias",
}
"""The commands that take one number, and the option that it is."""

_NUMBER = re.compile(r" *([+-]?[0-9]{1,10}) *")
_SIZES = re.compile(r"\+?([0-9]{1,10})(?: +\+?([0-9]{1,10}))? *")
_WEIGHTED = re.compile(r"\+?(.*?)(?: \+?([0-9]{1,10}))?")


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the ``set`` commands set: the options of the stream, and the format of the report."""

    options: PostmarkOptions = PostmarkOptions()
    terse: bool = False


class Commands(NamedTuple):
    """What a file asks for: the settings of each ``run``, those at its end, and what is wrong with lines that
    do nothing."""

    runs: tuple[Configuration, ...]
    configuration: Configuration
    problems: tuple[str, ...]


def read_commands(path: Path) -> Commands:
    """Read a configuration file and those it loads. Raises InputError as the module says."""
    path = _inside(Path("/"), str(path.absolute()), "the configuration file")
    parser = _Parser(path.parent)
    parser.file(path, repr(str(path)), ())
    return parser.result()


def commands_of(options: PostmarkOptions) -> str:
    """Return the commands that set `options` in PostMark, a line each."""
    lines = [
        f"set size {options.size_low_bytes} {options.size_high_bytes}",
        f"set number {options.files}",
        f"set transactions {options.transactions}",
        f"set seed {options.seed}",
        f"set read {options.read_block_bytes}",
        f"set write {options.write_block_bytes}",
        f"set bias read {options.read_bias}",
        f"set bias create {options.create_bias}",
        f"set buffering {'true' if options.buffered else 'false'}",
    ]
    lines += [f"set location +{location.path} {location.weight}" for location in options.locations]
    if options.subdirectories:
        lines.append(f"set subdirectories {options.subdirectories}")
    return "".join(f"{line}\n" for line in lines)


class _Parser:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._configuration = Configuration()
        self._runs: list[Configuration] = []
        self._problems: list[str] = []
        self._lines = self._bytes = 0

    def result(self) -> Commands:
        return Commands(tuple(self._runs), self._configuration, tuple(self._problems))

    def file(self, path: Path, where: str, parents: tuple[Path, ...]) -> None:
        """Read the file at `path`, which the line `where` asks for."""
        left = MAX_BYTES - self._bytes
        try:
            if not path.is_file():
                raise InputError(f"{where}: {path.name!r} is no file: name a PostMark configuration file")
            content = read_file(path, left + 1)
        except OSError as error:
            raise InputError(f"{where}: {path.name!r} cannot be read: {reason_of(error)}") from error
        if len(content) > left:
            raise InputError(f"{where}: more than {MAX_BYTES} bytes, with all that is loaded: write fewer")
        self._bytes += len(content)
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: {path.name!r} is not UTF-8 text: {error}") from error
        self.text(text, path.name, (*parents, path))

    def text(self, text: str, name: str, parents: tuple[Path, ...]) -> None:
        """Read one file's `text`; `parents` are this file and those that loaded it."""
        lines = text.removesuffix("\n").split("\n") if text else []
        for number, line in enumerate(lines, 1):
            where = f"{name}, line {number}"
            self._lines += 1
            if self._lines > MAX_LINES:
                raise InputError(
                    f"{where}: more than {MAX_LINES} lines, with all that is loaded: write fewer"
                )
            if not line:
                self._problems.append(f"{where}: empty, to which PostMark answers 'Eh?': remove it")
            elif self._line(line, where, parents):
                if number < len(lines):
                    self._problems.append(
                        f"{where}: quit: the {len(lines) - number} lines after it are not read"
                    )
                return

    def _line(self, line: str, where: str, parents: tuple[Path, ...]) -> bool:
        """Obey one line; return whether it ends its file."""
        where = f"{where}: {_quoted(line)}"
        command, argument = _split(line, where)
        if command in _NUMBERS:
            number = _number(argument, where)
            if command == "set subdirectories" and not number:
                raise InputError(f"{where}: PostMark refuses 0: write 1, which means none as well")
            self._set(where, **{_NUMBERS[command]: number})
        elif command in _SETTERS:
            if not argument:
                raise InputError(f"{where}: nothing is set: {_EXPECTED[command]}")
            _SETTERS[command](self, argument, where)
        elif command == "load":
            self._load(argument, where, parents)
        elif command == "run":
            _file_name(argument, where)
            _at(where, check_runnable, self._configuration.options)
            self._runs.append(self._configuration)
        elif command == "show":
            _file_name(argument, where)
        elif argument is not None:
            raise InputError(f"{where}: PostMark ignores what follows: write only {command}")
        return command == "quit"

    def _set(self, where: str, **changes: Any) -> None:
        options = _at(where, msgspec.structs.replace, self._configuration.options, **changes)
        self._configuration = msgspec.structs.replace(self._configuration, options=options)

    def _size(self, argument: str, where: str) -> None:
        match = _SIZES.fullmatch(argument)
        if match is None:
            raise InputError(f"{where}: {_EXPECTED['set size']}")
        low = int(match[1])
        high = int(match[2] or low)
        if high < low:
            raise InputError(
                f"{where}: {high} is below {low}, and PostMark takes {low} for both: write them in order"
            )
        self._set(where, size_low_bytes=low, size_high_bytes=high)

    def _location(self, argument: str, where: str) -> None:
        locations = self._configuration.options.locations
        if argument[0] == "-":
            if argument[1:] not in [location.path for location in locations]:
                raise InputError(f"{where}: there is no such location to remove: add it first with +PATH")
            kept = tuple(location for location in locations if location.path != argument[1:])
            self._set(where, locations=kept)
            return
        match = _WEIGHTED.fullmatch(argument)
        if match is None or match[1] != match[1].strip() or (" " in match[1] and match[2] is None):
            raise InputError(f"{where}: {_EXPECTED['set location']}")
        added = (Location(match[1], int(match[2] or 1)),)
        self._set(where, locations=locations + added if argument[0] == "+" else added)

    def _buffering(self, argument: str, where: str) -> None:
        self._set(where, buffered=_choice(argument, ("false", "true"), where) == "true")

    def _report(self, argument: str, where: str) -> None:
        terse = _choice(argument, ("verbose", "terse"), where) == "terse"
        self._configuration = msgspec.structs.replace(self._configuration, terse=terse)

    def _load(self, argument: str | None, where: str, parents: tuple[Path, ...]) -> None:
        name = _file_name(argument, where)
        if name is None:
            raise InputError(f"{where}: nothing is loaded: name a file")
        path = _inside(self._folder, name, where)
        if path in parents or len(parents) >= _MAX_DEPTH:
            raise InputError(
                f"{where}: that file loads itself, or is loaded {_MAX_DEPTH} deep: remove the line"
            )
        self.file(path, where, parents)


_SETTERS: Mapping[str, Callable[[_Parser, str, str], None]] = {
    "set size": _Parser._size,
    "set location": _Parser._location,
    "set buffering": _Parser._buffering,
    "set report": _Parser._report,
}

_EXPECTED = {
    "set size": "give one or two whole numbers of bytes, with a space before each",
    "set location": "give PATH or +PATH, and a space and a weight of at least 1 if you like; or -PATH",
    "set buffering": "give true or false",
    "set report": "give verbose or terse",
}


def _split(line: str, where: str) -> tuple[str, str | None]:
    """Return the command and what follows it after one space; None if nothing does."""
    if len(line) > MAX_LINE_CHARACTERS:
        raise InputError(f"{where}: longer than {MAX_LINE_CHARACTERS} characters: shorten it")
    if not line.isprintable():
        raise InputError(f"{where}: control characters: write spaces for tabs, and end lines as on Unix")
    if line.startswith("!"):
        raise InputError(f"{where}: shell commands are never executed here: remove the line")
    for command in COMMANDS:
        if line.startswith(command):
            rest = line.removeprefix(command)
            if rest and not rest.startswith(" "):
                raise InputError(
                    f"{where}: PostMark skips what follows {command!r} directly: write a space there"
                )
            return command, rest[1:] if rest else None
    raise InputError(f"{where}: no command, and PostMark answers 'Eh?': give one of {', '.join(COMMANDS)}")


def _number(argument: str | None, where: str) -> int:
    match = _NUMBER.fullmatch(argument or "")
    if match is None:
        raise InputError(f"{where}: give one whole number of at most 10 digits")
    return int(match[1])


def _choice(argument: str, choices: tuple[str, ...], where: str) -> str:
    if argument not in choices:
        raise InputError(f"{where}: give {' or '.join(choices)}, and nothing after it")
    return argument


def _file_name(argument: str | None, where: str) -> str | None:
    if argument is None:
        return None
    if not argument or argument != argument.strip():
        raise InputError(f"{where}: the name of the file begins or ends with a space, or is empty: mend it")
    return argument


def _inside(folder: Path, name: str, where: str) -> Path:
    """Return the path of `name` in `folder`, links followed, or raise InputError if that is elsewhere."""
    try:
        path, home = (folder / name).resolve(), folder.resolve()
    except (OSError, RuntimeError) as error:  # a name too long, links in a circle
        raise InputError(f"{where}: {name!r} cannot be found: name a file near the first one") from error
    if not path.is_relative_to(home):
        raise InputError(f"{where}: that is outside the folder of the first file: move it there")
    return path


def _at(where: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call `function`; what it refuses, refuse with the line."""
    try:
        return function(*arguments, **options)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _quoted(line: str) -> str:
    return repr(line if len(line) <= 80 else f"{line[:77]}...")
