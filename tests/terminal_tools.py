"""A terminal for tests: text output that says it is one, and what a person sees of it."""

import io
import re

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """Text output that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def plain_lines(text: str) -> list[str]:
    """Return the lines of a terminal's output without colours and weights."""
    return _STYLE.sub("", text).splitlines()
