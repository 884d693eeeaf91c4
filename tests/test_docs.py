"""Every example that the documentation prints is executed, and generated text is what its generator writes.

A block with the info string ``console`` is a list of commands (``$ …``), each followed by all that it prints,
on standard output and standard error. ``...`` matches anything: alone on a line any number of lines, inside a
line any characters. Commands run in a copy of ``docs/examples``, 80 columns wide. Only ``lockscape`` may be
called, with a pipe to a few standard tools, and ``uv pip install``. A block ``pycon`` is a doctest.

The README's commands, and those of blocks that install something, run in a shell; on all other pages
``lockscape`` runs inside the test process, which saves its start each time.
"""

import contextlib
import doctest
import importlib.util
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from lockscape.cli.main import run as lockscape
from lockscape.experiments import whatif
from tools import require

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)]

PROGRAMS = {"lockscape", "head", "grep", "wc", "uv"}

FUNCTIONS = """
lockscape() { "$PYTHON" -m lockscape "$@"; }
uv() { command uv "$@" --target installed --python "$PYTHON" --no-deps --no-build-isolation --offline --no-cache; }
"""
"""What commands of examples mean here: a package is installed into the copy of the examples, from what is there."""

NOT_EXECUTED = {
    "README.md": [
        "pip install uv && uv run lockscape study --quick",
        "pip install uv && uv run --group test pytest",
        "lockscape fetch linux-2.6.11.7",
    ],
    "docs/laboratory/figure2.md": ["lockscape figure2 --check 0 --check 117"],
    "docs/laboratory/latency.md": [
        "lockscape table1 --check linux-2.4",
        "python tools/record_table1.py --folder RUNS",
    ],
    "docs/laboratory/unlock.md": ["lockscape unlock linux-2.0 --number 500 --transactions 1000 --json"],
    "docs/laboratory/proof.md": ["lockscape port linux-2.4 --mutants"],
    "docs/report.md": ["lockscape study --quick", "lockscape study"],
    "docs/real/host.md": [
        "lockscape host postmark one-directory one-file compute --repeat 9",
        "lockscape host postmark --json | lockscape laws -",
    ],
    "docs/real/boot.md": [
        "lockscape boot debian",
        "lockscape boot debian --cpus 1 --processes 1",
        "lockscape boot debian --json | lockscape laws -",
    ],
    "docs/real/model.md": [
        "lockscape boot debian --cpus 1 --processes 1 --json > boot.json",
        "lockscape calibrate boot.json",
        "lockscape calibrate boot.json --json > mine.json",
        "lockscape simulate linux-2.6 --costs mine.json",
        "lockscape boot debian --json > booted.json",
        "lockscape simulate linux-2.6 --costs linux-6.1-measured --json > simulated.json",
        "lockscape compare booted.json simulated.json",
    ],
    "docs/development.md": [
        "uv run --group test pytest",
        "uv run --group test pytest -m slow",
        "uv run --group lint ruff check .",
        "uv run --group lint ruff format --check .",
        "uv run --group lint --group test mypy",
        "uv run --group docs sphinx-build -q -W -b html docs docs/_build/html",
        "uv run python docs/generate.py",
        "uv run python tools/draw_pictures.py",
        "uv run --group test python tools/draw_report.py lockscape-report.html",
        "uv run --group test python benchmarks/census.py ~/src/linux-6.1 --repeat 5",
        "uv run python tools/record_measurements.py ~/trees/linux-*",
    ],
}
"""The commands in ``sh`` blocks, by page: they need a network, another program or minutes."""

DATA = {
    "text",
    "toml",
    "c",
    "json",
    "bibtex",
    "{eval-rst}",
    "{literalinclude}",
    "{toctree}",
    "{image}",
    "{include}",
}
"""Info strings of blocks that hold no commands."""


UNWANTED = {"FORCE_COLOR", "NO_COLOR", "LOCKSCAPE_BASE"}
"""Variables that would change what is printed."""


class Block(NamedTuple):
    page: str
    line: int
    info: str
    body: str


_FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<info>\S*)[^\n]*\n(?P<body>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL
)


def blocks_of(path: Path) -> list[Block]:
    text = path.read_text("utf-8")
    name = path.relative_to(ROOT).as_posix()
    return [
        Block(name, text.count("\n", 0, m.start()) + 1, m["info"], m["body"]) for m in _FENCE.finditer(text)
    ]


BLOCKS = [block for path in PAGES for block in blocks_of(path)]


INSTALLING = "uv pip install"
"""What an example begins with that takes long: the fast tests of packages install the same package."""


def blocks(info: str, slow: str | None = None) -> list[pytest.param]:  # type: ignore[valid-type]
    """Return the blocks of a kind; those with some words in them are slow."""
    return [
        pytest.param(b, id=f"{b.page}:{b.line}", marks=pytest.mark.slow if slow and slow in b.body else ())
        for b in BLOCKS if b.info == info
    ]  # fmt: skip


class Example(NamedTuple):
    command: str
    expected: str


def examples_of(block: Block) -> list[Example]:
    start, *parts = re.split(r"^\$ (.*)\n", block.body, flags=re.MULTILINE)
    assert not start.strip(), f"{block.page}:{block.line}: output before the first command"
    assert parts, f"{block.page}:{block.line}: no command"
    return [Example(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]


def pipeline(command: str) -> list[list[str]]:
    """Return the words of each command of a pipeline; anything else that a shell could do fails here."""
    words = shlex.shlex(command, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    assert not set("$`\n") & set(command), command
    found: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set("();<>|&"):
            assert word == "|", f"{word!r} in {command!r}"
            found.append([])
        else:
            found[-1].append(word)
    return found


def programs_of(command: str) -> list[str]:
    return [words[0] for words in pipeline(command)]


def matcher(expected: str) -> re.Pattern[str]:
    lines = [line.rstrip() for line in expected.splitlines()]
    parts = (
        r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(re.escape("..."), ".*") + r"\n"
        for line in lines
    )
    return re.compile("".join(parts))


def settings_of(folder: Path) -> dict[str, str]:
    return {"COLUMNS": "80", "LOCKSCAPE_CACHE": str(folder / "cache"), "PYTHONUTF8": "1"}


def in_a_shell(command: str, folder: Path) -> tuple[int, str]:
    """Run a pipeline as a shell does; return its exit code and what it prints."""
    if "uv" in programs_of(command):
        require("uv")
    environment = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    environment |= settings_of(folder) | {"PYTHON": sys.executable}
    environment["PYTHONPATH"] = os.pathsep.join(
        [*filter(None, [environment.get("PYTHONPATH")]), str(folder / "installed")]
    )
    done = subprocess.run(
        ["sh", "-c", f"{FUNCTIONS}{command}\n"], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode("utf-8")


def here(command: str, folder: Path) -> tuple[int, str]:
    """Run the commands of a pipeline one after the other, lockscape in this process."""
    code, out, errors = 0, "", ""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in UNWANTED:
            patch.delenv(name, raising=False)
        for name, value in settings_of(folder).items():
            patch.setenv(name, value)
        stages = pipeline(command)
        for words in stages:
            if words[0] == "lockscape":
                code, out, said = called(words[1:], out, joined=words is stages[-1])
                errors += said
            else:
                done = subprocess.run(words, input=out, capture_output=True, encoding="utf-8", check=False)
                code, out, errors = done.returncode, done.stdout, errors + done.stderr
    return code, errors + out


def called(arguments: list[str], given: str, joined: bool) -> tuple[int, str, str]:
    """Call lockscape; return its exit code, output and errors, which are in the output if `joined`."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    errors = out if joined else io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode("utf-8")), "utf-8"))
        writing = contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors)
        with writing[0], writing[1], pytest.raises(SystemExit) as stop:
            lockscape(arguments)
    printed, said = (each.buffer.getvalue().decode("utf-8") for each in (out, errors))  # type: ignore[attr-defined]
    return int(stop.value.code or 0), printed, "" if joined else said


@pytest.fixture
def one_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `lockscape whatif` look at one trial, of those that it looks at: what it prints of it is the same."""
    monkeypatch.setattr(whatif, "QUICK", whatif.QUICK[-1:])


@pytest.mark.usefixtures("one_trial")
@pytest.mark.parametrize("block", blocks("console", INSTALLING))
def test_examples_print_what_the_page_says(block: Block, tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(DOCS / "examples", folder)
    examples = examples_of(block)
    programs = {program for command, _ in examples for program in programs_of(command)}
    assert programs <= PROGRAMS
    run = in_a_shell if block.page == "README.md" or "uv" in programs else here
    for command, expected in examples:
        code, printed = run(command, folder)
        found = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
        if not matcher(expected).fullmatch(found):
            assert found == expected, f"{block.page}:{block.line}: {command}"
        failed = any(line.startswith("lockscape: ") for line in found.splitlines())
        assert (code != 0) == failed, f"{command}: exit code {code}"


@pytest.mark.parametrize("block", blocks("pycon"))
def test_python_examples(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(DOCS / "examples", folder)
    monkeypatch.chdir(folder)
    parsed = doctest.DocTestParser().get_doctest(block.body, {}, block.page, block.page, block.line)
    report: list[str] = []
    outcome = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(parsed, out=report.append)
    assert outcome.attempted
    assert not outcome.failed, "".join(report)


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    other = {b.info for b in BLOCKS} - {"console", "pycon", "sh"} - DATA
    assert not other, f"blocks of {other}: commands belong into console blocks"


def test_commands_that_are_not_executed_are_listed() -> None:
    found: dict[str, list[str]] = {}
    for block in BLOCKS:
        if block.info == "sh":
            found.setdefault(block.page, []).extend(block.body.splitlines())
    assert found == NOT_EXECUTED


@pytest.mark.parametrize(
    ("expected", "found", "matches"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\n...\nc\n", "a\nb\nb\nc\n", True),
        ("a\n...\nc\n", "a\nc\n", True),
        ("a ... c\n", "a b c\n", True),
        ("a ... c\n", "a b\nb c\n", False),
        ("a.c\n", "abc\n", False),
        ("a\n", "a\nb\n", False),
        ("", "a\n", False),
    ],
)
def test_comparison(expected: str, found: str, matches: bool) -> None:
    assert bool(matcher(expected).fullmatch(found)) is matches


@pytest.mark.parametrize(
    "command", ["lockscape x; rm y", "lockscape x > y", "lockscape `x`", "lockscape x && y"]
)
def test_other_shell_syntax_is_refused(command: str) -> None:
    with pytest.raises(AssertionError):
        programs_of(command)


@pytest.fixture(scope="session")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))  # as where it is run as a script
        spec.loader.exec_module(module)
    return module


def test_generated_regions_are_current(generator: ModuleType) -> None:
    seen: list[str] = []
    for path in PAGES:
        text = path.read_text("utf-8")
        seen += generator.regions_of(text)
        assert generator.filled(text, generator.REGIONS) == text, f"{path.name}: run python docs/generate.py"
    simulated = {**generator.method_pages.simulated(), **generator.system_pages.simulated()}
    assert sorted(seen) == sorted([*generator.REGIONS, *simulated, *generator.counted(ROOT)])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_simulated_curves_of_methods_are_current(generator: ModuleType) -> None:
    for path in sorted((DOCS / "methods").glob("*.md")):
        text = path.read_text("utf-8")
        current = generator.filled(text, generator.method_pages.simulated())
        assert current == text, f"{path.name}: run python docs/generate.py"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_simulated_regions_of_systems_are_current(generator: ModuleType) -> None:
    for name in ("systems", "verification"):
        path = DOCS / "laboratory" / f"{name}.md"
        text = path.read_text("utf-8")
        current = generator.filled(text, generator.system_pages.simulated())
        assert current == text, f"{path.name}: run python docs/generate.py"


def test_the_picture_of_the_map_is_current(generator: ModuleType) -> None:
    pages = generator.map_pages
    assert pages.map_svg(pages.recorded_map()) == pages.PICTURE.read_text("utf-8"), (
        "run python docs/generate.py"
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_recorded_map_is_what_is_measured(generator: ModuleType, tmp_path: Path) -> None:
    from lockscape.experiments.tradeoff import QUICK, all_names, tradeoff

    recorded = generator.map_pages.recorded_map().tradeoff
    found = tradeoff(all_names(), QUICK._replace(seeds=recorded.seeds), tmp_path)
    assert found == recorded, (
        f"run lockscape map --seeds {recorded.seeds} --json > src/lockscape/experiments/recorded/map.json"
    )


def test_stated_agreement_is_the_measured_one() -> None:
    from lockscape import catalog
    from lockscape.report.bundled import bundled

    places, lines = [0.0], [0.0]
    for two, three, found in zip(catalog.table2().rows, catalog.table3().rows, bundled(), strict=True):
        for kind, count in found.counts("paper").items():
            if published := getattr(two, kind):
                places.append(abs(count / published - 1))
        for method in found.methods:
            change = found.change(method)
            assert change is not None
            lines.append(abs(change.modified / three.modified - 1))
    stated = f"Table 2 within {max(places):.1%}, the last column of Table 3 within {max(lines):.1%}"
    assert stated in " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"{max(places):.1%}" in (DOCS / "method" / "agreement.md").read_text("utf-8")


def test_pictures_show_what_is_printed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "draw_pictures.py", tmp_path], check=True, timeout=60)
    drawn = sorted(tmp_path.glob("*.svg"))
    assert [path.name for path in drawn] == sorted(path.name for path in (DOCS / "images").glob("*.svg"))
    for path in drawn:
        kept = (DOCS / "images" / path.name).read_text("utf-8")
        texts = [re.findall(r"<text[^>]*>([^<]*)", svg) for svg in (kept, path.read_text("utf-8"))]
        assert texts[0] == texts[1], "run python tools/draw_pictures.py"


@pytest.mark.slow
def test_region_counted_on_real_kernels_is_current(generator: ModuleType, trees: Path) -> None:
    absent = [v for v in generator.VERSIONS if not (trees / f"linux-{v}").is_dir()]
    if absent:
        pytest.skip(f"LOCKSCAPE_TREES has no linux-{absent[0]}")
    for path in PAGES:
        text = path.read_text("utf-8")
        assert generator.filled(text, generator.counted(trees)) == text, "run python docs/generate.py TREES"


def test_profile_reference_names_every_key() -> None:
    from lockscape.source import profile

    text = (DOCS / "reference" / "profiles.md").read_text("utf-8")
    for struct in (profile.Profile, profile.Files, profile.FootprintDefaults, profile.Words, profile.Kind):
        missing = [name for name in struct.__struct_encode_fields__ if f"`{name}`" not in text]
        assert not missing, f"{struct.__name__}: {missing}"


def test_links_between_pages_lead_somewhere() -> None:
    for path in PAGES:
        for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            if Path(target).suffix in (".md", ".svg"):
                assert (path.parent / target).exists(), f"{path.name}: {target}"
