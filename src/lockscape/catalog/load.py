"""Reads the catalogue's data files, and reports bad data in one line: file, entry, field and reason."""

import tomllib
from functools import cache
from typing import Any, TypeVar

import msgspec

from lockscape.errors import InputError

_T = TypeVar("_T", bound=msgspec.Struct)

LABELS = ("id", "number", "published", "system")
"""The fields that can name an entry in a message, in order of preference."""

FILES = {
    "methods.toml": ("methods",),
    "systems.toml": ("systems", "common_costs"),
    "references.toml": ("references",),
    "tables.toml": ("table1", "table2", "table3", "versions", "releases"),
    "findings.toml": ("findings", "claims"),
    "figures.toml": ("figures",),
    "beyond.toml": ("systems",),
}
"""The data files and what each holds at its top level."""


class Document:
    """A data file as plain values, every string on one line; entries are converted on request."""

    def __init__(self, file: str, content: bytes) -> None:
        """Read TOML; raises InputError, naming `file`, for what is not UTF-8 or not TOML."""
        self.file = file
        try:
            self._values: dict[str, Any] = _one_line(tomllib.loads(content.decode()))
        except ValueError as error:
            raise InputError(f"{file}: not a TOML file in UTF-8: {' '.join(str(error).split())}") from error

    def only(self, *keys: str) -> None:
        """Raise InputError unless the file's top level holds exactly `keys`."""
        for key in self._values:
            if key not in keys:
                raise InputError(f"{self.file}: unknown key {key!r}: expected {', '.join(keys)}")
        for key in keys:
            if key not in self._values:
                raise InputError(f"{self.file}: {key} is missing")

    def entry(self, key: str, kind: type[_T]) -> _T:
        """Return the table `key` as `kind`."""
        return self._convert(self._values[key], kind, key)

    def entries(self, key: str, kind: type[_T]) -> tuple[_T, ...]:
        """Return the array of tables `key`, each as `kind`."""
        found = self._values[key]
        if not isinstance(found, list):
            raise InputError(f"{self.file}: {key} must be an array of tables: write [[{key}]]")
        return tuple(self._convert(raw, kind, f"{key} {_label(raw, at)}") for at, raw in enumerate(found))

    def _convert(self, raw: object, kind: type[_T], where: str) -> _T:
        """Convert one value, or raise InputError naming the file, the entry and the field."""
        try:
            return msgspec.convert(raw, kind, strict=True)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `$")
            field = f"field {path.strip('.`')}: " if path.strip(".`") else ""
            raise InputError(f"{self.file}: {where}: {field}{' '.join(reason.split())}") from error


def _label(raw: object, at: int) -> str:
    """Return what names an entry: its id or number, else its position, counted from 1."""
    if isinstance(raw, dict):
        for name in LABELS:
            if name in raw:
                return repr(raw[name])
    return f"entry {at + 1}"


def _one_line(value: Any) -> Any:
    """Return `value` with every run of white space in its strings made one space.

    Prose is wrapped in the data files for their readers; nothing in the catalogue has more than one line.
    """
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list):
        return [_one_line(item) for item in value]
    if isinstance(value, dict):
        return {key: _one_line(item) for key, item in value.items()}
    return value


@cache
def bundled(file: str) -> Document:
    """Return a data file of the package, wherever that is installed."""
    from importlib import resources  # here, because it costs the start of every command some milliseconds

    path = resources.files("lockscape.catalog") / "data" / file
    document = Document(file, path.read_bytes())
    document.only(*FILES[file])
    return document
