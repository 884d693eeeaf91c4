"""PostMark's own reports, byte for byte those of the real program for the same clock."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError
from lockscape.workloads.postmark import Location, PostmarkOptions, operations
from lockscape.workloads.postmark_commands import Configuration, commands_of
from lockscape.workloads.postmark_report import (
    count,
    exact_seconds,
    progress,
    report,
)
from postmark_output import help_text, show, show_to_file, whole_seconds
from postmark_tools import postmark
from tools import require

CLOCK = r"""
#include <stdlib.h>
#include <string.h>
#include <time.h>
time_t time(time_t *out) {
    static char *rest;
    if (!rest) rest = strdup(getenv("CLOCK"));
    time_t now = strtol(rest, &rest, 10);
    if (out) *out = now;
    return now;
}
"""
"""A clock that shows the numbers of the variable CLOCK, one after the other."""

BANNER = "PostMark v1.51 : 8/14/01\nReading configuration from file 'commands'\n"

Marks = tuple[float, float, float, float]
Ask = Callable[[Path, str, Marks], str]


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Run the real program on commands, with its clock at the marks."""
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(CLOCK)
    library = folder / "clock.so"
    subprocess.run(
        [require("cc"), "-shared", "-fPIC", "-o", library, folder / "clock.c"], check=True, timeout=60
    )
    return lambda where, commands, marks: postmark(
        where,
        f"{commands}quit\n",
        environment={"LD_PRELOAD": str(library), "CLOCK": " ".join(str(int(mark)) for mark in marks)},
    ).decode()


def expected_run(options: PostmarkOptions, marks: Marks, terse: bool) -> str:
    stream = operations(options)
    return progress(stream) + report(stream, whole_seconds(marks), terse)


@st.composite
def settings_of_a_run(draw: st.DrawFn) -> tuple[Configuration, Marks]:
    low = draw(st.sampled_from([1, 100, 500, 3000, 300_001]))
    bias = st.sampled_from([-1, 0, 5, 5, 9, 10])
    options = PostmarkOptions(
        size_low_bytes=low,
        size_high_bytes=low + draw(st.sampled_from([0, 1, 500, 99_999])),
        files=draw(st.integers(1, 40)),
        transactions=draw(st.integers(10, 333)),
        seed=draw(st.integers(1, 2**31 - 1)),
        subdirectories=draw(st.integers(0, 3)),
        locations=draw(st.sampled_from([(), (Location("a"),), (Location("a", 2), Location("b"))])),
        read_block_bytes=65_536,
        write_block_bytes=65_536,
        read_bias=draw(bias),
        create_bias=draw(bias),
        buffered=draw(st.booleans()),
    )
    waits = draw(st.lists(st.sampled_from([0, 1, 2, 3, 7, 13, 97, 1009]), min_size=3, max_size=3))
    marks = (1000, 1000 + waits[0], 1000 + sum(waits[:2]), 1000 + sum(waits))
    return Configuration(options, draw(st.booleans())), marks


@settings(max_examples=40, deadline=None)
@given(run=settings_of_a_run())
def test_output_equals_the_real_programs(ask: Ask, run: tuple[Configuration, Marks]) -> None:
    setting, marks = run
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for location in setting.options.locations:
            (folder / location.path).mkdir()
        commands = (
            commands_of(setting.options) + ("set report terse\n" if setting.terse else "") + "show\nrun\n"
        )
        expected = show(setting, str(folder)) + expected_run(setting.options, marks, setting.terse)
        assert BANNER + expected == ask(folder, commands, marks)


def test_reports_to_a_file_equal_the_real_programs(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    options = PostmarkOptions(files=5, transactions=30, create_bias=10, locations=(Location("a", 3),))
    marks = (5, 9, 16, 17)
    printed = ask(tmp_path, commands_of(options) + "show report\nrun report\n", marks)
    to_file, to_terminal = show_to_file(Configuration(options), str(tmp_path))
    stream = operations(options)
    assert printed == BANNER + to_terminal + progress(stream)
    assert (tmp_path / "report").read_text() == to_file + report(stream, whole_seconds(marks))


def test_sums_beyond_16_million_bytes_are_rounded_as_the_real_program_does(ask: Ask, tmp_path: Path) -> None:
    options = PostmarkOptions(
        3_000_001, 3_000_001, files=20, transactions=12, read_block_bytes=2**20, write_block_bytes=2**20
    )
    counts = count(operations(options))
    assert counts.written_bytes != counts.written_bytes_single
    for terse in (False, True):
        format_ = "set report terse\n" if terse else ""
        marks = (0, 7, 12, 31)
        printed = ask(tmp_path, commands_of(options) + format_ + "run\n", marks)
        assert printed == BANNER + expected_run(options, marks, terse)


def test_amounts_in_show_are_rounded_as_the_real_program_does(tmp_path: Path) -> None:
    sizes = [1, 1023, 1024, 1025, 2**20 - 1, 2**20, 39_872_102, 1_067_382_217, 2**31 - 1]
    commands = "".join(f"set read {size}\nset write {size}\nshow\n" for size in sizes)
    expected = "".join(
        show(Configuration(PostmarkOptions(read_block_bytes=size, write_block_bytes=size)), str(tmp_path))
        for size in sizes
    )
    assert postmark(tmp_path, commands + "quit\n").decode() == BANNER + expected


def test_help_equals_the_real_programs(tmp_path: Path) -> None:
    assert postmark(tmp_path, "help\nquit\n").decode() == BANNER + help_text()


PAPER = """\
Time:
	1 seconds total
	1 seconds of transactions (10000 per second)

Files:
	5911 created (5911 per second)
		Creation alone: 1000 files (1000 per second)
		Mixed with transactions: 4911 files (4911 per second)
	5024 read (5024 per second)
	0 appended (0 per second)
	5911 deleted (5911 per second)
		Deletion alone: 822 files (822 per second)
		Mixed with transactions: 5089 files (5089 per second)

Data:
	490.62 kilobytes read (490.62 kilobytes per second)
	577.25 kilobytes written (577.25 kilobytes per second)
"""
TERSE = "1 1 10000.00 5911.00 1000.00 4911.00 5024.00 0.00 5911.00 822.00 5089.00 502400.00 591100.00\n"


def test_recorded_reports_of_the_papers_settings() -> None:
    stream = operations(PostmarkOptions(100, 100, files=1000, transactions=10_000))
    seconds = whole_seconds((3.2, 3.3, 3.4, 3.9))
    assert report(stream, seconds) == PAPER
    assert report(stream, seconds, terse=True) == TERSE


def test_exact_seconds_are_the_times_between_the_marks() -> None:
    assert exact_seconds((0.5, 1.0, 3.0, 3.25)) == (2.75, 0.5, 2.0, 0.25)


def test_a_report_with_exact_times_has_decimals() -> None:
    stream = operations(PostmarkOptions(100, 100, files=1000, transactions=10_000))
    exact = report(stream, exact_seconds((0.0, 0.125, 0.375, 0.5)))
    assert "\t0.500000 seconds total\n\t0.250000 seconds of transactions (40000.00 per second)\n" in exact
    assert "\t\tCreation alone: 1000 files (8000.00 per second)\n" in exact
    assert report(stream, exact_seconds((0.0, 0.125, 0.375, 0.5)), terse=True).startswith(
        "0.500000 0.250000 40000.00 "
    )


def test_a_phase_without_time_has_no_rate() -> None:
    stream = operations(PostmarkOptions(files=1, transactions=10, read_bias=-1, create_bias=-1))
    text = report(stream, exact_seconds((0.0, 1.0, 1.0, 1.0)))
    assert "Mixed with transactions: 0 files (0.00 per second)" in text
    assert "0.000000 seconds of transactions (inf per second)" in text


@pytest.mark.parametrize(
    "marks", [(1.0, 0.0, 2.0, 3.0), (0.0, 1.0, 2.0, float("nan")), (0.0, 1.0, 2.0, float("inf"))]
)
def test_impossible_times_are_refused(marks: Marks) -> None:
    with pytest.raises(InputError, match="must be in order"):
        exact_seconds(marks)


def test_out_of_files_has_no_report() -> None:
    stream = operations(PostmarkOptions(files=3, transactions=50, create_bias=0))
    assert stream.out_of_files
    assert "Performing transactions.out of files!\nFor this workload" in progress(stream)
    assert report(stream, whole_seconds((0, 1, 2, 3))) == ""
