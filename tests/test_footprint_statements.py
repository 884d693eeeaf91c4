"""The statement form: cases by hand, agreement with GNU indent, and the counting of hunks."""

import subprocess
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockscape.source.conditionals import BOTH, Stretch
from lockscape.source.hunks import MAX_HUNK_LINES, Delta, compare, differing
from lockscape.source.statements import BREAK, MAX_LINE_CHARS, count_lines, long_line, statements
from tools import require

FORMS = {
    "a; b;": "a;| b;",
    "if (a) b; else c;": "if (a)| b;| else| c;",
    "if (a) b; else if (c) d;": "if (a)| b;| else if (c)| d;",
    "if (f(a, (b))) { c; } else { d; }": "if (f(a, (b)))| |{| c;| |}| else| |{| d;| |}",
    "for (i = 0; i < n; i++) a[i] = 0;": "for (i = 0; i < n; i++)| a[i] = 0;",
    "for (;;);": "for (;;);",
    "do a; while (b);": "do| a;| while (b);",
    "do { a; } while (b);": "do| |{| a;| |}| while (b);",
    "switch (a) { case 1: b; default: c; }": "switch (a)| |{| case 1:| b;| default:| c;| |}",
    "case ':': case A ? B : C: x;": "case ':':| case A ? B :| C: x;",
    "label: x;": "label: x;",
    "x = a ? b : c;": "x = a ? b : c;",
    "f(\"{;}\", ';');": "f(\"{;}\", ';');",
    "a = { 1, { 2 } };": "a = { 1, { 2 } };",
    "a = { 1,\n2 };": "a = { 1,\n2 |};",
    "struct s { int a; } b;": "struct s |{| int a;| |} b;",
    "struct s a = { 1 };": "struct s a = { 1 };",
    "enum e { A, B };": "enum e |{ A, B };",
    "enum e { A,\n B };": "enum e |{ A,\n B |};",
    "x = ({ a; b; });": "x = (|{| a;| b;| |}|);",
    "static int f(int a) { return a; }": "static int |f(int a) |{| return a;| |}",
    "static int\nf(int (*a)(void))\n{\n}": "static int\nf(int (*a)(void))\n{\n}",
    "int f(int a);": "int f(int a);",
    "f() { }\nint g(void)\n{ }": "f() |{| |}\nint |g(void)\n{| |}",
    "if (a": "if (a",
    "}}": "}|}",
    "({": "(|{",
    "diff (a) b;": "diff (a) b;",
    "do_it (a) b;": "do_it (a) b;",
}


@pytest.mark.parametrize("text", FORMS, ids=repr)
def test_statement_form(text: str) -> None:
    expected = [piece.strip() for piece in FORMS[text].replace("|", "\n").split("\n") if piece.strip()]
    form = statements(text)
    assert form.replace(BREAK, "") == text
    assert [piece.strip() for piece in form.replace(BREAK, "\n").split("\n") if piece.strip()] == expected
    assert count_lines(form) == len(expected)


SIMPLE = st.sampled_from(["a = b;", "f (a);", "return a;", "a++;", "goto out;", "break;"])
CONDITION = st.sampled_from(["a", "f (a)", "(a) == (b)", "a && f (b)"])


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    block = st.lists(inner, min_size=1, max_size=3).map(lambda parts: "{ " + " ".join(parts) + " }")
    body = st.one_of(SIMPLE, block)
    return st.one_of(  # no block on its own: indent joins the end of one with what follows
        st.builds("if ({}) {}".format, CONDITION, block),
        st.builds("if ({}) {} else {}".format, CONDITION, body, body),
        st.builds("while ({}) {}".format, CONDITION, body),
        st.builds("for (a = 0;a < b;a++) {}".format, body),
        st.builds("do {} while ({});".format, block, CONDITION),
        st.builds("switch (a) {{ case 1: {} break; case 2: default: {} }}".format, body, body),
    )


STATEMENTS = st.recursive(SIMPLE, compound, max_leaves=6)
FUNCTIONS = st.builds(
    "{} {{ int a, b; {} }}".format,
    st.sampled_from(["static int f (int a)", "int\nf (void)", "struct s *f (struct s *a, int b)"]),
    st.lists(STATEMENTS, max_size=4).map(" ".join),
)
OTHERS = st.sampled_from(
    ["int a;", "int g (int a);", "struct s { int a; struct { int b; } c; } d;", "int a[] = { 1, 2 };"]
)


@given(st.lists(FUNCTIONS | OTHERS, min_size=3, max_size=12), st.sampled_from([" ", "\n"]))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_number_of_lines_is_that_of_indent(parts: list[str], space: str) -> None:
    text = "\n".join(part.replace("; ", f";{space}").replace("{ ", f"{{{space}") for part in parts) + "\n"
    done = subprocess.run(
        [require("indent"), "-npro", "-st"], input=text.encode(), capture_output=True, check=True, timeout=20
    )
    assert count_lines(statements(text)) == count_lines(done.stdout.decode())


WIDE = {
    "braces": "{\n" * 100_000,
    "functions": "(){\n" * 100_000,
    "headers": "if(\n" * 100_000,
    "labels": "case\n" * 100_000,
    "closing": ")){}\n" * 100_000,
    "parentheses": "(\n" * 60_000 + "){}\n" * 60_000,
    "initializers": "={" * 100_000 + "\n" + "}" * 100_000,
    "enumerations": ("enum{" * 50_000 + "\n") * 2 + "}" * 100_000,
    "quotes": 'if("\n' * 100_000,
}


@pytest.mark.parametrize("name", WIDE)
def test_hostile_text_takes_time_in_proportion(name: str) -> None:
    start = time.process_time()
    form = statements(WIDE[name])
    assert time.process_time() - start < 8
    assert form.replace(BREAK, "") == WIDE[name]


@given(st.text(alphabet="(){}=;:'\" \nifcase\\", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_kept(text: str) -> None:
    assert statements(text).replace(BREAK, "") == text


def test_the_first_long_line_is_found() -> None:
    line = "x" * MAX_LINE_CHARS + "\n"
    assert long_line(line * 3) is None
    assert long_line(line + "y" + line) == len(line)


# --- hunks -------------------------------------------------------------------------------------------------


def brute(a: list[str], b: list[str]) -> int:
    """Return the length of a longest common subsequence, by the textbook's table."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = row[:]
        for j, y in enumerate(b, 1):
            row[j] = before[j - 1] + 1 if x == y else max(before[j], row[j - 1])
    return row[-1]


SEQUENCES = st.lists(st.sampled_from("abcd"), max_size=30)


@given(SEQUENCES, SEQUENCES)
@settings(max_examples=300, deadline=None)
def test_hunks_leave_a_longest_common_subsequence(a: list[str], b: list[str]) -> None:
    gaps = differing(a, b)
    common = brute(a, b)
    assert sum(without for without, _ in gaps) == len(a) - common
    assert sum(with_ for _, with_ in gaps) == len(b) - common
    assert all(without or with_ for without, with_ in gaps)


def stretches(*parts: tuple[str, int, bool]) -> Delta:
    return compare([Stretch(*part) for part in parts], split=True)


def test_a_changed_line_counts_once() -> None:
    assert stretches(
        ("a;\n", BOTH, False), ("b;\nc;\n", 1, False), ("d;\n", 2, False), ("e;\n", BOTH, False)
    ) == Delta(4, 3, modified=1, removed=1)
    assert stretches(("a;\n", 1, False), ("x;\n", BOTH, False), ("b;\n", 2, False)) == Delta(
        2, 2, new=1, removed=1
    )


def test_blank_lines_neither_count_nor_separate() -> None:
    assert stretches(("a;\n", 1, False), ("\n \t\n", BOTH, False), ("b;\n", 2, False)) == Delta(
        1, 1, modified=1
    )


def test_equal_lines_in_both_branches_do_not_count() -> None:
    assert stretches(("{\na;\n}\n", 1, False), ("{\nb;  c ;\n}\n", 2, False)) == Delta(
        3, 4, modified=1, new=1
    )
    assert stretches(("a b;\n", 1, False), ("a  b;\n", 2, False)) == Delta(1, 1)


def test_marked_lines_count_although_equal() -> None:
    assert stretches(("a;\n", BOTH, False), ("b; c;\n", BOTH, True)) == Delta(3, 3, modified=2)


def test_a_line_that_is_split_differently_counts() -> None:
    assert stretches(("x =\n", 2, False), ("{ a, b }\n", BOTH, False), (";\n", BOTH, False)) == Delta(
        4, 3, modified=2, removed=1
    )


def test_large_hunks_are_counted() -> None:
    many = "".join(f"a{i};\n" for i in range(MAX_HUNK_LINES + 1))
    other = "".join(f"b{i};\n" for i in range(MAX_HUNK_LINES))
    assert stretches((many, 1, False), (other, 2, False)) == Delta(
        MAX_HUNK_LINES + 1, MAX_HUNK_LINES, modified=MAX_HUNK_LINES, removed=1
    )
    assert stretches(("a;\n" * 90_000, 1, False), ("a;\n" * 89_999, 2, False)) == Delta(
        90_000, 89_999, removed=1
    )
