"""The network's objects: sockets, packets, the card, and clients of the outside world."""

from typing import Annotated

from lockscape.kernel.objects import WaitQueue
from lockscape.program.objects import Collection, Object, Racy, hashed, listed

DATA, ENDING, CALL, ANSWER = 0, 1, 2, 3
"""Kinds of packets: bytes; no more will come (FIN); a wish for a connection (SYN), and the answer to one."""

CALLING, ASKING, LEAVING, GONE = 0, 1, 2, 3
"""States of a client: what its next packet is, a wish for a connection, a request or the end; none."""


class Client(Object):
    """A client of the outside world and its one connection: it answers each reply with its next request.

    `port`: where it connects; `left`: requests that it has still to send, of `bytes` each; `reply`: bytes of
    a reply, of which `awaited` have not come; `due`: when its next packet comes, if it is `coming`; `closed`:
    the other end has.
    """

    key: int
    port: int
    state: int
    left: int
    bytes: int
    reply: int
    awaited: int
    due: int
    coming: int
    closed: int


class Packet(Object):
    """A packet (sk_buff) for the connection `key`, or of a wish to connect the port of that number.

    `source`: the connection that it comes from; `client`: who gets it, or sends it, in the outside world;
    `ready`: a processor of its own has taken it through the protocols.
    """

    kind: int
    key: int
    source: int
    bytes: int
    ready: int
    client: Client


class Socket(Object):
    """An end of a connection, or where connections are waited for.

    `key`: the connection's number at this end; `peer`: at the other. `owned`: a process does something with
    it, and packets that come wait in `backlog`; `unread`: bytes in `data`; `unacknowledged`: bytes sent that
    nobody has taken yet, and `full`: that a sender waits for them; `ended`: the other end sends no more.
    """

    key: int
    peer: Annotated[int, Racy("set once, before `connected` is")]
    port: int
    references: int
    owned: int
    connected: Annotated[int, Racy("set once; looked at before sleeping, and again on the wait queue")]
    refused: Annotated[int, Racy("set once, as `connected`")]
    ended: int
    closed: int
    unread: int
    unacknowledged: int
    full: int
    client: Client
    waits: WaitQueue
    data: Collection = listed(Packet)
    backlog: Collection = listed(Packet)
    pending: Collection = listed("Socket")


class SocketBucket(Object, count=64):
    """A bucket of the table of connections."""

    chain: Collection = listed(Socket, base="socket_lookup", each="dcache_chain")


class Ports(Object, count=1):
    """The ports where connections are waited for; `last`: the number of the connection made last."""

    last: int
    table: Collection = hashed(Socket, base="port_lookup", each="dcache_chain", buckets=32)


class InputQueue(Object, count="cpus"):
    """Packets that have come and were not looked at yet (the backlog); `active`: somebody does so now."""

    active: int
    packets: Collection = listed(Packet)


class PacketPool(Object, count="cpus"):
    """Memory for packets: how many are `out`; of a processor's own pool, more or fewer than it got back."""

    out: int


class Card(Object, count=1):
    """The network card: packets to send, and in the outside world clients whose next packet is under way."""

    sending: int
    receiving: int
    transmit: Collection = listed(Packet)
    due: Collection = listed(Client)
