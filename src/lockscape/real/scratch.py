"""A fresh directory of our own: made, used through a descriptor, emptied, removed; nothing outside of it."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lockscape.errors import InputError, reason_of
from lockscape.real.stopping import later, stoppable, undisturbed

_PREFIX = "lockscape-host-"
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Scratch:
    """A directory of our own. `fd` is its descriptor: whatever happens to its name, we work in it."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd

    def fresh(self, names: list[str]) -> list[int]:
        """Make directories in it, and return their open descriptors. The caller closes them."""
        made = []
        for name in names:
            os.mkdir(name, 0o700, dir_fd=self.fd)
            made.append(os.open(name, _OPEN, dir_fd=self.fd))
        return made

    def empty(self) -> None:
        """Remove everything in it, following no link."""
        for entry in os.listdir(self.fd):  # noqa: PTH208  (by descriptor)
            if _is_directory(entry, self.fd):
                shutil.rmtree(entry, dir_fd=self.fd)
            else:
                os.unlink(entry, dir_fd=self.fd)


def _is_directory(name: str, folder: int) -> bool:
    try:
        fd = os.open(name, _OPEN, dir_fd=folder)
    except OSError:
        return False
    os.close(fd)
    return True


@contextlib.contextmanager
def scratch(base: Path) -> Iterator[Scratch]:
    """Make a directory in `base`, and remove it with all that is in it at the end, also when interrupted.

    Only its owner may enter it. Raises InputError if `base` is no directory that can be written.
    """
    try:
        base_fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"--directory {str(base)!r}: {reason_of(error)}; give a directory") from error
    made: Scratch | None = None
    try:
        with stoppable():
            try:
                with later():
                    made = _make(base, base_fd)
                yield made
            finally:
                if made is not None:
                    with undisturbed():
                        _remove(made, base_fd)
    finally:
        os.close(base_fd)


def _make(base: Path, base_fd: int) -> Scratch:
    try:
        name = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=base)).name
    except OSError as error:
        raise InputError(
            f"--directory {str(base)!r}: {reason_of(error)}; give one that you may write"
        ) from error
    fd = os.open(name, _OPEN, dir_fd=base_fd)
    if os.fstat(fd).st_uid != os.geteuid():
        os.close(fd)
        raise InputError(f"--directory {str(base)!r}: another user moves what is made there; give another")
    return Scratch(base / name, fd)


def _remove(made: Scratch, base_fd: int) -> None:
    try:
        made.empty()
        os.rmdir(made.path.name, dir_fd=base_fd)
    except OSError as error:
        raise InputError(f"cannot remove {str(made.path)!r}: {reason_of(error)}; remove it") from error
    finally:
        os.close(made.fd)


def left_behind(base: Path) -> list[Path]:
    """Return directories of ours in `base` whose process is gone: it was killed and could not remove them."""
    return sorted(path for path in base.glob(f"{_PREFIX}*-*") if _is_left(path))


def _is_left(path: Path) -> bool:
    number = path.name.removeprefix(_PREFIX).partition("-")[0]
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        return False
    with contextlib.suppress(OSError):
        if path.lstat().st_uid == os.geteuid():
            return not Path(f"/proc/{number}").exists()
    return False
