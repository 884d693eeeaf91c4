"""Keeps finished runs in a folder, so that an interrupted experiment goes on where it was.

A run is kept under the digest of everything that it depends on: its specification and lockscape's own
sources. What a changed kernel, engine or plan computed is therefore never mixed with older runs.
"""

import functools
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

from lockscape.errors import InputError, reason_of
from lockscape.experiments.result import RunResult, RunSpec
from lockscape.ports.packages import owners

SOURCES = ("program", "kernel", "machine", "ports", "workloads", "experiments")
"""Rooms of the package that a result depends on; plans are part of the specification."""


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A finished run as it is kept. `host_s`: seconds that it took here."""

    key: str
    result: RunResult
    host_s: float


def default_folder() -> Path:
    """Return where runs are kept: ``runs`` in ``$LOCKSCAPE_CACHE``, else in the user's cache."""
    from platformdirs import user_cache_path

    named = os.environ.get("LOCKSCAPE_CACHE")
    return (Path(named) if named else user_cache_path("lockscape")) / "runs"


@functools.cache
def sources_digest() -> str:
    """Return the SHA-256 over the sources that a result depends on."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for room in SOURCES:
        for path in sorted((package / room).rglob("*")):
            if path.suffix in (".py", ".toml") and path.parent.name != "plans":
                digest.update(f"{path.relative_to(package).as_posix()}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def sources_of(spec: RunSpec) -> str:
    """Return the SHA-256 over lockscape's sources, followed by those of the packages that a run needs."""
    return "".join((sources_digest(), *(package.sha256 for package in owners(spec.plan.new_code))))


def key_of(spec: RunSpec) -> str:
    """Return the digest of a run's specification, its system's name apart, and of all sources."""
    named = msgspec.structs.replace(spec, system="")
    content = sources_of(spec).encode() + msgspec.json.encode(named, order="deterministic")
    return hashlib.sha256(content).hexdigest()


def digest_with_sources(content: bytes) -> str:
    """Return the digest of some content and of lockscape's sources."""
    return hashlib.sha256(sources_digest().encode() + content).hexdigest()


Content = TypeVar("Content")
"""What a kept file says."""


def read_kept(path: Path | None, of: type[Content]) -> Content | None:
    """Return what a file keeps, or None if there is none or what is there was damaged or is not ours."""
    try:
        return None if path is None else msgspec.json.decode(path.read_bytes(), type=of)
    except (OSError, msgspec.DecodeError):  # made again, and then replaced
        return None


def write_kept(path: Path | None, content: bytes) -> None:
    """Keep something in a file, whole or not at all. Raises `InputError` where nothing can be written."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as part:
            part.write(content)
        Path(part.name).replace(path)
    except OSError as error:
        raise InputError(
            f"a finished run cannot be kept in {str(path.parent)!r}: {reason_of(error)}; "
            "make room or name another folder with --resume"
        ) from error


class Store:
    """A folder of finished runs. Raises `InputError` for one that cannot be made or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"finished runs cannot be kept in {str(folder)!r}: {reason_of(error)}; "
                "name a folder with --resume"
            ) from error

    def get(self, spec: RunSpec) -> Kept | None:
        """Return a finished run, or None if it is not there or what is there was damaged."""
        key = key_of(spec)
        kept = read_kept(self._path(key), Kept)
        return kept if kept is not None and kept.key == key else None

    def put(self, spec: RunSpec, result: RunResult, host_s: float) -> None:
        """Keep a finished run: whole, or not at all."""
        key = key_of(spec)
        write_kept(self._path(key), msgspec.json.encode(Kept(key, result, host_s)))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"
