"""The evaluator of conditionals: against cases counted by hand, against cpp itself, and against hostile input."""

import re
import subprocess
import time
from itertools import chain

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from lockscape.source.conditionals import BOTH, MAX_INCLUDE_DEPTH, Survivors, survivors
from lockscape.source.expression import evaluate
from lockscape.source.includes import Sources
from lockscape.source.macros import Budget, UnresolvableError, parse_definition
from tools import require

SMP = {"CONFIG_SMP": "1"}


def walked(files: dict[str, bytes | str], *macro_sets: dict[str, str], main: str = "") -> Survivors:
    contents = {n: t if isinstance(t, bytes) else t.encode() for n, t in files.items()}
    return survivors(main or next(iter(contents)), Sources(contents).find, *macro_sets)


def kept(text: bytes | str, macros: dict[str, str] | None = None, name: str = "a.c") -> list[str]:
    found = walked({name: text}, macros or {})
    return [line.strip() for s in found.stretches for line in s.text.split("\n") if line.strip()]


def reasons(
    text: bytes | str, macros: dict[str, str] | None = None, name: str = "a.c"
) -> list[tuple[int, str]]:
    return [(w.line, w.reason) for w in walked({name: text}, macros or {}).warnings]


# --- which lines survive -----------------------------------------------------------------------------------

SURVIVAL = {
    "#ifdef A\nx\n#else\ny\n#endif\n": ["y"],
    "#define A\n#ifdef A\nx\n#else\ny\n#endif\n": ["x"],
    "#define A\n#undef A\n#ifndef A\nx\n#endif\n": ["x"],
    "#if 0\nx\n#elif 1\ny\n#elif 1\nz\n#else\nw\n#endif\nv": ["y", "v"],
    "#if 0\n#if 1\nx\n#else\ny\n#endif\n#else\nz\n#endif": ["z"],
    "#if 1\n#elif 1/0\nx\n#endif\ny": ["y"],
    "#ifdef A\n#elifndef A\nx\n#elifdef A\ny\n#endif": ["x"],
    "  #  /* c */ if 1 /* c\n c */\nx\n#endif /* d */": ["x"],
    "/* #if 0\n*/ x\n": ["x"],
    "// #if 0 \\\n#if 0\nx\n": ["x"],
    '"/*" x\n"*/" y // z': ['"/*" x', '"*/" y'],
    "'\"' /* c */ x": ["'\"'   x"],
    "#if 0\ndon't /* read\n#endif\n*/ x": ["*/ x"],
    "#de\\\nfine A 1\n#if A\\\n == 1\nx \\\n y\n#endif": ["x  y"],
    "a\r\n#if 1\r\nb\r\n#endif\r\n": ["a", "b"],
    "%:if 0\nx\n%:endif\ny": ["y"],
    '#pragma pack(1)\n#error no\n#line 3\n# 4 "x"\nx': ["#pragma pack(1)", "x"],
    "#\nx": ["x"],
    "#unknown\nx": ["x"],
    '#include <linux/smp.h>\n#include "absent.h"\nx': ["x"],
}


@pytest.mark.parametrize("text", SURVIVAL, ids=repr)
def test_lines_that_survive(text: str) -> None:
    assert kept(text) == SURVIVAL[text]


def test_bytes_of_any_kind_are_read() -> None:
    assert kept(b"\xef\xbb\xbf#if 0\nx\n#endif\n\xff\xfe y\n") == ["\xff\xfe y"]
    assert kept(b"#\0if\v0\nx\n#endif\ny\0z") == ["y z"]
    assert kept(b"") == []


def test_assembler_comments_are_no_directives() -> None:
    text = "# if this is not\n# note: don't /* stop\n#\n#ifdef A\nx\n#endif\nmovl %eax, %ebx # it's\n"
    assert kept(text.replace("# if this is not\n", ""), name="a.S") == [
        "# note: don't /* stop",
        "movl %eax, %ebx # it's",
    ]
    assert reasons("x # it's\n", name="a.S") == []


def test_two_sets_share_one_walk() -> None:
    found = walked({"a.c": "x\n#ifdef CONFIG_SMP\ny\n#else\nz\n#endif\nw\n"}, {}, SMP)
    assert [(s.text, s.mask, s.dependent) for s in found.stretches] == [
        ("x\n", BOTH, False),
        ("y\n", 2, False),
        ("z\n", 1, False),
        ("w\n", BOTH, False),
    ]


# --- lines that use a differing macro ----------------------------------------------------------------------

DEPENDENCE = {
    "CONFIG_SMP;": True,
    '"CONFIG_SMP";': False,
    "CONFIG_SMPX;": False,
    "0xCONFIG_SMP;": False,
    "#define L CONFIG_SMP\nL;": True,
    "#define L M\n#define M CONFIG_SMP\nL;": True,
    "#define L M\n#define M L\nL;": False,
    "#define L(CONFIG_SMP) CONFIG_SMP\nL(1);": False,
    "#define L(x) CONFIG_SMP\nL (1);": True,
    "#define L(x) CONFIG_SMP\nL;": False,
    "#define L CONFIG_SMP\n#undef L\nL;": False,
    "#ifdef CONFIG_SMP\n#define L lock;\n#else\n#define L\n#endif\nL x;": True,
    "#ifdef CONFIG_SMP\n#define L  lock ;\n#else\n#define L lock  ;\n#endif\nL x;": False,
    "#ifdef CONFIG_SMP\n#define L(x) lock\n#else\n#define L(y) lock\n#endif\nL(z);": True,
    "#undef CONFIG_SMP\nCONFIG_SMP;": False,
}


@pytest.mark.parametrize("text", DEPENDENCE, ids=repr)
def test_lines_that_depend_on_a_differing_macro(text: str) -> None:
    found = walked({"a.c": text}, {}, SMP).stretches
    assert [s.dependent for s in found if s.text.strip()] == [DEPENDENCE[text]]


def test_all_lines_of_a_differing_call_are_marked() -> None:
    text = '#define L(x) CONFIG_SMP\na;\nL(b,\n c(")"),\n d);\ne;\nL(f\n'
    found = walked({"a.c": text}, {}, SMP).stretches
    assert [(s.text, s.dependent) for s in found] == [
        ("a;\n", False),
        ('L(b,\n c(")"),\n d);\n', True),
        ("e;\n", False),
        ("L(f\n", True),
    ]


# --- local includes ----------------------------------------------------------------------------------------


def test_local_includes_are_followed_from_where_they_stand() -> None:
    files = {
        "k/a.c": '#include "b.h"\n#include "../inc/c.h"\n#if B + C == 3\nx\n#endif\n',
        "k/b.h": "#define B 1\nb\n",
        "inc/c.h": '#include "d.h"\n',
        "inc/d.h": "#define C 2\nd\n",
        "d.h": "wrong\n",
    }
    found = walked(files, {})
    assert [s.text for s in found.stretches] == ["b\n", "d\n", "x\n"]
    assert found.warnings == ()
    assert Sources({n: t.encode() for n, t in files.items()}).reached("k/a.c") == (
        "inc/c.h",
        "inc/d.h",
        "k/b.h",
    )


@pytest.mark.parametrize("guard", ["#ifndef G\n#define G\nx\n{}#endif\n", "#pragma once\nx\n{}"])
def test_include_guards_end_a_circle(guard: str) -> None:
    files = {"a.c": '#include "g.h"\n#include "g.h"\n', "g.h": guard.format('#include "g.h"\n')}
    text = "".join(s.text for s in walked(files, {}).stretches)
    assert text.count("x\n") == 1


def test_a_file_that_includes_itself_ends() -> None:
    found = walked({"a.c": 'x\n#include "a.c"\n#include "a.c"\n'}, {})
    assert len(found.stretches) > MAX_INCLUDE_DEPTH
    assert any("200 deep" in w.reason for w in found.warnings)
    assert any("16 MiB" in w.reason for w in found.warnings)


def test_includes_never_leave_the_set() -> None:
    text = '#include "/etc/passwd"\n#include "../../../../etc/passwd"\n#include_next "b.h"\nx\n'
    assert kept(text) == ["x"]
    assert reasons("#define N <b.h>\n#include N\n") == [
        (2, "include of something other than a file's name is not followed")
    ]


# --- expressions -------------------------------------------------------------------------------------------

TRUE = [
    "1", "-1", "!0", "~0", "'a' == 97", "'\\n' == 10", "'\\x41' == 'A'", "'\\101' == 'A'", "'\\377' < 0",
    "'ab' == 24930", "L'\\377' == 255", "0x10 == 16", "010 == 8", "0b11 == 3", "1UL", "10LL > 9u",
    "-1 > 0u", "-1 < 0", "1 ? 2 : 0", "0 ? 0 : 0 ? 0 : 3", "1 ? 2 : 0 ? 0 : 0", "(0, 1)", "1 || 1/0", "!(0 && 1/0)", "1 ? 1 : 1/0",
    "-7 / 2 == -3", "-7 % 2 == -1", "1 << 63 < 0", "1 << 64 == 0", "-1 >> 99 == -1", "4 >> -1 == 8",
    "18446744073709551615 == -1", "9223372036854775807 + 1 < 0", "2 + 3 * 4 == 14", "(2 + 3) * 4 == 20",
    "7 - 2 - 1 == 4", "1 | 2 ^ 3 & 4", "1 == 1 != 0", "1 << 1 + 1 == 4", "0 + 0 - 1 < 0", "(unknown + 1)", "(2 || 3) == 1", "- - 1", "! ! 2",
    "(1 ? -1 : 0u) > 0", "defined A", "defined(A)", "!defined B", "A == 3", "F(1, 2) == 3", "F(F(1, 1), 1) == 3",
    "F (1, (2, 3)) == 4", "V(1, 2, 3) == 6", "P(A, A) == 0", "G == 0", "OBJ(1) == 4", "Z() == 9", "DEF",
]  # fmt: skip
FALSE = ["0", "00", "unknown", "defined(B) || defined C", "F", "A - 3", "0 && 1", "1 ? 0 : 1", "'\\0'"]
WRONG = {
    "": "without an expression",
    "1 +": "without an operand",
    "(1": "missing ')'",
    "1)": "without '('",
    "1 ? 2": "missing ':'",
    "1 : 2": "without '?'",
    "1 2": "missing operator",
    "U(3)": "missing operator",
    "1 / 0": "division by zero",
    "0 % 0": "division by zero",
    "1 / 0 ? 1 : 2": "division by zero",
    "1.5": "no value",
    "08": "no value",
    "0x": "no value",
    "1lul": "no integer",
    "3--1": "missing operator",
    '"a"': "no value",
    "''": "empty",
    "'a": "no value",
    "defined": "'defined'",
    "defined (A": "'defined'",
    "defined 3": "'defined'",
    "F(1": "closing",
    "F(1, 2, 3)": "takes 2",
    "99999999999999999999": "64 bits",
    "9" * 5000: "no integer",
}
DEFINITIONS = [
    "A 3", "F(x, y) (x + y)", "V(x, ...) SUM(x, __VA_ARGS__)", "SUM(x, y, z) (x + y + z)", "P(x, y) x##y",
    "G G + H", "H G", "OBJ F(3, ", "Z() 9", "DEF defined(A)",
]  # fmt: skip


def value(expression: str) -> bool:
    macros = dict(found for text in DEFINITIONS if (found := parse_definition(text)))
    macros["OBJ"] = parse_definition("OBJ(x) F(3, x)")[1]  # type: ignore[index]
    return evaluate(expression, macros, Budget())


@pytest.mark.parametrize("expression", TRUE)
def test_true_expressions(expression: str) -> None:
    assert value(expression) is True


@pytest.mark.parametrize("expression", FALSE)
def test_false_expressions(expression: str) -> None:
    assert value(expression) is False


@pytest.mark.parametrize("expression", WRONG, ids=lambda text: text[:20])
def test_expressions_without_a_value(expression: str) -> None:
    with pytest.raises(
        UnresolvableError, match=WRONG[expression].replace("(", r"\(").replace(")", r"\)").replace("?", r"\?")
    ):
        value(expression)


@pytest.mark.parametrize("text", ["", " 3", "defined 1", "F(x", "F(x y) 1", "F(x,) 1", "F(1) 1"])
def test_malformed_definitions(text: str) -> None:
    assert parse_definition(text) is None


# --- warnings name file and line ---------------------------------------------------------------------------

WARNED = {
    "x\n#endif\n": [(2, "#endif without #if")],
    "\n#else\n#elif 1\n": [(2, "#else without #if"), (3, "#elif without #if")],
    "#if 1\n#else\n#else\n#elif 1\n#endif": [(3, "#else after #else"), (4, "#elif after #else")],
    "x\n#if 1\n#ifdef A\n": [(2, "conditional without #endif"), (3, "conditional without #endif")],
    "/* a\nb */\n#if (\n#endif": [(3, "taken as false: the expression ends without an operand")],
    "a \\\n b\n#ifdef\n#endif": [(3, "#ifdef without a name")],
    "#define 3\n#undef\n": [(1, "malformed #define"), (2, "#undef without a name")],
    "x\n/* y\nz": [(2, "comment without an end")],
    'x;\n"y;\n': [(2, "string or character constant without an end on its line")],
    "#if 0\n'y\n#endif": [],
}


@pytest.mark.parametrize("text", WARNED, ids=repr)
def test_warnings_tell_the_line(text: str) -> None:
    assert reasons(text) == WARNED[text]


def test_warnings_are_told_by_file_and_limited() -> None:
    found = walked({"a.c": '#include "b.h"\n' + "#endif\n" * 500, "b.h": "\n#endif\n"}, {}).warnings
    assert found[0] == ("b.h", 2, "#endif without #if")
    assert len(found) == 101
    assert found[-1].reason == "401 further warnings"


# --- hostile input -----------------------------------------------------------------------------------------


def doubling(call: str) -> str:
    return "".join(
        f"#define a{i}{call} a{i + 1}{call and '(x x)'} a{i + 1}{call and '(x)'}\n" for i in range(64)
    )


HOSTILE = {
    "nested": ("#if 1\n" * 10_000 + "x\n" + "#endif\n" * 10_000, 1, 0),
    "nested, open": ("#ifdef CONFIG_SMP\n" * 10_000 + "x\n", 1, 101),
    "parentheses": ("#if " + "(" * 100_000 + "1" + ")" * 100_000 + "\nx\n#endif\n", 1, 0),
    "open parentheses": ("#if " + "(" * 100_000 + "1\nx\n#endif\n", 0, 1),
    "unary": ("#if " + "!" * 100_000 + "1\nx\n#endif\n", 1, 0),
    "conditional operators": ("#if " + "1 ? 1 : " * 50_000 + "1\nx\n#endif\n", 1, 0),
    "1 MB": ("#if " + "1+" * 500_000 + "1\nx\n#endif\ny\n", 1, 1),
    "self": ("#define A A\n#if A\nx\n#else\ny\n#endif\n", 1, 0),
    "mutual": ("#define A B\n#define B A\n#if A\nx\n#else\ny\n#endif\n", 1, 0),
    "doubling": (doubling("") + "#if a0\nx\n#endif\ny\n", 1, 1),
    "doubling arguments": (doubling("(x)") + "#if a0(1)\nx\n#endif\ny\n", 1, 1),
    "nested calls": ("#define f(x) x\n#if " + "f(" * 9_000 + "1" + ")" * 9_000 + "\nx\n#endif\ny\n", 1, 1),
    "long chain": ("".join(f"#define a{i} a{i + 1}\n" for i in range(20_000)) + "#if a0\nx\n#endif\ny a0\n", 1, 0),
    "open comments": ("x\n" + "/* " * 300_000, 1, 1),
    "open strings": ('x "\n' * 50_000, 50_000, 101),
    "splices": ("\\\n" * 300_000 + "x\n", 1, 0),
    "null directives": ("#\n" * 100_000 + "x\n", 1, 0),
    "shifts": ("#if 1 << 9223372036854775807 || 1 >> -9223372036854775807 << 1\nx\n#endif\ny\n", 1, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_ends_soon(name: str) -> None:
    text, lines, warnings = HOSTILE[name]
    start = time.process_time()
    found = walked({"a.c": text}, {}, SMP)
    assert time.process_time() - start < 10
    assert (
        sum(s.text.strip().count("\n") + 1 for s in found.stretches if s.mask & 2 and s.text.strip()) == lines
    )
    assert len(found.warnings) == warnings


NAMES = st.sampled_from(["A", "B", "C", "CONFIG_SMP", "F"])
WORDS = (
    '#if|#ifdef|#elif|#else|#endif|#define|#undef|#include|#pragma once|#|%:|\n|\\\n|/*|*/|//|"|(|)|{|}|;|,|...|'
    '##|?|:|defined|\'|"a.c"|<b.h>|=|if|for|case|else|struct|1|0x|1/0|<<|&&|__VA_ARGS__'
)
SOUP = st.lists(
    st.one_of(
        st.sampled_from(WORDS.split("|")),
        NAMES,
        st.text(max_size=3),
    ),
    max_size=60,
)


@given(SOUP, st.sampled_from([" ", ""]))
@settings(max_examples=300, deadline=None)
def test_a_soup_of_directives_never_raises(pieces: list[str], glue: str) -> None:
    text = glue.join(pieces).encode("utf-8", "surrogatepass")
    both = walked({"a.c": text, "a.S": text}, {}, SMP)
    for bit, macros in ((1, {}), (2, SMP)):
        alone = walked({"a.c": text, "a.S": text}, macros)
        assert "".join(s.text for s in both.stretches if s.mask & bit) == "".join(
            s.text for s in alone.stretches
        )
    walked({"a.S": text}, {}, SMP)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_never_raise(content: bytes) -> None:
    walked({"a.c": b"#if " + content + b"\n#endif\n" + content}, {}, SMP)


# --- agreement with cpp ------------------------------------------------------------------------------------

ATOMS = st.one_of(
    st.sampled_from(
        ["0", "1", "2", "7u", "-1", "0x7fffffffffffffff", "18446744073709551615", "'a'", "'\\377'", "'ab'"]
    ),
    NAMES,
    st.builds("defined {}".format, NAMES),
    st.builds("defined({})".format, NAMES),
)
BINARY = ["+", "-", "*", "/", "%", "<<", ">>", "<", ">", "<=", ">=", "==", "!=", "&", "|", "^", "&&", "||"]


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(BINARY), inner),
        st.builds("({})".format, inner),
        st.builds("{} {}".format, st.sampled_from(["!", "~", "-", "+"]), inner),
        st.builds("{} ? {} : {}".format, inner, inner, inner),
        st.builds("F({}, {})".format, inner, inner),
    )


EXPRESSIONS = st.recursive(ATOMS, larger, max_leaves=8)
LINES = st.builds(
    "{}".format,
    st.one_of(
        st.just("@"),
        st.builds("#define {} {}".format, NAMES.filter("F".__ne__), EXPRESSIONS),
        st.builds("#define F(x, y) {}".format, st.sampled_from(["x", "(x + y)", "x ## y", "F(y, x)", "A"])),
        st.builds("#undef {}".format, NAMES),
    ),
)
CONDITIONS = st.one_of(
    st.builds("#if {}".format, EXPRESSIONS),
    st.builds("#ifdef {}".format, NAMES),
    st.builds("#ifndef {}".format, NAMES),
)


def grouped(blocks: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    return st.builds(
        lambda condition, first, elifs, other: [
            condition,
            *first,
            *(line for expression, block in elifs for line in (f"#elif {expression}", *block)),
            *(["#else", *other] if other is not None else []),
            "#endif",
        ],
        CONDITIONS,
        blocks,
        st.lists(st.tuples(EXPRESSIONS, blocks), max_size=2),
        st.none() | blocks,
    )


BLOCKS = st.recursive(
    st.lists(LINES, max_size=4),
    lambda inner: st.lists(grouped(inner) | inner, max_size=3).map(
        lambda parts: list(chain.from_iterable(parts))
    ),
    max_leaves=12,
)
NOISE = st.sampled_from(["", "", " /* c */", " /* c\n#if 0\n */", " // c", " \\\n", " // \\\n#endif"])


CONTINUED = re.compile(r"^<stdin>:(\d+):.*(?:division by zero|requires an identifier)", re.MULTILINE)


def through_cpp(text: str, macros: dict[str, str]) -> tuple[list[str], set[int]]:
    """Return the lines that cpp lets through, and those (from 1) where it goes on after an error.

    It does not take such an expression as false: it goes on with the dividend of a division by zero.
    """
    options = [f"-D{name}={body}" for name, body in macros.items()]
    done = subprocess.run(
        [
            require("cpp"),
            "-P",
            "-undef",
            "-nostdinc",
            "-std=gnu89",
            "-w",
            "-ftrack-macro-expansion=0",
            *options,
            "-",
        ],
        input=text.encode(),
        capture_output=True,
        check=False,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )
    lines = [line.strip() for line in done.stdout.decode().splitlines() if line.strip()]
    return lines, {int(n) for n in CONTINUED.findall(done.stderr.decode())}


@example([(["#define F(x, y) (x + y)", "#define A F(0, A)", "#if 1 + A", "@", "#endif"], "")], {})
@given(
    st.lists(st.tuples(BLOCKS, NOISE), min_size=1, max_size=3), st.sampled_from([{}, {"A": "1"}, {"B": "A"}])
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_same_lines_survive_as_in_cpp(
    blocks: list[tuple[list[str], str]], macros: dict[str, str]
) -> None:
    lines = [line + noise for block, noise in blocks for line in block]
    text = "".join(line.replace("@", f"L{number}_") + "\n" for number, line in enumerate(lines))
    survived, unclear = through_cpp(text, macros)
    assume(not unclear)
    assert kept(text, macros) == survived


@given(st.lists(EXPRESSIONS, min_size=1, max_size=60))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_expressions_have_the_same_value_as_in_cpp(expressions: list[str]) -> None:
    head = "#define A 5\n#define F(x, y) (x - y)\n#define C F\n"
    text = head + "".join(f"#if {e}\nL{n}\n#endif\n" for n, e in enumerate(expressions))
    survived, lines = through_cpp(text, {})
    unclear = {f"L{(line - 4) // 3}" for line in lines}
    assert [line for line in kept(text) if line not in unclear] == [x for x in survived if x not in unclear]
