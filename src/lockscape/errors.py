"""The errors that a user can mend: each quotes the value and names the remedy, in one line."""

import difflib
from collections.abc import Iterable

SHOWN_CHARACTERS = 60
"""At most so many characters of an unknown name are quoted in a message."""


class LockscapeError(Exception):
    """Base of every error that the command line prints as one line, without a traceback."""


class InputError(LockscapeError, ValueError):
    """A value, a name or a file that cannot be used as given."""


class TreeError(LockscapeError, OSError):
    """A source tree that is missing, empty, truncated, hostile or otherwise unreadable."""


class FetchError(LockscapeError, OSError):
    """A download that failed, with what is left on disk (nothing) and what to do."""


class MissingToolError(LockscapeError, RuntimeError):
    """A program that a command needs and that is not installed."""


def reason_of(error: OSError) -> str:
    """Return why a file could not be read, in the operating system's words."""
    return (error.strerror or str(error)).lower()


def unknown(what: str, given: str, known: Iterable[str]) -> str:
    """Return the message for a name that is not known: the nearest, and all that are."""
    names = list(known)
    folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches("-".join(given.casefold().split())[:SHOWN_CHARACTERS], folded, n=1)
    hint = f"did you mean {folded[near[0]]}? " if near else ""
    shown = given if len(given) <= SHOWN_CHARACTERS else given[:SHOWN_CHARACTERS] + "…"
    return f"unknown {what} {shown!r}: {hint}use one of {', '.join(names)}"
