"""The errors that a user can mend: each quotes the value and names the remedy, in one line."""


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
