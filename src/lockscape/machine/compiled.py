"""Compilation of the engine's functions with numba; with ``NUMBA_DISABLE_JIT=1`` they stay plain Python."""

import hashlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.extending import intrinsic, register_jitable

PLAIN = bool(getattr(numba.config, "DISABLE_JIT", 0))
"""Whether the engine runs as plain Python: the readable reference, some hundred times slower."""

_PACKAGE = Path(__file__).parent.parent
_SOURCES = (*sorted((_PACKAGE / "machine").glob("*.py")), *sorted((_PACKAGE / "program").glob("*.py")))
_DIGEST = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:12]
"""Of all sources that may be compiled together: numba itself looks only at the file of each function."""

compiled = register_jitable(no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compile a function where `entry` calls it; called from Python it runs as it is, on arrays or lists.

The engine hands it the machine's memory as the address of its words: the array itself would cost a reference
count and seven arguments a call, and a test for negative numbers at each access.
"""


@intrinsic
def _address(_: Any, array: Any) -> Any:
    """Return the address of an array's first word."""

    def generated(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, values[0]).data

    pointer: Any = numba.types.CPointer
    return pointer(array.dtype)(array), generated


def _same(memory: Any) -> Any:
    return memory


words: Any = _same if PLAIN else _address
"""In a compiled function: the words of an array, without bounds. Plain Python goes on with what it has."""


def entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with numba, releasing the interpreter's lock; cached on disk where that is possible.

    Parameters annotated as `int` are int64, all others flat arrays of int64. Integers are divided as in C
    where the divisor is 0; the engine looks first.
    """
    function.__qualname__ = f"{function.__name__}_{_DIGEST}"  # names the cached file
    options: Any = {"nogil": True, "error_model": "numpy"}
    try:
        made: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written: compile in memory, once per process
        made = numba.njit(**options)(function)
    return made


def prepare(function: Any) -> None:
    """Compile the engine, unless it is at hand; say so on stderr, for it takes some seconds."""
    if PLAIN or function.signatures:
        return
    if not _cached(function):
        print("lockscape: compiling the engine, once; this takes some seconds", file=sys.stderr)
    function.compile(_signature(function))


def _cached(function: Any) -> bool:
    """Say whether a compiled copy of these very sources is on disk."""
    folder = getattr(function.stats, "cache_path", None)
    return folder is not None and any(Path(folder).glob(f"*.{function.__qualname__}-*.nbi"))


def _signature(function: Any) -> tuple[Any, ...]:
    hints = inspect.signature(function.py_func).parameters.values()
    return tuple(numba.int64 if p.annotation is int else numba.int64[::1] for p in hints)
