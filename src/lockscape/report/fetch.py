"""Fetched releases as a document and as a table."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.table import Row, Table
from lockscape.source.fetch import Fetched


class Release(msgspec.Struct, frozen=True):
    """A release in the cache; `url` is where it came from now, null if it was there."""

    name: str
    path: str
    sha256: str
    bytes: int
    url: str | None
    from_cache: bool


class FetchDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape fetch``."""

    schema_version: int
    document: Literal["fetch"]
    manifest: Manifest
    releases: tuple[Release, ...]


def fetch_document(done: Sequence[Fetched], manifest: Manifest) -> FetchDocument:
    """Return the document of what was fetched."""
    releases = tuple(Release(f.name, str(f.path), f.sha256, f.bytes, f.url, f.from_cache) for f in done)
    return FetchDocument(SCHEMA_VERSION, "fetch", manifest, releases)


def fetch_table(done: Sequence[Fetched]) -> Table:
    """Return the table of what was fetched."""
    rows: tuple[Row, ...] = tuple(
        (
            f.name,
            f.bytes / 1e6,
            "in the cache, checked" if f.from_cache else "downloaded, checked",
            f.sha256,
            str(f.path),
        )
        for f in done
    )
    columns = ("release", "MB", "state", "sha256", "path")
    return Table(
        "",
        columns,
        rows,
        frozenset({0, 2, 3, 4}),
        ("`lockscape census NAME` and the other commands find it.",),
    )
