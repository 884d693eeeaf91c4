"""Rows of processes that talk over the network: with clients of the outside world, or among themselves.

A server's descriptors: 0 is the socket where it listens, the next ones are connections that it accepted.
"""

import numpy as np

from lockscape.errors import InputError
from lockscape.kernel.card import CLIENTS, REPLY_BYTES, REQUEST_BYTES, REQUESTS
from lockscape.kernel.entry import (
    ACCEPT,
    CLOSE,
    CONNECT,
    LISTEN,
    PIPE,
    READ,
    RECEIVE,
    SEND,
    SOCKET,
    WAIT,
    WRITE,
)
from lockscape.workloads.families import Rows, call, fork

WHOLE = 1
"""Third argument of RECEIVE: wait for as many bytes as are wanted."""


def outside(clients: int, requests: int, request_bytes: int, reply_bytes: int) -> int:
    """Return the load (third argument of LISTEN) of so many clients, each with so many requests in turn.

    Raises `InputError` for more than a load can say.
    """
    parts = (
        ("clients", clients, CLIENTS),
        ("requests", requests, REQUESTS),
        ("bytes of a request", request_bytes, REQUEST_BYTES),
        ("bytes of a reply", reply_bytes, REPLY_BYTES),
    )
    load, unit = 0, 1
    for what, value, bound in parts:
        if not 0 <= value < bound:
            raise InputError(f"{value:,} {what}: from 0 to {bound - 1:,}")
        load += value * unit
        unit *= bound
    return load


def serve(fd: int, requests: int, request_bytes: int, reply_bytes: int, think: int = 0) -> Rows:
    """Return the rows of a server for the connection `fd`: so many requests, then the end, and close."""
    one = [
        call(RECEIVE, fd, request_bytes, WHOLE, result=request_bytes),
        call(SEND, fd, reply_bytes, think_cycles=think, result=reply_bytes),
    ]
    return np.concatenate([*one * requests, call(RECEIVE, fd, 1, result=0), call(CLOSE, fd, result=0)])


def server(port: int, workers: int, each: int, requests: int, request_bytes: int, reply_bytes: int,
           think: int = 0) -> Rows:  # fmt: skip
    """Return a server for outside clients: it makes `workers` that accept at its port, `each` connections
    one after the other, as servers do that make their processes beforehand."""
    load = outside(workers * each, requests, request_bytes, reply_bytes)
    accept = call(ACCEPT, 0, result=1)
    work = np.concatenate(
        [np.concatenate([accept, serve(1, requests, request_bytes, reply_bytes, think)])] * each
    )
    opened = [call(SOCKET, result=0), call(LISTEN, 0, port, load, result=0)]
    return np.concatenate([*opened, *[fork(work)] * workers, call(CLOSE, 0), *[call(WAIT)] * workers])


def crowd(port: int, workers: int, each: int) -> Rows:
    """Return a server whose workers accept connections of many outside clients and close them at once: they
    are at the same listener all the time."""
    load = outside(workers * each, 1, 1, 1)
    work = np.concatenate([call(ACCEPT, 0, result=1), call(CLOSE, 1)] * each)
    opened = [call(SOCKET, result=0), call(LISTEN, 0, port, load, result=0)]
    return np.concatenate([*opened, *[fork(work)] * workers, call(CLOSE, 0), *[call(WAIT)] * workers])


def awaited_crowd(port: int, workers: int, each: int) -> Rows:
    """Return the same with workers that are there before the clients: the server makes them first, and tells
    them through a pipe that it listens. Its descriptors: 0 and 1 are the pipe's, 2 is the socket's."""
    load = outside(workers * each, 1, 1, 1)
    told = call(READ, 0, 1, result=1)
    work = np.concatenate([told, *[call(ACCEPT, 2, result=3), call(CLOSE, 3)] * each])
    opened = [call(PIPE, result=0), call(SOCKET, result=2), *[fork(work)] * workers]
    listens = [call(LISTEN, 2, port, load, result=0), call(WRITE, 1, workers, result=workers)]
    return np.concatenate([*opened, *listens, call(CLOSE, 2), *[call(WAIT)] * workers])


def port_taker(port: int, times: int, think: int) -> Rows:
    """Return a process that listens at a port and leaves it, so many times, without any client."""
    one = [
        call(SOCKET, result=0),
        call(LISTEN, 0, port, 0, result=0, think_cycles=think),
        call(CLOSE, 0, think_cycles=think),
    ]
    return np.concatenate(one * times)


def peers(port: int, connections: int, requests: int, request_bytes: int, reply_bytes: int,
          think: int = 0) -> Rows:  # fmt: skip
    """Return a server and its clients in the same kernel: for each connection a process at either end."""
    ask = [
        call(SEND, 1, request_bytes, think_cycles=think, result=request_bytes),
        call(RECEIVE, 1, reply_bytes, WHOLE, result=reply_bytes),
    ]
    client = np.concatenate(
        [call(SOCKET, result=1), call(CONNECT, 1, port, result=0), *ask * requests, call(CLOSE, 1, result=0)]
    )
    work = np.concatenate([call(ACCEPT, 0, result=1), serve(1, requests, request_bytes, reply_bytes, think)])
    return _pairs(port, connections, work, client)


def callers(port: int, pairs: int, times: int) -> Rows:
    """Return a server and its clients in the same kernel, who connect and close, so many times."""
    client = [call(SOCKET, result=1), call(CONNECT, 1, port, result=0), call(CLOSE, 1)]
    work = [call(ACCEPT, 0, result=1), call(CLOSE, 1)]
    return _pairs(port, pairs, np.concatenate(work * times), np.concatenate(client * times))


def senders(port: int, pairs: int, times: int, size: int) -> Rows:
    """Return a server and its clients in the same kernel, who send `size` bytes so many times; the server
    takes the first half of them at once, so that it receives while they send."""
    client = [call(SOCKET, result=1), call(CONNECT, 1, port, result=0), *[call(SEND, 1, size)] * times]
    half = call(RECEIVE, 1, times // 2 * size, WHOLE)
    work = [call(ACCEPT, 0, result=1), half, *[call(RECEIVE, 1, size)] * (times - times // 2)]
    return _pairs(port, pairs, *(np.concatenate([*rows, call(CLOSE, 1)]) for rows in (work, client)))


def _pairs(port: int, pairs: int, work: Rows, client: Rows) -> Rows:
    """Return a process that listens, and makes so many pairs of a server and a client."""
    opened = [call(SOCKET, result=0), call(LISTEN, 0, port, 0, result=0)]
    made = [fork(work), fork(client)] * pairs
    return np.concatenate([*opened, *made, call(CLOSE, 0), *[call(WAIT)] * (2 * pairs)])
