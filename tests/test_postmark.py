"""PostMark's stream against the real program: every call on the working folders, in order, with its sizes."""

import os
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError
from lockscape.workloads.postmark import (
    APPEND,
    BEFORE,
    BYTES,
    CREATE,
    DELETE,
    DIRECTORY,
    KIND,
    MARK,
    MAX_SIZE_BYTES,
    MKDIR,
    NAME,
    NOTHING,
    PROBES,
    READ,
    RMDIR,
    Libc,
    Location,
    Operations,
    PostmarkOptions,
    operations,
)
from lockscape.workloads.postmark_commands import commands_of
from lockscape.workloads.twister import Twister
from postmark_tools import Traced, postmark, trace
from stdio_calls import SystemCall, system_calls
from tools import require

PAPER = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=1000, transactions=10_000)
"""The paper's settings, per process."""

CASES = {
    "defaults": PostmarkOptions(),
    "subdirectories": PostmarkOptions(files=60, transactions=150, subdirectories=7, seed=3),
    "one subdirectory": PostmarkOptions(files=5, transactions=10, subdirectories=1, seed=4),
    "two locations": PostmarkOptions(
        files=40, transactions=90, seed=5, locations=(Location("a"), Location("b", 3))
    ),
    "locations and subdirectories": PostmarkOptions(
        files=40, transactions=90, seed=6, subdirectories=3, locations=(Location("a", 2), Location("b c"))
    ),
    "unbuffered": PostmarkOptions(files=40, transactions=90, seed=7, buffered=False),
    "unbuffered, whole blocks": PostmarkOptions(1024, 1024, files=9, transactions=30, seed=8, buffered=False),
    "odd blocks": PostmarkOptions(files=30, transactions=90, read_block_bytes=333, write_block_bytes=777),
    "blocks above the buffer": PostmarkOptions(
        5000, 40_000, files=30, transactions=90, read_block_bytes=9999, write_block_bytes=5001
    ),
    "blocks of a buffer": PostmarkOptions(
        4096, 40_960, files=30, transactions=90, read_block_bytes=4096, write_block_bytes=8192
    ),
    "only create and read": PostmarkOptions(files=9, transactions=60, read_bias=10, create_bias=10),
    "only append and delete": PostmarkOptions(files=9, transactions=60, read_bias=0, create_bias=0),
    "no creation": PostmarkOptions(files=9, transactions=60, create_bias=-1),
    "no reading": PostmarkOptions(files=9, transactions=60, read_bias=-1, seed=2),
    "the paper's sizes": PostmarkOptions(100, 100, files=100, transactions=1000),
    "nothing": PostmarkOptions(files=9, transactions=60, read_bias=-1, create_bias=-1),
    "small table": PostmarkOptions(files=1, transactions=60, create_bias=8, seed=2**31 - 1),
}


def buffer_block(folder: Path) -> int:
    return folder.stat().st_blksize


def predicted(options: PostmarkOptions, block_bytes: int) -> list[Traced]:
    stream = operations(options)
    return [
        Traced(call.name, stream.path(row), *call[1:])
        for row, call in system_calls(stream, "modern", block_bytes)
    ]


@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_calls_equal_the_real_programs(tmp_path: Path, options: PostmarkOptions) -> None:
    real = trace(tmp_path, options)
    assert len(real) >= options.files * 5
    assert predicted(options, buffer_block(tmp_path)) == real


@pytest.mark.slow
def test_the_papers_settings_equal_the_real_programs(tmp_path: Path) -> None:
    real = trace(tmp_path, PAPER)
    assert len(real) == 49_651
    assert predicted(PAPER, buffer_block(tmp_path)) == real


@st.composite
def small_options(draw: st.DrawFn) -> PostmarkOptions:
    low = draw(st.integers(1, 10_000))
    bias = st.integers(-1, 10)
    block = st.sampled_from([64, 100, 512, 1000, 4095, 4096, 4097, 8192, 10_000, 70_000])
    weights = draw(st.lists(st.integers(1, 5), max_size=3))
    return PostmarkOptions(
        size_low_bytes=low,
        size_high_bytes=low + draw(st.integers(0, 10_000)),
        files=draw(st.integers(1, 30)),
        transactions=draw(st.integers(10, 80)),
        seed=draw(st.integers(1, 2**31 - 1)),
        subdirectories=draw(st.integers(0, 4)),
        locations=tuple(Location(f"d{at}", weight) for at, weight in enumerate(weights)),
        read_block_bytes=draw(block),
        write_block_bytes=draw(block),
        read_bias=draw(bias),
        create_bias=draw(bias),
        buffered=draw(st.booleans()),
    )


@settings(max_examples=15, deadline=None)
@given(options=small_options())
def test_calls_equal_the_real_programs_for_any_options(options: PostmarkOptions) -> None:
    with TemporaryDirectory() as folder:
        assert predicted(options, buffer_block(Path(folder))) == trace(Path(folder), options)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(options=small_options())
def test_calls_equal_the_real_programs_for_many_options(options: PostmarkOptions) -> None:
    with TemporaryDirectory() as folder:
        assert predicted(options, buffer_block(Path(folder))) == trace(Path(folder), options)


def numbers_of(stream: Operations) -> Counter[int]:
    return Counter(stream.rows[:, KIND].tolist())


def test_published_counts_of_the_papers_settings() -> None:
    stream = operations(PAPER)
    counts = numbers_of(stream)
    assert (counts[CREATE], counts[DELETE], counts[READ], counts[APPEND]) == (5911, 5911, 5024, 0)
    assert counts[NOTHING] == 4976
    assert stream.rows[:, PROBES].sum() == 31_590


def test_counts_of_the_defaults_and_of_another_seed() -> None:
    stream = operations(PostmarkOptions())
    counts, rows = numbers_of(stream), stream.rows
    assert (counts[CREATE], counts[READ], counts[APPEND], counts[DELETE]) == (764, 243, 257, 764)
    assert rows[rows[:, KIND] == READ, BYTES].sum() == 1_430_770
    assert rows[np.isin(rows[:, KIND], (CREATE, APPEND)), BYTES].sum() == 4_662_068
    counts = numbers_of(operations(PostmarkOptions(100, 100, files=1000, transactions=10_000, seed=7)))
    assert (counts[CREATE], counts[READ], counts[APPEND], counts[DELETE]) == (6032, 5152, 0, 6032)


def test_the_papers_stream_is_made_in_a_third_of_a_second() -> None:
    best = min(_seconds_of_operations() for _ in range(3))
    assert best < 0.3


def _seconds_of_operations() -> float:
    begin = time.perf_counter()
    operations(PAPER)
    return time.perf_counter() - begin


def check_stream(stream: Operations) -> None:
    """Follow a stream on a model of its files: each operation must be possible, and say the truth."""
    sizes: dict[int, int] = {}
    homes: dict[int, int] = {}
    created, made, removed, marks = 0, [], [], []
    for kind, home, name, count, before, probes in stream.rows.tolist():
        if kind == CREATE:
            created += 1
            assert (name, before, probes) == (created, 0, 0)
            sizes[name], homes[name] = count, home
        elif kind in (READ, APPEND, DELETE, NOTHING) and name:
            assert (sizes[name], homes[name]) == (before, home)
            assert count == (before if kind == READ else count if kind == APPEND else 0)
            sizes[name] += count if kind == APPEND else 0
            if kind == DELETE:
                del sizes[name]
        elif kind in (MKDIR, RMDIR):
            (made if kind == MKDIR else removed).append(home)
        elif kind == MARK:
            marks.append(name)
        assert len(sizes) <= 2 * stream.options.files
        assert all(1 <= size <= stream.options.size_high_bytes for size in sizes.values())
    assert not sizes
    assert made == removed
    assert marks == [0, 1, 2, 3]


@settings(max_examples=60, deadline=None)
@given(options=small_options())
def test_no_operation_on_a_deleted_file_and_everything_is_removed(options: PostmarkOptions) -> None:
    check_stream(operations(options))


@settings(max_examples=30, deadline=None)
@given(options=small_options())
def test_a_transaction_is_two_operations_in_order(options: PostmarkOptions) -> None:
    stream = operations(options)
    kinds = stream.rows[:, KIND]
    _, begin, end, _ = np.flatnonzero(kinds == MARK)
    halves = (options.read_bias >= 0) + (options.create_bias >= 0)
    assert end - begin - 1 == halves * stream.transactions
    assert stream.out_of_files == (stream.transactions < options.transactions)
    first, second = {READ, APPEND, NOTHING}, {CREATE, DELETE, NOTHING}
    transactions = kinds[begin + 1 : end].tolist()
    if options.read_bias >= 0:
        assert set(transactions[::halves]) <= first
    if options.create_bias >= 0:
        assert set(transactions[halves - 1 :: halves]) <= second


def test_options_out_of_range_are_refused() -> None:
    for field, value in {
        "size_low_bytes": 0, "size_high_bytes": MAX_SIZE_BYTES + 1, "files": 0, "transactions": -1, "seed": 0,
        "subdirectories": -1, "read_block_bytes": 0, "write_block_bytes": 2**31, "read_bias": 11, "create_bias": -2,
    }.items():  # fmt: skip
        changes: dict[str, Any] = {field: value}
        with pytest.raises(InputError, match=f"{field} {value}: give a number from"):
            PostmarkOptions(**changes)
    with pytest.raises(InputError, match="size_low_bytes 10: give a number from 1 to 5"):
        PostmarkOptions(10, 5)


@pytest.mark.parametrize(
    "locations", [("",), ("a\n",), ("a", "a"), tuple(f"{at}" for at in range(257))], ids=str
)
def test_impossible_locations_are_refused(locations: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="location"):
        PostmarkOptions(locations=tuple(Location(path) for path in locations))


def test_weights_are_bounded() -> None:
    for weights in ((0,), (2**31,), (2**30, 2**30)):
        with pytest.raises(InputError, match="weight"):
            PostmarkOptions(locations=tuple(Location(f"{at}", weight) for at, weight in enumerate(weights)))


def test_fewer_than_ten_transactions_are_refused_because_postmark_dies(tmp_path: Path) -> None:
    options = PostmarkOptions(files=3, transactions=9)
    with pytest.raises(InputError, match=r"9 transactions: .* set at least 10"):
        operations(options)
    shell = (require("sh"), "-c", '"$@"; echo $?', "sh")
    assert b"transactions136\n" in postmark(
        tmp_path, commands_of(options) + "run\nquit\n", *shell, errors=None
    )


def test_numbers_are_those_of_the_seeding_of_1999() -> None:
    # GSL's own test of its generator mt19937_1999: the thousandth number from seed 4357
    assert next(islice(Twister(4357).numbers(), 999, None)) == 1_030_650_439
    assert next(Twister(4357).numbers()) != np.random.RandomState(4357).randint(2**32, dtype=np.uint32)


def test_skipped_numbers_are_the_first_ones() -> None:
    skipped = Twister(9)
    skipped.skip(1000)
    assert list(islice(skipped.numbers(), 9000)) == list(islice(Twister(9).numbers(), 1000, 10_000))


def test_files_begin_with_the_first_numbers(tmp_path: Path) -> None:
    options = PostmarkOptions(3000, 3000, files=1, transactions=10, read_bias=-1, create_bias=-1, seed=77)
    expected = "".join(chr(32 + number % 95) for number in islice(Twister(77).numbers(), 3000))
    strace = (
        require("strace"),
        "-e",
        "trace=unlink",
        "-e",
        "inject=unlink:error=EPERM",
        "-o",
        "/dev/null",
    )
    postmark(tmp_path, commands_of(options) + "run\nquit\n", *strace, errors=b"Error: Cannot delete '1'\n")
    assert (tmp_path / "1").read_text() == expected


def calls_of(options: PostmarkOptions, libc: Libc, kind: int, block_bytes: int = 4096) -> list[SystemCall]:
    """The calls of the first operation of a kind."""
    stream = operations(options)
    wanted = int(np.flatnonzero(stream.rows[:, KIND] == kind)[0])
    return [call for row, call in system_calls(stream, libc, block_bytes) if row == wanted]


def test_calls_of_2005_are_as_published_for_the_papers_settings() -> None:
    names = Counter(call.name for _, call in system_calls(operations(PAPER), "2005"))
    assert names.total() - names["fault"] == 71_521
    assert names["mmap"] == names["munmap"] == names["fault"] == 5911 + 5024


def test_creating_with_the_library_of_2005_maps_a_buffer() -> None:
    names = [call.name for call in calls_of(PAPER, "2005", CREATE)]
    assert names == ["open", "fstat", "mmap", "fault", "write", "close", "munmap"]


def test_appending_with_the_library_of_2005_seeks_to_a_size() -> None:
    options = PostmarkOptions(100, 2000, files=1, transactions=10, read_bias=0, create_bias=-1)
    before = int(operations(options).rows[1, BYTES])
    calls = calls_of(options, "2005", APPEND)
    assert [call.name for call in calls] == [
        "open", "fstat", "mmap", "fstat", "lseek", "fault", "write", "close", "munmap",
    ]  # fmt: skip
    assert calls[4] == SystemCall("lseek", os.SEEK_SET, before, before)


def test_a_buffer_that_is_never_used_faults_nowhere() -> None:
    options = PostmarkOptions(
        8192, 8192, files=1, transactions=10, write_block_bytes=4096, read_block_bytes=8192
    )
    writes = calls_of(options, "2005", CREATE)
    assert [call.name for call in writes] == [
        "open",
        "fstat",
        "mmap",
        "write",
        "fault",
        "write",
        "close",
        "munmap",
    ]
    reads = calls_of(options, "2005", READ)
    assert [call.name for call in reads] == ["open", "fstat", "mmap", "read", "close", "munmap"]


def test_a_large_buffer_faults_page_by_page_and_a_modern_one_is_bounded() -> None:
    options = PostmarkOptions(20_000, 20_000, files=1, transactions=10)
    old = calls_of(options, "2005", CREATE, 16_384)
    assert Counter(call.name for call in old)["fault"] == 4
    assert [call.asked for call in old if call.name == "write"] == [16_384, 3616]
    modern = calls_of(options, "modern", CREATE, 16_384)
    assert [call.asked for call in modern if call.name == "write"] == [8192, 8192, 3616]


@settings(max_examples=30, deadline=None)
@given(options=small_options())
def test_both_libraries_transfer_the_same(options: PostmarkOptions) -> None:
    stream = operations(options)
    transfers = {
        libc: [
            (row, call)
            for row, call in system_calls(stream, libc)
            if call.name in ("read", "write", "unlink")
        ]
        for libc in ("modern", "2005")
    }
    assert transfers["modern"] == transfers["2005"]
    moved = np.zeros(len(stream.rows), np.int64)
    for row, call in transfers["modern"]:
        moved[row] += call.result
    assert moved.tolist() == stream.rows[:, BYTES].tolist()


def test_columns_and_paths() -> None:
    stream = operations(CASES["locations and subdirectories"])
    assert stream.directories == ("a/s0", "a/s1", "a/s2", "b c/s0", "b c/s1", "b c/s2")
    made = np.flatnonzero(stream.rows[:, KIND] == MKDIR)
    assert [stream.path(int(row)) for row in made] == list(stream.directories)
    row = int(np.flatnonzero(stream.rows[:, KIND] == CREATE)[0])
    assert stream.path(row) == f"{stream.directories[stream.rows[row, DIRECTORY]]}/1"
    assert stream.rows[row, NAME] == 1
    assert stream.rows[row, BEFORE] == 0
    with pytest.raises(ValueError, match="read-only"):
        stream.rows[0, 0] = 1
