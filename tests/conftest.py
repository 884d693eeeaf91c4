"""Shared fixtures, and what is done once for all processes that tests run in."""

import fcntl
import gc
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# else each process that a test starts translates all that it imports, numba first of all
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# a shell without job control begins what is in the background with SIGINT ignored, and so would all that tests start
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

COMPILING = (
    "from lockscape.machine import compiled, engine; compiled.prepare(engine.run)",
    "from lockscape.machine import compiled, engine; compiled.prepare(engine.run_free); "
    "from lockscape.source.lexer import load_lexer; load_lexer()",
)
"""What compiles all that numba has to, in about as much time each: with a core for each of them."""

LOCK = pytest.StashKey[str]()
"""Name of a file that is locked as long as something is compiled."""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin to compile before pytest-xdist starts its workers: each of them would do so at the same time.

    Without workers as well: commands that tests start say so where they are the first to compile.
    """
    config = session.config
    if hasattr(config, "workerinput"):
        return
    lock = NamedTemporaryFile(prefix="lockscape-tests-")  # noqa: SIM115  # closed with the session
    config.add_cleanup(lock.close)
    config.stash[LOCK] = lock.name
    held = os.open(lock.name, os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)  # until the last of those that have this descriptor ends
    for code in COMPILING:
        process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[held])
        config.add_cleanup(process.wait)
    os.close(held)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist which file is locked while it is compiled."""
    node.workerinput["lock"] = node.config.stash.get(LOCK, os.devnull)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Wait, after the tests are collected, until all is compiled.

    What is there by now stays, kernels that tests share soon add to it, and little of all that is garbage: a
    tenth of the time would go into looking for it.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    given = getattr(session.config, "workerinput", None)
    alone = not session.config.getoption("numprocesses", None) and not session.config.option.collectonly
    if given or alone:
        with open(given["lock"] if given else session.config.stash[LOCK]) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)


@pytest.fixture(scope="session")
def trees() -> Path:
    """The folder of real kernel trees (linux-2.0.40 …) that LOCKSCAPE_TREES names."""
    folder = os.environ.get("LOCKSCAPE_TREES")
    if not folder:
        pytest.skip("LOCKSCAPE_TREES names no folder with real kernel trees")
    return Path(folder)
