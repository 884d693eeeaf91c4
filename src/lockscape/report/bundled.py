"""Measurements per file: those of the study's four kernels come with the package, as JSON.

The figures of the tables are sums over these rows. `tools/record_measurements.py` writes the files in
`measured` by running lockscape; nothing in them is typed in by hand.
"""

from collections.abc import Iterator
from functools import cache
from importlib import resources

import msgspec

from lockscape import catalog
from lockscape.catalog import CodeChange
from lockscape.errors import InputError
from lockscape.report.manifest import Unread

FORMAT = 1
"""Raised when the files in `measured` change their form; they are then recorded again."""


class MeasuredFile(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One file: its size in bytes, its SHA-256 (hexadecimal), and what was counted in it.

    `counts` are lock operations by kind, one mapping per profile; a kind without any is left out. `lines` are
    (lines without, lines with, changed lines), one triple per method, or None for a file that is not in the
    footprint's set.
    """

    path: str
    bytes: int
    sha256: str
    counts: tuple[dict[str, int], ...]
    lines: tuple[tuple[int, int, int], ...] | None


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What lockscape counted in one tree. `label` is its version, such as ``2.4.31``, or its name.

    `identity` and `commit` are those of `lockscape.source.scan.TreeInfo`, for the files that were counted.
    `profiles` and `methods` say what `counts` and `lines` of the files hold; `kinds` are each profile's, with
    their titles. `tools` are the versions of the programs behind the method ``cpp``.
    """

    format: int
    label: str
    lockscape: str
    identity: str
    commit: str | None
    profiles: tuple[str, ...]
    kinds: tuple[dict[str, str], ...]
    methods: tuple[str, ...]
    define: dict[str, str]
    against: dict[str, str]
    tools: dict[str, str]
    patterns_without_files: tuple[str, ...]
    problems: tuple[Unread, ...]
    files: tuple[MeasuredFile, ...]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)

    def counts(self, profile: str) -> dict[str, int]:
        """Return the lock operations of a profile by kind, over all files."""
        at = self.profiles.index(profile)
        return {kind: sum(file.counts[at].get(kind, 0) for file in self.files) for kind in self.kinds[at]}

    def change(self, method: str) -> CodeChange | None:
        """Return the row of Table 3 by a method of the footprint, or None if its set has no lines here."""
        at = self.methods.index(method)
        rows = [file.lines[at] for file in self.files if file.lines is not None]
        without, with_, changed = (sum(row[column] for row in rows) for column in range(3))
        if not without:
            return None
        return CodeChange(self.label, len(rows), sum(row[2] > 0 for row in rows), without, with_, changed)


@cache
def bundled() -> tuple[Measurement, ...]:
    """Return the measurements of the study's kernels, in the order of Table 2."""
    return tuple(_load(version.measured) for version in catalog.versions())


def _load(version: str) -> Measurement:
    path = resources.files("lockscape.report") / "measured" / f"{version}.json"
    try:
        return decode(path.read_bytes())
    except (OSError, InputError) as error:
        raise InputError(
            f"the measurements of Linux {version} that come with lockscape cannot be read: install it again "
            f"({error})"
        ) from error


def decode(content: bytes) -> Measurement:
    """Return the measurement in a file's content; raises InputError for what `encode` did not write."""
    try:
        found = msgspec.json.decode(content, type=Measurement)
    except msgspec.DecodeError as error:
        raise InputError(f"not a measurement: {error}") from error
    if found.format != FORMAT:
        raise InputError(f"a measurement of format {found.format}: this lockscape reads {FORMAT}")
    return found


def encode(measurement: Measurement) -> bytes:
    """Return a measurement as JSON, one line per field and per file, so that differences are readable."""
    return "".join(_lines(msgspec.to_builtins(measurement))).encode()


def _lines(fields: dict[str, object]) -> Iterator[str]:
    text = {name: msgspec.json.encode(value).decode() for name, value in fields.items()}
    files = fields["files"]
    assert isinstance(files, tuple | list)
    rows = ",\n".join(msgspec.json.encode(row).decode() for row in files)
    text["files"] = f"[\n{rows}\n]"
    yield "{\n" + ",\n".join(f'"{name}":{value}' for name, value in text.items()) + "\n}\n"
