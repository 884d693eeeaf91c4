"""The HTML page: what is in it, that nothing can act from it, and how a real browser reads it."""

import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from importlib import resources

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape import catalog
from lockscape.report import palette
from lockscape.report.bundled import Measurement, bundled
from lockscape.report.chart import panel, round_step
from lockscape.report.manifest import Manifest, TreeRecord, Unread
from lockscape.report.page import render_page, script
from lockscape.report.study import StudyDocument, study_document

HOSTILE = "<script>alert(1)</script>\"'>&\x1b[2J\x00\x07\u202e\udcff{{ 7*7 }}"
SHOWN = "<script>alert(1)</script>\"'>&\\x1b[2J\\x00\\x07\\u202e\\xff{{ 7*7 }}"
"""The hostile name as a reader should see it."""


class Page(HTMLParser):
    """What a page holds: the text of tables' cells by the table's id, links, ids, and elements by name."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: dict[str, list[list[str]]] = {}
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.scripts: list[list[str]] = []
        self._table: str | None = None
        self._cell: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append(tag)
        self.attributes += found.items()
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.targets.append(found["href"])
        if tag == "script":
            self.scripts.append([found.get("type", ""), ""])
        if tag == "table":
            self._table = found["id"]
            self.tables[self._table] = []
        elif tag == "tr" and self._table:
            self.tables[self._table].append([])
        elif tag in ("td", "th") and self._table:
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._table = None
        elif tag in ("td", "th") and self._table and self._cell is not None:
            self.tables[self._table][-1].append(" ".join("".join(self._cell).split()))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1][1] += data
            return
        self.text.append(data)
        if self._cell is not None:
            self._cell.append(data)


def manifest(*trees: TreeRecord) -> Manifest:
    return Manifest("0", ("lockscape", "study", HOSTILE), trees, "2026-01-01T00:00:00+00:00", 0.1, "3", "x")


def hostile() -> Measurement:
    """A Linux tree with hostile names wherever names of a tree can be."""
    real = bundled()[0]
    return msgspec.structs.replace(
        real, label=HOSTILE, commit=HOSTILE, patterns_without_files=(HOSTILE,),
        problems=tuple(Unread(f"{number}{HOSTILE}", HOSTILE) for number in range(250)),
    )  # fmt: skip


def other_family() -> Measurement:
    real = bundled()[0]
    return msgspec.structs.replace(
        real, label=f"other {HOSTILE}", profiles=("freebsd",), kinds=({"giant": HOSTILE},),
        files=tuple(
            msgspec.structs.replace(file, counts=({"giant": 1},), lines=file.lines and file.lines[:1])
            for file in real.files
        ),
        methods=("evaluate",), define={HOSTILE: HOSTILE},
    )  # fmt: skip


def document(*trees: Measurement) -> StudyDocument:
    return study_document(trees, manifest())


@pytest.fixture(scope="module")
def plain() -> str:
    return render_page(document())


@pytest.fixture(scope="module")
def with_trees() -> str:
    return render_page(document(hostile(), other_family()))


def check_published(page: Page) -> None:
    """Assert that Tables 1, 2 and 3 hold every published cell, and the measured one beside it."""
    rows = page.tables["table1"][1:]
    assert [row[0] for row in rows] == [system.cells()["name"] for system in catalog.systems()]
    for row, system in zip(rows, catalog.systems(), strict=True):
        printed = [re.sub(r"( [a-c]+)?(, simulated .*)?$", "", cell) for cell in row[1:]]
        assert printed == list(system.cells().values())[1:]
    for row, printed, each in zip(page.tables["table2"][1:], catalog.table2().rows, bundled(), strict=False):
        assert f"published {printed.version}" in row[0] and f"measured {each.label}" in row[0]
        for cell, (kind, count) in zip(row[1:], each.counts("paper").items(), strict=True):
            published = getattr(printed, kind)
            assert cell.startswith(f"published {published:,}")
            assert f"measured {count:,}" in cell
            off = f"{count - published:+,}".replace("-", "\N{MINUS SIGN}")
            assert cell.endswith(", equal=" if count == published else f", difference {off}")
    for row, change, each in zip(page.tables["table3"][1:], catalog.table3().rows, bundled(), strict=False):
        pipeline, own = each.change("cpp"), each.change("evaluate")
        assert pipeline is not None and own is not None
        for cell, name in zip(
            row[2:6], ("changed_files", "lines_no_smp", "lines_smp", "modified"), strict=True
        ):
            assert cell.startswith(f"published {getattr(change, name):,}")
            assert f"measured {getattr(pipeline, name):,}" in cell
            assert f"own evaluator {getattr(own, name):,}" in cell
        assert row[1].startswith(f"published {change.files:,}") and f"measured {own.files:,}" in row[1]
        assert row[6].startswith(f"published {100 * change.modified_share:.2f}")


def test_the_tables(plain: str) -> None:
    page = Page(plain)
    assert {"table1", "table2", "table2-modern", "table3", "claims-table", "patterns", "trees"} < set(
        page.tables
    )
    check_published(page)
    kinds = {row[0]: row[1:] for row in page.tables["table2-modern"]}
    assert kinds["Kind"] == [each.label for each in bundled()]
    assert kinds["all"] == [f"{sum(each.counts('linux').values()):,}" for each in bundled()]
    assert [row[4] for row in page.tables["trees"][1:]] == [each.identity for each in bundled()]


def test_notes_at_cells_link_there_and_back(plain: str) -> None:
    page = Page(plain)
    assert len(page.ids) == len(set(page.ids))
    assert {target[1:] for target in page.targets} <= set(page.ids)
    cells = {row[0]: row[-1] for row in page.tables["table1"][1:]}
    assert [cells[name] for name in ("Linux 2.2", "Linux 2.4", "Linux 2.6 [16]")] == [
        "18 months a", "11 months a", "11 months a",
    ]  # fmt: skip
    assert page.tables["table2"][2][1].startswith("published 226bcd")
    for mark in ("table1-mark-a-1", "table1-mark-a-3", "table2-mark-b-2", "table3-mark-a-1"):
        assert f"#{mark}" in page.targets and mark in page.ids


def test_every_system_has_its_section_with_sources_and_marks(plain: str) -> None:
    page = Page(plain)
    text = " ".join("".join(page.text).split())
    for system in catalog.systems():
        assert f"system-{system.id}" in page.ids and f"#system-{system.id}" in page.targets
        for note in system.notes:
            assert note.text in text and note.source in text
    for reference in catalog.references():
        assert f"reference-{reference.number}" in page.ids and reference.title in text


@pytest.mark.parametrize("kind", ["plain", "with_trees"])
def test_nothing_is_loaded_and_only_our_script_runs(kind: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(kind)
    page = Page(text)
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    policy = next(value for _, value in page.attributes if value.startswith("default-src"))
    assert policy == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert [kind for kind, _ in page.scripts] == ["application/json", ""]
    assert page.scripts[1][1] == script()
    forbidden = {"link", "img", "iframe", "object", "embed", "base", "form", "video", "audio"}
    assert forbidden.isdisjoint(page.elements)
    assert all(target.startswith("#") for target in page.targets)
    names = {name for name, _ in page.attributes}
    assert names.isdisjoint({"src", "srcset", "action", "background", "xlink:href", "data"})
    assert not [name for name in names if name.startswith("on")]
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style and "<" not in style[7:]
    # addresses stand in the text only
    assert not [value for name, value in page.attributes if "//" in value and name != "xmlns"]


def test_the_script_asks_for_nothing_and_writes_no_markup() -> None:
    for word in ("fetch(", "XMLHttpRequest", "WebSocket", "import(", "eval", "innerHTML", "outerHTML",
                 "insertAdjacentHTML", "document.write", "new Function", "http"):  # fmt: skip
        assert word not in script(), word


def test_data_in_the_page_is_inert_and_whole(with_trees: str) -> None:
    data = Page(with_trees).scripts[0][1]
    assert data.isascii() and not set(data) & set("<>&'")
    rows = list(csv.DictReader(io.StringIO(json.loads(data)["csv"])))
    assert {row["table"] for row in rows} == {
        "table2",
        "table2_modern",
        "table3",
        "figure3",
        "other_families",
    }
    assert SHOWN in {row["version"] for row in rows}


def test_hostile_names_are_shown_as_text(with_trees: str) -> None:
    page = Page(with_trees)
    assert not [c for c in with_trees if (ord(c) < 32 and c != "\n") or c in "\u202e\x7f"]
    assert page.tables["table2"][-1][0] == f"{SHOWN}measured now"
    assert page.tables["table2-modern"][0][-1] == SHOWN
    assert page.tables["trees"][-2][0] == SHOWN
    assert page.tables["other-1"][1] == [SHOWN, f"{len(bundled()[0].files):,}"]
    text = "".join(page.text)
    assert f"0{SHOWN}" in text and f"199{SHOWN}" in text and f"200{SHOWN}" not in text
    assert "and 50 more: lockscape study --json lists all." in text
    assert "lockscape study '<script>alert(1)</script>\"'" in text  # quoted for a shell
    assert "49" not in page.tables["trees"][-2][0]  # no template ran


def test_a_tree_has_a_row_of_measured_figures_only(with_trees: str) -> None:
    page = Page(with_trees)
    counts = bundled()[0].counts("paper")
    assert page.tables["table2"][5][1:] == [f"measured {count:,}" for count in counts.values()]
    check_published(page)
    text = " ".join("".join(page.text).split())
    assert f"{SHOWN} has no file of {SHOWN}." in text


def test_charts_say_their_figures_in_words(plain: str) -> None:
    assert "BKL in places. 2.0: published 17, measured 17; 2.2: published 226, measured 226;" in plain
    assert "published 541, measured 506, own 497" in plain.replace("own evaluator", "own")
    charts = plain.count("<svg") - plain.count('<svg class="sample')
    assert charts == plain.count('role="img"') == plain.count("<desc") > 30


def test_the_page_is_complete_html(plain: str) -> None:
    page = Page(plain)
    assert plain.startswith('<!doctype html>\n<html lang="en">') and plain.rstrip().endswith("</html>")
    assert page.elements.count("caption") == len(page.tables) == page.elements.count("table")
    assert page.elements.count("h1") == 1
    for tag in ("table", "section", "article", "ul", "ol", "div", "span", "td", "th", "tr", "a", "svg"):
        assert plain.count(f"</{tag}>") == page.elements.count(tag), tag


# Colours


THEMES = {"light": palette.LIGHT, "dark": palette.DARK, "print": palette.PRINT}
METHODS = [method.id for method in catalog.methods()]
SHARES = ("user", "kernel", "hypervisor", "interrupt", "spin")


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_text_has_contrast_enough_on_every_ground(theme: str) -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    colours = THEMES[theme]
    for ground in ("page", "panel", "note"):
        for text in ("ink", "soft", "measured", "own", "diff", "link", "good", "bad", *METHODS, "booted"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for bar in ("bar-published", "bar-measured", "bar-own", *SHARES):
        assert contrast(colours[bar], colours["page"]) >= 2.1, bar


def test_the_picture_of_the_map_has_the_colours_of_the_page() -> None:
    """Inline in the page it takes the page's; alone it brings its own."""
    picture = (resources.files("lockscape.report") / "templates" / "map.svg").read_text("utf-8")
    own = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", picture[: picture.index("@media")]))
    names = {"ground": "page", "line": "rule", "own": "booted"}
    for name, colour in own.items():
        if name != "coarse":  # darker on the page, where it is text too
            assert palette.LIGHT[names.get(name, name)] == colour, name


# Charts


COUNTS = st.one_of(st.just(0.0), st.floats(1e-9, 1e9))  # counts, and shares in percent


@given(st.lists(st.lists(COUNTS, min_size=1, max_size=3), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_bars_stay_inside_their_chart(values: list[list[float]]) -> None:
    drawn = panel("t", "u", [(f"g{n}", [("measured", v) for v in group]) for n, group in enumerate(values)])
    assert len(drawn.bars) == sum(map(len, values)) and len(drawn.names) == len(values)
    for bar in drawn.bars:
        assert 0 <= bar.y <= drawn.base and drawn.left <= bar.x and bar.x + bar.width <= drawn.width
        assert bar.y + bar.height == pytest.approx(drawn.base, abs=0.02)
    assert len(drawn.scale) <= 5 and min(label.y for label in drawn.scale) >= 0


@given(st.floats(1e-6, 1e12))
@settings(deadline=None)
def test_steps_of_a_scale_are_round_and_few(largest: float) -> None:
    step = round_step(largest)
    assert f"{step:.0e}"[0] in "125" and 1.5 < largest / step <= 4
