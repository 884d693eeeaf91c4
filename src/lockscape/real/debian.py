"""Gets the newest kernel package of Debian with apt-get, as an ordinary user and without installing it.

apt is asked with a folder of its own for its state, so that nothing of the system's is touched and packages
of another architecture can be had without adding it to the machine; sources and keys are the system's, and
apt checks the signatures.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lockscape.errors import FetchError, MissingToolError
from lockscape.real.package import kernels_folder, unpacked

_TIMEOUT_SECONDS = 900
_SHOWN_CHARACTERS = 200


class _Wanted(NamedTuple):
    """A package that depends on the newest kernel of its kind, and its architecture."""

    metapackage: str
    architecture: str


NAMES = {
    "debian": _Wanted("linux-image-cloud-amd64", "amd64"),
    "debian-686": _Wanted("linux-image-686-pae", "i386"),
}
"""Kernels by the name that stands for the newest one."""


def debian_kernel(name: str, update: bool, store: Path | None = None) -> tuple[Path, str]:
    """Return the folder of Debian's kernel `name`, and its package with its version.

    What was fetched before is taken, unless `update`. Raises `MissingToolError` without apt, `FetchError` if
    there is no such package or it cannot be had.
    """
    store = store or kernels_folder()
    kept = sorted((store / "debian").glob(f"{name}/*.deb"))
    if kept and not update:
        return unpacked(kept[-1], store), _named(kept[-1])
    _need("apt-get")
    _need("apt-cache")
    wanted = NAMES[name]
    apt = _Apt(store / "apt" / wanted.architecture, wanted.architecture)
    apt.update()
    found = apt.download(apt.newest(wanted.metapackage), store / "debian" / name)
    for old in kept:
        if old != found:
            old.unlink()
    return unpacked(found, store), _named(found)


def _named(package: Path) -> str:
    name, version, *_ = package.name.removesuffix(".deb").split("_")
    return f"{name} {version.replace('%3a', ':')}"


def _need(tool: str) -> None:
    if shutil.which(tool) is None:
        raise MissingToolError(
            f"no {tool}: Debian's kernels are fetched with it; give a kernel's image or a .deb instead"
        )


class _Apt:
    """apt with its state in `folder`, for packages of an architecture."""

    def __init__(self, folder: Path, architecture: str) -> None:
        self._options = [
            "-o", f"Dir::State={folder}", "-o", f"Dir::State::Lists={folder}/lists",
            "-o", f"Dir::Cache={folder}/cache", "-o", f"APT::Architecture={architecture}",
            "-o", f"APT::Architectures={architecture}", "-o", "APT::Sandbox::User=",
            "-o", "Acquire::Retries=3", "-o", "APT::Get::AllowUnauthenticated=false",
        ]  # fmt: skip
        self._folder = folder
        self._complaint = ""

    def update(self) -> None:
        """Get the lists of packages. One of several sources may fail: what is missing shows later."""
        try:
            for each in ("lists/partial", "cache/archives/partial"):
                (self._folder / each).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _storage_error(self._folder, error) from error
        self._complaint = self._run("apt-get", "update").stderr

    def newest(self, metapackage: str) -> str:
        """Return the package that the newest version of a metapackage depends on."""
        shown = self._run("apt-cache", "show", "--no-all-versions", metapackage).stdout
        found = re.search(r"^(?:Pre-)?Depends:.*?\b(linux-image-\d[a-z0-9.+~-]*)", shown, re.MULTILINE)
        if found is None:
            why = _last(self._complaint) or "this system's sources have none"
            raise FetchError(f"no package {metapackage}: {why}; give a kernel's image or a .deb instead")
        return found[1]

    def download(self, package: str, folder: Path) -> Path:
        """Download a package into a folder, and return its file."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _storage_error(folder, error) from error
        done = self._run("apt-get", "-q", "download", package, folder=folder)
        found = sorted(folder.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
        if done.returncode or not found:
            raise FetchError(
                f"apt-get cannot download {package}: {_last(done.stderr) or 'no file came'}; try again"
            )
        return found[-1]

    def _run(self, *words: str, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
        command: Sequence[str] = (words[0], *self._options, *words[1:])
        try:
            return subprocess.run(
                command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True,
                errors="replace", timeout=_TIMEOUT_SECONDS, env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise FetchError(f"{words[0]} did not end in {_TIMEOUT_SECONDS} s: try again") from error


def _last(text: str) -> str:
    """Return the last error that apt told, without the address that it is of."""
    lines = [line.strip() for line in text.splitlines() if line.startswith(("E:", "Err:"))]
    return re.sub(r"https?://\S+", "…", lines[-1].removeprefix("E: "))[:_SHOWN_CHARACTERS] if lines else ""


def _storage_error(folder: Path, error: OSError) -> FetchError:
    why = (error.strerror or str(error)).lower()
    return FetchError(f"cannot keep kernels in {str(folder)!r}: {why}; set LOCKSCAPE_CACHE")
