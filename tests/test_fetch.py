"""Downloads from a local server that behaves well, badly and maliciously."""

import errno
import hashlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockscape.errors import FetchError
from lockscape.source import fetch as fetch_module
from lockscape.source.fetch import Fetched, cache_folder, cached, fetch
from lockscape.source.open_tree import open_tree
from tree_tools import PACKINGS, one_line, read, tar

FILES = {"kernel/a.c": b"spin_lock(&a);\n" * 50, "Makefile": b"VERSION = 2\n"}
NAME = "linux-2.6.11.7"
XZ = PACKINGS["tar.xz"](tar(FILES, f"{NAME}/"))
Answer = Callable[[BaseHTTPRequestHandler], None]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def signed(sums: dict[str, str]) -> bytes:
    lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    return (
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{lines}"
        "-----BEGIN PGP SIGNATURE-----\n\niQIzBAEBCAAd\n-----END PGP SIGNATURE-----\n"
    ).encode()


class Server:
    """A web server on this machine: `pages` by path, each bytes or a function that answers."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Answer] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                page = outer.pages.get(self.path)
                if callable(page):
                    page(self)
                elif page is None:
                    self.send_error(404)
                else:
                    send(self, page, len(page))

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}/pub"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def publish(
        self, name: str = NAME, data: bytes = XZ, suffix: str = ".tar.xz", series: str = "v2.6"
    ) -> None:
        self.pages[f"/pub/{series}/sha256sums.asc"] = signed({name + suffix: sha256(data)})
        self.pages[f"/pub/{series}/{name}{suffix}"] = data

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def send(handler: BaseHTTPRequestHandler, data: bytes, length: int | None, status: int = 200) -> None:
    handler.send_response(status)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(data)


def redirect(target: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    yield made
    made.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "trees"


def error_of(server: Server, cache: Path, name: str = NAME, base: str | None = None) -> str:
    """Fetch in vain: return the message; nothing may be left behind."""
    with pytest.raises(FetchError) as caught:
        fetch(name, base=server.base if base is None else base, cache=cache)
    assert list(cache.iterdir() if cache.exists() else ()) == []
    return one_line(caught.value)


# --- what works


def test_a_release_is_downloaded_checked_and_kept(server: Server, cache: Path) -> None:
    server.publish()
    seen: list[tuple[int, int | None]] = []
    result = fetch(NAME, base=server.base, cache=cache, progress=lambda *now: seen.append(now))
    path = cache / f"{NAME}.tar.xz"
    url = f"{server.base}/v2.6/{NAME}.tar.xz"
    assert result == Fetched(NAME, path, sha256(XZ), len(XZ), url, False)
    assert path.read_bytes() == XZ
    assert (cache / f"{NAME}.tar.xz.sha256").read_text() == f"{sha256(XZ)}  {NAME}.tar.xz\n"
    assert sorted(file.name for file in cache.iterdir()) == [f"{NAME}.tar.xz", f"{NAME}.tar.xz.sha256"]
    assert seen[-1] == (len(XZ), len(XZ))
    assert server.asked == ["/pub/v2.6/sha256sums.asc", f"/pub/v2.6/{NAME}.tar.xz"]


def test_a_second_time_the_server_is_not_asked(server: Server, cache: Path) -> None:
    server.publish()
    first = fetch(NAME, base=server.base, cache=cache)
    server.asked.clear()
    again = fetch(NAME, base=server.base, cache=cache)
    assert again == Fetched(NAME, first.path, first.sha256, first.bytes, None, True)
    assert server.asked == []


def test_a_release_in_the_cache_is_a_tree(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish()
    monkeypatch.setenv("LOCKSCAPE_CACHE", str(cache))
    fetch(NAME, base=server.base)
    tree = open_tree(NAME)
    assert tree.label == NAME
    assert read(tree)[1] == FILES


@pytest.mark.parametrize("spoil", ["archive", "sum", "other sum"])
def test_a_spoilt_cache_is_replaced(spoil: str, server: Server, cache: Path) -> None:
    server.publish()
    path = fetch(NAME, base=server.base, cache=cache).path
    if spoil == "archive":
        path.write_bytes(XZ[:-1] + b"?")
    else:
        path.with_name(path.name + ".sha256").write_text("no sum" if spoil == "sum" else f"{'0' * 64}  x\n")
    assert fetch(NAME, base=server.base, cache=cache).from_cache is False
    assert path.read_bytes() == XZ
    assert fetch(NAME, base=server.base, cache=cache).from_cache is True


def test_the_smallest_archive_is_taken(server: Server, cache: Path) -> None:
    gz, bz2 = PACKINGS["tar.gz"](tar(FILES)), PACKINGS["tar.bz2"](tar(FILES))
    names = {f"{NAME}.tar.bz2": bz2, f"{NAME}.tar.gz": gz, "linux-2.6.11.tar.bz2": bz2}
    server.pages = {f"/pub/v2.6/{name}": data for name, data in names.items()}
    server.pages["/pub/v2.6/sha256sums.asc"] = signed({name: sha256(data) for name, data in names.items()})
    assert fetch(NAME, base=server.base, cache=cache).path.name == f"{NAME}.tar.gz"
    assert fetch("linux-2.6.11", base=server.base, cache=cache).path.name == "linux-2.6.11.tar.bz2"


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("linux-1.0", "v1.0"),
        ("linux-1.3.100", "v1.3"),
        ("linux-2.0.40", "v2.0"),
        ("linux-2.4.31", "v2.4"),
        ("linux-2.6.39.4", "v2.6"),
        ("linux-3.0", "v3.x"),
        ("linux-6.1", "v6.x"),
        ("linux-6.1.192", "v6.x"),
        ("linux-10.0.1", "v10.x"),
    ],
)
def test_the_folder_of_a_series(name: str, series: str, server: Server, cache: Path) -> None:
    server.publish(name, series=series)
    assert fetch(name, base=server.base + "/", cache=cache).url == f"{server.base}/{series}/{name}.tar.xz"


def test_a_plain_list_and_a_base_of_files(server: Server, cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mirror" / "v2.6"
    folder.mkdir(parents=True)
    (folder / f"{NAME}.tar.xz").write_bytes(XZ)
    (folder / "sha256sums.asc").write_text(f"{sha256(XZ)} *{NAME}.tar.xz\n")
    result = fetch(NAME, base=(tmp_path / "mirror").as_uri(), cache=cache)
    assert result.path.read_bytes() == XZ
    assert server.asked == []
    message = error_of(server, tmp_path / "new", base=(tmp_path / "none").as_uri())
    assert "cannot reach 'file://" in message


def test_redirects_to_a_mirror_are_followed(server: Server, cache: Path) -> None:
    server.publish()
    server.pages["/mirror"] = server.pages[f"/pub/v2.6/{NAME}.tar.xz"]
    server.pages[f"/pub/v2.6/{NAME}.tar.xz"] = redirect("/mirror")
    assert fetch(NAME, base=server.base, cache=cache).path.read_bytes() == XZ


def test_an_answer_without_length_is_taken_if_its_sum_agrees(server: Server, cache: Path) -> None:
    server.publish()
    server.pages[f"/pub/v2.6/{NAME}.tar.xz"] = lambda handler: send(handler, XZ, None)
    seen: list[tuple[int, int | None]] = []
    fetch(NAME, base=server.base, cache=cache, progress=lambda *now: seen.append(now))
    assert seen[-1] == (len(XZ), None)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCKSCAPE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("LOCKSCAPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().parts[-2:] == ("lockscape", "trees")
    assert cached("../linux-1.0", tmp_path) is None


# --- what does not


def test_a_wrong_checksum(server: Server, cache: Path) -> None:
    server.publish()
    server.pages[f"/pub/v2.6/{NAME}.tar.xz"] = XZ + b"?"
    url = f"{server.base}/v2.6/{NAME}.tar.xz"
    assert error_of(server, cache) == (
        f"wrong checksum of {url!r}: {sha256(XZ + b'?')} instead of {sha256(XZ)}; nothing kept, try again"
    )


@pytest.mark.parametrize("more", [1, 1000, 10_000_000])
def test_a_transfer_that_breaks_off(more: int, server: Server, cache: Path) -> None:
    server.publish()
    server.pages[f"/pub/v2.6/{NAME}.tar.xz"] = lambda handler: send(handler, XZ, len(XZ) + more)
    assert f"broke off at {len(XZ)} of {len(XZ) + more} bytes" in error_of(server, cache)


def test_a_transfer_without_length_that_breaks_off(server: Server, cache: Path) -> None:
    server.publish()
    server.pages[f"/pub/v2.6/{NAME}.tar.xz"] = lambda handler: send(handler, XZ[:-9], None)
    assert "wrong checksum" in error_of(server, cache)


def test_a_server_that_stalls(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_module, "TIMEOUT_SECONDS", 0.2)
    server.publish()
    done = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        send(handler, XZ[:100], len(XZ))
        done.wait(10)

    server.pages[f"/pub/v2.6/{NAME}.tar.xz"] = stall
    started = time.monotonic()
    message = error_of(server, cache)
    done.set()
    assert time.monotonic() - started < 5
    assert message.endswith("timed out; try again")
    assert f" of {len(XZ)} bytes" in message


def test_a_server_that_never_answers(cache: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setattr(fetch_module, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        message = error_of(server, cache, base=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert message.endswith("timed out; check the network or the base")


def test_a_server_that_is_not_there(cache: Path, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    message = error_of(server, cache, base=f"http://127.0.0.1:{port}")
    assert message.startswith(f"cannot reach 'http://127.0.0.1:{port}/v2.6/sha256sums.asc': ")


def test_a_server_that_talks_nonsense(cache: Path, server: Server) -> None:
    def nonsense(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"\x1b[31mnonsense\r\n\r\n")

    server.pages["/pub/v2.6/sha256sums.asc"] = nonsense
    assert "cannot reach " in error_of(server, cache)


def test_an_error_of_the_server(server: Server, cache: Path) -> None:
    server.publish()
    server.pages[f"/pub/v2.6/{NAME}.tar.xz"] = lambda handler: handler.send_error(503)
    assert "503 'Service Unavailable'; try again later or another base" in error_of(server, cache)
    del server.pages[f"/pub/v2.6/{NAME}.tar.xz"]
    assert "404 'Not Found'; is the version right?" in error_of(server, cache)


def test_no_space_is_seen_before(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.publish()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 60, 40))  # type: ignore[attr-defined]
    message = error_of(server, cache)
    assert f"{len(XZ)} bytes needed, 40 free in {str(cache)!r}; make room or set LOCKSCAPE_CACHE" in message


def test_an_enormous_length_is_no_space(server: Server, cache: Path) -> None:
    server.publish()
    server.pages[f"/pub/v2.6/{NAME}.tar.xz"] = lambda handler: send(handler, XZ, 10**25)
    assert f"{10**25} bytes needed" in error_of(server, cache)


def test_a_full_disk(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    made = fetch_module._new_part

    def full(target: Path) -> tuple[BinaryIO, Path]:
        file, part = made(target)
        file.close()
        return open("/dev/full", "wb"), part

    monkeypatch.setattr(fetch_module, "_new_part", full)
    server.publish()
    assert error_of(server, cache) == (
        f"no space left in {str(cache)!r}: nothing kept; make room or set LOCKSCAPE_CACHE"
    )


def test_a_full_disk_at_the_checksum(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    server.publish()
    monkeypatch.setattr(Path, "write_text", fail)
    assert "no space left" in error_of(server, cache)


def test_a_cache_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    server.publish()
    (tmp_path / "file").write_text("")
    store = tmp_path / "file" / "trees"
    with pytest.raises(FetchError) as caught:
        fetch(NAME, base=server.base, cache=store)
    assert one_line(caught.value) == (
        f"cannot write to the cache {str(store)!r}: not a directory; set LOCKSCAPE_CACHE"
    )


def test_an_interrupt_leaves_nothing(server: Server, cache: Path) -> None:
    server.publish()

    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(NAME, base=server.base, cache=cache, progress=interrupt)
    assert list(cache.iterdir()) == []


def test_an_endless_answer(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_module, "MAX_ARCHIVE_BYTES", 1 << 20)
    monkeypatch.setattr(fetch_module, "MAX_LIST_BYTES", 1 << 20)
    server.publish()
    server.pages[f"/pub/v2.6/{NAME}.tar.xz"] = lambda handler: send(handler, bytes(2 << 20), None)
    assert "is longer than 1048576 bytes: that is no kernel archive" in error_of(server, cache)
    server.pages["/pub/v2.6/sha256sums.asc"] = lambda handler: send(handler, b"\n" * (2 << 20), None)
    assert "is longer than 1048576 bytes: is it one?" in error_of(server, cache)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x/"])
@pytest.mark.parametrize("page", ["sha256sums.asc", f"{NAME}.tar.xz"])
def test_a_redirect_elsewhere_is_refused(page: str, target: str, server: Server, cache: Path) -> None:
    server.publish()
    server.pages[f"/pub/v2.6/{page}"] = redirect(target)
    message = error_of(server, cache)
    assert f"{server.base}/v2.6/{page}" in message
    assert repr(target)[1:-1] in message


def test_a_redirect_from_https_to_http_is_refused() -> None:
    from email.message import Message
    from io import BytesIO
    from urllib.request import Request

    request = Request("https://example.org/a")
    handler = fetch_module._Redirects()
    with pytest.raises(FetchError, match=r"redirects to 'http:.*: not followed"):
        handler.redirect_request(request, BytesIO(), 302, "Found", Message(), "http://example.org/a")  # type: ignore[arg-type]
    followed = handler.redirect_request(request, BytesIO(), 302, "Found", Message(), "https://example.org/b")  # type: ignore[arg-type]
    assert followed is not None


def test_endless_redirects(server: Server, cache: Path) -> None:
    server.pages["/pub/v2.6/sha256sums.asc"] = redirect("/pub/v2.6/sha256sums.asc")
    assert "cannot be had: 302" in error_of(server, cache)


def test_a_missing_version_suggests_the_nearest(server: Server, cache: Path) -> None:
    names = ["linux-2.6.11.7.tar.xz", "linux-2.6.11.tar.gz", "patch-2.6.11.8.xz", "linux-2.6.39.tar.xz"]
    server.pages["/pub/v2.6/sha256sums.asc"] = signed(dict.fromkeys(names, "0" * 64))
    message = error_of(server, cache, "linux-2.6.11.8")
    assert message.startswith(f"{server.base}/v2.6 has no linux-2.6.11.8: did you mean linux-2.6.11.7 or ")
    assert "patch" not in message
    assert "404 'Not Found'; is the version right?" in error_of(server, cache, "linux-77.7")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"<html>sign in to this network</html>\n",
        signed({}),
        signed({f"{NAME}.tar.xz": "0" * 63}),
        signed({f"{NAME}.tar.xz": "G" * 64}),
        signed({f"{NAME}.tar.xz": sha256(XZ)}).replace(b"-----BEGIN PGP SIGNATURE-----", b""),
        signed({f"{NAME}.tar.xz": sha256(XZ)})[:150],
        b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n",
        f"{'0' * 64}  {NAME}.tar.xz\n{'1' * 64}  {NAME}.tar.xz\n".encode(),
        f"{sha256(XZ)}  {NAME}.tar.xz\n\x1b[31m\0\xff\n".encode("latin-1"),
    ],
)
def test_a_malformed_list(data: bytes, server: Server, cache: Path) -> None:
    server.publish()
    server.pages["/pub/v2.6/sha256sums.asc"] = data
    assert f"the checksum list '{server.base}/v2.6/sha256sums.asc' " in error_of(server, cache)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "name",
    [
        "../linux-2.6.11",
        "linux-2.6.11/../x",
        "linux-",
        "linux-2",
        "linux-2.6.11.7.8",
        "linux-2.6.11.tar.xz",
        "linux-0.01",
        "linux-\u0662.6",
        "linux-2.6.11\n",
        "linux-2.6.11\0",
        "Linux-2.6.11",
        "",
        "linux-02.6",
        "linux-2..6",
    ],
)
def test_a_name_that_is_none(name: str, server: Server, cache: Path) -> None:
    assert error_of(server, cache, name) == (
        f"{name!r} is no released kernel's name: give one such as linux-2.6.11.7"
    )
    assert server.asked == []


@given(st.text(max_size=30))
def test_no_text_reaches_outside_the_cache(name: str) -> None:
    try:
        series = fetch_module._series(name)
    except FetchError as error:
        one_line(error)
    else:
        assert set(name + series) <= set("linux-v.0123456789")


@pytest.mark.parametrize(
    "base",
    ["", "kernel.org", "ftp://x/", "data:,", "//x", "javascript:x", "http:/x", "http://a b/", "http://a\n/"],
)
def test_a_base_that_is_none(base: str, server: Server, cache: Path) -> None:
    assert error_of(server, cache, base=base) == (
        f"cannot fetch from {base!r}: give an http, https or file address"
    )


@pytest.mark.parametrize(
    "base", ["http://[::1/", "http://127.0.0.1:99999/", "http://127.0.0.1:x/", "http://"]
)
def test_a_base_that_leads_nowhere(base: str, server: Server, cache: Path) -> None:
    assert "cannot reach " in error_of(server, cache, base=base)
