"""The same functions run compiled and as plain Python, with the same result to the last bit."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def digests(**environment: str) -> list[str]:
    command = [sys.executable, "-W", "error", str(HERE / "engine_digests.py")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=100, env=os.environ | environment
    )
    return done.stdout.splitlines()


def test_compiled_and_plain_give_the_same_bits() -> None:
    compiled, plain = digests(), digests(NUMBA_DISABLE_JIT="1")
    assert (compiled[0], plain[0]) == ("plain: False", "plain: True")
    assert compiled[1:] == plain[1:]
    assert len(set(compiled)) == len(compiled) == 35
