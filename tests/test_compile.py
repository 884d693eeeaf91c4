"""Programs compiled on the user's computer: kept, remade when anything changes, refused in one line."""

import multiprocessing
import subprocess
from functools import partial
from pathlib import Path

import pytest

from lockscape.errors import MissingToolError
from lockscape.real.compile import compiled
from tools import require


@pytest.fixture
def source(tmp_path: Path) -> Path:
    require("cc")
    path = tmp_path / "source" / "answer.c"
    path.parent.mkdir()
    (path.parent / "answer.h").write_text("#define ANSWER 42\n")
    path.write_text('#include "answer.h"\nint main(void) { return ANSWER + MORE; }\n')
    return path


def answer(program: Path) -> int:
    return subprocess.run([program], check=False).returncode


def test_a_program_is_kept_and_remade_when_an_included_file_or_an_option_changes(
    source: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first = compiled(source, ["-DMORE=0"], cache=cache)
    assert answer(first) == 42
    stamp = first.stat().st_mtime_ns
    assert compiled(source, ["-DMORE=0"], cache=cache) == first
    assert first.stat().st_mtime_ns == stamp
    assert answer(compiled(source, ["-DMORE=1"], cache=cache)) == 43
    (source.parent / "answer.h").write_text("#define ANSWER 7\n")
    assert answer(compiled(source, ["-DMORE=0"], cache=cache)) == 7
    assert sorted(path.suffix for path in cache.iterdir()) == ["", "", ""]


def test_processes_that_compile_at_once_do_not_disturb_each_other(source: Path, tmp_path: Path) -> None:
    with multiprocessing.get_context("forkserver").Pool(3) as pool:
        job = partial(compiled, source, ["-DMORE=0"], cache=tmp_path / "cache")
        made = [waiting.get() for waiting in [pool.apply_async(job) for _ in range(3)]]
    assert len(set(made)) == 1
    assert {answer(path) for path in made} == {42}


def test_a_missing_compiler_is_named_with_its_package(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        MissingToolError, match=r"^no C compiler: install one \(apt install gcc\) or name it in \$CC$"
    ):
        compiled(source, [])
    monkeypatch.setenv("CC", "no-such-compiler -O")
    with pytest.raises(MissingToolError, match=r"^no compiler 'no-such-compiler', which \$CC names"):
        compiled(source, [])


def test_what_the_compiler_says_is_quoted_in_one_line(source: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match=r"MORE.*undeclared") as caught:
        compiled(source, [], cache=tmp_path / "cache")
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingToolError, match=r"cannot keep a compiled program in .*file/cache"):
        compiled(source, ["-DMORE=0"], cache=tmp_path / "file" / "cache")
