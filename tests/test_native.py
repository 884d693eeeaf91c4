"""The worker in C makes the real PostMark's calls, through the C library and without one."""

import struct
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError
from lockscape.real import stream
from lockscape.workloads.postmark import Location, Operations, PostmarkOptions, operations
from native_tools import ALONE, bare, hosted, run_hosted, traced
from postmark_tools import trace
from stdio_calls import system_calls

CASES = {
    "defaults": PostmarkOptions(),
    "subdirectories": PostmarkOptions(files=60, transactions=150, subdirectories=7, seed=3),
    "unbuffered, whole blocks": PostmarkOptions(1024, 1024, files=9, transactions=30, seed=8, buffered=False),
    "blocks above the buffer": PostmarkOptions(
        5000, 40_000, files=30, transactions=90, read_block_bytes=9999, write_block_bytes=5001
    ),
}
SLOW_CASES = {
    "unbuffered": PostmarkOptions(files=40, transactions=90, seed=7, buffered=False),
    "odd blocks": PostmarkOptions(files=30, transactions=90, read_block_bytes=333, write_block_bytes=777),
    "the paper's sizes": PostmarkOptions(100, 100, files=100, transactions=1000),
}


def same_calls_as_the_real_program(
    command: list[str], options: PostmarkOptions, tmp_path: Path, given: bytes
) -> None:
    ours = traced(command, tmp_path / "ours", given)
    (tmp_path / "real").mkdir()
    theirs = trace(tmp_path / "real", options)
    assert len(theirs) > 90
    assert ours == theirs


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_the_worker_makes_the_calls_of_the_real_program(options: PostmarkOptions, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(stream.pack(operations(options)))
    same_calls_as_the_real_program([str(hosted()), str(packed), *ALONE], options, tmp_path, b"")


@pytest.mark.slow
@pytest.mark.parametrize("options", SLOW_CASES.values(), ids=SLOW_CASES)
def test_the_worker_makes_the_calls_of_the_real_program_in_more_cases(
    options: PostmarkOptions, tmp_path: Path
) -> None:
    test_the_worker_makes_the_calls_of_the_real_program(options, tmp_path)


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("name", ["blocks above the buffer", "unbuffered, whole blocks"])
def test_without_a_library_it_makes_the_same_calls(bits: int, name: str, tmp_path: Path) -> None:
    packed = stream.pack(operations(CASES[name]))
    same_calls_as_the_real_program([str(bare(tmp_path, bits))], CASES[name], tmp_path, packed)


def test_it_makes_the_calls_of_the_library_of_2005(tmp_path: Path) -> None:
    options = PostmarkOptions(3000, 9000, files=30, transactions=90)
    packed = tmp_path / "packed"
    packed.write_bytes(stream.pack(operations(options), libc="2005"))
    ours = Counter(call.name for call in traced([str(hosted()), str(packed), *ALONE], tmp_path / "ours"))
    block = tmp_path.stat().st_blksize
    theirs = Counter(call.name for _, call in system_calls(operations(options), "2005", block))
    for name in ("open", "fstat", "lseek", "read", "write", "close", "unlink"):
        assert ours[name] == theirs[name] > 0


def test_it_writes_what_the_operations_say(tmp_path: Path) -> None:
    """The files that are left without the last phase have the sizes that the stream says."""
    options = PostmarkOptions(files=20, transactions=90)
    work = operations(options)
    end = int(work.rows[:, 0].tolist().index(stream.MARK)) + 1
    end += work.rows[end:, 0].tolist().index(stream.MARK) + 1
    end += work.rows[end:, 0].tolist().index(stream.MARK)
    kept = Operations(options, work.rows[:end], work.directories, work.transactions)
    assert run_hosted(stream.pack(kept, prefix="p3."), tmp_path / "run")[0] == "ok"
    expected = {f"p3.{row[2]}": row[4] for row in work.rows[end:].tolist() if row[0] == 4}
    assert {path.name: path.stat().st_size for path in (tmp_path / "run").iterdir()} == expected


def test_it_takes_the_time_of_each_phase(tmp_path: Path) -> None:
    words = run_hosted(stream.pack(operations(PostmarkOptions())), tmp_path / "run")
    assert words[0] == "ok"
    times = [int(word) for word in words[1:7]]
    begun, ended, *marks = times
    assert begun <= marks[0] < marks[1] < marks[2] < marks[3] <= ended
    user_us, system_us = int(words[7]), int(words[8])
    assert 0 < user_us + system_us <= (ended - begun) // 1000 + 10_000
    assert list((tmp_path / "run").iterdir()) == []


def test_an_error_says_the_call_the_path_and_why(tmp_path: Path) -> None:
    packed = stream.pack(operations(PostmarkOptions(files=9, transactions=10)))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "4").mkdir()
    (tmp_path / "packed").write_bytes(packed)
    done = subprocess.run([hosted(), tmp_path / "packed", *ALONE], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "failed open 4 21\n")


def test_computing_takes_time_in_proportion_and_makes_no_calls(tmp_path: Path) -> None:
    times = []
    for k, iterations in enumerate((20_000_000, 200_000_000)):
        words = run_hosted(stream.compute(iterations), tmp_path / f"run{k}")
        times.append(int(words[7]) + int(words[8]))
    assert times[1] > 4 * times[0]


def test_one_file_is_written_over_and_read(tmp_path: Path) -> None:
    options = PostmarkOptions(100, 5000, transactions=50)
    packed = tmp_path / "packed"
    packed.write_bytes(stream.one_file(options))
    calls = traced([str(hosted()), str(packed), *ALONE], tmp_path / "ours")
    assert {call.path for call in calls} == {"1"}
    assert Counter(call.name for call in calls)["open"] == 101
    assert (tmp_path / "ours" / "1").stat().st_size == 5000


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 400), st.data())
def test_a_damaged_stream_is_refused(cut: int, data: st.DataObject) -> None:
    """Whatever is cut off: the header tells of more than there is."""
    packed = stream.pack(operations(PostmarkOptions(files=5, transactions=10, subdirectories=3)))
    assert struct.unpack_from("<I", packed)[0] == stream.MAGIC
    with tempfile.TemporaryDirectory() as folder:
        words = run_hosted(packed[: min(cut, len(packed) - 12)], Path(folder) / "run")
        assert words[0] == "failed"


def test_what_a_stream_cannot_hold_is_refused() -> None:
    elsewhere = operations(PostmarkOptions(files=5, transactions=10, locations=(Location("/etc"),)))
    with pytest.raises(InputError, match="no locations"):
        stream.pack(elsewhere)
    with pytest.raises(InputError, match="4 subdirectories in one directory"):
        stream.pack(operations(PostmarkOptions(files=5, transactions=10, subdirectories=4)), prefix="p1.")
    with pytest.raises(InputError, match="0 iterations"):
        stream.compute(0)
    with pytest.raises(InputError, match="shorter"):
        stream.pack(operations(PostmarkOptions(files=5, transactions=10)), prefix="x" * 2000)
