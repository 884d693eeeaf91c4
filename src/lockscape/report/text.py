"""Text from untrusted places, made safe to print."""

_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\x1b"}


def printable(text: str) -> str:
    """Return `text` with every character that is not printable written as an escape.

    A file name cannot then clear a terminal, turn text around or break a line:
    ``"a\\x1b[2Jb"`` becomes ``a\\x1b[2Jb`` with a visible backslash.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as Python holds it in a file name
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
