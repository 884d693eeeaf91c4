"""What processes do with connections: sending on them, and ending them, which tells the other end."""

from lockscape.kernel.card import alloc_packet
from lockscape.kernel.incoming import disown_socket, own_socket, run_network, send_packet
from lockscape.kernel.network_objects import ENDING, Packet, Ports, Socket
from lockscape.kernel.socket_table import put_socket, unhash_socket
from lockscape.program.language import NONE, first, function, hold, remove, section, step, the


@function()
def output(packet: Packet) -> None:
    """Send a packet of a process', and look at it at once if it is for this kernel itself."""
    send_packet(packet)
    run_network()


@function()
def close_socket(socket: Socket) -> None:
    """Close a socket that no descriptor stands for any more, with the connections that nobody accepted."""
    if socket.port > 0:
        unbind(socket)
    close_connection(socket)
    waiting = take_pending(socket)
    while waiting != NONE:
        close_connection(waiting)
        put_socket(waiting)
        waiting = take_pending(socket)
    put_socket(socket)


@function()
def close_connection(socket: Socket) -> None:
    """End a socket's connection, if it has one, and tell the other end."""
    step("socket_close")
    with hold("sk_lock", socket):
        own_socket(socket)
        with section("close", socket.closed, socket.connected):
            socket.closed = 1
            connected = socket.connected
        disown_socket(socket)
    if socket.key > 0:
        unhash_socket(socket)
    if connected == 1:
        output(alloc_packet(ENDING, socket.peer, socket.key, socket.client))
    else:
        run_network()


@function()
def unbind(socket: Socket) -> None:
    """Let nobody find a socket at its port any more."""
    ports: Ports = the(Ports)
    with section("unbind", ports.table):
        remove(ports.table, socket.port)
    put_socket(socket)


@function()
def take_pending(socket: Socket) -> Socket:
    """Take the connection that has waited longest to be accepted, or nothing."""
    with section("take", socket.pending):
        waiting: Socket = first(socket.pending)
        if waiting != NONE:
            remove(socket.pending, waiting)
    return waiting
