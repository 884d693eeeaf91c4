"""A recorded result and the same made again: read, compared value by value, judged."""

import json
from collections.abc import Collection, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from lockscape.errors import InputError, reason_of
from lockscape.inputs import read_file
from lockscape.report.manifest import InputRecord, PackageRecord, TreeRecord

LARGEST = 1 << 28
"""Bytes of a document that is read: all 22 systems on 1,024 processors are a tenth of that."""

MOST_DIFFERENCES = 1000
"""Differences that are kept; further ones are counted."""

LONGEST = 200
"""Characters of a value that are kept."""

NOT_COMPARED: dict[str, dict[str, str]] = {
    "simulate": {
        "systems[].points[].host_s": "how long a run took on the machine that made it",
        "systems[].points[].kept": "whether a run was taken from an earlier one",
    },
    "study": {"map.manifest": "when the map was made, and how long that took"},
    "sweep": {
        "file": "where the rows were written",
        "made": "how many runs were made",
        "kept": "how many runs were taken from earlier ones",
    },
}
"""What of a document is not the same twice by its nature, by the kind of document, with what it says."""

ABOUT: dict[str, str] = {
    "figure2": "The samples come with lockscape: --check runs some again.",
    "study": "What the document calls records comes with lockscape: it says how to make that again.",
    "table1": "The measurements come with lockscape: --check makes some again.",
    "laws": "A fit is made in floating point: on another kind of machine its last digits may differ.",
}
"""What the word identical does not say, by the kind of document."""


class RecordedManifest(msgspec.Struct, frozen=True):
    """A manifest as any version may have written it. `inputs`: None if it did not record them."""

    lockscape: str
    command: tuple[str, ...]
    started: str = ""
    python: str = ""
    platform: str = ""
    trees: tuple[TreeRecord, ...] = ()
    inputs: tuple[InputRecord, ...] | None = None
    packages: tuple[PackageRecord, ...] = ()


class _Header(msgspec.Struct, frozen=True):
    document: str
    manifest: RecordedManifest


class Result(NamedTuple):
    """A document: its kind, how it came about, and all of it as dictionaries, lists, texts and numbers."""

    kind: str
    manifest: RecordedManifest
    content: dict[str, Any]


class Difference(msgspec.Struct, frozen=True):
    """A place where two documents differ, with both values as JSON; null where one has nothing."""

    where: str
    recorded: str | None
    now: str | None


class ChangedInput(msgspec.Struct, frozen=True):
    """A tree, a file or a package that was used, and is another one now: its identities, null if unused."""

    name: str
    recorded: str | None
    now: str | None


class Comparison(NamedTuple):
    """What two documents have in common: `values` compared, places that differ (`differing` in all), places
    that were not compared."""

    values: int
    differences: tuple[Difference, ...]
    differing: int
    inputs: tuple[ChangedInput, ...]
    skipped: tuple[str, ...]


def read_result(path: Path) -> Result:
    """Return the document in a file. Raises `InputError` for what is none."""
    try:
        content = read_file(path, LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: {reason_of(error)}; give the --json of a command") from error
    if len(content) > LARGEST:
        raise InputError(f"{path}: more than {LARGEST:,} bytes: no document of lockscape")
    return parse_result(content, str(path))


def parse_result(content: bytes | str, name: str) -> Result:
    """Return the document in a text. Raises `InputError`, naming it, for what is none."""
    try:
        data = json.loads(content)
        header = msgspec.convert(data, _Header)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{name}: no document of lockscape: {error}; give the --json of a command"
        ) from error
    assert isinstance(data, dict), "or it were no header"
    return Result(header.document, header.manifest, data)


def compared(recorded: Result, now: Result) -> Comparison:
    """Compare two documents in all but their manifests and what is `NOT_COMPARED`.

    Raises `InputError` for one that is nested too deeply.
    """
    walk = _Walk(NOT_COMPARED.get(recorded.kind, ()))
    found: list[Difference] = []
    count = 0
    try:
        for difference in walk.differences(_body(recorded), _body(now), "", ""):
            count += 1
            if len(found) < MOST_DIFFERENCES:
                found.append(difference)
    except RecursionError as error:
        raise InputError("a document that is nested so deeply is none of lockscape's") from error
    inputs = tuple(changed_inputs(recorded.manifest, now.manifest))
    return Comparison(walk.values, tuple(found), count, inputs, tuple(walk.skipped))


def _body(result: Result) -> dict[str, Any]:
    return {name: value for name, value in result.content.items() if name != "manifest"}


_ABSENT: Any = object()


class _Walk:
    """Goes through two documents side by side. `skip`: places to leave out, ``[]`` for any number; `skipped`:
    those of them that were met."""

    def __init__(self, skip: Collection[str]) -> None:
        self.skip = skip
        self.skipped: dict[str, None] = {}
        self.values = 0

    def differences(self, old: Any, new: Any, where: str, kind: str) -> Iterator[Difference]:
        """Yield the differences at a place, `where` and by its `kind`, and below it."""
        if kind in self.skip:
            self.skipped[kind] = None
            return
        if isinstance(old, dict) and isinstance(new, dict):
            dot = "." if where else ""
            for name in dict.fromkeys((*old, *new)):
                pair = old.get(name, _ABSENT), new.get(name, _ABSENT)
                yield from self.differences(*pair, f"{where}{dot}{name}", f"{kind}{dot}{name}")
        elif isinstance(old, list) and isinstance(new, list):
            for number, pair in enumerate(zip_longest(old, new, fillvalue=_ABSENT)):
                yield from self.differences(*pair, f"{where}[{number}]", f"{kind}[]")
        else:
            self.values += 1
            if not _same(old, new):
                yield Difference(where, _text(old), _text(new))


def _same(old: Any, new: Any) -> bool:
    return type(old) is type(new) and (old == new or (old != old and new != new))  # two that are no number


def _text(value: Any) -> str | None:
    if value is _ABSENT:
        return None
    text = json.dumps(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def changed_inputs(recorded: RecordedManifest, now: RecordedManifest) -> Iterator[ChangedInput]:
    """Yield the trees, packages and files that both manifests tell of, and that are not the same."""
    trees = [[(tree.origin, tree.identity) for tree in each.trees] for each in (recorded, now)]
    yield from _changed(dict(trees[0]), dict(trees[1]))
    packages = [{f"package {e.name}": e.sha256 for e in known.packages} for known in (recorded, now)]
    yield from _changed(*packages)
    if recorded.inputs is not None:
        files = [{each.name: each.sha256 for each in known.inputs or ()} for known in (recorded, now)]
        yield from _changed(*files)


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[ChangedInput]:
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield ChangedInput(name, old.get(name), new.get(name))
