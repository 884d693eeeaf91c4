"""The command line as a person meets it: exit codes, one-line errors, pipes, hostile names."""

import csv
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli_tools import Command
from lockscape.report.text import printable

SOURCE = "void f(void)\n{\n\tspin_lock(&l);\n\tup(&s);\n}\n"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("COLUMNS", "80")
    return Command(capsys)


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, where that proves more than a call does."""
    return subprocess.run(
        [sys.executable, "-m", "lockscape", *arguments],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=100,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "kernel-1.0"
    (folder / "fs").mkdir(parents=True)
    (folder / "fs" / "inode.c").write_text(SOURCE)
    return folder


def test_version_and_help_are_quick_and_import_nothing_heavy() -> None:
    code = """
import sys
from lockscape.cli.main import run
try:
    run(["--version"])
except SystemExit:
    heavy = {"numpy", "numba", "rich", "pygit2", "jinja2", "msgspec", "zstandard"}
    print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("lockscape ")
    assert done.stdout.splitlines()[1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["census"], 2, "Missing argument 'TREE...'"),
        (["sensus", "x"], 2, "no command 'sensus': did you mean 'census'?"),
        (["census", "/no/such/tree"], 1, "no tree '/no/such/tree'"),
        (["census", ".", "--profile", "linus"], 1, "no profile 'linus': give one of paper"),
        (["census", ".", "--profile", "none.toml"], 1, "profile 'none.toml' cannot be read"),
        (["census", ".", "--json", "--csv"], 2, "--json and --csv exclude each other"),
        (["census", ".", "--by", "colour"], 2, "'colour' is not one of"),
        (["census", ".", "--files", "none"], 1, "no file of '.' matches"),
        (["census", ".", "--files", "[z-a]"], 1, "file pattern '[z-a]' is not valid"),
        (["census", ".@main", "--jobs", "0"], 2, "0 is not in the range"),
    ],
)
def test_errors_are_one_line_with_a_code(
    call: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.code == code
    assert message in done.err
    assert done.err.startswith("lockscape: ")
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.parametrize(("arguments", "code"), [(["sensus"], 2), (["census", "/no/such/tree"], 1)])
def test_a_process_ends_with_the_code_of_its_error(arguments: list[str], code: int) -> None:
    done = process(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("lockscape: no ") and done.stderr.count("\n") == 1


def test_formats_agree(call: Command, tree: Path) -> None:
    document = json.loads(call("census", str(tree), "--json").out)
    assert document["schema_version"] == 1
    assert document["manifest"]["command"][:2] == ["lockscape", "census"]
    (one,) = document["trees"]
    assert one["operations"] == {**dict.fromkeys(one["operations"], 0), "spin": 1, "sema": 1}
    assert one["tree"]["files"] == 1
    rows = list(csv.DictReader(io.StringIO(call("census", str(tree), "--csv").out)))
    assert {row["kind"]: row["sum"] for row in rows} == {"spin lock": "1", "semaphore": "1", "all": "2"}
    text = call("census", str(tree)).out
    assert "kernel-1.0: Linux, 1 files" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_sites_open_in_an_editor(call: Command, tree: Path) -> None:
    lines = call("census", str(tree), "--sites").out.splitlines()
    assert lines == [
        f"{tree}/fs/inode.c:3:2 spin acquire spin_lock",
        f"{tree}/fs/inode.c:4:2 sema release up",
    ]
    name, line, column = lines[0].split(" ")[0].rsplit(":", 2)
    assert Path(name).read_text().splitlines()[int(line) - 1][int(column) - 1 :].startswith("spin_lock(")


def test_a_reader_that_leaves_is_no_error(tree: Path) -> None:
    (tree / "fs" / "big.c").write_text("void f(void)\n{\n" + "\tup(&s);\n" * 50_000 + "}\n")
    command = f"{sys.executable} -m lockscape census {tree} --sites | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=100
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_hostile_names_cannot_act_on_the_terminal(call: Command, tmp_path: Path) -> None:
    folder = tmp_path / "t\x1b[2J\u202e"
    folder.mkdir()
    (folder / "a\x1b]0;x\x07\n<b>.c").write_text(SOURCE)
    os.mkfifo(folder / "fifo.c")
    (folder / "loop.c").symlink_to("loop.c")
    (folder / "out.c").symlink_to("/etc/passwd")
    (folder / os.fsdecode(b"\xff\xfe.c")).write_text(SOURCE)
    for arguments in (
        (),
        ("--by", "file"),
        ("--sites",),
        ("--csv", "--by", "file"),
        ("--json", "--by", "file"),
    ):
        done = call("census", str(folder), *arguments)
        assert done.code == 0, done.err
        assert not set(done.out + done.err) & set("\x1b\x07\u202e")
    whole = process("census", str(folder))  # where the names also have to be arguments, and bytes of a pipe
    assert "2 files" in whole.stdout
    assert not set(whole.stdout + whole.stderr) & set("\x1b\x07\u202e")


def test_rich_markup_in_names_is_text(call: Command, tmp_path: Path) -> None:
    folder = tmp_path / "[bold red]x"
    folder.mkdir()
    (folder / "[link=x]a.c").write_text(SOURCE)
    assert "[link=x]a.c" in call("census", str(folder), "--by", "file").out


def test_archives_and_directories_agree(call: Command, tree: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "k.tar.gz", "w:gz") as archive:
        archive.add(tree, "kernel-1.0")
    documents = [
        json.loads(call("census", str(origin), "--json").out)["trees"][0]
        for origin in (tree, tmp_path / "k.tar.gz")
    ]
    assert documents[0]["counts"] == documents[1]["counts"]
    assert documents[0]["tree"]["identity"] == documents[1]["tree"]["identity"]


def test_detects_the_family(call: Command, tmp_path: Path) -> None:
    (tmp_path / "kern").mkdir()
    (tmp_path / "kern" / "lock.h").write_text("void simple_lock(simple_lock_t);")
    (tmp_path / "kern" / "a.c").write_text("f() { simple_lock(&x); }")
    assert "GNU Mach" in call("census", str(tmp_path)).out


def test_mixed_profiles_are_refused_or_side_by_side(call: Command, tree: Path) -> None:
    done = call("census", str(tree), str(tree))
    assert done.code == 0
    assert done.out.splitlines()[1].split() == ["kind", "kernel-1.0", "kernel-1.0"]


def test_interrupt_says_so(tree: Path) -> None:
    for number in range(2_000):
        (tree / f"{number}.c").write_text(SOURCE * 400)
    running = subprocess.Popen(
        [sys.executable, "-m", "lockscape", "census", str(tree), "--wrappers"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    time.sleep(1.5)
    os.killpg(running.pid, 2)
    out, err = running.communicate(timeout=60)
    if running.returncode == 0:
        pytest.skip("the machine was quicker than the interrupt")
    assert (running.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "lockscape: interrupted"
    assert "Traceback" not in err


@settings(max_examples=300)
@given(st.text())
def test_printable_text_is_one_safe_line(text: str) -> None:
    safe = printable(text)
    assert safe.isprintable() or not safe
    safe.encode()
    if text.isascii() and text.isprintable():
        assert safe == text
