"""Programs that tests need: a missing one skips the test, or fails it where all must be there."""

import os
import shutil

import pytest


def require(tool: str) -> str:
    """Return the path of a program; without it skip, or fail if LOCKSCAPE_REQUIRE is ``all``."""
    path = shutil.which(tool)
    if path is None:
        reason = f"the program {tool!r} is not installed"
        if os.environ.get("LOCKSCAPE_REQUIRE") == "all":
            pytest.fail(f"{reason}, and LOCKSCAPE_REQUIRE=all asks for it")
        pytest.skip(reason)
    return path
