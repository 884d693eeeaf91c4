"""Published figures beside simulated ones."""

import json
from pathlib import Path

import msgspec
import pytest

from cli_tools import Command
from lockscape import catalog
from lockscape.experiments.verify import Check, CheckRun, checks, verify
from lockscape.report.verify import VerifyDocument, number, published, verify_csv, verify_tables
from lockscape.systems.load import system_ids


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


NULL = CheckRun(system="giant", cpus=1, mix={"ioctl": 1}, operations=20)


def test_every_published_figure_is_checked_once_or_it_is_said_why_not() -> None:
    assert [each.figure for each in checks()] == [figure.id for figure in catalog.figures()]
    for figure in catalog.figures():
        assert figure.system in {each.id for each in catalog.systems()}
    for each in checks():
        assert {run.system.partition("@")[0] for run in each.runs} <= {*system_ids(), "fine"}


def test_a_check_gives_an_observable_or_the_ratio_of_two() -> None:
    bare = Check(figure="a", run=NULL, observable="calls.ioctl.mean_us")
    over = Check(figure="b", run=NULL, over=NULL, observable="calls.ioctl.mean_us", times=100)
    never = Check(figure="c", cannot="so")
    one, ratio, none = verify([bare, over, never], workers=1)
    assert one.value is not None
    assert 0.1 < one.value < 10
    assert ratio.value == pytest.approx(100)
    assert none.value is None


def test_a_call_that_does_nothing_costs_less_than_one_that_looks_for_a_name() -> None:
    stat = msgspec.structs.replace(NULL, mix={"stat": 1})
    null, named = verify(
        [
            Check(figure="a", run=NULL, observable="calls.ioctl.mean_us"),
            Check(figure="b", run=stat, observable="calls.stat.mean_us"),
        ],
        workers=1,
    )
    assert null.value is not None and named.value is not None
    assert 2 * null.value < named.value


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"figure": "a"}, "give a run with an observable"),
        ({"figure": "a", "cannot": "x", "observable": "y", "run": {"system": "s", "cpus": 1, "mix": {"a": 1}}},
         "give a run with an observable"),
        ({"figure": "a", "observable": "y", "run": {"system": "s", "cpus": 1}}, "give a workload or a mix"),
    ],
)  # fmt: skip
def test_checks_that_are_none(check: dict[str, object], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(check, Check)


def test_the_command(call: Command, tmp_path: Path) -> None:
    code, out, err = call("verify", "linux-2.6", "aix", "--resume", str(tmp_path), "--json")
    assert (code, err) == (0, "")
    document = msgspec.convert(json.loads(out), VerifyDocument)
    assert {each.figure.system for each in document.figures} == {"linux-2.6", "aix"}
    assert all(each.simulated is None and each.cannot for each in document.figures)
    (table,) = verify_tables(document)
    assert table.title == "Figures that cannot be simulated"
    assert len(verify_csv(document).rows) == len(document.figures)
    assert call("verify", "linux-3").err.startswith("lockscape: unknown system 'linux-3'")
    assert "nothing is published of qnx" in call("verify", "qnx").err


def test_numbers_and_ranges() -> None:
    assert [number(value) for value in (1234.5, 12.345, 0.5, None)] == ["1,234", "12.3", "0.5", None]
    figure = next(each for each in catalog.figures() if each.low)
    assert " to " in published(figure)
