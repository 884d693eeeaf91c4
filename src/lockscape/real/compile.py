"""Compiles a C source of the package with the user's compiler, once: the result is kept in a cache."""

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lockscape.errors import MissingToolError

NATIVE = Path(__file__).parent / "native"
"""The folder of the C sources."""

COMPILERS = ("cc", "gcc", "clang")
"""Looked for in this order, unless $CC names one."""

TIMEOUT_SECONDS = 120
"""In which a C compiler must be done."""
SHOWN_CHARACTERS = 300
"""At most so much of what the compiler says is quoted."""


def compiled(source: Path, options: Sequence[str], *, cache: Path | None = None) -> Path:
    """Return the file that the compiler makes of `source` with `options`, from the cache if it is there.

    The cached file's name has a digest of the compiler's version, the options and all sources beside `source`
    (they include each other). Several processes may do this at once. Raises MissingToolError, in one line, if
    there is no compiler, or it fails, or the cache cannot be written.
    """
    compiler = find_compiler()
    store = cache or cache_folder()
    target = store / f"{source.stem}-{_digest(compiler, source, options)}"
    if target.is_file():
        return target
    try:
        store.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".compile-", dir=store) as folder:
            made = Path(folder) / "made"
            _run([*compiler, *options, "-I", str(source.parent), "-o", str(made), str(source)])
            made.replace(target)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise MissingToolError(
            f"cannot keep a compiled program in {str(store)!r}: {why}; set LOCKSCAPE_CACHE"
        ) from error
    return target


def cache_folder() -> Path:
    """Return where programs are kept: ``native`` in ``$LOCKSCAPE_CACHE``, else in the user's cache."""
    from platformdirs import user_cache_path

    named = os.environ.get("LOCKSCAPE_CACHE")
    return (Path(named) if named else user_cache_path("lockscape")) / "native"


def find_compiler() -> list[str]:
    """Return the words of the command of a C compiler: $CC, else the first of COMPILERS that is installed."""
    named = shlex.split(os.environ.get("CC", ""))
    if named:
        if shutil.which(named[0]) is None:
            raise MissingToolError(f"no compiler {named[0]!r}, which $CC names: install it or unset CC")
        return named
    for name in COMPILERS:
        if shutil.which(name):
            return [name]
    raise MissingToolError("no C compiler: install one (apt install gcc) or name it in $CC")


def has_compiler() -> bool:
    """Say whether there is a C compiler."""
    try:
        return bool(find_compiler())
    except MissingToolError:
        return False


def _digest(compiler: list[str], source: Path, options: Sequence[str]) -> str:
    whole = hashlib.sha256(_run([*compiler, "--version"]))
    for text in (*compiler, source.name, *options):
        whole.update(text.encode() + b"\0")
    for path in sorted(source.parent.iterdir()):
        if path.suffix in (".c", ".h"):
            whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:24]


def _run(command: Sequence[str]) -> bytes:
    """Run the compiler, and return what it prints."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise MissingToolError(
            f"the compiler {command[0]!r} did not end in {TIMEOUT_SECONDS} s: set CC to another"
        ) from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        shown = "".join(letter for letter in said if letter.isprintable())[:SHOWN_CHARACTERS]
        raise MissingToolError(
            f"the compiler {command[0]!r} fails: {shown or 'without a word'}; set CC to another"
        )
    return done.stdout
