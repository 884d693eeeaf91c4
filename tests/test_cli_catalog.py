"""``lockscape systems`` and ``lockscape methods``."""

import csv
import io
import json
from pathlib import Path

import pytest

from cli_tools import Command
from lockscape import catalog
from lockscape.report.catalog import table1
from lockscape.report.table import Table, print_tables


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


class Terminal(io.StringIO):
    """Text output that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(tables: tuple[Table, ...], columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    print_tables(tables, out)
    return out.getvalue().splitlines()


def test_systems_prints_all_22_rows_as_the_paper_does(call: Command) -> None:
    code, out, err = call("systems")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    for system in catalog.systems():
        row = next(line for line in lines if line.startswith(system.cells()["name"] + "  "))
        shown = [cell.strip() for cell in row.split("  ") if cell.strip()]
        cells = [text for text in shown[1:] if text]
        printed = list(system.cells().values())[1:]
        assert [cell.split(" [")[0] for cell in cells] == printed


def test_notes_stand_at_the_cells_they_are_about(call: Command) -> None:
    out = call("systems").out
    marked = [line for line in out.splitlines() if line.rstrip().endswith("months [a]")]
    assert [line.split("  ")[0] for line in marked] == ["Linux 2.2", "Linux 2.4", "Linux 2.6 [16]"]
    assert "[a] contradiction: Table 1 prints 18 months, 11 months and 11 months" in out
    assert "Fine [b]" in out and "High [b]" in out
    assert out.index("[a] contradiction") < out.index("[b] correction: The VFS of FreeBSD 5.4")


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--method", "coarse"], ["linux-2.2", "mac-os-x"]),
        (["--method", "asymmetric", "--scalability", "low"], ["dual-vax", "application-kernel"]),
        (["--latency", "medium"], ["linux-2.2", "linux-2.4"]),
        (["--method", "giant", "--scalability", "high"], []),
    ],
)
def test_filters(call: Command, options: list[str], ids: list[str]) -> None:
    document = json.loads(call("systems", "--json", *options).out)
    assert [system["id"] for system in document["systems"]] == ids
    text = call("systems", *options).out
    assert ("No system of Table 1 matches." in text) is (not ids)


def test_csv_has_no_marks_in_its_cells(call: Command) -> None:
    rows = list(csv.DictReader(io.StringIO(call("systems", "--csv").out)))
    assert len(rows) == 22
    linux = next(row for row in rows if row["id"] == "linux-2.4")
    assert linux["development_time"] == "11 months"
    assert linux["findings"] == "development-times"
    assert linux["total_code_lines"] == "5200000"
    unknown = next(row for row in rows if row["id"] == "qnx")
    assert unknown["code_lines"] == "?" and unknown["total_code_lines"] == ""


@pytest.mark.parametrize("id", [system.id for system in catalog.systems()])
def test_show_has_every_note_with_source_and_mark(call: Command, id: str) -> None:
    out = " ".join(call("systems", "show", id).out.split())
    system = catalog.system(id)
    for note in system.notes:
        assert note.text in out
        assert f"[{note.confidence}] {note.source}" in out
    for number in system.references:
        assert catalog.reference(number).title in out
    assert "(not known)" in out or "?" not in system.cells().values()


def test_show_takes_a_name_as_people_write_it(call: Command) -> None:
    assert call("systems", "show", "Linux", "2.4").out == call("systems", "show", "linux-2.4").out


def test_show_as_json_is_one_system(call: Command) -> None:
    document = json.loads(call("systems", "show", "xen-2.0.5", "--json").out)
    assert document["system"]["id"] == "xen-2.0.5"
    assert document["system"]["code_lines"] == [75000, 38000]
    assert document["model"]["machine"] == "pentium4"
    assert [each["id"] for each in document["model"]["mechanisms"]]
    assert document["model"]["listing"]["lines"]


def test_a_variant_is_shown_with_its_system(call: Command) -> None:
    out = call("systems", "show", "mac-os-x@10.4").out
    assert "Mac OS X (mac-os-x)" in out and "Mac OS X 10.4: one funnel" in out
    assert "lockscape simulate mac-os-x@10.4 --without" in out


def test_methods_and_one_method(call: Command) -> None:
    out = call("methods").out
    for method in catalog.methods():
        assert f"{method.title} ({method.id})" in out
    coarse = call("methods", "show", "coarse").out
    assert "Funnels" in coarse and "Mac OS X (mac-os-x)" in coarse and "section 3.2" in coarse
    rows = list(csv.DictReader(io.StringIO(call("methods", "--csv").out)))
    assert [row["id"] for row in rows] == [method.id for method in catalog.methods()]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["systems", "linux-2.4"], 2, "no command 'linux-2.4': for one entry write 'show ID'"),
        (["systems", "show", "linux-24"], 1, "unknown system 'linux-24': did you mean linux-2.4?"),
        (["systems", "--method", "fin"], 1, "unknown method 'fin': did you mean fine?"),
        (["systems", "--json", "show", "aix"], 2, "--json goes after 'show ID' or without it"),
        (["systems", "--method", "fine", "show", "aix"], 2, "--method goes after 'show ID' or without it"),
        (["systems", "--json", "--csv"], 2, "--json and --csv exclude each other"),
        (["methods", "show", "giants"], 1, "unknown method 'giants': did you mean giant?"),
    ],
)
def test_errors_are_one_line_with_the_remedy(
    call: Command, arguments: list[str], code: int, message: str
) -> None:
    result = call(*arguments)
    assert (result.code, result.out) == (code, "")
    assert message in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_table_1_fits_a_terminal_and_loses_nothing(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = on_terminal((table1(catalog.systems()),), columns, monkeypatch)
    assert max(map(len, lines)) <= columns
    text = "\n".join(lines)
    for cell in ("75K+38K", "3,600", "955K"):
        assert cell in text


def test_figures_are_never_cut_on_a_terminal_that_is_too_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("", ("tree", "lines"), (("a-rather-long-name", 123_456_789),))
    lines = on_terminal((table,), 12, monkeypatch)
    assert any("123,456,789" in line for line in lines)
    assert "".join(line[:12].strip() for line in lines[2:]).startswith("a-rather-lon")


def test_nothing_ends_in_blanks_in_a_pipe(call: Command) -> None:
    assert not [line for line in call("systems").out.splitlines() if line != line.rstrip()]


def test_hostile_text_in_a_table_is_shown_and_not_acted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("t\x1b[2J", ("a\x07", "n"), (("x\x1b]0;title\x07\n\u202eevil", 1),), notes=("n\x1b[1m",))
    text = "\n".join(on_terminal((table,), 80, monkeypatch))
    assert not [c for c in text if ord(c) < 32 and c != "\n"] and "\u202e" not in text
    assert r"x\x1b]0;title\x07\n\u202eevil" in text


def test_every_column_of_an_empty_list_is_printed(tmp_path: Path) -> None:
    out = io.StringIO()
    print_tables((Table("none", ("a", "b"), ()),), out)
    assert out.getvalue().splitlines()[1] == "a  b"
