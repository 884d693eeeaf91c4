"""Fills templates, and writes what comes out: whole, or not at all."""

import contextlib
import os
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from lockscape.errors import InputError, reason_of
from lockscape.report.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> "Environment":
    """Return the templates' environment: everything that is filled in is escaped, control characters too."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("lockscape.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_visible,
    )  # fmt: skip
    found.filters["zip"] = partial(zip, strict=True)
    return found


def _visible(value: object) -> object:
    """Return plain strings with control characters as text; what templates made stays as it is."""
    return printable(value) if type(value) is str else value


def write_whole(path: Path, text: str, what: str, remedy: str) -> None:
    """Write `what` to a file, whole or not at all. Raises `InputError` with the remedy if that cannot be."""
    part = path.with_name(f".{path.name[:100]}.{os.getpid()}.part")
    try:
        try:
            with part.open("x", encoding="utf-8", newline="\n") as out:
                out.write(text)
            part.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):  # it is `path` by now, or was never made
                part.unlink()
    except OSError as error:
        raise InputError(
            f"{what} cannot be written to {str(path)!r}: {reason_of(error)}; {remedy}"
        ) from error
