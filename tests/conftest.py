"""Shared fixtures."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def trees() -> Path:
    """The folder of real kernel trees (linux-2.0.40 …) that LOCKSCAPE_TREES names."""
    folder = os.environ.get("LOCKSCAPE_TREES")
    if not folder:
        pytest.skip("LOCKSCAPE_TREES names no folder with real kernel trees")
    return Path(folder)
