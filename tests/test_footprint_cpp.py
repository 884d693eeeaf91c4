"""The original pipeline of cpp, indent and diff: its results, and what it must never do."""

import os
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockscape.errors import MissingToolError
from lockscape.source import cpp
from lockscape.source.cpp import Pipeline
from lockscape.source.footprint import PAPER_DEFINES, PAPER_FILES, Footprint, Method, footprint
from lockscape.source.hunks import Measured
from lockscape.source.includes import Sources
from lockscape.source.open_tree import open_tree
from lockscape.source.select import FileSet
from lockscape.source.tree import Directory, Problem
from test_footprint import FILES
from tools import require
from tree_tools import PACKINGS, repository, tar, write_folder

CANARY = b"canary = 1;\n"


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have all programs, and a folder for temporary files that shows what is left behind."""
    for tool in ("cpp", "indent", "diff"):
        require(tool)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def measured(folder: Path, files: dict[str, bytes], **options: object) -> Footprint:
    options = {"select": FileSet(), "defines": PAPER_DEFINES, "method": "cpp", **options}
    return footprint(Directory(str(write_folder(folder, files))), **options)  # type: ignore[arg-type]


def one(content: bytes, name: str = "a.c", **others: bytes) -> Measured:
    sources = Sources({name: content, **others})
    with Pipeline(sources, {}, PAPER_DEFINES) as pipeline:
        return next(iter(pipeline.run(1)))


def test_a_small_tree_as_by_the_own_evaluator(tmp_path: Path, private: Path) -> None:
    result = measured(tmp_path / "tree", FILES)
    own = measured(tmp_path / "tree", FILES, method="evaluate")
    assert [(f.path, f.lines_without, f.lines_with) for f in result.files] == [
        ("arch/i386/entry.S", 2, 3), ("drivers/not.c", 1, 1), ("kernel/local.h", 1, 1),
        ("kernel/same.c", 2, 2), ("kernel/sched.c", 10, 11),
    ]  # fmt: skip
    assert [(f.lines_without, f.lines_with) for f in own.files] == [
        (f.lines_without, f.lines_with) for f in result.files
    ]
    assert [f.changed_lines for f in result.files] == [1, 0, 0, 0, 4]
    # lines that use a differing macro differ as a whole in the own evaluator: OTHER stands beside NR_CPUS
    assert [f.changed_lines for f in own.files] == [1, 0, 0, 0, 5]
    assert [f.includes for f in result.files] == [f.includes for f in own.files]
    assert (result.method, result.problems) == ("cpp", ())
    assert list(result.tools) == ["cpp", "indent", "diff"]
    assert all(any(c.isdigit() for c in version) for version in result.tools.values())
    assert list(private.iterdir()) == []


@pytest.mark.parametrize("method", ["evaluate", "cpp"])
def test_every_kind_of_tree_gives_the_same(tmp_path: Path, method: Method) -> None:
    (tmp_path / "linux-1.0.tar.xz").write_bytes(PACKINGS["tar.xz"](tar(FILES)))
    repository(tmp_path / "linux.git", FILES)
    write_folder(tmp_path / "linux-1.0", FILES)
    results = [
        footprint(open_tree(str(tmp_path / name)), select=PAPER_FILES, defines=PAPER_DEFINES, method=method)
        for name in ("linux-1.0", "linux-1.0.tar.xz", "linux.git@main")
    ]
    assert [r.tree.kind for r in results] == ["directory", "archive", "revision"]
    assert len({(r.files, r.tree.identity, r.problems) for r in results}) == 1


def test_macros_are_expanded_and_statements_split() -> None:
    delta = one(b"#define D(x) do { x; } while (0)\nint f(void) { D(g()); return CONFIG_SMP; }\n").delta
    # int, f, {, do, {, g, }, while, return, }
    assert (delta.lines_without, delta.lines_with, delta.modified) == (10, 10, 1)


def test_assembler_is_left_alone() -> None:
    found = one(b"# it's a; b;\n#ifdef CONFIG_SMP\nlock; inc\n#endif\na; b\n", "a.S")
    assert (found.delta.lines_without, found.delta.lines_with, found.delta.new) == (2, 3, 1)
    assert found.problems == ()


def test_errors_of_cpp_are_reported_with_file_and_line() -> None:
    found = one(b'/*\n*/\n#include "b.h"\nx;\n', **{"b.h": b"\n\\\n\n#if 1 +\n#endif\ny;\n"})
    assert found.problems == (Problem("b.h:4", "cpp: operator '+' has no right operand"),)
    assert found.delta.lines_with == 2


# --- it reads nothing outside ------------------------------------------------------------------------------

REACHING = [
    b'#include "@"', b"#include <@>", b'#include_next "@"', b'#import "@"', b'#embed "@"',
    b'#define M "@"\n#include M', b"#define M <@>\n#include M", b'#inc\\\nlude "@"', b'#/**/include/**/"@"',
    b'/*\n*/ # /*\n*/ include "@"', b'%:include "@"', b'#\0include "@"', b'\xef\xbb\xbf#include "@"',
    b'\r#include "@"', b'\x0b#\x0cinclude "@"', b'"/*"\n#include "@"\n"*/"', b'\'"\'\n#include "@"\n\'"\'',
    b'R"(" /* )"\n#include "@"\n" */ "', b'R"(")" /* "\n" */ #include "@"\n', b'don\'t /*\n#include "@"\n*/',
    b'??=include "@"', b'#if 0\n#elif 1\n#include "@"\n#endif', b'#pragma include "@"', b'#line 1 "@"\n__FILE__',
    b'_Pragma("include \\"@\\"")', b'/\\\n* x *\\\n/ #include "@"', b'/\\\n/ x\n#include "@"',
]  # fmt: skip


def preprocessed(texts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what cpp makes of texts, in C and in assembler files, beside a file x.h that is not of the set."""
    files = {f"{number}.{end}": text for number, text in enumerate(texts) for end in "cS"}
    with Pipeline(Sources(files), {}, {}) as pipeline:
        (pipeline.folder / "x.h").write_bytes(CANARY)
        for name in files:
            pipeline.side(name, "out", [], [])
            yield (pipeline.folder / "out.cpp").read_bytes()


@pytest.mark.parametrize("target", ["x.h", "{0}/outside.h", "../outside.h"])
def test_nothing_outside_is_read(tmp_path: Path, private: Path, target: str) -> None:
    for folder in (tmp_path, private):
        (folder / "outside.h").write_bytes(CANARY)
    name = target.format(tmp_path).encode()
    for text in preprocessed(text.replace(b"@", name) + b"\nint y;\n" for text in REACHING):
        assert b"canary" not in text


def test_cpp_itself_would_read_it(tmp_path: Path) -> None:
    """The test above can fail: without the sanitising most of these texts include the file."""
    (tmp_path / "x.h").write_bytes(CANARY)
    found = 0
    for text in REACHING:
        (tmp_path / "a.c").write_bytes(text.replace(b"@", b"x.h") + b"\nint y;\n")
        done = subprocess.run(
            [require("cpp"), "-P", "-w", "a.c"], cwd=tmp_path, capture_output=True, check=False
        )
        found += CANARY.strip() in done.stdout
    assert found > len(REACHING) / 2


@pytest.mark.parametrize(
    "text",
    [
        b'__has_include("@")', b"__has_include(<@>)", b'__has_include_next("@")', b"__has_inc\\\nlude(<@>)",
        b'P(__has_, include)("@")', b'HAS', b'__has_embed("@")',
    ],
)  # fmt: skip
def test_nothing_outside_is_looked_for(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "canary").write_bytes(CANARY)
    head = b'#define P(x, y) x##y\n#define HAS __has_include("@")\n'
    content = head + b"#if " + text + b"\nthere;\n#else\nabsent;\nabsent;\n#endif\n"
    found = one(content.replace(b"@", str(tmp_path / "canary").encode()))
    assert found.delta.lines_without == 2


def test_dependencies_are_not_looked_up(tmp_path: Path) -> None:
    found = one(
        b'#pragma GCC dependency "/no/such/file"\n_Pragma("GCC dependency \\"/no/such/file\\"")\nx;\n'
    )
    assert found.problems == ()


def test_the_user_s_environment_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "linux").mkdir()
    (tmp_path / "linux" / "smp.h").write_bytes(CANARY)
    (tmp_path / ".indent.pro").write_text("-kr -nbad --no-such-option\n")
    for name in ("CPATH", "C_INCLUDE_PATH"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DEPENDENCIES_OUTPUT", str(tmp_path / "written"))
    found = one(b"#include <linux/smp.h>\nint f(int a) { return a; }\n")
    assert (found.delta.lines_with, found.problems) == (5, ())
    assert not (tmp_path / "written").exists()


def test_names_of_the_tree_never_reach_the_disk(tmp_path: Path) -> None:
    files = {"a b\n\x1b[1m;$(touch x).c": b'#include "-o.h"\nx;\n', "-o.h": b"y;\n", "\udcff.S": b"z\n"}
    result = measured(tmp_path / "tree", files)
    assert sorted(f.lines_with for f in result.files) == [1, 1, 2]


# --- it ends, and leaves nothing behind --------------------------------------------------------------------


def test_deep_includes_end(tmp_path: Path) -> None:
    files = {f"{n}.h": f'x{n};\n#include "{n + 1}.h"\n'.encode() for n in range(10_000)}
    sources = Sources(files)
    with Pipeline(sources, {}, PAPER_DEFINES) as pipeline:
        found = pipeline.measure("0.h")
    assert found.delta.lines_with == 200
    assert "nested depth" in found.problems[0].reason


DOUBLING = b"".join(b"#define a%d a%d a%d\n" % (i, i + 1, i + 1) for i in range(60))


@pytest.mark.parametrize(
    "content",
    [
        DOUBLING + b"a0\n",
        b"#define F(x) x x\n" + b"F(" * 60 + b"1" + b")" * 60,
        b'x;\n#include "a.c"\n#include "a.c"\n',
    ],
    ids=["macros", "arguments", "includes"],
)
def test_exploding_files_are_stopped(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    require("prlimit")
    monkeypatch.setattr(cpp, "TIMEOUT_SECONDS", 1)
    monkeypatch.setattr(cpp, "MAX_OUTPUT_BYTES", 1 << 20)
    monkeypatch.setattr(cpp, "MAX_MEMORY_BYTES", 256 << 20)
    start = time.monotonic()
    found = one(content)
    assert time.monotonic() - start < 30
    assert found.delta.lines_with == 0
    assert found.problems[-1].path == "a.c"
    assert found.problems[-1].reason.startswith("counted as empty: ")


def program(folder: Path, name: str, body: str) -> None:
    """Put a shell script in the place of a program."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "GNU {name} 0"; exit 0; fi\n{body}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])  # so that it is as before afterwards


@pytest.mark.parametrize(
    ("body", "reason"), [("sleep 60", "did not end"), ("echo no >&2; exit 1", "no"), ("kill $$", "SIGTERM")]
)
@pytest.mark.usefixtures("path")
def test_where_indent_fails_cpp_s_lines_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    program(tmp_path / "bin", "indent", body)
    monkeypatch.setattr(cpp, "TIMEOUT_SECONDS", 1)
    found = one(b"a; b;\n#ifdef CONFIG_SMP\nc; d;\n#endif\n")
    assert (found.delta.lines_without, found.delta.lines_with, found.delta.new) == (1, 2, 1)
    assert all(p.reason.startswith("left as cpp wrote it, indent failed: ") for p in found.problems)
    assert reason in found.problems[0].reason


@pytest.mark.usefixtures("path")
def test_where_diff_fails_lines_are_compared_all_the_same(tmp_path: Path) -> None:
    program(tmp_path / "bin", "diff", "echo broken >&2; exit 2")
    found = one(b"a;\n#ifdef CONFIG_SMP\nc;\n#else\nd;\n#endif\ne;\n")
    assert (found.delta.modified, found.delta.new, found.delta.removed) == (1, 0, 0)
    assert found.problems == (Problem("a.c", "lines compared without diff: diff: broken"),)


@pytest.mark.parametrize("tool", ["cpp", "indent", "diff"])
def test_a_missing_program_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    for other in {"cpp", "indent", "diff"} - {tool}:
        (tmp_path / other).symlink_to(require(other))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError) as caught:
        one(b"x;\n")
    package = "diffutils" if tool == "diff" else tool
    assert str(caught.value).startswith(f"{tool!r} is not installed: install the Debian package {package!r}")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("tool", ["cpp", "indent"])
def test_another_program_of_the_name_is_refused(tmp_path: Path, tool: str, private: Path) -> None:
    program(tmp_path / "bin", tool, "exit 1")
    script = tmp_path / "bin" / tool
    script.write_text(script.read_text().replace("GNU", "BSD"))
    with pytest.raises(MissingToolError, match="is not the GNU program"):
        one(b"x;\n")
    assert list(private.iterdir()) == []


@pytest.mark.usefixtures("path")
def test_an_interruption_leaves_nothing_behind(tmp_path: Path, private: Path) -> None:
    program(tmp_path / "bin", "indent", "sleep 60")

    def interrupt(files: int, size: int) -> None:
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        measured(
            tmp_path / "tree", {"a.S": b"x\n", "b.c": b"y;\n", "c.c": b"z;\n"}, progress=interrupt, workers=2
        )
    assert time.monotonic() - start < 15
    assert list(private.iterdir()) == []


PIECES = [
    "#include",
    '"x.h"',
    "<x.h>",
    "#",
    "%:",
    "include",
    "\n",
    "\\\n",
    "/*",
    "*/",
    "//",
    '"',
    "'",
    'R"(',
    ')"',
    "\\",
    "\r",
    "\x00",
    " ",
    "#define",
    "#if",
    "#endif",
    "x",
]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), min_size=10, max_size=10))
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_include_gets_through(texts: list[str]) -> None:
    assert not any(b"canary" in text for text in preprocessed(text.encode() for text in texts))
