"""Methods from installed packages: the example, really installed, and packages with something wrong."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_tools import Command
from lockscape.errors import InputError
from lockscape.experiments.choose import choose_plan
from lockscape.experiments.result import RunSpec
from lockscape.experiments.sample import cost_factors, kernel_steps, steps_of
from lockscape.experiments.store import key_of
from lockscape.ports import packages
from lockscape.ports.plan import load_plan
from lockscape.ports.port import port
from package_tools import EXAMPLE, install_example, packages_in, write_package
from test_schemas import check

METHOD = "partitioned-names"
SMALL = ("--cpus", "4", "--processes", "4", "--transactions", "30", "--number", "20", "-j", "1")
VARIANT = 'base = "giant"\ntitle = "Another giant"\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    install_example(folder)
    return folder


@pytest.fixture
def installed(site: Path) -> Iterator[None]:
    with packages_in(site):
        yield


@pytest.fixture
def lockscape(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("LOCKSCAPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return Command(capsys)


@pytest.mark.usefixtures("installed")
def test_a_method_of_a_package_is_simulated_and_its_version_recorded(
    lockscape: Command, tmp_path: Path
) -> None:
    code, out, err = lockscape("simulate", "fine", METHOD, *SMALL, "--json")
    assert (code, err) == (0, ""), "nothing is compiled, nothing to tell"
    check("simulate", out)
    found = json.loads(out)
    (package,) = found["manifest"]["packages"]
    assert (package["name"], package["version"]) == (METHOD, "0.1.0")
    fine, own = (system["points"][-1]["result"] for system in found["systems"])
    waits = [sum(lock["wait_cycles"] for lock in each["locks"] if lock["lock"] in ("dcache_lock", "part_lock"))
             for each in (fine, own)]  # fmt: skip
    assert waits[1] < waits[0] / 2, "names in parts are waited for less"
    (tmp_path / "a.json").write_text(out)
    again = json.loads(lockscape("rerun", "a.json", "--json", "-j", "1").out)
    assert again["verdict"] == "identical"


@pytest.mark.usefixtures("installed")
def test_what_it_changes_is_shown_and_counted(lockscape: Command) -> None:
    code, out, err = lockscape("port", METHOD, "--json")
    assert (code, err) == (0, "")
    check("port", out)
    effort = json.loads(out)["ports"][0]["effort"]
    new = [each["name"] for each in effort["functions"] if each["is_new"]]
    assert new == ["part_of", "drop_from"] and effort["new_lines"] > 5
    listing = lockscape("port", METHOD, "dput").out
    assert "+     spin_lock(part.part_lock)" in listing and "-     cache = DentryCache" in listing


@pytest.mark.usefixtures("installed")
def test_methods_are_listed_with_their_package(lockscape: Command) -> None:
    code, out, err = lockscape("methods", "--json")
    assert (code, err) == (0, "")
    check("methods", out)
    (one,) = json.loads(out)["installed"]
    assert (one["name"], one["kind"], one["package"], one["version"]) == (METHOD, "plan", METHOD, "0.1.0")
    assert f"of the package {METHOD} 0.1.0" in " ".join(lockscape("methods").out.split())
    assert "Fine-grained locking with the name cache in 16 parts" in lockscape("methods", "show", METHOD).out
    assert METHOD in lockscape("methods", "--csv").out
    assert lockscape("port", "partitioned-name").err.startswith(
        f"lockscape: unknown system or method 'partitioned-name': did you mean {METHOD}?"
    )


@pytest.mark.usefixtures("installed")
def test_a_plan_of_a_user_may_begin_with_it(lockscape: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(f'base = "{METHOD}"\ntitle = "Mine"\noptions = {{hz = 1000}}\n')
    plan = choose_plan("mine.toml")
    assert plan.new_code == ("partitioned_names.names",) and plan.options["hz"] == 1000
    assert "part_of" in port(plan).brought()


@pytest.mark.usefixtures("installed")
def test_its_costs_join_only_its_own_runs() -> None:
    plan = load_plan(METHOD)
    assert set(steps_of(plan.new_code)) - set(kernel_steps()) == {"name_part"}
    drawn, bare = cost_factors(7, "pentium4", plan.new_code), cost_factors(7, "pentium4")
    assert drawn == bare | {"name_part": drawn["name_part"]}


def test_a_run_is_kept_under_the_code_of_its_package(site: Path, tmp_path: Path) -> None:
    keys = []
    shutil.copytree(site, tmp_path / "other")
    with (tmp_path / "other/partitioned_names/names.py").open("a") as code:
        code.write("# changed\n")
    for folder in (site, site, tmp_path / "other"):
        with packages_in(folder):
            specs = [RunSpec("", load_plan(name), 4) for name in (METHOD, "fine")]
            keys.append([key_of(spec) for spec in specs])
    assert keys[0] == keys[1]
    assert keys[2][0] != keys[0][0] and keys[2][1] == keys[0][1]
    with packages_in(tmp_path / "nothing"), pytest.raises(InputError, match="is of no installed package"):
        key_of(specs[0])


def test_without_a_package_nothing_is_listed(lockscape: Command) -> None:
    found = json.loads(lockscape("methods", "--json").out)
    assert (found["installed"], found["unusable"], found["manifest"]["packages"]) == ([], [], [])
    assert lockscape("simulate", METHOD).err.startswith(f"lockscape: unknown system or method {METHOD!r}")


def test_new_code_is_only_that_of_installed_packages(lockscape: Command, tmp_path: Path) -> None:
    for module in ("os.path", "lockscape.cli", "..ports", "a.b\\u001b"):
        (tmp_path / "mine.toml").write_text(f'base = "fine"\ntitle = "x"\nnew_code = ["{module}"]\n')
        code, _, err = lockscape("port", "mine.toml")
        assert code == 1 and "is of no installed package" in err and "\x1b" not in err


def test_a_system_of_a_package(tmp_path: Path, lockscape: Command) -> None:
    text = (EXAMPLE.parent / "my-rtos.toml").read_text()
    write_package(tmp_path, "my-rtos", {"systems/my-rtos.toml": text, "plans/small.toml": VARIANT})
    with packages_in(tmp_path):
        assert "wake" in lockscape("port", "my-rtos", "wake").out
        found = json.loads(lockscape("methods", "--json").out)["installed"]
        assert [(each["name"], each["kind"]) for each in found] == [("my-rtos", "system"), ("small", "plan")]
        assert "preemptible" in choose_plan("my-rtos").options
        assert "has no mechanism" not in lockscape("port", "my-rtos@uniprocessor").err


BAD = {
    "toml": ({"plans/a.toml": "base ="}, "a: not a plan"),
    "utf-8": ({"plans/a.toml": "title = '\udcff'"}, "UnicodeDecodeError"),
    "key": ({"plans/a.toml": VARIANT + "lok = 1\n"}, "a: not a plan: Object contains unknown field `lok`"),
    "base": ({"plans/a.toml": VARIANT.replace("giant", "gaint")}, "unknown plan 'gaint': did you mean giant?"),
    "itself": ({"plans/a.toml": VARIANT.replace("giant", "a")}, "its base or its locks lead back to itself"),
    "circle": (
        {"plans/a.toml": VARIANT.replace("giant", "b"), "plans/b.toml": VARIANT.replace("giant", "a")},
        "its base or its locks lead back to itself",
    ),
    "others": ({"plans/a.toml": VARIANT + 'new_code = ["json.tool"]\n'}, "'json.tool' is of no installed package"),
    "absent": ({"plans/a.toml": VARIANT + 'new_code = ["bad.code"]\n'}, "ModuleNotFoundError"),
    "raises": ({"plans/a.toml": VARIANT + 'new_code = ["bad.code"]\n', "code.py": "1 / 0\n"},
               "ZeroDivisionError: division by zero"),
    "exits": ({"plans/a.toml": VARIANT + 'new_code = ["bad.code"]\n', "code.py": "raise SystemExit(0)\n"},
              "SystemExit: 0"),
    "syntax": ({"plans/a.toml": VARIANT + 'new_code = ["bad.code"]\n', "code.py": "def (\n"}, "SyntaxError"),
    "language": (
        {"plans/a.toml": VARIANT + 'new_code = ["bad.code"]\n',
         "code.py": "from lockscape.program.language import function\n@function()\ndef f() -> None:\n    [1]\n"},
        "bad.code.f, line 4",
    ),
    "unknown step": (
        {"plans/a.toml": VARIANT + 'new_code = ["bad.code"]\n',
         "code.py": "from lockscape.program.language import function, step\n\n\n@function(replaces=True)\n"
                    "def sys_time(which: int) -> int:\n    step('no_such')\n    return 0\n"},
        "unknown cost 'no_such'",
    ),
    "class": (
        {"plans/a.toml": VARIANT + 'new_code = ["bad.code"]\n',
         "code.py": "from lockscape.program.objects import Object\nclass Inode(Object):\n    a: int\n"},
        "a class Inode is there already",
    ),
    "costs": ({"plans/a.toml": VARIANT + 'new_code = ["bad.code"]\n', "code.py": "", "costs.toml": "[[step]]\n"},
              "ValidationError: Object missing required field `name`"),
    "their cost": (
        {"plans/a.toml": VARIANT + 'new_code = ["bad.code"]\n', "code.py": "",
         "costs.toml": '[[step]]\nname = "dput"\ninstructions = 1\nlow = 1\nhigh = 1\nconfidence = "E"\nevidence = ""\n'},
        "the step 'dput' is the kernel's",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_one_line_that_names_the_package(
    what: str, tmp_path: Path, lockscape: Command
) -> None:
    files, words = BAD[what]
    site = tmp_path / "site"
    write_package(site, "bad", {name: "" if "\udcff" in text else text for name, text in files.items()})
    if what == "utf-8":
        (site / "bad/plans/a.toml").write_bytes(b"title = '\xff'")
    with packages_in(site):
        code, out, err = lockscape("simulate", "a", *SMALL)
        assert (code, out) == (1, "") and err.startswith("lockscape: package bad 1.2: ")
        assert words in err and err.count("\n") == 1 and err.count("package bad") == 1
        assert choose_plan("giant").title, "others go on"
        assert lockscape("port", "giant", "sys_time").code == 0


@pytest.mark.parametrize(
    ("files", "entry", "words"),
    [
        ({}, "", "no plans/NAME.toml and no systems/NAME.toml in bad"),
        ({}, "no_such_module", "there is no package 'no_such_module'"),
        ({}, "json.tool", "there is no package 'json.tool'"),
        ({"a/__init__.py": "1 / 0\n"}, "bad.a.b", "ZeroDivisionError"),
        (
            {"plans/giant.toml": VARIANT, "plans/ok.toml": VARIANT},
            "",
            "'giant' is lockscape's own, which stands",
        ),
        ({"plans/a.toml": "base ="}, "", "a: not a plan"),
    ],
)
def test_methods_tell_what_cannot_be_used(
    files: dict[str, str], entry: str, words: str, tmp_path: Path, lockscape: Command
) -> None:
    write_package(tmp_path / "site", "bad", files, entry)
    with packages_in(tmp_path / "site"):
        code, out, err = lockscape("methods", "--json")
        assert code == 0 and err.startswith("lockscape: package bad: ") and words in err
        assert err.count("\n") == 1
        check("methods", out)
        found = json.loads(out)
        assert len(found["methods"]) == 7 and [each["package"] for each in found["unusable"]] == ["bad"]
        assert [each["name"] for each in found["installed"]] == ["ok"] * ("plans/ok.toml" in files)
        assert load_plan("giant").title != "Another giant"


def test_a_name_of_two_packages_is_refused(tmp_path: Path, lockscape: Command) -> None:
    for name in ("one", "two"):
        write_package(tmp_path, name, {"plans/a.toml": VARIANT})
    with packages_in(tmp_path):
        err = lockscape("port", "a").err
        assert "'a' is in the packages one and two: uninstall one of them" in err and err.count("\n") == 1


def test_the_digest_is_of_what_a_run_needs(tmp_path: Path) -> None:
    write_package(tmp_path, "one", {"plans/a.toml": VARIANT, "README.md": "x"})
    with packages_in(tmp_path):
        (package,), _ = packages.found()
        before = package.sha256
    (tmp_path / "one/README.md").write_text("y")
    with packages_in(tmp_path):
        assert packages.found()[0][0].sha256 == before
    (tmp_path / "one/plans/a.toml").write_text(VARIANT + "\n")
    with packages_in(tmp_path):
        assert packages.found()[0][0].sha256 != before
