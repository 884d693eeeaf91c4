"""The engine's benchmark runs: with the same makespans as SimPy on all four models."""

import re
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "engine_simpy.py"


def test_engine_beside_simpy() -> None:
    command = [sys.executable, str(BENCHMARK), "--operations", "300", "--repeat", "1", "--many", "64"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert len(re.findall(r"M=8 +[\d.]+ +[\d.]+ M steps/s +[\d.]+ times", done.stdout)) == 4
    assert re.search(r"lockscape is at least \d+ times as fast as SimPy 4", done.stdout)
    assert re.search(r"a step costs [\d.]+ ns on 8 processors, [\d.]+ ns on 64: [\d.]+ times", done.stdout)
