"""Compilation of the engine's functions with numba; with ``NUMBA_DISABLE_JIT=1`` they stay plain Python."""

import hashlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

PLAIN = bool(getattr(numba.config, "DISABLE_JIT", 0))
"""Whether the engine runs as plain Python: the readable reference, some hundred times slower."""

_PACKAGE = Path(__file__).parent.parent
_SOURCES = (
    "machine/engine.py",
    "machine/layout.py",
    "machine/memory.py",
    "program/layout.py",
    "program/opcodes.py",
)
_DIGEST = hashlib.sha256(b"".join((_PACKAGE / name).read_bytes() for name in _SOURCES)).hexdigest()[:12]
"""Of all sources compiled together: numba itself looks only at the file of each function."""

_helpers: list[Any] = []


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with numba, releasing the interpreter's lock; cached on disk where that is possible.

    Parameters annotated as `int` are int64, all others flat arrays of int64.
    """
    function.__qualname__ = f"{function.__name__}_{_DIGEST}"  # names the cached file
    try:
        made = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder can be written: compile in memory, once per process
        made = numba.njit(nogil=True)(function)
    _helpers.append(made)
    return made


def prepare(function: Any) -> None:
    """Compile a function of the engine, unless it is at hand; say so on stderr, for it takes some seconds.

    What it calls is compiled first, each once: called with constants, numba would make a copy for each.
    """
    if PLAIN or function.signatures:
        return
    if not _cached(function):
        print("lockscape: compiling the engine, once; this takes some seconds", file=sys.stderr)
        for helper in _helpers:
            if helper is not function and not helper.signatures:
                helper.compile(_signature(helper))
            if helper is not function:
                helper.disable_compile()
    function.compile(_signature(function))


def _cached(function: Any) -> bool:
    """Say whether a compiled copy of these very sources is on disk."""
    folder = getattr(function.stats, "cache_path", None)
    return folder is not None and any(Path(folder).glob(f"*.{function.__qualname__}-*.nbi"))


def _signature(function: Any) -> tuple[Any, ...]:
    hints = inspect.signature(function.py_func).parameters.values()
    return tuple(numba.int64 if p.annotation is int else numba.int64[::1] for p in hints)
