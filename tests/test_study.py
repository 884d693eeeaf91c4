"""``lockscape study``: the document, the tables, the file it writes, with and without trees."""

import csv
import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli_tools import BSD_FILES, LINUX_FILES, Command, write_tree
from lockscape import catalog
from lockscape.report.bundled import bundled
from lockscape.report.counting import COUNTED_2, COUNTED_3, COUNTED_MODERN, NOT_SEEN
from lockscape.report.study_tables import difference


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(capsys)


def document(call: Command, *arguments: str) -> dict[str, Any]:
    result = call("study", "--recorded", "--json", *arguments)
    assert result.code == 0, result.err
    found: dict[str, Any] = json.loads(result.out)
    return found


def test_without_trees_no_reader_of_trees_is_imported(tmp_path: Path) -> None:
    code = """
import sys
from lockscape.cli.main import run
try:
    run(["study", "--recorded"])
except SystemExit as stop:
    print(stop.code, sorted({"pygit2", "zstandard", "pyarrow", "distributed"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "0 []"
    assert done.stderr == "report: lockscape-report.html\n"
    assert (tmp_path / "lockscape-report.html").read_text("utf-8").startswith("<!doctype html>")


def test_every_published_cell_has_the_measured_one_beside_it(call: Command) -> None:
    found = document(call)
    rows = found["table2"]
    assert [(row["version"], row["source"], row["beside"]) for row in rows] == [
        ("2.0.40", "published", None), ("2.0.40", "measured", "2.0.40"),
        ("2.2.26", "published", None), ("2.2.26", "measured", "2.2.26"),
        ("2.4.30", "published", None), ("2.4.31", "measured", "2.4.30"),
        ("2.6.11.7", "published", None), ("2.6.11", "measured", "2.6.11.7"),
    ]  # fmt: skip
    for row, printed in zip(rows[::2], catalog.table2().rows, strict=True):
        assert row["counts"] == {kind: getattr(printed, kind) for kind in row["counts"]}
    for row, each in zip(rows[1::2], bundled(), strict=True):
        assert row["counts"] == each.counts("paper")
    changes = found["table3"]
    assert [row["method"] for row in changes] == [None, "cpp", "evaluate"] * 4
    for row, printed in zip(changes[::3], catalog.table3().rows, strict=True):
        assert (row["files"], row["changed_files"], row["changed_lines"]) == (
            printed.files, printed.changed_files, printed.modified,
        )  # fmt: skip
        assert (row["lines_without"], row["lines_with"]) == (printed.lines_no_smp, printed.lines_smp)


def test_the_tables_on_a_terminal(call: Command) -> None:
    lines = call("study", "--recorded").out.splitlines()
    text = "\n".join(lines)
    published = next(line for line in lines if line.startswith("2.4.30 ") and "193" in line)
    measured = lines[lines.index(published) + 1]
    assert published.split() == ["2.4.30", "published", "193", "[b,d]", "989", "300", "0", "0", "332"]
    assert measured.split() == [
        "2.4.31", "measured", "191", "-2", "989", "=", "300", "=", "0", "=", "0", "=", "330", "-2",
    ]  # fmt: skip
    for start in (
        "Table 1: ",
        "Table 2: ",
        "Table 2, modern counting: ",
        "Table 3: ",
        "What the paper says of these",
    ):
        assert sum(line.startswith(start) for line in lines) == 1
    joined = " ".join(text.split())
    for words in (COUNTED_2, COUNTED_3, COUNTED_MODERN, NOT_SEEN):
        assert words in joined  # how each table was counted is under it
    assert "2.4.31 stands beside 2.4.30 and 2.6.11 stands beside 2.6.11.7" in joined


def test_the_three_contradictions_are_notes_at_their_cells(call: Command) -> None:
    lines = call("study", "--recorded").out.splitlines()
    marked = [line for line in lines if line.rstrip().endswith("months [a]")]
    assert len(marked) == 3
    row = next(line for line in lines if line.startswith("2.2.26") and "published" in line and "329" in line)
    assert "226 [b,c,d]" in row
    joined = " ".join(" ".join(lines).split())
    assert "[b] contradiction: The shares of the BKL in section 5.2 mix two denominators" in joined
    assert '[c] contradiction: Section 5.2 says that "over 250 places"' in joined


def verdicts(found: dict[str, Any], id: str) -> dict[str, list[bool]]:
    record = next(each for each in found["claims"] if each["claim"]["id"] == id)
    sources: dict[str, list[bool]] = {"published": [], "measured": []}
    for each in record["checked"]:
        sources[each["source"]].append(each["holds"])
    return sources


def test_claims_are_checked_against_both(call: Command) -> None:
    found = document(call)
    assert len(found["claims"]) == len(catalog.claims())
    assert verdicts(found, "bkl-250-places") == {"published": [False], "measured": [False]}
    assert verdicts(found, "bkl-13-percent") == {"published": [False, True], "measured": [False, True]}
    assert verdicts(found, "most-files-unchanged") == {"published": [True] * 4, "measured": [True] * 8}
    record = next(each for each in found["claims"] if each["claim"]["id"] == "bkl-13-percent")
    counts = bundled()[2].counts("paper")
    without = counts["bkl"] / (sum(counts.values()) - counts["sema"])
    assert record["checked"][3] == {
        "version": "2.4.31", "beside": "2.4.30", "source": "measured", "detail": "without semaphores",
        "method": None, "value": round(100 * without, 3), "holds": True,
    }  # fmt: skip


def test_csv_is_one_long_table(call: Command) -> None:
    rows = list(csv.DictReader(io.StringIO(call("study", "--recorded", "--csv").out)))
    cell = {
        (row["table"], row["version"], row["source"], row["counted_by"], row["quantity"]): row["value"]
        for row in rows
    }
    assert len(cell) == len(rows)
    assert cell["table2", "2.2.26", "published", "", "sema"] == "121"
    assert cell["table2", "2.2.26", "measured", "paper", "sema"] == "117"
    assert cell["table3", "2.0.40", "published", "", "changed_lines"] == "541"


@pytest.mark.parametrize(
    ("published", "measured", "in_percent", "text"),
    [
        (226, 226, False, "="), (49, 50, False, "+1"), (650, 642, False, "-8"), (1, 2001, False, "+2,000"),
        (1000, 1015, True, "+1.5%"), (45_770, 45_777, True, "+0.02%"), (541, 541, True, "="),
    ],
)  # fmt: skip
def test_differences(published: int, measured: int, in_percent: bool, text: str) -> None:
    assert difference(published, measured, in_percent=in_percent) == text


def test_a_linux_tree_stands_beside_the_four(call: Command, tmp_path: Path) -> None:
    tree = str(write_tree(tmp_path / "linux-1.0", LINUX_FILES))
    found = document(call, tree)
    assert found["table2"][-1] == {
        "version": "linux-1.0", "source": "measured", "beside": None, "files": 3,
        "bytes": sum(len(text) for path, text in LINUX_FILES.items() if not path.startswith("include/")),
        "counts": {"bkl": 2, "spinlock": 3, "rwlock": 1, "seqlock": 0, "rcu": 0, "sema": 2},
    }  # fmt: skip
    modern = found["table2_modern"][-1]["counts"]
    assert {kind: n for kind, n in modern.items() if n} == {
        "bkl": 2, "spin": 2, "rwlock": 1, "mutex": 1, "sema": 2,
    }  # fmt: skip
    change = found["table3"][-1]
    assert (change["version"], change["method"]) == ("linux-1.0", "evaluate")
    assert (change["files"], change["changed_files"], change["changed_lines"]) == (2, 1, 2)
    assert [record["origin"] for record in found["manifest"]["trees"]] == [tree]
    measured = found["trees"][-1]
    assert not measured["bundled"] and measured["files"] == 3
    assert "fs/ext2/**/*.[chS]" in measured["patterns_without_files"]


def test_x86_stands_in_for_i386_and_it_is_said(call: Command, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "new", {**LINUX_FILES, "arch/x86/a.c": "int f(void) { spin_lock(&l); }\n"})
    assert document(call, str(tree))["table2"][-1]["counts"]["spinlock"] == 4
    out = " ".join(call("study", "--recorded", str(tree)).out.split())
    assert "new has no arch/i386: counted is arch/x86 for arch/i386." in out


def test_another_family_has_a_table_of_its_own(call: Command, tmp_path: Path) -> None:
    tree = str(write_tree(tmp_path / "bsd", BSD_FILES))
    found = document(call, tree)
    assert len(found["table2"]) == 8 and len(found["table3"]) == 12
    own = found["other_families"][0]
    assert (own["label"], own["profile"], own["counts"]["giant"]) == ("bsd", "freebsd", 2)
    assert own["change"]["changed_lines"] == 1
    out = call("study", "--recorded", tree).out
    assert "bsd: lock operations and footprint (profile freebsd)" in out
    assert "with SMP and without. Not to be compared" in " ".join(out.split())


def test_two_trees_of_one_name_are_told_apart(call: Command, tmp_path: Path) -> None:
    one, two = (str(write_tree(tmp_path / folder / "linux", LINUX_FILES)) for folder in ("a", "b"))
    assert [row["version"] for row in document(call, one, two)["table2"][-2:]] == [one, two]


def test_a_bundled_version_given_as_a_tree_is_measured_anew(call: Command, tmp_path: Path) -> None:
    tree = str(write_tree(tmp_path / "2.4.31", LINUX_FILES))
    found = document(call, tree)
    assert [(each["label"], each["files"]) for each in found["trees"]][2:] == [
        ("2.4.31", 319), ("2.6.11", 600), (tree, 3),
    ]  # fmt: skip


def listing() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("-", "the page is a file: '-' is none, give -o FILE.html"),
        ("", "the page is a file: '' is none"),
        (".", "cannot be written to '.': it is a folder"),
        ("no/such/page.html", "cannot be written to 'no/such/page.html': there is no folder 'no/such'"),
        ("notes.txt", "'notes.txt' is there and is no HTML page"),
        ("pipe", "'pipe' is no regular file"),
        ("x" * 300, "file name too long"),
    ],
)
def test_a_page_that_cannot_be_written_is_refused_first(call: Command, page: str, message: str) -> None:
    Path("notes.txt").write_text("my notes\n")
    os.mkfifo("pipe")
    before = listing()
    result = call("study", "-o", page, "/no/such/tree")
    assert (result.code, result.out) == (1, "")
    assert message in result.err and result.err.count("\n") == 1
    assert listing() == before and Path("notes.txt").read_text() == "my notes\n"


def test_the_page_is_written_although_the_reader_of_the_tables_left(tmp_path: Path) -> None:
    command = f"{sys.executable} -m lockscape study --recorded --json | head -c 10"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60
    )
    assert done.stdout == '{\n  "schem' and done.stderr == "report: lockscape-report.html\n"
    assert (tmp_path / "lockscape-report.html").read_text("utf-8").rstrip().endswith("</html>")


def test_the_tables_are_printed_although_the_disk_is_full(
    call: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    result = call("study", "--recorded", "-o", "page.html")
    assert result.code == 1 and "Table 3: " in result.out
    assert "cannot be written to 'page.html': no space left on device; give -o FILE.html" in result.err
    assert listing() == []


def test_an_older_page_is_replaced(call: Command) -> None:
    Path("page.html").write_text("<!DOCTYPE html><p>older</p>")
    assert call("study", "--recorded", "-o", "page.html").err == "report: page.html\n"
    assert "<p>older</p>" not in Path("page.html").read_text("utf-8")
    assert listing() == ["page.html"]


def test_a_tree_that_is_none_of_the_families(call: Command, tmp_path: Path) -> None:
    result = call("study", "--recorded", str(write_tree(tmp_path / "other", {"main.c": "int main;\n"})))
    assert result.code == 1 and result.out == ""
    assert "no file of" in result.err and "`lockscape census --files` looks at any files" in result.err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_four_trees_give_what_came_with_lockscape(call: Command, trees: Path) -> None:
    found = document(call, *(str(trees / f"linux-{each.label}") for each in bundled()))
    assert [row["counts"] for row in found["table2"][-4:]] == [
        row["counts"] for row in found["table2"][1:8:2]
    ]
    for row, own in zip(found["table3"][-4:], found["table3"][2:12:3], strict=True):
        assert {**row, "version": "", "beside": ""} == {**own, "version": "", "beside": ""}
