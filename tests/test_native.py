"""The worker in C makes the real PostMark's calls, through the C library and without one."""

import dataclasses
import struct
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError, MissingToolError
from lockscape.real import stream
from lockscape.real.compile import NATIVE, compiled
from lockscape.workloads.postmark import Location, Operations, PostmarkOptions, operations
from lockscape.workloads.stdio import system_calls
from native_tools import bare, hosted, run, run_hosted, traced
from postmark_tools import trace

CASES = {
    "defaults": PostmarkOptions(),
    "subdirectories": PostmarkOptions(files=60, transactions=150, subdirectories=7, seed=3),
    "unbuffered": PostmarkOptions(files=40, transactions=90, seed=7, buffered=False),
    "unbuffered, whole blocks": PostmarkOptions(1024, 1024, files=9, transactions=30, seed=8, buffered=False),
    "odd blocks": PostmarkOptions(files=30, transactions=90, read_block_bytes=333, write_block_bytes=777),
    "blocks above the buffer": PostmarkOptions(5000, 40_000, files=30, transactions=90, read_block_bytes=9999, write_block_bytes=5001),
    "the paper's sizes": PostmarkOptions(100, 100, files=100, transactions=1000),
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_the_worker_makes_the_calls_of_the_real_program(options: PostmarkOptions, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    packed = tmp_path / "packed"
    packed.write_bytes(stream.pack(operations(options)))
    ours = traced([str(hosted()), str(packed), "-1", "-1"], tmp_path / "ours")
    theirs = trace(tmp_path / "real", options)
    assert len(theirs) > 90
    assert ours == theirs


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("name", ["subdirectories", "unbuffered", "blocks above the buffer"])
def test_without_a_library_it_makes_the_same_calls(bits: int, name: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    packed = stream.pack(operations(CASES[name]))
    ours = traced([str(bare(tmp_path, bits))], tmp_path / "ours", packed)
    assert ours == trace(tmp_path / "real", CASES[name])
