"""Processes to find faults with that talk over sockets: with the outside world and with each other."""

import numpy as np

from lockscape.kernel.entry import ACCEPT, CLOSE, CONNECT, LISTEN, RECEIVE, SEND, SOCKET, WAIT
from lockscape.workloads.families import Rows, call, fork
from lockscape.workloads.network import callers, outside, peers, senders, server

_FIRST_PORT = 80


def connecting(seed: int) -> list[Rows]:
    """Return one to three processes that make servers and clients; some of these end too early."""
    draw = np.random.Generator(np.random.PCG64(seed))

    def some(*bounds: int) -> list[int]:
        return [int(draw.integers(1, bound + 1)) for bound in bounds]

    found = []
    for number in range(int(draw.integers(1, 4))):
        port = _FIRST_PORT + number
        workers, each, requests, asked, replied, think = some(3, 2, 3, 1400, 20_000, 3000)
        kind = int(draw.integers(0, 4))
        if kind == 0:
            found.append(server(port, workers, each, requests, asked, replied, think))
        elif kind == 1:
            found.append(peers(port, workers, requests, 20 * asked, replied, think))
        elif kind == 2:
            found.append(hasty_server(port, workers, requests, asked, replied, think))
        else:
            found.append(hasty_peers(port, workers, asked, replied, think))
    return found


def visited(seed: int) -> list[Rows]:
    """Return servers of outside clients, and processes that connect to each other and send much meanwhile, so
    that packets from outside come on top of the kernel's own."""
    draw = np.random.Generator(np.random.PCG64(seed))

    def some(*bounds: int) -> list[int]:
        return [int(draw.integers(1, bound + 1)) for bound in bounds]

    found = []
    for k in range(*some(2)):
        workers, each, requests, replied = some(4, 4, 20, 500)
        found.append(server(80 + k, workers, each, requests, 1400, replied))
    found += [callers(90 + k, *some(3, 20)) for k in range(*some(3))]
    return found + [senders(100 + k, *some(4, 30, 3000)) for k in range(*some(3))]


def hasty_server(port: int, workers: int, requests: int, asked: int, replied: int, think: int) -> Rows:
    """Return a server whose workers answer once and go, while more clients come than those, and want more."""
    load = outside(workers + 2, requests, asked, replied)
    answers = [call(RECEIVE, 1, asked), call(SEND, 1, replied, think_cycles=think)]
    work = np.concatenate([call(ACCEPT, 0, result=1), *answers])
    opened = [call(SOCKET, result=0), call(LISTEN, 0, port, load, result=0)]
    return np.concatenate([*opened, *[fork(work)] * workers, *[call(WAIT)] * workers])


def hasty_peers(port: int, connections: int, asked: int, replied: int, think: int) -> Rows:
    """Return peers of which one closes while the other sends, is refused, or finds a closed listener."""
    calls = [call(SOCKET, result=1), call(CONNECT, 1, port), call(CLOSE, 0)]
    sends = np.concatenate([*calls, call(SEND, 1, 30 * asked), call(RECEIVE, 1, replied)])
    reads = np.concatenate([call(ACCEPT, 0, result=1), call(RECEIVE, 1, asked, think_cycles=think)])
    opened = [call(SOCKET, result=0), call(LISTEN, 0, port, 0, result=0)]
    pairs = [fork(sends), fork(reads)] * connections
    late = [fork(sends), call(CLOSE, 0, think_cycles=think * 10), call(WAIT)]
    return np.concatenate([*opened, *pairs, *[call(WAIT)] * (2 * connections), *late])
