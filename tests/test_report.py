"""The report of ``lockscape study`` in a browser: charts, controls by keyboard, without a script, hostile names."""

import json
import time
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import combinations, pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browser_tools import Tab, browser
from cli_tools import Command
from lockscape import catalog
from lockscape.experiments import study
from lockscape.experiments.statements import SYSTEMS
from lockscape.report.bar_rows import Row, bar_rows
from lockscape.report.bundled import bundled
from lockscape.report.labels import common
from lockscape.report.line_chart import Frame, Series, line_chart, scale_step, spread
from lockscape.report.organisations import HEIGHT, WIDTH, organisations
from lockscape.report.page import render_page
from lockscape.report.study import StudyDocument, study_document
from lockscape.report.study_runs import Booted, BootedPoint, four_kernels
from lockscape.workloads.postmark import PAPER
from test_page import HOSTILE, Page, hostile, manifest, other_family

TINY = study.Size(msgspec.structs.replace(PAPER, files=10, transactions=20), (1, 2), False)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> StudyDocument:
    """A study of the four kernels and a system of at most two processors, with hostile names beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "system_ids", lambda: [*SYSTEMS, "dual-vax"])
        making = study.Making(tmp_path_factory.mktemp("runs"), 1)
        studied = study.study_runs(TINY, making, lambda runs, what: nullcontext(None))
    curve = Booted(
        HOSTILE, HOSTILE, "postmark", HOSTILE, HOSTILE, (BootedPoint(1, 1.0), BootedPoint(64, 30.0))
    )
    return study_document([hostile(), other_family()], manifest(), "quick", studied, [curve])


@pytest.fixture(scope="module")
def page(small: StudyDocument, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(small), "utf-8")
    return path


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


SECTIONS = ("short", "methods", "table-1", "table-2", "table-3", "others", "figure-2", "everyone", "locks",
            "unlocking", "figure-3", "conclusions", "claims", "systems", "counting", "appendix", "references")  # fmt: skip


def test_the_report_has_every_part(small: StudyDocument, page: Path) -> None:
    markup = page.read_text("utf-8")
    found = Page(markup)
    assert set(SECTIONS) | {"figure-1", "booted", "records", "machine-costs", "step-costs"} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert {target[1:] for target in found.targets} <= set(found.ids)
    for tag in ("section", "figure", "svg", "table", "details", "div", "ul", "li", "g", "article"):
        assert markup.count(f"</{tag}>") == found.elements.count(tag), tag
    text = " ".join("".join(found.text).split())
    for each in small.map.conclusions:
        assert each.name in text and each.rule in text
    for statement in small.statements:
        assert statement.recorded.text in text
    for record in small.records:
        assert record.title in text and all(command in text for command in record.again)
    for system in catalog.systems():
        assert f"plan-{system.id}" in found.ids
    assert "Small runs (--quick): 20 transactions on 10 files" in text
    assert len(markup.encode()) < 2_000_000


def test_every_chart_is_drawn_and_nothing_is_asked_for(tab: Tab, page: Path) -> None:
    tab.open(page)
    boxes = tab.value(
        "(() => { for (const each of document.querySelectorAll('.variant')) each.hidden = false;"
        " for (const each of document.querySelectorAll('details')) each.open = true;"
        " return [...document.querySelectorAll('svg[role=img]')].map(svg => { const box = svg.getBoundingClientRect();"
        " return [svg.id || svg.textContent.trim().slice(0, 20), box.width, box.height,"
        " svg.querySelectorAll('path,rect,polygon,circle,line').length, svg.getAttribute('aria-label') || '',"
        " svg.querySelector('desc').textContent.length] }) })()"
    )
    assert len(boxes) > 30
    for name, width, height, shapes, label, words in boxes:
        assert width > 100 and height > 50 and shapes > 2 and label and words > 20, name
    assert tab.told() == [] and tab.requests() == [page.as_uri()]
    check_names(tab)


def check_names(tab: Tab) -> None:
    """No two names of a map touch where they are drawn, and none leaves it."""
    maps = tab.value(
        "[...document.querySelectorAll('svg.lockscape-map')].map(svg => [...svg.querySelectorAll('text.name')]"
        ".map(text => { const box = text.getBBox();"
        " return [text.textContent, box.x, box.y, box.x + box.width, box.y + box.height] }))"
    )
    assert [len(names) for names in maps] == [46] * 3
    for names in maps:
        for (one, *a), (other, *b) in combinations(names, 2):
            assert not common(tuple(a), tuple(b)), (one, other)
        assert all(x >= 52 and right <= 980 - 16 for _, x, _, right, _ in names)


def test_it_never_scrolls_sideways(tab: Tab, page: Path) -> None:
    for width in (360, 1280):
        tab.open(page, width)
        assert tab.value("document.documentElement.scrollWidth") <= width


def shown(tab: Tab, box: str) -> list[str]:
    """Return the titles of the variants that are shown."""
    found: list[str] = tab.value(
        f"[...document.querySelectorAll('#{box} > .variant')].filter(each => each.getClientRects().length)"
        ".map(each => each.querySelector('.variant-title').textContent)"
    )
    return found


def test_without_a_script_everything_is_there(tab: Tab, page: Path, small: StudyDocument) -> None:
    tab.open(page, scripts=False)
    tab.call("Emulation.setScriptExecutionDisabled", value=False)  # of the page; the test's own must run
    for box, many in (
        ("four", 6),
        ("all", 2 * len(small.map.tradeoff.workloads)),
        ("waits", 4),
        ("paths", 2),
    ):
        assert len(shown(tab, box)) == many, box
    assert tab.value("[...document.querySelectorAll('input, button')].length") == 0
    assert tab.value("document.getElementById('tools').hidden")


def test_what_a_figure_shows_is_chosen_by_keyboard(tab: Tab, page: Path) -> None:
    tab.open(page)
    (first,) = shown(tab, "all")
    tab.value("document.querySelector('#all .controls input:checked').focus()")
    tab.press("ArrowRight")
    (second,) = shown(tab, "all")
    assert second != first
    tab.press("Tab")
    tab.press("ArrowRight")
    (third,) = shown(tab, "all")
    assert third.endswith("Linux 2.0 on one processor") and third.split(";")[0] == second.split(";")[0]
    tab.value("document.querySelector('#waits .controls input:checked').focus()")
    tab.press("ArrowRight")
    assert shown(tab, "waits") == ["On 4 processors"]


def test_systems_are_chosen_by_keyboard(tab: Tab, page: Path) -> None:
    tab.open(page)
    visible = (
        "[...document.querySelectorAll('#all > .variant:not([hidden]) .series')]"
        ".filter(each => each.getClientRects().length).map(each => each.dataset.series)"
    )
    before = tab.value(visible)
    tab.value("document.querySelector('.keys input[value=\"linux-2.2\"]').focus()")
    tab.press("Space")
    assert tab.value(visible) == [name for name in before if name != "linux-2.2"]
    tab.value(
        "[...document.querySelectorAll('.keys button')].find(each => each.textContent === 'None').focus()"
    )
    tab.press("Enter")
    assert tab.value(visible) == []
    tab.value(
        "[...document.querySelectorAll('.keys button')].find(each => /Asymm/.test(each.textContent)).focus()"
    )
    tab.press("Space")
    assert tab.value(visible) == ["dual-vax"]


def test_values_are_told_by_keys_and_pointer(tab: Tab, page: Path) -> None:
    tab.open(page)
    tip = "document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent"
    tab.value("document.querySelector('#four > .variant:not([hidden]) svg').focus()")
    assert tab.value(tip) == ""
    tab.press("ArrowRight", 2)
    assert tab.value(tip).startswith("Linux 2.0, 2 processors: ")
    tab.press("ArrowDown")
    assert tab.value(tip).startswith("Linux 2.2, 2 processors: ")
    tab.press("Escape")
    assert tab.value(tip) == ""
    where = tab.value(
        "(() => { const svg = document.querySelector('#four > .variant:not([hidden]) svg'); svg.scrollIntoView();"
        " const box = svg.querySelectorAll('.spot')[9].getBoundingClientRect(); return [box.x + 3, box.y + 3] })()"
    )
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=where[0], y=where[1])
    assert tab.value(tip).startswith("Linux 2.")


def test_tables_are_sorted_by_keyboard(tab: Tab, page: Path) -> None:
    tab.open(page)
    column = "[...document.querySelectorAll('#table1 tbody tr')].map(row => row.cells[5].dataset.v || '')"
    tab.value("document.querySelectorAll('#table1 thead button')[5].focus()")
    tab.press("Enter")
    state = "document.querySelectorAll('#table1 th')[5].getAttribute('aria-sort')"
    assert tab.value(state) == "descending"
    sizes = [float(size) for size in tab.value(column) if size]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) == len(
        [s for s in catalog.systems() if s.code_lines]
    )
    assert tab.value(column)[len(sizes) :] == [""] * (22 - len(sizes))  # what is not known is last
    tab.press("Enter")
    assert tab.value(state) == "ascending"
    assert [float(size) for size in tab.value(column) if size] == sorted(sizes)


def test_statements_are_filtered_and_colours_chosen_by_keyboard(tab: Tab, page: Path) -> None:
    tab.open(page, scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = tab.value(ground)
    tab.value("document.querySelector('#tools input:checked').focus()")
    tab.press("ArrowRight")
    light = tab.value(ground)
    assert light != dark and tab.value("document.documentElement.dataset.theme") == "light"
    tab.press("ArrowLeft")
    assert tab.value(ground) == dark
    tab.value("document.querySelector('.filters input:checked').focus()")
    tab.press("ArrowRight", 2)
    kept = tab.value(
        "[...document.querySelectorAll('.statement')].filter(each => each.getClientRects().length)"
        ".map(each => each.dataset.verdicts)"
    )
    assert kept and all("fails" in each for each in kept)


def test_hostile_names_do_nothing(tab: Tab, page: Path) -> None:
    tab.open(page)
    assert tab.value("document.querySelectorAll('script').length") == 2
    assert tab.value("document.getElementById('booted-table').rows[1].cells[0].textContent").startswith(
        "<script>"
    )
    assert tab.value(
        "JSON.parse(document.getElementById('data').textContent).csv.includes('<script>alert(1)')"
    )
    assert tab.told() == []


def test_the_browser_would_have_told(tab: Tab, tmp_path: Path) -> None:
    """The checks above can fail: this is what a foreign script and an image from outside leave behind."""
    target = tmp_path / "page.html"
    target.write_text(
        "<!doctype html><meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
        "<script>console.error('ran')</script><p>x</p>", "utf-8",
    )  # fmt: skip
    tab.open(target)
    assert any("Content Security Policy" in line for line in tab.told())
    target.write_text("<!doctype html><script>console.error('ran')</script><img src='other.png'>", "utf-8")
    tab.open(target)
    assert any("ran" in line for line in tab.told()) and len(tab.requests()) == 2


# Numbers


def test_the_runs_of_the_four_kernels_are_judged(small: StudyDocument) -> None:
    assert small.curves is not None
    (vax,) = (each for each in small.curves.systems if each.name == "dual-vax")
    assert [point.cpus for point in vax.points] == [1, 2]
    found = four_kernels(small.curves)
    assert {name: len(cycles) for name, cycles in found.makespan_cycles.items()} == dict.fromkeys(SYSTEMS, 8)
    assert all(each.now is not None for each in small.statements)
    base = next(each for each in small.curves.systems if each.name == "linux-2.0").points[0]
    assert base.speedup == base.speedup_over_baseline == 1.0
    assert sum(base.time_shares.values()) == pytest.approx(1)


@given(st.lists(st.floats(-50, 500), max_size=30))
@settings(deadline=None)
def test_names_keep_apart_and_inside(wanted: list[float]) -> None:
    found = spread(wanted, 10, 400)
    gap = min(13.0, 390 / max(len(wanted) - 1, 1))
    ordered = sorted(found)
    assert all(9.9 <= each <= 400.1 for each in found)
    assert all(b - a >= gap - 0.3 for a, b in pairwise(ordered))
    places = sorted(range(len(wanted)), key=lambda n: (wanted[n], n))
    assert [found[n] for n in places] == ordered  # in the order of the curves' ends


VALUES = st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=8)


@given(st.lists(VALUES, min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_curves_stay_in_their_frame(values: list[list[float]]) -> None:
    series = [
        Series(str(n), f"s{n}", "fine", [(float(x), y) for x, y in enumerate(curve, 1)], n)
        for n, curve in enumerate(values)
    ]
    chart = line_chart("c", "t", series, Frame())
    for curve in chart.curves:
        for spot in curve.spots:
            assert chart.left <= spot.x <= chart.right and 13.9 <= spot.y <= chart.base
    assert len(chart.across) <= 9


@given(st.floats(1e-6, 1e9))
@settings(deadline=None)
def test_steps_are_round_and_few(largest: float) -> None:
    step = scale_step(largest)
    assert f"{step:.0e}"[0] in "125" and largest / step <= 8.001


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_bars_stay_in_their_chart(values: list[list[float]]) -> None:
    rows = [Row(str(n), f"r{n}", [("user", v / len(row)) for v in row], "x") for n, row in enumerate(values)]
    chart = bar_rows("b", "t", "u", rows, shares=True)
    for bar in chart.bars:
        assert all(chart.left - 0.1 <= s.x and s.x + s.width <= chart.width + 0.1 for s in bar.segments)


def test_figure_1_has_the_papers_panels() -> None:
    found = organisations()
    assert "".join(each.letter for each in found) == "abcdefghi"
    letters = {each.figure1_panel for each in [*catalog.methods(), *catalog.systems()]}
    letters |= {variant.figure1_panel for method in catalog.methods() for variant in method.variants}
    assert letters - {None} == {each.letter for each in found}
    for each in found:
        for box in each.boxes:
            assert box.x >= 0 and box.x + box.width <= WIDTH and box.y >= 0 and box.y + box.height <= HEIGHT
    kernels = {each.letter: each.kernels for each in found}
    assert kernels["a"] == 1 and kernels["h"] == 8  # one kernel; a guest on each processor


# The command


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(capsys)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file or directory"),
        ("{", "no booted kernel's curve"),
        ('{"document": "simulate"}', "no booted kernel's curve"),
        ("\x00\x1b", "no booted kernel's curve"),
    ],
)
def test_a_booted_file_that_is_none(call: Command, text: str | None, words: str) -> None:
    if text is not None:
        Path("boot.json").write_text(text)
    done = call("study", "--recorded", "--booted", "boot.json")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert words in done.err and "lockscape boot" in done.err and not Path("lockscape-report.html").exists()


def timed(
    call: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *options: str
) -> tuple[dict, float]:
    monkeypatch.setenv("LOCKSCAPE_CACHE", str(tmp_path / "cache"))
    start = time.perf_counter()
    done = call("study", "--json", "-o", "report.html", *options)
    assert done.code == 0, done.err
    return json.loads(done.out), time.perf_counter() - start


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("size", ["quick", "full"])
def test_a_whole_study(
    size: str, call: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tab: Tab
) -> None:
    found, seconds = timed(call, monkeypatch, tmp_path, *(["--quick"] if size == "quick" else []))
    print(f"study, {size}: {seconds:.0f} s")
    assert found["size"] == size and len(found["curves"]["systems"]) == 22
    assert ("map" in {each["id"] for each in found["records"]}) == (size == "quick")
    page = tmp_path / "report.html"
    assert page.stat().st_size < 3_000_000
    tab.open(page)
    assert tab.told() == [] and tab.requests() == [page.as_uri()]
    if size == "full":  # the same bits as recorded, and the map of the release
        text = page.read_text("utf-8")
        assert "gave the very cycles that were recorded for the release" in text
    assert len(bundled()) == 4
