"""A readable lexer of the same language as `lockscape.source.lexer`, one regular expression and a loop.

It shares no code and no idea with the compiled one: it goes forward token by token and remembers the
token before, while the compiled lexer jumps to parentheses and looks back.
"""

import re

TOKEN = re.compile(
    rb"""
    (?P<splice>\\\r?\n)
  | (?P<newline>\n)
  | (?P<blank>[ \t\r\x0b\x0c]+)
  | (?P<comment>/\*.*?(?:\*/|\Z))
  | (?P<line>//(?:[^\n]|(?<=\\)\n|(?<=\\\r)\n)*)
  | (?P<string>"(?:\\(?=\\\r?\n)|\\\r\n|\\.|[^"\\\n])*(?:"|(?=\n)|\\?\Z))
  | (?P<char>'(?:\\(?=\\\r?\n)|\\\r\n|\\.|[^'\\\n])*(?:'|(?=\n)|\\?\Z))
  | (?P<word>[A-Za-z0-9_$]+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

KEYWORDS = {b"return", b"else", b"do", b"case", b"goto", b"sizeof", b"typeof", b"__typeof__", b"default"}


def places(text: bytes, names: set[str]) -> list[tuple[int, str, str]]:
    """Return (offset, name, what) of every known name before a parenthesis, outside comments and literals."""
    found: list[tuple[int, str, str]] = []
    known = {name.encode() for name in names}
    before: list[tuple[bytes, int]] = []  # the tokens before, outside preprocessor lines
    directive: list[tuple[bytes, int]] | None = None  # the tokens of the preprocessor line
    fresh = True  # only blanks and comments since the line's start
    for match in TOKEN.finditer(text):
        kind, token, at = match.lastgroup, match[0], match.start()
        if kind == "newline":
            directive = None
            fresh = True
        elif kind in ("splice", "blank", "comment", "line"):
            continue
        elif token == b"#" and fresh and directive is None:
            directive, fresh = [], False
        else:
            fresh = False
            tokens = before if directive is None else directive
            if token == b"(" and tokens and tokens[-1][0] in known:
                name, start = tokens[-1]
                found.append((start, name.decode(), _what(tokens, directive, text)))
            tokens.append((token, at))
    return found


def _what(tokens: list[tuple[bytes, int]], directive: list[tuple[bytes, int]] | None, text: bytes) -> str:
    if directive is not None:
        if directive[0][0] != b"define":
            return "directive"
        return "define name" if len(directive) == 2 else "define body"
    if len(tokens) < 2:
        return "declaration"
    word, at = tokens[-2]
    if word == b"*":
        line = text.rfind(b"\n", 0, at) + 1
        return "declaration" if re.match(rb"[A-Za-z0-9_$]", text[line : line + 1]) else "call"
    if re.match(rb"[A-Za-z0-9_$]", word):
        return "call" if word in KEYWORDS else "declaration"
    return "call"
