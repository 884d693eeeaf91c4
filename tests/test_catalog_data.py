"""The catalogue's integrity: what points at what, evidence everywhere, computed findings, bad data."""

import re
from collections import Counter
from importlib import resources

import msgspec
import pytest

from lockscape import catalog
from lockscape.catalog import derived
from lockscape.catalog.load import FILES, Document, bundled
from lockscape.catalog.model import Finding, Method, Note, System
from lockscape.errors import InputError


def every_variant() -> dict[str, catalog.Variant]:
    return {kind.id: kind for each in catalog.methods() for kind in each.variants}


def test_ids_are_unique() -> None:
    for ids in (
        [each.id for each in catalog.methods()],
        [kind.id for each in catalog.methods() for kind in each.variants],
        [each.id for each in catalog.systems()],
        [each.number for each in catalog.references()],
        [each.id for each in catalog.findings()],
        [each.id for each in catalog.claims()],
        [each.id for each in catalog.beyond()],
        [each.published for each in catalog.versions()],
        [column.id for column in catalog.table1().columns],
    ):
        assert ids
        assert max(Counter(ids).values()) == 1


def test_systems_name_what_exists() -> None:
    for each in catalog.systems():
        catalog.method(each.method)
        for number in each.references:
            catalog.reference(number)
        assert set(each.variants) <= set(every_variant())


def test_variants_and_systems_name_each_other() -> None:
    for id, kind in every_variant().items():
        assert list(kind.systems) == [each.id for each in catalog.systems(variant=id)]
        assert kind.systems


def test_variants_belong_to_the_systems_method_except_for_osf1() -> None:
    owner = {kind.id: each.id for each in catalog.methods() for kind in each.variants}
    odd = [each.id for each in catalog.systems() for id in each.variants if owner[id] != each.method]
    assert odd == ["osf1"]


def test_numbers_in_brackets_are_references() -> None:
    texts = [part for each in catalog.systems() for note in each.notes for part in (note.text, note.source)]
    numbers = [int(number) for text in texts for number in re.findall(r"\[([0-9]+)\]", text)]
    assert numbers
    for number in numbers:
        catalog.reference(number)


def test_every_note_has_source_and_mark() -> None:
    notes = [note for each in catalog.systems() for note in each.notes] + list(catalog.common_costs())
    for note in notes:
        assert note.text.endswith((".", '."'))
        assert note.source.strip()
        assert note.confidence in catalog.MARKS
        assert (note.confidence == "?") <= (note.kind == "unconfirmed")
        assert ("memory" in note.source) == (note.confidence == "C")
        assert not note.source.startswith(("Estimate", "Inference", "Modelling")) or note.confidence == "E"
    assert {note.kind for note in notes} == {"mechanism", "number", "correction", "model", "unconfirmed"}
    assert {note.confidence for note in notes} == set(catalog.MARKS)


def test_every_system_has_a_mechanism_and_every_method_its_sources() -> None:
    for each in catalog.systems():
        assert any(note.kind == "mechanism" for note in each.notes)
    for method in catalog.methods():
        for statement in (*method.scalability, *method.effort):
            assert statement.section in {method.section, "6"}
        assert method.scalability
        assert method.effort


def test_systems_beyond_the_paper_have_sources_and_are_not_in_it() -> None:
    assert len(catalog.beyond()) == 13
    for each in catalog.beyond():
        assert each.source
        assert each.confidence in catalog.MARKS
        assert each.id not in {system.id for system in catalog.systems()}


def test_versions_tell_what_was_measured_beside_what() -> None:
    assert [(each.published, each.measured) for each in catalog.versions()] == [
        ("2.0.40", "2.0.40"), ("2.2.26", "2.2.26"), ("2.4.30", "2.4.31"), ("2.6.11.7", "2.6.11")
    ]  # fmt: skip
    for table in (catalog.table2(), catalog.table3()):
        assert [row.version for row in table.rows] == [each.published for each in catalog.versions()]
    for each in (*catalog.versions(), *catalog.releases()):
        assert catalog.system(each.system).id == each.system


def test_findings_point_at_existing_cells() -> None:
    cells = derived.cells()
    for finding in catalog.findings():
        for place in finding.places:
            rows, columns = cells[place.table]
            assert place.row is None or place.row in rows
            assert place.column is None or place.column in columns


def test_claims_point_at_existing_versions() -> None:
    for claim in catalog.claims():
        assert set(claim.versions) <= {row.version for row in catalog.table2().rows}


def test_findings_at_a_cell() -> None:
    def ids(*place: str, **named: str) -> list[str]:
        return [each.id for each in catalog.findings(*place, **named)]

    assert ids("table1", "linux-2.2", "development_time") == ["development-times"]
    assert ids("table1", "linux-2.0", "development_time") == []
    assert ids("table1", "linux-2.2", "latency") == []
    assert ids("table2", "2.2.26", "bkl") == ["bkl-shares", "over-250-places", "bkl-recount"]
    assert ids("table2", "2.2.26", "sema") == []
    assert ids("Table1", "FreeBSD 5.4", "scalability") == ["freebsd-5.4-vfs"]
    assert ids("figure2") == ["postmark-zero-appends", "figure2-points"]
    assert ids("table3", "2.0.40", "files") == ["table3-file-set"]
    assert ids(row="2.0.40", column="bkl") == ["comments-counted"]
    assert len(ids()) == len(catalog.findings())


def test_bkl_shares_by_both_denominators() -> None:
    shares = {each.version: each for each in catalog.bkl_shares()}
    assert shares["2.2.26"].total == 797
    percent = {
        version: (f"{100 * each.share:.1f}", f"{100 * each.share_without_semaphores:.1f}")
        for version, each in shares.items()
    }
    assert percent == {
        "2.0.40": ("25.8", "100.0"),
        "2.2.26": ("28.4", "33.4"),
        "2.4.30": ("10.6", "13.0"),
        "2.6.11.7": ("3.5", "4.5"),
    }
    (finding,) = (each for each in catalog.findings() if each.id == "bkl-shares")
    assert "226 of 797 places in 2.2 (28.4%)" in finding.text
    assert "without semaphores 33.4%, 13.0% and 4.5%" in finding.text


def test_development_times_contradict_the_dates() -> None:
    found = {each.system: (each.printed_months, each.months_by_dates) for each in catalog.development_times()}
    assert found == {"linux-2.2": (18, 31), "linux-2.4": (11, 23), "linux-2.6": (11, 35)}
    (finding,) = catalog.findings(table="table1", row="linux-2.6")
    assert "31, 23 and 35 whole months" in finding.text


def test_findings_follow_the_numbers() -> None:
    raw = bundled("findings.toml").entries("findings", Finding)
    templates = [each for each in raw if "{" in each.text]
    assert {"development-times", "bkl-shares", "over-250-places"} <= {each.id for each in templates}
    changed = {name: f"<{name}>" for name in derived.quoted_numbers()}
    for each in templates:
        assert derived.fill(each, changed).text == each.text.replace("{", "<").replace("}", ">")
    assert not any(set("{}") & set(each.text) for each in catalog.findings())


@pytest.mark.parametrize("text", ["{no_such}", "{0}", "{", "{bkl_2_2.x}"])
def test_a_finding_with_an_unknown_name_is_refused(text: str) -> None:
    finding = msgspec.structs.replace(catalog.findings()[0], text=text)
    with pytest.raises(InputError, match=r"findings\.toml: findings 'development-times': field text: "):
        derived.fill(finding, derived.quoted_numbers())


def test_claims_against_the_published_numbers() -> None:
    holds = {each.claim.id: [measure.holds for measure in each.measures] for each in catalog.check_claims()}
    assert holds == {
        "bkl-17-places": [True],
        "bkl-30-percent": [True, True],
        "bkl-250-places": [False],
        "bkl-13-percent": [False, True],  # with semaphores, without
        "bkl-5-percent": [True, True],
        "most-files-unchanged": [True] * 4,
        "modified-541-lines": [True],
        "modified-1.19-percent": [True],
        "modified-2.2-percent": [True, True],
        "modified-1.7-percent": [True],
    }


@pytest.mark.parametrize(
    ("relation", "value", "expected"),
    [
        ("exactly", 13.5, True), ("exactly", 13.6, False), ("about", 14.0, True), ("about", 14.1, False),
        ("more-than", 13.0, False), ("more-than", 13.1, True), ("less-than", 13.0, False),
        ("less-than", 12.9, True),
    ],
)  # fmt: skip
def test_what_a_relation_allows(relation: str, value: float, expected: bool) -> None:
    claim = msgspec.structs.replace(catalog.claims()[0], relation=relation, value=13.0, resolution=1.0)
    assert derived.holds(claim, value) is expected


def test_every_data_file_is_listed_and_ships_with_the_package() -> None:
    folder = resources.files("lockscape.catalog") / "data"
    assert {path.name for path in folder.iterdir() if path.name.endswith(".toml")} == set(FILES)


SYSTEM = """\
[[systems]]
id = "toy"
name = "Toy"
references = [1]
method = "giant"
variants = []
notes = [{ kind = "number", text = "One.", source = "A book", confidence = "A" }]

[systems.printed]
method = "Giant"
focus = "Toy"
latency = "?"
scalability = "?"
code_lines = "1K"
development_time = "?"
"""


def test_good_data_is_taken() -> None:
    (toy,) = Document("toy.toml", SYSTEM.encode()).entries("systems", System)
    assert (toy.id, toy.code_lines, toy.latency) == ("toy", (1000,), None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "Toy"', "name = 3", "field name: Expected `str`, got `int`"),
        ('name = "Toy"', "", "missing required field `name`"),
        ('name = "Toy"', 'name = ""', "field name: Expected `str` of length >= 1"),
        ('name = "Toy"', 'name = "Toy"\nnick = "T"', "unknown field `nick`"),
        ('method = "giant"', 'method = "gigantic"', "field method: Invalid enum value 'gigantic'"),
        ("[1]", '["1"]', r"field references\[0\]: Expected `int`, got `str`"),
        ('"1K"', '"1Q"', "field printed: code_lines: '1Q' is not a number of lines"),
        ('development_time = "?"', 'development_time = "soon"', "development_time: 'soon' is not a time"),
        ('confidence = "A"', 'confidence = "D"', r"field notes\[0\].confidence: Invalid enum value 'D'"),
        ('confidence = "A"', 'confidence = "?"', "a note of kind 'number' needs a confidence"),
        (', source = "A book"', "", r"field notes\[0\]: Object missing required field `source`"),
    ],
)
def test_bad_data_names_file_entry_and_field(old: str, new: str, message: str) -> None:
    assert old in SYSTEM
    document = Document("toy.toml", SYSTEM.replace(old, new).encode())
    with pytest.raises(InputError, match=r"^toy\.toml: systems 'toy': .*" + message) as caught:
        document.entries("systems", System)
    assert len(str(caught.value).splitlines()) == 1


def test_an_entry_without_a_name_is_named_by_its_position() -> None:
    document = Document("toy.toml", b'[[methods]]\ntitle = "T"\n')
    with pytest.raises(InputError, match=r"^toy\.toml: methods entry 1: .*`id`"):
        document.entries("methods", Method)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = ", "not a TOML file"),
        (b"a = 1\na = 2\n", "not a TOML file"),
        (b"\xff", "not a TOML file in UTF-8"),
        (b"\x00", "not a TOML file"),
    ],
)
def test_what_is_not_toml_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=r"^toy\.toml: " + message) as caught:
        Document("toy.toml", content)
    assert len(str(caught.value).splitlines()) == 1


def test_the_top_level_is_checked() -> None:
    document = Document("toy.toml", b"systems = 3\nother = 1\n")
    with pytest.raises(InputError, match=r"toy\.toml: unknown key 'other': expected systems"):
        document.only("systems")
    with pytest.raises(InputError, match=r"toy\.toml: more is missing"):
        document.only("systems", "other", "more")
    with pytest.raises(InputError, match="systems must be an array of tables"):
        document.entries("systems", Note)
