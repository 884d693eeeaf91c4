"""The catalogue against an independent transcription of the paper, its filters and its lookups."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lockscape import catalog
from lockscape.catalog import printed
from lockscape.errors import InputError

# Table 1, transcribed from the paper and not from the data files.
TABLE1 = """\
Linux 2.0 [3] | Giant | General purpose | High | Low | 955K | 12 months
FreeBSD 4.9 [15] | Giant | General purpose | High | Low | 1.9M | ?
QNX [22] | Giant | Real-time | Low | ? | ? | ?
Linux 2.2 | Coarse | General purpose | Medium | Low | 2.5M | 18 months
Mac OS X [8] | Coarse | General purpose | High | Low | ? | ?
OSF/1 [6] | Fine | General purpose | Low | High | ? | ?
Linux 2.4 | Fine | General purpose | Medium | Medium | 5.2M | 11 months
Linux 2.6 [16] | Fine | General purpose | Low | High | 6.1M | 11 months
AIX [5, 25] | Fine | General purpose | Low | High | ? | 18 months
Solaris [12] | Fine | General purpose | Low | High | ? | ?
FreeBSD 5.4 | Fine | General purpose | Low | High | 2.4M | ?
Synthesis [18] | Lock-free | General purpose | Low | ? | ? | ?
Cache kernel [4] | Lock-free | Application specific | Low | ? | 15K | ?
Dual VAX 11/780 [9] | Asymmetric | General purpose | High | Low | ? | ?
Application kernel [14] | Asymmetric | Low effort | High | Low | 3,600 | 5 weeks
Piglet [20] | Asymmetric | I/O intensive | As UP | Depends on UP | ? | ?
Cellular Disco [10] | Virtualized | Hardware sharing, fault tolerance | As Guest | As Guest | 50K | ?
VMWare ESX [23] | Virtualized | Hardware sharing | As Guest | As Guest | ? | ?
L4Linux [26] | Virtualized | Hardware sharing | As Guest | As Guest | ? | ?
Adeos [27] | Virtualized | Hardware sharing | As Guest | As Guest | ? | ?
Xen 2.05 [2] | Virtualized | Hardware sharing | As Guest | As Guest | 75K+38K | ?
K42 [1] | Reimplementation | Scalability | Low | High | 50K | ?
"""

IDS = [
    "linux-2.0",
    "freebsd-4.9",
    "qnx",
    "linux-2.2",
    "mac-os-x",
    "osf1",
    "linux-2.4",
    "linux-2.6",
    "aix",
    "solaris",
    "freebsd-5.4",
    "synthesis",
    "cache-kernel",
    "dual-vax",
    "application-kernel",
    "piglet",
    "cellular-disco",
    "vmware-esx",
    "l4linux",
    "adeos",
    "xen-2.0.5",
    "k42",
]

METHODS = ["giant", "coarse", "fine", "lock-free", "asymmetric", "virtualization", "reimplementation"]

# Tables 2 and 3, transcribed in the same way.
TABLE2 = """\
2.0.40 17 0 0 0 0 49
2.2.26 226 329 121 0 0 121
2.4.30 193 989 300 0 0 332
2.6.11.7 101 1,717 349 56 14 650
"""
TABLE3 = """\
2.0.40 173 22 45,392 45,770 541
2.2.26 226 36 52,294 53,281 1,156
2.4.30 280 38 64,293 65,552 1,374
2.6.11.7 548 49 104,147 105,846 1,812
"""

# The first author and the year of each reference, in order; Postmark has no year.
REFERENCES = """\
Appavoo 2003, Barham 2003, Beck 1998, Cheriton 1994, Clark 1995, Denham 1994, Doherty 2004, Gerbarg 2002,
Goble 1982, Govil 1999, Katcher None, Kleiman 1992, Kågström 2005, Kågström 2004, Lehey 2003, Love 2003,
Magnusson 2002, Massalin 1992, McKenney 2002, Muir 2001, Mukherjee 1993, QNX 2003, Rosenblum 2005,
Schimmel 1994, Talbot 1995, Uhlig 2004, Yaghmour 2002"""


def test_every_cell_of_table_1_is_as_printed() -> None:
    expected = [line.split(" | ") for line in TABLE1.splitlines()]
    assert [list(each.cells().values()) for each in catalog.systems()] == expected
    assert [column.id for column in catalog.table1().columns] == list(catalog.system("qnx").cells())
    assert [each.id for each in catalog.systems()] == IDS


@pytest.mark.parametrize(("table", "text"), [(catalog.table2, TABLE2), (catalog.table3, TABLE3)])
def test_every_cell_of_tables_2_and_3_is_as_printed(table, text) -> None:
    published = table()
    found = [
        [
            f"{value:,}" if isinstance(value, int) else value
            for value in (getattr(row, column.id) for column in published.columns)
        ]
        for row in published.rows
    ]
    assert found == [line.split() for line in text.splitlines()]


def test_references_are_the_papers() -> None:
    expected = " ".join(REFERENCES.split()).split(", ")
    assert len(expected) == 27
    for at, (reference, line) in enumerate(zip(catalog.references(), expected, strict=True), start=1):
        name, year = line.split()
        assert reference.number == at
        assert name in reference.authors.split(" and ")[0].split(",")[0]
        assert str(reference.year) == year
        assert catalog.reference(at) is reference


def test_methods_in_order_with_variants_and_panels() -> None:
    assert [each.id for each in catalog.methods()] == METHODS
    assert {each.id: [kind.id for kind in each.variants] for each in catalog.methods() if each.variants} == {
        "coarse": ["funnels"],
        "asymmetric": ["master-slave", "application-kernel", "dedicated-processor"],
        "virtualization": ["full", "para", "cells"],
    }
    panels = {each.id: each.figure1_panel for each in catalog.methods()}
    panels |= {kind.id: kind.figure1_panel for each in catalog.methods() for kind in each.variants}
    panels |= {each.id: each.figure1_panel for each in catalog.systems() if each.figure1_panel}
    named = {letter: name for name, letter in panels.items() if letter}
    assert "".join(sorted(named)) == "abcdefghi"
    assert [named[letter] for letter in "abcdefghi"] == [
        "giant", "coarse", "fine", "master-slave", "application-kernel", "dedicated-processor",
        "cache-kernel", "virtualization", "k42",
    ]  # fmt: skip


def test_printed_method_agrees_with_the_method_id() -> None:
    for each in catalog.systems():
        assert each.printed.method.casefold()[:7] == each.method[:7]


def test_typed_values_stand_beside_the_printed_ones() -> None:
    assert catalog.system("linux-2.0").code_lines == (955_000,)
    assert catalog.system("freebsd-4.9").code_lines == (1_900_000,)
    assert catalog.system("application-kernel").code_lines == (3_600,)
    assert catalog.system("application-kernel").development_days == 35
    assert catalog.system("linux-2.0").development_days == pytest.approx(365.25)
    assert catalog.system("xen-2.0.5").code_lines == (75_000, 38_000)
    assert catalog.system("xen-2.0.5").total_code_lines == 113_000
    assert catalog.system("piglet").scalability == "depends-on-up"
    assert catalog.system("adeos").latency == "as-guest"


def test_a_question_mark_is_not_known() -> None:
    for each in catalog.systems():
        for cell, value in (
            (each.printed.latency, each.latency),
            (each.printed.scalability, each.scalability),
            (each.printed.code_lines, each.code_lines),
            (each.printed.code_lines, each.total_code_lines),
            (each.printed.development_time, each.development_days),
        ):
            assert (cell == "?") == (value is None)


@pytest.mark.parametrize("text", ["955", "1.9M", "3,600", "75K+38K"])
def test_lines_parse(text: str) -> None:
    assert printed.lines(text) == {
        "955": (955,), "1.9M": (1_900_000,), "3,600": (3600,), "75K+38K": (75_000, 38_000)
    }[text]  # fmt: skip


@pytest.mark.parametrize("text", ["", "K", "1.9", "3,60", "12X", "1++2", "-5K", "1.23M", "٣K", "5 weeks"])
def test_lines_refuse_anything_else(text: str) -> None:
    with pytest.raises(InputError, match="is not a number of lines"):
        printed.lines(text)


@pytest.mark.parametrize("text", ["", "12", "months", "12months", "1.5 months", "3 years", "-1 weeks"])
def test_times_refuse_anything_else(text: str) -> None:
    with pytest.raises(InputError, match="is not a time"):
        printed.days(text)


def test_filters() -> None:
    def ids(**filters: str) -> list[str]:
        return [each.id for each in catalog.systems(**filters)]

    assert ids(method="giant") == ["linux-2.0", "freebsd-4.9", "qnx"]
    assert ids(scalability="HIGH") == ["osf1", "linux-2.6", "aix", "solaris", "freebsd-5.4", "k42"]
    assert ids(method="Fine", scalability="medium") == ["linux-2.4"]
    assert ids(scalability="Depends on UP") == ["piglet"]
    assert ids(latency="as-up") == ["piglet"]
    assert ids(variant="funnels") == ["mac-os-x", "osf1"]
    assert ids(method="coarse", variant="funnels") == ["mac-os-x"]
    assert ids(method="giant", variant="para") == []
    assert len(ids()) == 22


def test_levels_partition_what_is_known() -> None:
    for column in ("latency", "scalability"):
        found = [each.id for level in catalog.levels(column) for each in catalog.systems(**{column: level})]
        unknown = [each.id for each in catalog.systems() if getattr(each, column) is None]
        assert sorted(found + unknown) == sorted(IDS)
    assert [each.id for each in catalog.systems() if each.scalability is None] == [
        "qnx", "synthesis", "cache-kernel"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["method", "variant", "latency", "scalability"])
@pytest.mark.parametrize("value", ["?", "", "none", "None", "*"])
def test_not_known_matches_no_filter(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"unknown {name} "):
        catalog.systems(**{name: value})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: catalog.systems(method="corse"),
            r"unknown method 'corse': did you mean coarse\? .*giant, coarse",
        ),
        (
            lambda: catalog.systems(scalability="hihg"),
            r"'hihg': did you mean high\? use one of low, high, medium",
        ),
        (lambda: catalog.systems(variant="funnel"), "did you mean funnels"),
        (lambda: catalog.method("virtualisation"), "did you mean virtualization"),
        (lambda: catalog.system("linux-2.5"), "did you mean linux-2"),
        (lambda: catalog.system("Solar is"), "did you mean solaris"),
        (lambda: catalog.reference(0), "no reference 0: the paper has 1 to 27"),
        (lambda: catalog.reference(28), "no reference 28"),
        (lambda: catalog.levels("focus"), "unknown column of levels 'focus'"),
        (lambda: catalog.findings(table="table9"), "did you mean table"),
        (lambda: catalog.findings(table="table2", row="qnx"), "unknown row 'qnx'"),
        (lambda: catalog.findings(table="table2", column="focus"), "unknown column 'focus'"),
    ],
)
def test_unknown_names_get_one_line_with_the_remedy(call, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1


def test_names_are_found_without_regard_to_case_and_spaces() -> None:
    assert catalog.system(" MAC os X ").id == "mac-os-x"
    assert catalog.system("VMWare ESX").id == "vmware-esx"
    assert catalog.method("Lock-Free").id == "lock-free"


@given(st.one_of(st.text(), st.sampled_from(IDS).map(str.upper)))
@example("?")
@example("a\r\nb\x85\u2028c")
@example("\udc80")
@example("q" * 100_000)
def test_any_name_gives_a_system_or_one_line(name: str) -> None:
    try:
        found = catalog.system(name)
    except InputError as error:
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 1_000
        assert "-".join(name.casefold().split()) not in IDS
    else:
        assert found.id in IDS


def test_everything_is_read_once_and_frozen() -> None:
    assert catalog.methods() is catalog.methods()
    assert catalog.table2() is catalog.table2()
    assert catalog.findings()[0] is catalog.findings()[0]
    with pytest.raises(AttributeError):
        catalog.system("qnx").name = "other"  # type: ignore[misc]
