"""Shared fixtures, and what is done once for all processes that tests run in."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the engine before pytest-xdist starts its workers: each of them would do so at the same time."""
    if session.config.getoption("numprocesses", None) and not hasattr(session.config, "workerinput"):
        from lockscape.machine.compiled import prepare
        from lockscape.machine.engine import run, run_free

        prepare(run)
        prepare(run_free)


@pytest.fixture(scope="session")
def trees() -> Path:
    """The folder of real kernel trees (linux-2.0.40 …) that LOCKSCAPE_TREES names."""
    folder = os.environ.get("LOCKSCAPE_TREES")
    if not folder:
        pytest.skip("LOCKSCAPE_TREES names no folder with real kernel trees")
    return Path(folder)
