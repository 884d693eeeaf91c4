"""Downloads released kernels from kernel.org's published layout, checks them and keeps them in a cache.

A release ``linux-2.6.11.7`` lies in a folder per series (``v2.6``, ``v6.x``) beside a list of SHA-256
checksums, ``sha256sums.asc``. The list is signed with PGP; the hashes are checked here, the signature is
not: that the list is genuine rests on the https connection to the server.
"""

import difflib
import errno
import hashlib
import http.client
import os
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import urlsplit

from lockscape import __version__
from lockscape.errors import FetchError

DEFAULT_BASE = "https://cdn.kernel.org/pub/linux/kernel"
"""Where kernel.org publishes releases."""

TIMEOUT_SECONDS = 30.0
"""A server that sends nothing for so long is given up."""

MAX_LIST_BYTES = 16 << 20
"""Longest checksum list; a series of several thousand files, at some 100 bytes each, is below 1 MiB."""

MAX_ARCHIVE_BYTES = 4 << 30
"""Longest archive; Linux 6.1 has 0.13 GiB as .tar.xz and 0.21 GiB as .tar.gz."""

_PIECE_BYTES = 1 << 18
SUFFIXES = (".tar.xz", ".tar.gz", ".tar.bz2")
"""The archives looked for, smallest download first."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far and the bytes in all, None if the server does not say."""

_NAME = re.compile(r"linux-(0|[1-9]\d{0,3})((?:\.(?:0|[1-9]\d{0,3})){1,3})", re.ASCII)
_CHECKSUM = re.compile(r"([0-9a-f]{64}) [ *](\S+)", re.ASCII)


@dataclass(frozen=True)
class Fetched:
    """A release in the cache. `bytes` is the archive's size; `sha256` (hexadecimal) agrees with the list."""

    name: str
    path: Path
    sha256: str
    bytes: int
    url: str | None
    """Where it was downloaded from now, None if it was in the cache."""
    from_cache: bool


def fetch(
    name: str, *, base: str = DEFAULT_BASE, cache: Path | None = None, progress: Progress | None = None
) -> Fetched:
    """Download the release `name` (``linux-2.6.11.7``) below `base`, or find it in the cache.

    A cached archive whose checksum still agrees is returned without using the network. A download is
    written to a temporary file beside its place, hashed on the way, and moved there only if its hash is
    the published one; the hash is kept beside it. `base` is an http, https or file address; proxies are
    taken from the environment. Raises FetchError, in one line, and leaves nothing behind, for a name
    that is none or is not published, a list or an archive that cannot be had in full, a wrong checksum,
    and a full disk.
    """
    folder = f"{_checked_base(base)}/{_series(name)}"
    store = cache or cache_folder()
    found = _verified(name, store)
    if found is not None:
        return found
    listed = _checksums(f"{folder}/sha256sums.asc")
    file = _published(name, listed, folder)
    try:
        store.mkdir(parents=True, exist_ok=True)
        size = _download(f"{folder}/{file}", store / file, listed[file], progress)
    except FetchError:
        raise
    except OSError as error:
        raise _storage_error(error, store) from error
    return Fetched(name, store / file, listed[file], size, f"{folder}/{file}", False)


def cache_folder() -> Path:
    """Return where fetched trees are kept: ``$LOCKSCAPE_CACHE``, else ``trees`` in the user's cache."""
    from platformdirs import user_cache_path

    named = os.environ.get("LOCKSCAPE_CACHE")
    return Path(named) if named else user_cache_path("lockscape") / "trees"


def is_release(name: str) -> bool:
    """Return whether `name` looks like a released kernel's, such as ``linux-2.6.11.7``."""
    return _NAME.fullmatch(name) is not None


def cached(name: str, cache: Path | None = None) -> Path | None:
    """Return the archive of `name` in the cache if it was verified when it was fetched, else None."""
    store = cache or cache_folder()
    for suffix in SUFFIXES if is_release(name) else ():
        path = store / (name + suffix)
        if path.is_file() and _sum_file(path).is_file():
            return path
    return None


def _sum_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _verified(name: str, store: Path) -> Fetched | None:
    path = cached(name, store)
    if path is None:
        return None
    try:
        found = _CHECKSUM.fullmatch(_sum_file(path).read_text("ascii", "replace").strip())
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        raise FetchError(f"cannot read {str(path)!r} in the cache: {_why(error)}; remove it") from error
    if found is None or found.groups() != (digest, path.name):
        return None  # damaged since then: it is downloaded again and replaced
    return Fetched(name, path, digest, size, None, True)


def _checked_base(base: str) -> str:
    if not re.match(r"(https?|file)://", base) or not base.isprintable() or " " in base:
        raise FetchError(f"cannot fetch from {base!r}: give an http, https or file address")
    return base.rstrip("/")


def _series(name: str) -> str:
    """Return the folder of a release: ``v2.6`` for all of 2.6, ``v1.3``, ``v6.x``."""
    found = _NAME.fullmatch(name)
    if found is None or found[1] == "0":
        raise FetchError(f"{name!r} is no released kernel's name: give one such as linux-2.6.11.7")
    if int(found[1]) >= 3:
        return f"v{found[1]}.x"
    return f"v{found[1]}.{found[2].split('.')[1]}"


def _checksums(url: str) -> dict[str, str]:
    """Read a checksum list: lines ``<SHA-256>  <file name>``, PGP clear-signed or plain."""
    with _open(url) as answer:
        data = _read(answer, MAX_LIST_BYTES + 1, url)
    if len(data) > MAX_LIST_BYTES:
        raise FetchError(f"the checksum list {url!r} is longer than {MAX_LIST_BYTES} bytes: is it one?")
    lines = data.decode("ascii", "replace").splitlines()
    if lines and lines[0].startswith("-----BEGIN PGP SIGNED"):
        body = lines[lines.index("") + 1 :] if "" in lines else []
        end = next((i for i, line in enumerate(body) if line.startswith("-----BEGIN PGP SIGNATURE")), None)
        if end is None:
            raise FetchError(f"the checksum list {url!r} breaks off: try again")
        lines = body[:end]
    sums: dict[str, str] = {}
    for line in filter(str.strip, lines):
        found = _CHECKSUM.fullmatch(line.rstrip())
        if found is None or sums.setdefault(found[2], found[1]) != found[1]:
            raise FetchError(f"the checksum list {url!r} is malformed at {line[:80]!r}: try another base")
    if not sums:
        raise FetchError(f"the checksum list {url!r} is empty: try another base")
    return sums


def _published(name: str, listed: dict[str, str], folder: str) -> str:
    for suffix in SUFFIXES:
        if name + suffix in listed:
            return name + suffix
    releases = {file.removesuffix(end) for file in listed for end in SUFFIXES if file.endswith(end)}
    near = difflib.get_close_matches(name, [release for release in releases if _NAME.fullmatch(release)], n=3)
    advice = "did you mean " + " or ".join(near) + "?" if near else "is the version right?"
    raise FetchError(f"{folder} has no {name}: {advice}")


def _download(url: str, target: Path, expected: str, progress: Progress | None) -> int:
    """Download to a temporary file, check it and move it to `target`; return its size in bytes."""
    with _open(url) as answer:
        total = _length(answer)
        if total is not None:
            _check_space(total, target.parent, url)
        file, part = _new_part(target)
        try:
            with file:
                size, digest = _copy(answer, file, url, total, progress)
                if total is not None and size != total:
                    raise FetchError(
                        f"the download of {url!r} broke off at {size} of {total} bytes: try again"
                    )
                if digest != expected:
                    raise FetchError(
                        f"wrong checksum of {url!r}: {digest} instead of {expected}; nothing kept, try again"
                    )
                file.flush()
                os.fsync(file.fileno())
            _sum_file(part).write_text(f"{expected}  {target.name}\n", "ascii")
            part.replace(target)
            _sum_file(part).replace(_sum_file(target))
        finally:
            part.unlink(missing_ok=True)
            _sum_file(part).unlink(missing_ok=True)
    return size


def _new_part(target: Path) -> tuple[BinaryIO, Path]:
    handle, name = tempfile.mkstemp(suffix=".part", prefix=f".{target.name}.", dir=target.parent)
    return os.fdopen(handle, "wb"), Path(name)


def _copy(
    answer: IO[bytes], file: BinaryIO, url: str, total: int | None, progress: Progress | None
) -> tuple[int, str]:
    """Copy the whole answer, return its size in bytes and its SHA-256."""
    whole = hashlib.sha256()
    size = 0
    while piece := _read(answer, _PIECE_BYTES, url, size, total):
        size += len(piece)
        if size > MAX_ARCHIVE_BYTES:
            raise FetchError(f"{url!r} is longer than {MAX_ARCHIVE_BYTES} bytes: that is no kernel archive")
        whole.update(piece)
        file.write(piece)
        if progress is not None:
            progress(size, total)
    return size, whole.hexdigest()


def _check_space(total: int, store: Path, url: str) -> None:
    free = shutil.disk_usage(store).free
    if total > free:
        raise FetchError(
            f"no space for {url!r}: {total} bytes needed, {free} free in {str(store)!r}; "
            "make room or set LOCKSCAPE_CACHE"
        )


def _storage_error(error: OSError, store: Path) -> FetchError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FetchError(f"no space left in {str(store)!r}: nothing kept; make room or set LOCKSCAPE_CACHE")
    return FetchError(f"cannot write to the cache {str(store)!r}: {_why(error)}; set LOCKSCAPE_CACHE")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, and never from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the next request, refuse one that leaves http and https or their protection."""
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme != "https"):
            fp.close()
            raise FetchError(f"{req.full_url!r} redirects to {newurl!r}: not followed; give another base")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str) -> IO[bytes]:
    try:
        request = urllib.request.Request(url, headers={"User-Agent": f"lockscape/{__version__}"})
        answer: IO[bytes] = urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT_SECONDS)
        return answer
    except FetchError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        advice = "is the version right?" if error.code == 404 else "try again later or another base"
        raise FetchError(f"{url!r} cannot be had: {error.code} {error.reason!r}; {advice}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise FetchError(f"cannot reach {url!r}: {_why(error)}; check the network or the base") from error


def _read(answer: IO[bytes], size: int, url: str, done: int = 0, total: int | None = None) -> bytes:
    """Read up to `size` bytes of an answer of which `done` are already there."""
    try:
        return answer.read(size)
    except (OSError, http.client.HTTPException) as error:
        of = f" of {total}" if total is not None else ""
        raise FetchError(
            f"the download of {url!r} broke off at {done}{of} bytes: {_why(error)}; try again"
        ) from error


def _length(answer: IO[bytes]) -> int | None:
    text = answer.headers.get("Content-Length", "")  # type: ignore[attr-defined]
    return int(text) if re.fullmatch(r"[0-9]{1,30}", text) else None


def _why(error: Exception) -> str:
    """Return in one line why a connection, a transfer or a file failed."""
    reason = getattr(error, "reason", error)
    text = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
    return repr(str(text))[1:-1][:200].lower()  # it may quote what a server sent
