"""Sockets: making and freeing them, and finding one by its connection or its port."""

from lockscape.kernel.card import free_packet
from lockscape.kernel.network_objects import Packet, Ports, Socket, SocketBucket
from lockscape.kernel.objects import WaitQueue
from lockscape.program.language import (
    NONE,
    add_return,
    find,
    first,
    free,
    function,
    insert,
    new,
    remove,
    section,
    step,
    the,
)

BUCKETS = 64
"""Buckets of the table of connections."""


@function()
def make_socket() -> Socket:
    """Make a socket; it has one reference, its maker's."""
    step("socket_make")
    socket: Socket = new(Socket)
    socket.waits = new(WaitQueue)
    socket.references = 1
    return socket


@function()
def put_socket(socket: Socket) -> None:
    """Give a reference to a socket back; with the last one it is freed."""
    with section("put", socket.references):
        left = add_return(socket.references, -1)
    if left == 0:
        free_socket(socket)


@function()
def free_socket(socket: Socket) -> None:
    """Free a socket that nobody can find any more, with what came and was not received."""
    packet = take_left(socket)
    while packet != NONE:
        free_packet(packet)
        packet = take_left(socket)
    free(socket.waits)
    free(socket)


@function()
def take_left(socket: Socket) -> Packet:
    """Take a packet that was not received from a socket, or nothing."""
    with section("left", socket.data):
        packet: Packet = first(socket.data)
        if packet != NONE:
            remove(socket.data, packet)
    return packet


@function()
def hash_socket(socket: Socket) -> None:
    """Enter a socket into the table of connections, which has a reference."""
    bucket: SocketBucket = the(SocketBucket, socket.key % BUCKETS)
    with section("enter", bucket.chain, socket.references):
        socket.references += 1
        insert(bucket.chain, socket.key, socket)


@function()
def unhash_socket(socket: Socket) -> None:
    """Take a socket out of the table of connections, if it is there."""
    bucket: SocketBucket = the(SocketBucket, socket.key % BUCKETS)
    with section("leave", bucket.chain):
        found: Socket = remove(bucket.chain, socket.key)
    if found != NONE:
        put_socket(found)


@function()
def find_socket(key: int) -> Socket:
    """Return the socket of a connection, with a reference, or nothing."""
    bucket: SocketBucket = the(SocketBucket, key % BUCKETS)
    with section("find", bucket.chain):
        socket: Socket = find(bucket.chain, key)
        if socket != NONE:
            socket.references += 1
    return socket


@function()
def find_listener(port: int) -> Socket:
    """Return the socket that waits for connections at a port, with a reference, or nothing."""
    ports: Ports = the(Ports)
    with section("find", ports.table):
        socket: Socket = find(ports.table, port)
        if socket != NONE:
            socket.references += 1
    return socket
