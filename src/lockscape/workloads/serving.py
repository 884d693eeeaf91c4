"""Servers in a mixed workload: each process answers the requests of a client of the outside world."""

from typing import Annotated

import msgspec
import numpy as np

from lockscape.kernel.card import REPLY_BYTES, REQUEST_BYTES
from lockscape.kernel.entry import ACCEPT, CLOSE, LISTEN, RECEIVE, SEND, SOCKET
from lockscape.workloads.families import Rows, call
from lockscape.workloads.network import WHOLE, outside
from lockscape.workloads.user import KIND, PROBES

DO_SERVE = 62
"""The kind of operation that answers a request; it stands in no stream, which has its two calls instead."""

FIRST_PORT = 80
"""Port of the first process; each has its own."""

LISTENER, CONNECTION = 0, 1
"""Descriptors of a server."""


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes over the network for each operation ``serve``: lengths of a request and of its answer.

    `link_mbit`: speed of the link, millions of bits a second: of Fast Ethernet (IEEE 802.3u), if not said.
    """

    request_bytes: Annotated[int, msgspec.Meta(ge=1, lt=REQUEST_BYTES)] = 350
    reply_bytes: Annotated[int, msgspec.Meta(ge=1, lt=REPLY_BYTES)] = 10_000
    link_mbit: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 100


def serving(rows: Rows, network: Network, process: int) -> Rows:
    """Return the rows of a server: it takes its client's connection, and answers where ``serve`` stands.

    The client has as many requests as there are, one after the other, and then ends the connection. Raises
    `InputError` for more than a client can have.
    """
    where = np.flatnonzero(rows[:, KIND] == DO_SERVE)
    load = outside(1, len(where), network.request_bytes, network.reply_bytes)
    parts = [
        call(SOCKET, result=LISTENER), call(LISTEN, LISTENER, FIRST_PORT + process, load, result=0),
        call(ACCEPT, LISTENER, result=CONNECTION),
    ]  # fmt: skip
    last = 0
    for place in where.tolist():
        think = int(rows[place, PROBES])
        received = call(RECEIVE, CONNECTION, network.request_bytes, WHOLE, result=network.request_bytes)
        sent = call(SEND, CONNECTION, network.reply_bytes, think_cycles=think, result=network.reply_bytes)
        parts += [rows[last:place], received, sent]
        last = place + 1
    end = [call(RECEIVE, CONNECTION, 1, result=0), call(CLOSE, CONNECTION), call(CLOSE, LISTENER)]
    return np.concatenate([*parts, rows[last:], *end])
