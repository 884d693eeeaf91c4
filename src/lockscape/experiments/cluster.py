"""Makes runs on a Dask cluster: each once, wherever; what comes back is kept by who asked for it.

A worker needs lockscape with the very sources of the client, which is checked at each run, and nothing of the
client's files: a trace that is replayed goes along. A worker that dies loses the run that it was making,
which another one begins again.
"""

import functools
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lockscape.errors import InputError, MissingToolError
from lockscape.experiments.curve import Made, Makers, make
from lockscape.experiments.result import RunSpec
from lockscape.experiments.store import key_of, sources_of
from lockscape.machine.execute import RunError
from lockscape.workloads.replay import Replay

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_S = 10
"""Seconds in which the scheduler must answer."""

WORKERS_S = 60
"""Seconds without any worker, after which the sweep ends."""

AHEAD = 3
"""Runs for each thread of the cluster that are handed to it at a time."""

GOES_ON = "finished runs are kept: the same command goes on"
"""What an interruption leaves."""


@contextmanager
def cluster(address: str) -> Iterator[Makers]:
    """Connect to the scheduler at an address such as ``tcp://127.0.0.1:8786``; yield what makes runs there.

    Raises `MissingToolError` without Dask, and `InputError` if no scheduler answers.
    """
    try:
        import distributed
    except ImportError as error:
        raise MissingToolError(f"--scheduler needs Dask ({error}): pip install 'lockscape[sweep]'") from error
    _silence()
    try:
        client: Any = distributed.Client(address, timeout=CONNECT_S)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"--scheduler {address}: no scheduler answers ({_line(error)}); start 'dask scheduler' and give "
            "the address that it prints, tcp://HOST:PORT"
        ) from error
    try:
        yield functools.partial(_each_made, client)
    finally:
        client.close(timeout=CONNECT_S)


def _silence() -> None:
    """Keep Dask's own messages from the terminal: what goes wrong is told in one line."""
    for name in [*logging.root.manager.loggerDict]:
        if name.partition(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _each_made(client: "Client", specs: Sequence[RunSpec]) -> Iterator[tuple[int, Made]]:
    """Hand runs to the cluster, a few ahead of its threads, and yield what came of each as it is there."""
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError, FuturesCancelledError
    from distributed.comm import CommClosedError

    waiting: dict[Future, int] = {}
    begun, seen = 0, time.monotonic()
    try:
        while begun < len(specs) or waiting:
            threads = sum(client.nthreads().values())
            seen = time.monotonic() if threads else seen
            if time.monotonic() - seen > WORKERS_S:
                raise RunError(
                    f"the cluster has had no worker for {WORKERS_S} seconds: start some; {GOES_ON}"
                )
            while begun < len(specs) and len(waiting) < AHEAD * threads:
                waiting[_submit(client, specs[begun])] = begun
                begun += 1
            for future in _ready(list(waiting)):
                yield waiting.pop(future), future.result()
    except KilledWorker as error:
        raise RunError(f"workers died over and over at one run ({_line(error)}); {GOES_ON}") from error
    except (CommClosedError, FutureCancelledError, FuturesCancelledError) as error:
        raise RunError(f"the scheduler is gone: start it and workers; {GOES_ON}") from error


def _ready(waiting: "Sequence[Future]") -> "list[Future]":
    """Return which runs have come to an end, after some seconds at most."""
    import distributed

    if not waiting:
        time.sleep(0.2)
        return []
    try:
        return list(distributed.wait(waiting, timeout=5, return_when="FIRST_COMPLETED").done)
    except TimeoutError:
        return []


def _submit(client: "Client", spec: RunSpec) -> "Future":
    trace = Path(spec.workload.path).read_bytes() if isinstance(spec.workload, Replay) else None
    return client.submit(_make_there, spec, sources_of(spec), trace, key=f"lockscape-{key_of(spec)}")


def _make_there(spec: RunSpec, sources: str, trace: bytes | None) -> Made:
    """Make a run on a worker, which may have other files."""
    if sources_of(spec) != sources:
        raise InputError(
            "a worker has other sources of lockscape or of a package with methods: install the same versions "
            "on all workers"
        )
    if trace is None or not isinstance(spec.workload, Replay):
        return make(spec)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        path.write_bytes(trace)
        return make(
            msgspec.structs.replace(spec, workload=msgspec.structs.replace(spec.workload, path=str(path)))
        )
