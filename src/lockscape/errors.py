"""The errors that a user can mend: each quotes the value and names the remedy, in one line."""

import difflib
from collections.abc import Iterable

SHOWN_CHARACTERS = 60
"""At most so many characters of an unknown name are quoted in a message."""

MOST_NAMES, NEAREST = 80, 10
"""Of more names than that a message has only so many: those most like the one that is not known."""


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
    """Return the message for a name that is not known: the nearest, and all that are, if not very many."""
    names = list(known)
    folded = {name.casefold(): name for name in names}
    asked = "-".join(given.casefold().split())[:SHOWN_CHARACTERS]
    near = difflib.get_close_matches(asked, folded, n=1)
    hint = f"did you mean {folded[near[0]]}? " if near else ""
    shown = given if len(given) <= SHOWN_CHARACTERS else given[:SHOWN_CHARACTERS] + "…"
    told = ", ".join(names)
    if len(names) > MOST_NAMES:
        like = difflib.get_close_matches(asked, folded, n=NEAREST, cutoff=0)
        told = f"{len(names):,}, such as {', '.join(folded[name] for name in like)}"
    return f"unknown {what} {shown!r}: {hint}use one of {told}"
