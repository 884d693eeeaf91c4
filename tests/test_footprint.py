"""The footprint by lockscape's own evaluator, on small trees counted by eye and on hostile ones."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError, TreeError
from lockscape.source import footprint as module
from lockscape.source.footprint import PAPER_DEFINES, PAPER_FILES, Evaluator, Footprint, footprint
from lockscape.source.includes import Sources
from lockscape.source.select import FileSet
from lockscape.source.tree import Directory, Problem
from tree_tools import write_folder

SCHED = b"""
#include <linux/smp.h>
#include "local.h"
#define TWICE(x) do { x; x; } while (0)
static int pick(int a)	/* comment */
{
#ifdef __SMP__
	spin_lock(&lock);
	if (a) return 1;
#else
	if (a) return 0;
#endif
	LOCAL(a);
	OTHER(a); count(NR_CPUS);
}
"""
LOCAL = b"""
#ifdef CONFIG_SMP
#define NR_CPUS 32
#define LOCAL(x) lock(x)
#else
#define NR_CPUS 1
#define LOCAL(x)
#endif
extern int local;
"""
FILES = {
    "kernel/sched.c": SCHED,
    "kernel/local.h": LOCAL,
    "kernel/same.c": b"int a; int b;\n",
    "arch/i386/entry.S": b"# it's\nENTRY(a) ; b\n#ifdef __SMP__\n\tlock ; inc\n#endif\n",
    "drivers/not.c": b"int smp; /* not in the set */\n",
}


def measured(folder: Path, files: dict[str, bytes], **options: object) -> Footprint:
    options = {"select": PAPER_FILES, "defines": PAPER_DEFINES, **options}
    return footprint(Directory(str(write_folder(folder, files))), **options)  # type: ignore[arg-type]


def test_every_number_of_a_small_tree(tmp_path: Path) -> None:
    result = measured(tmp_path / "tree", FILES)
    assert [file.path for file in result.files] == [
        "arch/i386/entry.S", "kernel/local.h", "kernel/same.c", "kernel/sched.c",
    ]  # fmt: skip
    entry, local, same, sched = result.files
    assert (entry.lines_without, entry.lines_with, entry.new, entry.changed_lines) == (2, 3, 1, 1)
    assert (local.lines_without, local.changed_lines, same.lines_without, same.changed_lines) == (1, 0, 2, 0)
    # without: extern, static int, pick, {, if, return 0, LOCAL, OTHER, count, }
    assert (sched.lines_without, sched.lines_with) == (10, 11)
    # spin_lock is new, if stays; return, LOCAL and the line with NR_CPUS (two statements) differ
    assert (sched.modified, sched.new, sched.removed) == (4, 1, 0)
    assert sched.includes == ("kernel/local.h",)
    assert sched.sha256 == hashlib.sha256(SCHED).hexdigest()
    assert (result.lines_without, result.lines_with, result.changed_files) == (15, 17, 2)
    assert (result.modified, result.new, result.removed, result.changed_lines) == (4, 2, 0, 6)
    assert result.share == 6 / 15
    assert (result.method, result.tools, result.problems) == ("evaluate", {}, ())
    assert result.tree.files == 4


def test_the_sides_can_be_exchanged(tmp_path: Path) -> None:
    there = measured(tmp_path / "tree", FILES)
    back = measured(tmp_path / "tree", FILES, defines={}, against=PAPER_DEFINES)
    assert (back.lines_without, back.lines_with) == (there.lines_with, there.lines_without)
    assert (back.modified, back.new, back.removed) == (there.modified, there.removed, there.new)


def test_equal_sides_differ_nowhere(tmp_path: Path) -> None:
    result = measured(tmp_path / "tree", FILES, against=PAPER_DEFINES)
    assert (result.changed_files, result.changed_lines, result.share) == (0, 0, 0)


def test_values_of_macros_count(tmp_path: Path) -> None:
    files = {"kernel/a.c": b"#if NCPUS > 1\nsmp;\n#endif\nint a[NCPUS];\n"}
    result = measured(tmp_path / "tree", files, defines={"NCPUS": "2"}, against={"NCPUS": "1"})
    assert (result.lines_without, result.lines_with, result.modified, result.new) == (1, 2, 1, 1)


def test_names_put_together_in_a_conditional_are_seen(tmp_path: Path) -> None:
    files = {"kernel/a.c": b"#define OPTION(x) CONFIG_##x\n#if OPTION(SMP)\nsmp;\n#endif\n"}
    assert measured(tmp_path / "tree", files).new == 1
    files = {"kernel/a.c": b"#ifdef CONFIG\\\n_SMP\nsmp;\n#endif\n"}
    assert measured(tmp_path / "tree", files).new == 1


def test_the_number_of_workers_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"mm/{i}/{n.rpartition('/')[2]}": c for i in range(20) for n, c in FILES.items()}
    alone = measured(tmp_path / "tree", files, workers=1)
    monkeypatch.setattr(module, "INLINE_BYTES", 0)
    assert measured(tmp_path / "tree", files, workers=3) == alone


def test_progress_counts_files_and_bytes(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    measured(tmp_path / "tree", FILES, progress=lambda files, size: seen.append((files, size)))
    assert seen[-1] == (4, sum(len(c) for n, c in FILES.items() if not n.startswith("drivers")))
    assert len(seen) == 4


def test_a_killed_worker_is_an_error_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INLINE_BYTES", 0)
    monkeypatch.setattr(Evaluator, "measure", lambda self, path: os._exit(9))
    with pytest.raises(TreeError, match=r"^a process that measured files was killed.*fewer workers"):
        measured(tmp_path / "tree", FILES, workers=2)


@pytest.mark.parametrize(
    "macros",
    [
        {"": "1"},
        {"1A": "1"},
        {"A B": "1"},
        {"A": "1\n#include"},
        {"A": "\x1b"},
        {"defined": "1"},
        {"A(x)": "x"},
    ],
)
def test_macros_that_cannot_be_given(tmp_path: Path, macros: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        measured(tmp_path / "tree", FILES, defines=macros)
    assert "\n" not in str(caught.value)


def test_an_empty_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match="no file of"):
        measured(tmp_path / "tree", FILES, select=FileSet(("none/**",)))


def test_a_set_without_lines_has_no_share(tmp_path: Path) -> None:
    assert measured(tmp_path / "tree", {"kernel/a.c": b"\n"}).share is None


# --- what goes wrong in one file stays there ---------------------------------------------------------------


def test_problems_tell_file_and_line_once(tmp_path: Path) -> None:
    files = {
        "kernel/a.c": b'#include "bad.h"\nx;\n#if 1\n',
        "kernel/b.c": b'#include "bad.h"\ny;\n',
        "kernel/bad.h": b"\n#if SMP(1)\n#endif\n",
    }
    assert measured(tmp_path / "tree", files).problems == (
        Problem("kernel/a.c:3", "conditional without #endif"),
        Problem("kernel/bad.h:2", "taken as false: missing operator before '('"),
    )


def test_a_long_line_is_counted_and_reported(tmp_path: Path) -> None:
    line = b"CONFIG_SMP; x; " * 200_000
    result = measured(tmp_path / "tree", {"kernel/a.c": b"a;\n" + line, **FILES})
    assert (result.files[1].lines_without, result.files[1].modified) == (2, 1)
    assert [problem.path for problem in result.problems] == ["kernel/a.c:2"]
    assert measured(tmp_path / "other", FILES).files == result.files[:1] + result.files[2:]


@given(st.binary(max_size=300) | st.text(alphabet="#ifdenl SMP_\\\n\"'/*(){};", max_size=200).map(str.encode))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_file_leaves_the_others_alone(content: bytes) -> None:
    alone = Evaluator(Sources(FILES), {}, PAPER_DEFINES)
    beside = Evaluator(Sources({**FILES, "kernel/a.c": content, "kernel/a.S": content}), {}, PAPER_DEFINES)
    for path in ("kernel/a.c", "kernel/a.S"):
        delta = beside.measure(path).delta
        lines = content.count(b"\n") + content.count(b"\r") + 1
        assert 0 <= delta.lines_without - delta.removed == delta.lines_with - delta.new
        assert delta.modified <= delta.lines_without <= lines + 2 * len(content)
    for path in FILES:
        assert beside.measure(path) == alone.measure(path)
