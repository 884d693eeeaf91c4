"""From a name to a tree: folders, archives, revisions, fetched releases, and everything else."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockscape.errors import TreeError
from lockscape.source.open_tree import open_tree
from tree_tools import PACKINGS, one_line, read, repository, tar, write_folder

FILES = {"kernel/a.c": b"a"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, with a cache of its own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("LOCKSCAPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "here"


def error_of(origin: str) -> str:
    with pytest.raises(TreeError) as caught:
        open_tree(origin)
    return one_line(caught.value)


def test_each_kind(here: Path) -> None:
    write_folder(here / "linux-2.0.40", FILES)
    (here / "linux-2.2.26.tar.xz").write_bytes(PACKINGS["tar.xz"](tar(FILES)))
    repository(here / "history.git", FILES)
    for origin, kind, label in [
        ("linux-2.0.40", "directory", "linux-2.0.40"),
        ("linux-2.0.40/", "directory", "linux-2.0.40"),
        (".", "directory", "here"),
        ("linux-2.2.26.tar.xz", "archive", "linux-2.2.26"),
        ("history.git@main", "revision", "history@main"),
        ("history.git/@main", "revision", "history@main"),
        ("./history.git@main~0", "revision", "history@main~0"),
        ("history.git@main@{0}", "revision", "history@main@{0}"),
    ]:
        tree = open_tree(origin)
        assert (tree.kind, tree.label, tree.origin) == (kind, label, origin)
        assert open_tree(origin, "mine").label == "mine"


def test_an_existing_path_with_an_at_sign_wins(here: Path) -> None:
    repository(here / "repo", FILES)
    repository(here / "repo@v1", FILES)
    write_folder(here / "repo@main", {"b.c": b"b"})
    (here / "repo@file").write_bytes(tar(FILES))
    assert open_tree("repo@main").kind == "directory"
    assert open_tree("repo@file").kind == "archive"
    assert open_tree("repo@v1").kind == "directory"
    assert open_tree("repo@v1@main").label == "repo@v1@main"
    assert open_tree("repo@HEAD").kind == "revision"
    assert "'repo@v1' has no revision 'v2'" in error_of("repo@v1@v2")


def test_a_fetched_release(here: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "linux-2.6.11.7.tar.gz").write_bytes(PACKINGS["tar.gz"](tar(FILES)))
    hint = "`lockscape fetch linux-2.6.11.7` gets it"
    assert error_of("linux-2.6.11.7") == f"no tree 'linux-2.6.11.7' here or in the cache: {hint}"
    (cache / "linux-2.6.11.7.tar.gz.sha256").write_text("the mark of a verified archive")
    tree = open_tree("linux-2.6.11.7")
    assert (tree.kind, tree.label) == ("archive", "linux-2.6.11.7")
    assert read(tree)[1] == FILES
    write_folder(here / "linux-2.6.11.7", {"b.c": b"b"})
    assert open_tree("linux-2.6.11.7").kind == "directory"  # what is here comes first


def test_what_is_no_tree(here: Path) -> None:
    os.mkfifo(here / "pipe")
    (here / "loop").symlink_to("loop")
    (here / "text").write_text("words " * 99)
    assert error_of("none") == (
        "no tree 'none': give a kernel's source folder, a tar archive, REPO@REV or a fetched version"
    )
    for origin, said in {
        "": "no tree ''",
        "@": "no tree '@'",
        "@HEAD": "no tree '@HEAD'",
        "none@HEAD": "no tree 'none@HEAD'",
        "none/../../x": "no tree",
        "nul\0": "no tree 'nul\\x00'",
        "\x1b[31m": "no tree '\\x1b[31m'",
        "../cache/linux-1.0": "no tree",
        "linux-9.99": "`lockscape fetch linux-9.99` gets it",
        "text": "'text' is no tar archive",
        "text@HEAD": "cannot open 'text' as a git repository",
        ".@HEAD": "cannot open '.' as a git repository",
        ".@": "cannot open '.' as a git repository",
        "pipe": "'pipe' is neither a folder nor a file",
        "/dev/null": "'/dev/null' is neither a folder nor a file",
        "loop": "cannot look at 'loop'",
        "x" * 5000: "file name too long",
    }.items():
        assert said in error_of(origin)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40) | st.text("ab@./~\\linux-0", max_size=12))
def test_any_text_is_a_tree_or_an_error(origin: str) -> None:
    try:
        tree = open_tree(origin)
    except TreeError as error:
        one_line(error)
    else:
        assert tree.kind == "directory"  # "." and the like: nothing else is here
