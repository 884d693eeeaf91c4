"""Census profiles: which names or patterns are which lock operations. Profiles are data (TOML).

A profile has one of two styles. ``tokens``: names of functions and macros by kind and role, found outside
comments and strings. ``lines``: one pattern per kind, and matching lines are counted as grep does.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

import bracex
import msgspec

from lockscape.errors import InputError, reason_of
from lockscape.inputs import read_file
from lockscape.source.select import FileSet

ROLES = ("acquire", "try", "release", "query", "init", "declare")
"""What a call does with a lock. The first three are lock operations, as counted in Table 2."""

OPERATIONS = ROLES[:3]
"""Roles that operate on a lock: what a census counts."""

BUNDLED = ("paper", "linux", "freebsd", "mach", "xen")
"""Profiles that come with lockscape."""

_ENTRY = re.compile(r"([A-Za-z_][A-Za-z0-9_]+)(?:\((.+)\))?")


class Files(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file set in a profile: glob patterns as in `FileSet`."""

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()

    def file_set(self) -> FileSet:
        """Return the compiled set."""
        return FileSet(self.include, self.exclude)


class FootprintDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which files and macros a footprint takes by default: `define` against `against`."""

    include: tuple[str, ...]
    define: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"try_": "try"}):
    """A kind of lock. Style ``tokens``: names by role, braces expand, ``name(argument)`` asks for the first
    argument. Style ``lines``: `pattern`, and `exclude`, the files that implement the kind.
    """

    id: str
    title: str
    pattern: str | None = None
    exclude: tuple[str, ...] = ()
    acquire: tuple[str, ...] = ()
    try_: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    init: tuple[str, ...] = ()
    declare: tuple[str, ...] = ()

    def entries(self) -> Iterator[tuple[str, str]]:
        """Yield (role, entry) for every name, braces expanded."""
        for role in ROLES:
            for pattern in getattr(self, "try_" if role == "try" else role):
                for entry in bracex.expand(pattern):
                    yield role, entry


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the kinds that also count without parentheses, in `files` only (assembler macros)."""

    names: tuple[str, ...]
    files: tuple[str, ...]


class Operation(msgspec.Struct, frozen=True):
    """One name of a profile: what its call means. `argument` is the first argument it asks for, or None."""

    name: str
    argument: str | None
    kind: str
    role: str


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A census profile. `detect` are paths that a tree of this family has, for choosing by itself."""

    id: str
    title: str
    style: Literal["tokens", "lines"]
    description: str
    source: str
    files: Files
    kinds: tuple[Kind, ...]
    detect: tuple[str, ...] = ()
    headers: Literal["include", "tree"] = "include"
    """Where a header's wrappers are visible, see `lockscape.source.wrappers`."""
    footprint: FootprintDefaults | None = None
    words: Words | None = None

    def operations(self) -> tuple[Operation, ...]:
        """Return every name by (kind, role), in the profile's order."""
        found: list[Operation] = []
        for kind in self.kinds:
            for role, entry in kind.entries():
                match = _ENTRY.fullmatch(entry)
                if match is None:
                    raise InputError(
                        f"profile {self.id!r}, kind {kind.id!r}: {entry!r} is not a C name or NAME(ARGUMENT)"
                    )
                found.append(Operation(match[1], match[2], kind.id, role))
        return tuple(found)


def load_profile(name: str) -> Profile:
    """Return a bundled profile by name, or the one in a ``.toml`` file.

    Raises InputError for an unknown name, a file that cannot be read and a profile that makes no sense.
    """
    if name in BUNDLED:
        return _bundled(name)
    if not name.endswith(".toml"):
        raise InputError(f"no profile {name!r}: give one of {', '.join(BUNDLED)} or a FILE.toml")
    try:
        text = read_file(Path(name)).decode()
    except OSError as error:
        raise InputError(f"profile {name!r} cannot be read: {reason_of(error)}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"profile {name!r} is not UTF-8 text: {error}") from error
    return _parse(text, name)


@cache
def _bundled(name: str) -> Profile:
    text = (resources.files("lockscape.source") / "profiles" / f"{name}.toml").read_text("utf-8")
    return _parse(text, name)


def detect_profile(paths: Iterable[str]) -> str | None:
    """Return the profile whose `detect` files are among `paths`, at the top first, then deeper; else None."""
    seen = set(paths)
    for deep in (False, True):
        for name in BUNDLED:
            for mark in load_profile(name).detect:
                if mark in seen or (deep and any(path.endswith(f"/{mark}") for path in seen)):
                    return name
    return None


def _parse(text: str, name: str) -> Profile:
    try:
        profile = msgspec.convert(tomllib.loads(text), Profile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"profile {name!r} is not valid: {error}") from error
    ids = [kind.id for kind in profile.kinds]
    if not ids:
        raise InputError(f"profile {name!r} has no [[kinds]]: give at least one")
    if len(ids) != len(set(ids)):
        raise InputError(
            f"profile {name!r} names a kind twice: {', '.join(sorted({i for i in ids if ids.count(i) > 1}))}"
        )
    for kind in profile.kinds:
        _check_kind(profile, kind, name)
    unknown = set(profile.words.names if profile.words else ()) - {o.name for o in profile.operations()}
    if unknown:
        raise InputError(
            f"profile {name!r}: words {', '.join(sorted(unknown))!r} are names of no kind: add them to one"
        )
    seen: dict[tuple[str, str | None], Operation] = {}
    for operation in profile.operations():
        other = seen.setdefault((operation.name, operation.argument), operation)
        if other is not operation:
            raise InputError(
                f"profile {name!r}: {operation.name!r} is both {other.kind} {other.role} and "
                f"{operation.kind} {operation.role}: name it once"
            )
    return profile


def _check_kind(profile: Profile, kind: Kind, name: str) -> None:
    if profile.style == "lines":
        if kind.pattern is None:
            raise InputError(f"profile {name!r}, kind {kind.id!r}: style 'lines' needs a pattern")
        try:
            re.compile(kind.pattern.encode())
        except re.error as error:
            raise InputError(
                f"profile {name!r}, kind {kind.id!r}: pattern {kind.pattern!r} is not valid: {error}"
            ) from error
    elif kind.pattern is not None or not any(True for _ in kind.entries()):
        raise InputError(
            f"profile {name!r}, kind {kind.id!r}: style 'tokens' needs names by role and no pattern"
        )
