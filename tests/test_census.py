"""The census on small trees, where every number can be counted by eye."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError, TreeError
from lockscape.source.census import Census, census
from lockscape.source.profile import BUNDLED, ROLES, detect_profile, load_profile
from lockscape.source.select import FileSet
from lockscape.source.tree import Directory
from lockscape.source.wrappers import census_with_wrappers, inline_name, inline_start

PUBLISHED = {  # Table 2 of the paper; beside it the version measured
    "2.0.40": (17, 0, 0, 0, 0, 49),
    "2.2.26": (226, 329, 121, 0, 0, 121),
    "2.4.31": (193, 989, 300, 0, 0, 332),
    "2.6.11": (101, 1717, 349, 56, 14, 650),
}


def tree_of(folder: Path, files: dict[str, str | bytes]) -> Directory:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Directory(str(folder))


def counted(folder: Path, files: dict[str, str | bytes], profile: str = "linux", **options: object) -> Census:
    return census(tree_of(folder, files), load_profile(profile), workers=1, **options)  # type: ignore[arg-type]


def operations(result: Census) -> dict[str, int]:
    return {kind: n for kind in result.kinds if (n := result.count(kind))}


def test_kinds_and_roles(tmp_path: Path) -> None:
    text = """
static DEFINE_SPINLOCK(l);
void f(void)
{
\tspin_lock_init(&l);
\tspin_lock(&l);
\tif (spin_trylock(&l)) spin_unlock(&l);
\tWARN_ON(spin_is_locked(&l));
\tmutex_lock(&m); down_read(&s); rcu_read_lock();
}
"""
    result = counted(tmp_path, {"a.c": text})
    assert operations(result) == {"spin": 3, "mutex": 1, "rwsem": 1, "rcu": 1}
    assert [result.count("spin", role) for role in ROLES] == [1, 1, 1, 1, 1, 1]


def test_define_bodies_are_apart(tmp_path: Path) -> None:
    result = counted(
        tmp_path, {"a.h": "#define lock_a() spin_lock(&a)\n#define spin_lock(x) _raw_spin_lock(x)\n"}
    )
    assert result.count() == 0
    assert result.count("spin", "acquire", "define") == 2


def test_guards_take_their_kind_from_the_argument(tmp_path: Path) -> None:
    text = "f() { guard(mutex)(&m); guard( spinlock_irqsave )(&l); scoped_guard(rcu) { } guard(my_own)(&x); }"
    assert operations(counted(tmp_path, {"a.c": text})) == {"spin": 1, "rcu": 1, "mutex": 1, "guard": 1}


def test_assembler_macros_count_without_parentheses(tmp_path: Path) -> None:
    entry = "/* ENTER_KERNEL */\n#define ENTER_KERNEL \\\n1: lock; btsl\nstart:\n\tENTER_KERNEL\n#define OUT \\\n\tLEAVE_KERNEL \\\n\tret\n"
    files: dict[str, str | bytes] = {
        "arch/i386/entry.S": entry,
        "kernel/a.c": 'int ENTER_KERNEL; "ENTER_KERNEL"',
    }
    result = counted(tmp_path, files, sites=True)
    assert [(s.path, s.line, s.column, s.name, s.place) for s in result.sites()] == [
        ("arch/i386/entry.S", 5, 2, "ENTER_KERNEL", "code"),
        ("arch/i386/entry.S", 7, 2, "LEAVE_KERNEL", "define"),
    ]


def test_giant_is_told_by_the_argument(tmp_path: Path) -> None:
    text = "f() { mtx_lock(&Giant); mtx_lock(& Giant /* the one */); mtx_lock(&p->m); mtx_unlock(&Giant); DROP_GIANT(); }"
    assert operations(counted(tmp_path, {"a.c": text}, "freebsd")) == {"giant": 4, "mutex": 1}


def test_sites_tell_line_and_column(tmp_path: Path) -> None:
    text = "f()\n{\n\tspin_lock(&a); up(&s);\n}\n#define g() \\\n  down(&s)\n"
    result = counted(tmp_path, {"b.c": "f() { up(x); }", "d/a.c": text}, sites=True)
    assert [(s.path, s.line, s.column, s.kind, s.role, s.name, s.place) for s in result.sites()] == [
        ("b.c", 1, 7, "sema", "release", "up", "code"),
        ("d/a.c", 3, 2, "spin", "acquire", "spin_lock", "code"),
        ("d/a.c", 3, 17, "sema", "release", "up", "code"),
        ("d/a.c", 6, 3, "sema", "acquire", "down", "define"),
    ]


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from(["", "up(x);", "a b;", "\t{ down(y); up(z); }", "/* x", "*/"]), max_size=30
    )
)
def test_lines_and_columns_lead_to_the_name(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("t")
    for site in counted(folder, {"a.c": "x", "b.c": "\n".join(lines)}, sites=True).sites():
        assert lines[site.line - 1][site.column - 1 :].startswith(f"{site.name}(")


def test_by_folder_and_file_add_up(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"{d}/{n}.c": "f() { up(x); spin_lock(y); }" for d in ("fs", "mm", "fs/ext2") for n in "ab"
    }
    result = counted(tmp_path, files | {"top.c": "f() { up(x); }"})
    assert {k: int(v.sum()) for k, v in result.by_folder().items()} == {".": 1, "fs": 8, "mm": 4}
    assert {k: int(v.sum()) for k, v in result.by_folder(2).items()} == {
        ".": 1,
        "fs": 4,
        "fs/ext2": 4,
        "mm": 4,
    }
    assert int(result.by_file().sum()) == result.count() == 13


def test_paper_counts_lines_as_grep_does(tmp_path: Path) -> None:
    text = "/* lock_kernel */\n#define g lock_kernel()\n # define h lock_kernel()\nlock_kernel(); unlock_kernel();\nblock_kernel();\n"
    result = counted(
        tmp_path, {"kernel/a.c": text, "drivers/b.c": text, "include/asm-i386/smplock.h": text}, "paper"
    )
    assert result.count("bkl") == 3  # the comment, the indented define and the line with two
    assert len(result.files) == 2


def test_paper_leaves_out_each_kinds_own_files(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "kernel/rcupdate.c": "spin_lock(x);\nrcu_read_lock();\n",
        "kernel/a.c": "rcu_read_lock();\n",
    }
    result = counted(tmp_path, files, "paper")
    assert (result.count("spinlock"), result.count("rcu")) == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("version", PUBLISHED)
def test_paper_profile_is_within_the_recipes_errors(trees: Path, version: str) -> None:
    result = census(Directory(str(trees / f"linux-{version}")), load_profile("paper"))
    for kind, published in zip(result.kinds, PUBLISHED[version], strict=True):
        assert abs(result.count(kind) - published) <= 0.035 * published, kind


@pytest.mark.slow
def test_workers_do_not_change_the_result(trees: Path) -> None:
    tree = Directory(str(trees / "linux-2.6.11"))
    one, two = (census(tree, load_profile("linux"), sites=True, workers=n) for n in (1, 2))
    assert one.tree == two.tree
    assert np.array_equal(one.rows, two.rows)


def test_unreadable_files_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lockscape.source import tree as module

    def refuse(builder: object, name: str, real: object = module._read_into) -> int:
        if name.endswith("secret.c"):
            raise PermissionError(13, "Permission denied")
        return int(real(builder, name))  # type: ignore[operator]

    monkeypatch.setattr(module, "_read_into", refuse)
    result = counted(tmp_path, {"a.c": "f() { up(x); }", "secret.c": "f() { up(x); }"})
    assert [(p.path, p.reason) for p in result.problems] == [("secret.c", "permission denied")]
    assert result.count() == 1


def test_a_tree_without_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match=r"no file of .* matches '\*\*/\*\.\[chS\]'"):
        counted(tmp_path, {"README": "nothing"})


@settings(max_examples=100, deadline=None)
@given(noise=st.binary(max_size=300))
def test_noise_in_one_file_leaves_another_alone(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    folder = tmp_path_factory.mktemp("t")
    result = counted(folder, {"a.c": noise, "b.c": "f() { up(x); }", "c.c": noise}, sites=True)
    assert [s.line for s in result.sites() if s.path == "b.c"] == [1]


class TestWrappers:
    FILES = {  # noqa: RUF012
        "include/linux/x.h": "#define task_lock(p) spin_lock(&(p)->alloc)\n#define both(p) do { spin_lock(p); spin_unlock(p); } while (0)\n"
        "static inline void inode_lock(struct inode *i)\n{\n\tdown_write(&i->rwsem);\n}\n\n"
        "static inline void one(struct x *x) { spin_unlock(&x->l); }\nvoid inode_twice(void);\n",
        "drivers/a/a.h": "#define my_lock(x) task_lock(x)\n",
        "drivers/a/a.c": "f() { my_lock(x); task_lock(y); inode_lock(z); one(q); both(r); }\n#define here(x) up(x)\ng() { here(x); }",
        "drivers/b/b.c": "f() { my_lock(x); here(x); task_lock(y); }",
    }

    def test_found_with_level_scope_and_uses(self, tmp_path: Path) -> None:
        _, wrappers = census_with_wrappers(
            tree_of(tmp_path, dict(self.FILES)), load_profile("linux"), workers=1
        )
        assert {(w.name, w.kind, w.role, w.form, w.level, w.scope, w.uses) for w in wrappers} == {
            ("task_lock", "spin", "acquire", "macro", 1, "", 2),
            ("inode_lock", "rwsem", "acquire", "inline", 1, "", 1),
            ("one", "spin", "release", "inline", 1, "", 1),
            ("my_lock", "spin", "acquire", "macro", 2, "drivers/a/", 1),
            ("here", "sema", "release", "macro", 1, "drivers/a/a.c", 1),
        }

    def test_the_argument_tells_what_is_wrapped(self, tmp_path: Path) -> None:
        files: dict[str, str | bytes] = {
            "sys/a.h": "#define ENTER() mtx_lock(&Giant)\n#define TAKE(p) mtx_lock(&(p)->m)\n",
            "sys/a.c": "f() { ENTER(); TAKE(x); }",
        }
        _, wrappers = census_with_wrappers(tree_of(tmp_path, files), load_profile("freebsd"), workers=1)
        assert {(w.name, w.kind, w.wraps, w.uses) for w in wrappers} == {
            ("ENTER", "giant", "mtx_lock(&Giant)", 1),
            ("TAKE", "mutex", "mtx_lock", 1),
        }

    def test_uses_are_counted_only_when_asked(self, tmp_path: Path) -> None:
        tree = tree_of(tmp_path, dict(self.FILES))
        plain = census(tree, load_profile("linux"), workers=1)
        listed, _ = census_with_wrappers(tree, load_profile("linux"), count=False, workers=1)
        merged, wrappers = census_with_wrappers(tree, load_profile("linux"), workers=1)
        assert listed.count() == plain.count()
        assert merged.count() == plain.count() + sum(w.uses for w in wrappers)

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                ["static inline ", "void f(int x)", "\n{", "\n}", "{", "}", "(", "\n", ";", "up(x)"]
            ),
            max_size=25,
        ).map("".join),
        st.integers(0, 200),
    )
    def test_heads_of_inline_functions_never_fail(self, text: str, at: int) -> None:
        start = inline_start(text.encode(), at)
        if start is not None:
            assert 0 <= start <= at
            name = inline_name(text.encode(), start)
            assert name is None or re.fullmatch(r"\w+", name)


class TestProfiles:
    @pytest.mark.parametrize("name", BUNDLED)
    def test_bundled_ones_load(self, name: str) -> None:
        profile = load_profile(name)
        assert profile.kinds
        assert profile.source
        if profile.style == "tokens":
            assert len({(o.name, o.argument) for o in profile.operations()}) == len(profile.operations())

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("x", "is not valid"),
            ("id='a'\ntitle='t'\nstyle='tokens'\ndescription=''\nsource=''\nkinds=[]\nfiles={include=['*']}", "has no"),
            ("id='a'\ntitle='t'\nstyle='lines'\ndescription=''\nsource=''\nfiles={include=['*']}\nkinds=[{id='k',title='k',pattern='('}]", "pattern '\\('"),
            ("id='a'\ntitle='t'\nstyle='lines'\ndescription=''\nsource=''\nfiles={include=['*']}\nkinds=[{id='k',title='k'}]", "needs a pattern"),
            ("id='a'\ntitle='t'\nstyle='tokens'\ndescription=''\nsource=''\nfiles={include=['*']}\nkinds=[{id='k',title='k',acquire=['a b']}]", "'a b' is not a C name"),
            ("id='a'\ntitle='t'\nstyle='tokens'\ndescription=''\nsource=''\nfiles={include=['*']}\nkinds=[{id='k',title='k',acquire=['up'],release=['up']}]", "name it once"),
            ("id='a'\ntitle='t'\nstyle='tokens'\ndescription=''\nsource=''\nfiles={include=['*']}\nkinds=[{id='k',title='k',colour='red'}]", "colour"),
        ],
    )  # fmt: skip
    def test_bad_ones_say_why_in_one_line(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "p.toml"
        path.write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            load_profile(str(path))
        assert "\n" not in str(caught.value)

    def test_unknown_name(self) -> None:
        with pytest.raises(InputError, match="no profile 'linus': give one of paper, linux"):
            load_profile("linus")

    def test_own_profile(self, tmp_path: Path) -> None:
        path = tmp_path / "rtos.toml"
        path.write_text(
            "id='rtos'\ntitle='RTOS'\nstyle='tokens'\ndescription='d'\nsource='mine'\nfiles={include=['**/*.c']}\n"
            "[[kinds]]\nid='irq'\ntitle='irq lock'\nacquire=['irq_lock{,_nested}']\nrelease=['irq_unlock']\n"
        )
        result = census(
            tree_of(tmp_path / "t", {"k.c": "f() { irq_lock_nested(); irq_unlock(k); }"}),
            load_profile(str(path)),
            workers=1,
        )
        assert operations(result) == {"irq": 2}

    def test_detected_by_files(self) -> None:
        assert detect_profile(["include/linux/sched.h"]) == "linux"
        assert detect_profile(["kern/lock.h", "linux/src/include/linux/sched.h"]) == "mach"
        assert detect_profile(["freebsd/sys/kern/kern_mutex.c"]) == "freebsd"
        assert detect_profile(["main.c"]) is None


class TestFileSet:
    @pytest.mark.parametrize(
        ("pattern", "path", "matches"),
        [
            ("**/*.[chS]", "a.c", True), ("**/*.[chS]", "d/e/.f.S", True), ("**/*.[chS]", "a.cc", False),
            ("fs/*.c", "fs/a.c", True), ("fs/*.c", "fs/x/a.c", False), ("fs/**", "fs/x/a.c", True),
            ("{a,b}/?.h", "b/x.h", True), ("{a,b}/?.h", "b/xy.h", False), ("[!a]*.c", "b.c", True), ("[!a]*.c", "a.c", False),
            ("arch/{i386,x86}/**/*.h", "arch/x86/a/b.h", True), ("a+b.c", "aab.c", False), ("a+b.c", "a+b.c", True),
            ("**/*.c", "x\ny/z.c", True), ("[^/]x", "ax", True), ("*", "a/b", False),
        ],
    )  # fmt: skip
    def test_globs(self, pattern: str, path: str, matches: bool) -> None:
        assert FileSet((pattern,)).matches(path) is matches

    def test_roots(self) -> None:
        assert FileSet(("kernel/**/*.c", "fs/*.c", "fs/ext2/*.c", "arch/{a,b}/x.h")).roots == (
            "arch/a",
            "arch/b",
            "fs",
            "kernel",
        )
        assert FileSet().roots == ("",)

    @settings(max_examples=200)
    @given(st.text("ab*?[]{},!/\\^-", max_size=12), st.text("ab/", max_size=6))
    def test_no_pattern_crashes(self, pattern: str, path: str) -> None:
        try:
            FileSet((pattern,)).matches(path)
        except InputError as error:
            assert repr(pattern) in str(error)
