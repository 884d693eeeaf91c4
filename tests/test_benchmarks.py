"""The benchmarks run: on the toy kernel, once; their figures mean nothing there."""

import re
import subprocess
import sys
from pathlib import Path

from tools import require

ROOT = Path(__file__).parent.parent
TREE = ROOT / "docs" / "examples" / "toy-kernel"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=100).stdout


def test_census_beside_ripgrep_and_tree_sitter() -> None:
    require("rg")
    out = run("census.py", str(TREE), "--repeat", "1")
    assert re.search(r"lockscape runs at [\d.]+ of ripgrep's speed", out)
    assert re.search(r"tree-sitter, a sample +[\d.]+ MB/s", out)
    assert re.search(r"lockscape is \d+ times as fast as tree-sitter", out)


def test_footprint_beside_the_pipeline() -> None:
    for tool in ("cpp", "indent", "diff"):
        require(tool)
    out = run("footprint.py", str(TREE), "--repeat", "1")
    assert re.search(r"toy-kernel +[\d.]+ s +[\d.]+ s +[\d.]+", out)
