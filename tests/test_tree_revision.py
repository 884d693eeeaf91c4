"""Git revisions: what names one, what is in it, and repositories that lack or hide something."""

import os
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pygit2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pygit2.enums import FileMode, ObjectType, Option

from lockscape.errors import TreeError
from lockscape.source import revision as revision_module
from lockscape.source.revision import Revision
from lockscape.source.scan import scan
from lockscape.source.select import FileSet
from lockscape.source.tree import Directory, Files, Problem
from tree_tools import EVERYTHING, commit, one_line, read, repository, write_tree

FILES = {"kernel/a.c": b"a", "kernel/irq/b.c": b"b", "mm/c.h": b"c", "README": b"words"}
MISSING = "missing from this repository (a shallow or partial clone?)"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    revision_module._opened.cache_clear()


def error_of(repo: Path, rev: str) -> str:
    with pytest.raises(TreeError) as caught:
        Revision(str(repo), rev)
    return one_line(caught.value)


def loose(repo: pygit2.Repository, oid: pygit2.Oid) -> Path:
    name = str(oid)
    path = Path(repo.path) / "objects" / name[:2] / name[2:]
    path.chmod(0o644)
    return path


def test_everything_that_names_a_revision(tmp_path: Path) -> None:
    made = repository(tmp_path / "repo", FILES, bare=False)
    first = made.revparse_single("main")
    second = made.create_commit(
        "refs/heads/main", first.author, first.author, "next", write_tree(made, {"n.c": b"n"}), [first.id]
    )
    made.create_tag("v1", first.id, ObjectType.COMMIT, first.author, "a tag")
    made.create_tag(
        "tagged-tag", made.revparse_single("v1").id, ObjectType.TAG, first.author, "a tag of a tag"
    )
    made.create_tag("tree-tag", first.tree_id, ObjectType.TREE, first.author, "a tag of a tree")
    for rev in ("v1", "tagged-tag", "HEAD~1", "main^", str(first.id), str(first.id)[:9], "main@{1}", "v1^{}"):
        tree = Revision(str(tmp_path / "repo"), rev)
        assert tree.commit == str(first.id), rev
        assert read(tree)[1] == FILES, rev
    assert Revision(str(tmp_path / "repo" / ".git"), "HEAD").commit == str(second)
    for rev, expected in {
        "tree-tag": FILES,
        "v1^{tree}": FILES,
        str(first.tree_id): FILES,
        "v1:kernel": {"a.c": b"a", "irq/b.c": b"b"},
    }.items():
        tree = Revision(str(tmp_path / "repo"), rev)
        assert tree.commit is None
        assert read(tree)[1] == expected


def test_names(tmp_path: Path) -> None:
    repository(tmp_path / "linux.git", FILES)
    repository(tmp_path / "work", FILES, bare=False)
    assert Revision(str(tmp_path / "linux.git"), "main").label == "linux@main"
    assert Revision(str(tmp_path / "work" / ".git"), "HEAD").label == "work@HEAD"
    tree = Revision(str(tmp_path / "work"), "HEAD", "mine")
    assert (tree.label, tree.origin, tree.kind) == ("mine", f"{tmp_path / 'work'}@HEAD", "revision")


def test_a_relative_path_and_another_folder_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path / "repo", FILES)
    monkeypatch.chdir(tmp_path)
    tree = Revision("repo", "main")
    monkeypatch.chdir("/")
    assert read(tree)[1] == FILES


def test_what_is_no_repository(tmp_path: Path) -> None:
    repository(tmp_path / "repo", {"sub/a.c": b"a"}, bare=False)
    (tmp_path / "repo" / "sub").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for name in ("repo/sub", "file", "none", "."):
        path = tmp_path / name
        message = error_of(path, "HEAD")
        assert message.startswith(f"cannot open {str(path)!r} as a git repository: ")
        assert message.endswith("give the top folder of a repository, bare or not")


def test_an_unknown_object_format_is_an_error(tmp_path: Path) -> None:
    repository(tmp_path / "repo", FILES)
    with (tmp_path / "repo" / "config").open("a") as config:
        config.write("[core]\nrepositoryformatversion = 1\n[extensions]\nobjectformat = sha256\n")
    assert "sha256" in error_of(tmp_path / "repo", "HEAD")


def test_an_unborn_branch(tmp_path: Path) -> None:
    pygit2.init_repository(str(tmp_path / "repo"))
    assert error_of(tmp_path / "repo", "HEAD").startswith(
        f"{str(tmp_path / 'repo')!r} has no revision 'HEAD': "
    )


def test_a_wrong_revision_suggests_the_nearest(tmp_path: Path) -> None:
    made = repository(tmp_path / "repo", FILES)
    head = made.revparse_single("main").id
    for tag in ("v2.6.10", "v2.6.11", "v2.4.31"):
        made.references.create(f"refs/tags/{tag}", head)
    repo = str(tmp_path / "repo")
    assert error_of(tmp_path / "repo", "v2.6.1").startswith(
        f"{repo!r} has no revision 'v2.6.1': did you mean 'v2.6.1"
    )
    assert error_of(tmp_path / "repo", "zzz") == (
        f"{repo!r} has no revision 'zzz': it has 4 tags and branches; `git show-ref` lists them"
    )
    assert error_of(tmp_path / "repo", "main:README") == (
        f"{repo + '@main:README'!r} is a single file: name a commit, a tag or a folder"
    )
    for rev in ("", "main\0"):
        assert "names no revision: give REPO@REV, such as " in error_of(tmp_path / "repo", rev)
    for rev in (
        "main..main",
        "^main",
        ":README",
        "main^{",
        "main~99",
        "--help",
        "\udcff",
        "v2\n",
        "\x1b[31m",
    ):
        assert " has no revision " in error_of(tmp_path / "repo", rev)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30) | st.text("maindHEAD0:~^{}@/.-+*", max_size=12))
def test_any_text_is_a_revision_or_an_error(tmp_path: Path, rev: str) -> None:
    if not (tmp_path / "repo").exists():
        repository(tmp_path / "repo", FILES)
    try:
        Revision(str(tmp_path / "repo"), rev)
    except TreeError as error:
        one_line(error)


def test_modes_links_and_submodules(tmp_path: Path) -> None:
    made = repository(tmp_path / "repo", FILES)
    blob = made.create_blob(b"run")
    elsewhere = made.revparse_single("main").id
    tree = {
        "kernel": {"x.c": (blob, FileMode.BLOB_EXECUTABLE), "l.c": (blob, FileMode.LINK), "a.c": b"a"},
        "drivers": {"sub.c": (elsewhere, FileMode.COMMIT)},
        "fs": (elsewhere, FileMode.COMMIT),
    }
    commit(made, write_tree(made, tree), "refs/heads/other")
    done, found = read(Revision(str(tmp_path / "repo"), "other"))
    assert found == {"kernel/x.c": b"run", "kernel/a.c": b"a"}
    reason = "a submodule: its files are in another repository"
    assert done.problems == (Problem("drivers/sub.c", reason), Problem("fs", reason))
    done, _ = read(Revision(str(tmp_path / "repo"), "other"), FileSet(("kernel/**", "fs/ext2/**", "x/y/**")))
    assert done.problems == (Problem("fs", reason),)
    assert read(Revision(str(tmp_path / "repo"), "other"), FileSet(("kernel/**",)))[0].problems == ()


def test_only_the_sets_folders_are_walked(tmp_path: Path) -> None:
    made = repository(tmp_path / "repo", FILES)
    loose(made, made.revparse_single("main:mm").id).unlink()
    tree = Revision(str(tmp_path / "repo"), "main")
    assert read(tree, FileSet(("kernel/**/*.c",)))[0].problems == ()
    assert read(tree)[0].problems == (Problem("mm", MISSING),)


def test_missing_and_damaged_objects_are_listed(tmp_path: Path) -> None:
    made = repository(tmp_path / "repo", FILES)
    loose(made, made.revparse_single("main:kernel/a.c").id).unlink()
    loose(made, made.revparse_single("main:mm/c.h").id).write_bytes(b"no zlib data")
    done, found = read(Revision(str(tmp_path / "repo"), "main"))
    assert found == {"kernel/irq/b.c": b"b", "README": b"words"}
    assert [problem.path for problem in done.problems] == ["kernel/a.c", "mm/c.h"]
    assert done.problems[0].reason == MISSING
    assert done.problems[1].reason.isprintable()


def test_a_missing_root_tree_is_listed(tmp_path: Path) -> None:
    made = repository(tmp_path / "repo", FILES)
    loose(made, made.revparse_single("main^{tree}").id).unlink()
    assert read(Revision(str(tmp_path / "repo"), "main"))[0].problems == (Problem(".", MISSING),)


def test_tree_objects_with_impossible_names_lead_nowhere(tmp_path: Path) -> None:
    made = repository(tmp_path / "repo", FILES)
    rows = [b"100644 %s\0" % name + made.create_blob(name).raw for name in (b"../x.c", b"/etc/x.c", b"..")]
    oid = made.write(ObjectType.TREE, b"".join(rows))
    before = sorted(tmp_path.iterdir())
    try:
        _, found = read(Revision(str(tmp_path / "repo"), str(oid)))
    except TreeError as error:  # libgit2 may refuse such a tree as a whole
        one_line(error)
    else:
        assert set(found.values()) <= {b"../x.c", b"/etc/x.c", b".."}
    assert sorted(tmp_path.iterdir()) == before


def test_a_blob_too_large_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision_module, "MAX_FILE_BYTES", 1000)
    repository(tmp_path / "repo", {"huge.c": bytes(1001), "most.c": bytes(1000)})
    done, found = read(Revision(str(tmp_path / "repo"), "main"))
    assert found == {"most.c": bytes(1000)}
    assert [problem.path for problem in done.problems] == ["huge.c"]


def test_a_repository_of_another_user_can_be_read(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a repository to another user")
    repository(tmp_path / "repo", FILES)
    for path in [tmp_path / "repo", *(tmp_path / "repo").rglob("*")]:
        os.chown(path, 12345, 12345)
    with pytest.raises(pygit2.GitError, match="owned"):
        pygit2.Repository(str(tmp_path / "repo"))
    assert read(Revision(str(tmp_path / "repo"), "main"))[1] == FILES
    assert pygit2.option(Option.GET_OWNER_VALIDATION)  # put back for others


def process_numbers(files: Files) -> tuple[int, int]:
    return os.getpid(), revision_module._opened.cache_info().misses


def test_each_worker_opens_the_repository_once(tmp_path: Path) -> None:
    repository(tmp_path / "repo", {f"{i}.c": b"%d" % i for i in range(1500)})
    done = scan(Revision(str(tmp_path / "repo"), "main"), EVERYTHING, process_numbers, workers=2)
    assert done.tree.files == 1500
    seen = {part.value[0] for part in done.parts}
    assert os.getpid() not in seen
    assert {part.value[1] for part in done.parts} <= {1, 2}  # the parent's count and the worker's own


def work_on_spawned(repo: str) -> dict[str, bytes]:
    return read(Revision(repo, "main"))[1]


def test_a_spawned_process_can_read_too(tmp_path: Path) -> None:
    repository(tmp_path / "repo", FILES)
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(work_on_spawned, (str(tmp_path / "repo"),)) == FILES


def test_packed_objects_and_deltas(tmp_path: Path) -> None:
    base = os.urandom(5000)
    files = {f"{i}.c": base + b"%d" % i for i in range(30)}
    made = repository(tmp_path / "repo", files)
    made.pack()
    packs = list((tmp_path / "repo" / "objects" / "pack").glob("*.pack"))
    assert packs
    assert packs[0].stat().st_size < 30 * 5000 / 4  # deltas, not whole files
    for name in files:
        loose(made, made.revparse_single(f"main:{name}").id).unlink()
    assert read(Revision(str(tmp_path / "repo"), "main"))[1] == files


@pytest.mark.slow
def test_a_real_repository_reads_like_its_folder(trees: Path) -> None:
    named = os.environ.get("LOCKSCAPE_REPOSITORY")
    if not named:
        pytest.skip("LOCKSCAPE_REPOSITORY names no REPO@REV that holds Linux 2.6.11")
    repo, _, rev = named.rpartition("@")
    select = FileSet(("**/*.[chS]",))
    one = scan(Revision(repo, rev), select, len_of)
    other = scan(Directory(str(trees / "linux-2.6.11")), select, len_of)
    assert one.tree.identity == other.tree.identity


def len_of(files: Files) -> int:
    return len(files.paths)
