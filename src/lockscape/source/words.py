"""Names that are used without parentheses: assembler macros, such as Linux 2.0's ``ENTER_KERNEL``.

The compiled lexer looks only at names before ``(``. A profile may list words, and the few files where they
can occur; these are read token by token here.
"""

import re
from collections.abc import Iterator, Mapping

from lockscape.source.select import FileSet
from lockscape.source.tree import Files

_TOKEN = re.compile(
    rb"""
    /\*.*?(?:\*/|\Z) | //[^\n]* | "(?:\\.|[^"\\\n])*"? | \\\n
  | (?P<line>\n[ \t]*(?:\#[ \t]*(?P<directive>\w*)[ \t]*\w*)?)
  | (?P<word>[A-Za-z_]\w*)(?![ \t]*[\w(])
    """,
    re.VERBOSE | re.DOTALL,
)


def find_words(text: bytes, words: Mapping[bytes, int]) -> Iterator[tuple[int, int, bool]]:
    """Yield (offset, number, whether in the body of a ``#define``) of words outside comments and strings.

    The name that a ``#define`` defines is not a use, and a word before ``(`` is the lexer's to count.
    """
    directive: bytes | None = None
    for token in _TOKEN.finditer(b"\n" + text):
        if token["line"] is not None:
            directive = token["directive"]
        elif directive in (None, b"define") and (number := words.get(token["word"])) is not None:
            yield token.start() - 1, number, directive is not None


class WordFinder:
    """The words of a profile (name: operation number), looked for in `files` only. Picklable."""

    def __init__(self, words: Mapping[str, int], files: FileSet) -> None:
        self._words = {name.encode(): number for name, number in words.items()}
        self._files = files

    def __call__(self, files: Files) -> list[tuple[int, int, int, int]]:
        """Return (file number, offset in the buffer, operation number, 1 in a #define) of every word."""
        found: list[tuple[int, int, int, int]] = []
        for number, path in enumerate(files.paths):
            if self._words and self._files.matches(path):
                text = files.content(number)
                if any(word in text for word in self._words):
                    start = int(files.starts[number])
                    found += [(number, start + at, op, int(d)) for at, op, d in find_words(text, self._words)]
        return found
