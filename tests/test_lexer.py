"""The compiled lexer against the readable one, and against what a kernel's source holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.source.lexer import find_places
from lockscape.source.names import name_table
from lockscape.source.tree import FilesBuilder
from reference_lexer import places

NAMES = ("up", "down", "spin_lock", "spin_unlock", "lock", "a_b")
WHAT = ("call", "declaration", "define body", "define name", "directive")


def found(*texts: bytes) -> list[list[tuple[int, str, str]]]:
    builder = FilesBuilder()
    for number, text in enumerate(texts):
        builder.add(f"{number}.c", text)
    files = builder.take()
    rows = find_places(name_table(NAMES), files.data, files.starts, files.ends)
    result: list[list[tuple[int, str, str]]] = [[] for _ in texts]
    for file, at, name, what, _ in rows.tolist():
        result[file].append((at - int(files.starts[file]), NAMES[name], WHAT[what]))
    return result


def kinds(text: bytes) -> list[str]:
    return [what for _, _, what in found(text)[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"f() { up(x); }", ["call"]),
        (b"f() { up \t\n (x); }", ["call"]),
        (b"f() { up /* the semaphore */ (x); }", ["call"]),
        (b"f() { /* up(x) */ // up(y)\n }", []),
        (b"// a \\\n up(x)\n; up(y)", ["call"]),
        (b'f() { "up(x)"; \'"\'; up(x); }', ["call"]),
        (b'"a \\" up(x)"; up(x)', ["call"]),
        (b"it's a comment in assembler\n; up(x)", ["call"]),
        (b"'tis the quote of a word\nup(x)", ["call"]),
        (b"f() { return up(x); }", ["call"]),
        (b"if (x) up(x); else down(y);", ["call", "call"]),
        (b"void up(struct semaphore *);", ["declaration"]),
        (b"extern inline void\nup(struct semaphore *s)\n{\n\tdown(s);\n}", ["declaration", "call"]),
        (b"int *up(void);", ["declaration"]),
        (b"f() {\n\tx = 2 * up(x);\n}", ["call"]),
        (b"#define up(x) down(x)", ["define name", "define body"]),
        (b"#define g(x) \\\n\tdo { up(x); } while (0)\n;up(x)", ["define body", "call"]),
        (b"#define up (x)", ["define name"]),
        (b"#define g(x) \\\r\n\tup(x)\r\n; // a \\\r\n down(x)\r\n; up\r\n(x)\r\n", ["define body", "call"]),
        (b";\\\n\\\n#define g up(x)\n", ["declaration"]),
        (b"# /* a */ define /* b */ \\\n up(x) down(x)\n", ["define name", "define body"]),
        (b"\\\n  \\\n#define g up(x)\n", ["define body"]),
        (b"#error up(x)\n", ["directive"]),
        (
            b"#ifdef CONFIG_SMP\n\tup(x);\n#else\n\tdown(x);\n#endif\n\tup(x);",
            ["declaration", "call", "call"],
        ),
        (
            b"f() {\n#ifdef CONFIG_SMP\n\tup(x);\n#else\n\tdown(x);\n#endif\n\tup(x);",
            ["call", "call", "call"],
        ),
        (b"f() { backup(x); up_all(x); up; }", []),
        (b"f() { UP(x); u(p); }", []),
        (b"x = y /up(x); /", ["call"]),
        (b"/*/ up(x) /*/; up(y)", ["call"]),
        (b"a\x00b up(\xff\xfe); up(x)", ["declaration", "call"]),
        (b"", []),
    ],
)
def test_what_a_place_is(text: bytes, expected: list[str]) -> None:
    assert kinds(text) == expected
    assert [what for _, _, what in places(text, set(NAMES))] == expected


PIECES = st.sampled_from(
    [b"up", b"down", b"spin_lock", b"(", b")", b" ", b"\n", b"\t", b"/*", b"*/", b"//", b"/", b"*", b'"', b"'", b"\\",
     b"\\\n", b"#", b"#define ", b"\n#define up(", b"\n#if ", b"else ", b"return ", b"x", b";", b"{", b"}", b"\0", b"\xe9",
     b"\r", b"\\\r\n", b"a_b(", b"lock (", b"aaaaaaaaaaaaaaaa"]
)  # fmt: skip


TEXTS = st.lists(PIECES, max_size=60).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_agrees_with_the_readable_lexer(text: bytes) -> None:
    assert found(text)[0] == places(text, set(NAMES))


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(TEXTS)
def test_agrees_with_the_readable_lexer_on_many_texts(text: bytes) -> None:
    assert found(text)[0] == places(text, set(NAMES))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=6), st.integers(0, 5))
def test_a_file_never_changes_another_files_places(texts: list[bytes], where: int) -> None:
    probe = b"void f(void)\n{\n\tdown(x); /* up(x) */\n#define g(x) up(x)\n\tup(x);\n}\n"
    at = min(where, len(texts))
    assert found(*texts[:at], probe, *texts[at:])[at] == found(probe)[0]


@pytest.mark.parametrize(
    "text",
    [
        b"/" * 2_000_000,
        b"/*" * 1_000_000,
        b"up(" * 700_000,
        b" " * 2_000_000 + b"(",
        b"(" + b"/**/" * 500_000 + b"up(",
        b"#" * 2_000_000,
        b"\n#" * 1_000_000,
        b"a" * 2_000_000 + b"(",
        b"\\\n" * 1_000_000,
        b"'" * 2_000_000,
        b"*up(" * 400_000,
    ],
    ids=lambda text: text[:6].decode(),
)
def test_no_input_takes_more_than_linear_time(text: bytes) -> None:
    # quadratic work on 2 MB would be 10^12 steps: the test's time limit is the check
    rows = found(text)[0]
    assert all(0 <= at < len(text) for at, _, _ in rows)


def test_more_places_than_the_first_buffer_holds() -> None:
    text = b"{ up(x); }\n" * 40_000
    assert len(found(text)[0]) == 40_000


def test_name_table_keeps_names_that_share_a_slot_apart() -> None:
    names = tuple(f"n{i}_lock" for i in range(3_000))
    builder = FilesBuilder()
    builder.add("x.c", b"{" + b"".join(f" ;{name}(x)".encode() for name in names) + b"}")
    files = builder.take()
    rows = find_places(name_table(names), files.data, files.starts, files.ends)
    assert np.array_equal(rows[:, 2], np.arange(3_000))
