"""``lockscape footprint`` on small made-up trees."""

import csv
import io
import json
from pathlib import Path

import pytest

from cli_tools import BSD_FILES, LINUX_FILES, Command, write_tree
from lockscape.report.counting import build_name
from tools import require


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def linux(tmp_path: Path) -> str:
    return str(write_tree(tmp_path / "linux-1.0", LINUX_FILES))


def totals(out: str) -> dict[str, int]:
    measured = json.loads(out)["trees"][0]["measured"][0]
    return {name: value for name, value in measured.items() if isinstance(value, int)}


def test_the_sums_of_a_tree(call: Command, linux: str) -> None:
    result = call("footprint", linux, "--json")
    assert (result.code, result.err) == (0, "")
    # a function's name gets a line of its own, as with GNU indent: 9 lines of sched.c and 8 of memory.c
    assert totals(result.out) == {
        "files": 2, "changed_files": 1, "lines_without": 17, "lines_with": 18,
        "modified": 1, "new": 1, "removed": 0, "changed_lines": 2,
    }  # fmt: skip
    tree = json.loads(result.out)["trees"][0]
    assert tree["define"] == {"CONFIG_SMP": "1", "__SMP__": "1"} and tree["against"] == {}
    assert tree["tree"]["label"] == "linux-1.0" and tree["tree"]["files"] == 2
    assert tree["measured"][0]["share"] == pytest.approx(2 / 17, abs=1e-6)


def test_the_table_has_the_columns_of_table_3(call: Command, linux: str) -> None:
    out = call("footprint", linux).out
    assert out.startswith("Footprint: with CONFIG_SMP, __SMP__ and without\n")
    heading, _, row = out.splitlines()[1:4]
    assert heading.split("  ")[0] == "tree" and "modified/new/removed" in heading
    assert row.split() == ["linux-1.0", "own", "evaluator", "2", "1", "17", "18", "2", "11.8"]
    assert "obj-$(CONFIG_SMP)" in out  # what the figures leave out is said


def test_by_file_lists_the_files_that_differ_and_says_how_many_do_not(call: Command, linux: str) -> None:
    out = call("footprint", linux, "--by", "file").out
    assert "kernel/sched.c" in out and "mm/memory.c" not in out
    assert "Shown are the 1 of 2 files in which a line differs." in out
    rows = list(csv.DictReader(io.StringIO(call("footprint", linux, "--by", "file", "--csv").out)))
    assert [row["file"] for row in rows] == ["kernel/sched.c", "all 2 files"]
    files = json.loads(call("footprint", linux, "--by", "file", "--json").out)["trees"][0]["measured"][0][
        "by_file"
    ]
    assert [file["path"] for file in files] == ["kernel/sched.c", "mm/memory.c"]


def test_macros_and_files_of_ones_own(call: Command, tmp_path: Path) -> None:
    tree = write_tree(
        tmp_path / "mach",
        {"a.c": "#if NCPUS > 1\nint many;\n#endif\n#if NCPUS > 2\nint more;\n#endif\n", "b.c": "int b;\n"},
    )
    options = ["--files", "*.c", "--exclude", "b.c", "--define", "NCPUS=3", "--against", "NCPUS=2", "--json"]
    document = json.loads(call("footprint", str(tree), *options).out)["trees"][0]
    assert (document["define"], document["against"]) == ({"NCPUS": "3"}, {"NCPUS": "2"})
    assert document["measured"][0]["files"] == 1 and document["measured"][0]["new"] == 1
    text = call("footprint", str(tree), *options[:-1]).out
    assert text.startswith("Footprint: with NCPUS=3 against NCPUS=2\n")
    assert build_name({"NCPUS": "2", "A": "1"}, {"NCPUS": "1"}) == "with NCPUS=2, A against NCPUS=1"


def test_a_tree_of_another_family_gets_its_own_files_and_macros(call: Command, tmp_path: Path) -> None:
    tree = str(write_tree(tmp_path / "bsd", BSD_FILES))
    document = json.loads(call("footprint", tree, "--json").out)["trees"][0]
    assert document["define"] == {"SMP": "1"} and document["measured"][0]["new"] == 1
    with_files = json.loads(call("footprint", tree, "--files", "sys/**/*.c", "--json").out)["trees"][0]
    assert with_files["define"] == {"SMP": "1"} and with_files["measured"][0]["files"] == 1


def test_several_trees_of_different_builds_say_which(call: Command, tmp_path: Path, linux: str) -> None:
    out = call("footprint", linux, str(write_tree(tmp_path / "bsd", BSD_FILES))).out
    assert out.startswith("Footprint\n") and "with SMP and without" in out


def test_the_studys_pipeline_names_its_programs(call: Command, linux: str) -> None:
    for tool in ("cpp", "indent", "diff"):
        require(tool)
    result = call("footprint", linux, "--with-cpp", "--json")
    own, pipeline = json.loads(result.out)["trees"][0]["measured"]
    assert (own["method"], pipeline["method"]) == ("evaluate", "cpp") and own["tools"] == {}
    assert set(pipeline["tools"]) == {"cpp", "indent", "diff"} and all(pipeline["tools"].values())
    assert (pipeline["changed_files"], pipeline["changed_lines"]) == (1, 2)
    text = call("footprint", linux, "--with-cpp").out
    assert "cpp, indent, diff" in text and pipeline["tools"]["indent"] in text


def test_what_could_not_be_read_is_listed_and_counted(call: Command, tmp_path: Path) -> None:
    broken = {**LINUX_FILES, "kernel/open\x1b[2J.c": "#ifdef CONFIG_SMP\nint a;\n"}
    out = call("footprint", str(write_tree(tmp_path / "linux", broken))).out
    assert "linux: 1 not read, or not clear and counted as it stands" in out
    assert r"kernel/open\x1b[2J.c" in out and "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["/no/such/tree"], 1, "no tree '/no/such/tree'"),
        (["--profile", "solaris", "."], 1, "no profile 'solaris'"),
        (["."], 1, "no file of '.' matches"),
        (["--define", "1X", "--files", "*.c", "."], 1, "'1X'"),
        (["--by", "folder", "."], 2, "'folder' is not one of 'all', 'file'"),
        ([], 2, "Missing argument 'TREE...'"),
    ],
)
def test_errors_are_one_line_with_the_remedy(
    call: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], code: int, message: str,
) -> None:  # fmt: skip
    write_tree(tmp_path, {"a.c": "int a;\n"})
    monkeypatch.chdir(tmp_path)
    result = call("footprint", *arguments)
    assert (result.code, result.out) == (code, "")
    assert message in result.err and result.err.count("\n") == 1


def test_a_profile_without_a_footprint_needs_files_and_macros(
    call: Command, tmp_path: Path, linux: str
) -> None:
    profile = tmp_path / "own.toml"
    profile.write_text(
        'id = "own"\ntitle = "own"\nstyle = "tokens"\ndescription = "d"\nsource = "s"\n'
        '[files]\ninclude = ["**/*.c"]\n[[kinds]]\nid = "k"\ntitle = "k"\nacquire = ["take"]\n'
    )
    result = call("footprint", linux, "--profile", str(profile))
    assert result.code == 1 and "profile 'own' has no [footprint]: give --files and --define" in result.err
    enough = call("footprint", linux, "--profile", str(profile), "--files", "kernel/*.c", "-D", "CONFIG_SMP")
    assert enough.code == 0
