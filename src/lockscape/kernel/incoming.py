"""Packets that come: how they get to their sockets, and what they do there; and that others were taken.

A packet that comes is looked at outside any process, by an interrupt or by who sent it: it finds its socket
and is queued there, or waits in the socket's backlog while a process does something with it. With the option
``softirqs`` each processor does so for the packets that came to it; else one does at a time in all (bottom
halves).
"""

from lockscape.kernel.card import alloc_packet, free_packet, new_key, transmit
from lockscape.kernel.network_objects import ANSWER, CALL, DATA, ENDING, InputQueue, Packet, Socket
from lockscape.kernel.socket_table import (
    find_listener,
    find_socket,
    hash_socket,
    make_socket,
    put_socket,
    unhash_socket,
)
from lockscape.kernel.waits import wake_up, wake_up_one
from lockscape.program.language import (
    NONE,
    atomic,
    first,
    function,
    insert,
    mask,
    option,
    remove,
    section,
    step,
    the,
    this_cpu,
    unmask,
)

# --- who has a socket ---------------------------------------------------------------------------------------


@function()
def own_socket(socket: Socket) -> None:
    """Keep packets that come out of a socket (lock_sock); the caller holds its semaphore."""
    step("lock_sock")
    with section("own", socket.owned):
        socket.owned = 1


@function()
def disown_socket(socket: Socket) -> None:
    """Do what has come meanwhile, and let packets come in again (release_sock)."""
    step("lock_sock")
    packet = next_of_backlog(socket)
    while packet != NONE:
        process_packet(socket, packet)
        packet = next_of_backlog(socket)


@function()
def next_of_backlog(socket: Socket) -> Packet:
    """Take the next packet of a socket's backlog; without one, the socket is nobody's any more."""
    with section("next", socket.backlog, socket.owned):
        packet: Packet = first(socket.backlog)
        if packet != NONE:
            remove(socket.backlog, packet)
        else:
            socket.owned = 0
    return packet


# --- packets, to their sockets ------------------------------------------------------------------------------


@function()
def input_queue() -> InputQueue:
    """Return the queue of packets that come to this processor, or to any."""
    if option("softirqs"):
        return the(InputQueue, this_cpu())
    return the(InputQueue, 0)


@function()
def netif_rx(packet: Packet) -> None:
    """Queue a packet that has come; the caller stays on this processor."""
    step("netif_rx")
    queue = input_queue()
    with section("queue", queue.packets):
        insert(queue.packets, packet, packet)


@function()
def run_network() -> None:
    """Look at the packets that have come, unless somebody does (net_bh, net_rx_action)."""
    with atomic():
        look_at_packets()


@function()
def look_at_packets() -> None:
    """Take each packet that has come to its socket, unless somebody does."""
    queue = input_queue()
    if claim_queue(queue) == 1:
        serve_queue(queue)


@function()
def run_network_in_handler() -> None:
    """Look at the packets that have come, with interrupts on, unless somebody does.

    Who was interrupted may be the one: then interrupts stay off, or handlers would come one inside the other
    as fast as packets do (kernel/softirq.c of 2.4.31: do_softirq{if (in_interrupt()) return}).
    """
    with atomic():
        queue = input_queue()
        if claim_queue(queue) == 1:
            unmask()
            serve_queue(queue)
            mask()


@function()
def claim_queue(queue: InputQueue) -> int:
    """Return 1 if nobody looks at a queue's packets: now this context does."""
    with section("begin", queue.active):
        free_now = queue.active == 0
        queue.active = 1
    return free_now


@function()
def serve_queue(queue: InputQueue) -> None:
    """Take each packet of a queue to its socket."""
    packet = next_packet(queue)
    while packet != NONE:
        receive_packet(packet)
        packet = next_packet(queue)


@function()
def next_packet(queue: InputQueue) -> Packet:
    """Take the next packet of a queue; without one, nobody looks at it any more."""
    with section("next", queue.packets, queue.active):
        packet: Packet = first(queue.packets)
        if packet != NONE:
            remove(queue.packets, packet)
        else:
            queue.active = 0
    return packet


@function()
def receive_packet(packet: Packet) -> None:
    """Take a packet through the protocols, to its socket."""
    do_protocols(packet)
    if packet.kind == CALL:
        socket = find_listener(packet.key)
    else:
        socket = find_socket(packet.key)
    if socket != NONE:
        socket_input(socket, packet)
        put_socket(socket)
    else:
        drop_packet(packet)


@function()
def do_protocols(packet: Packet) -> None:
    """Look at what a packet has of the link's protocol, of IP and of TCP."""
    step("net_receive")
    step("ip_input")
    step("tcp_input")


@function()
def drop_packet(packet: Packet) -> None:
    """Drop a packet for nobody; who wants a connection is told that there is none."""
    if packet.kind == CALL:
        refusal = alloc_packet(ANSWER, packet.source, 0, packet.client)
        send_packet(refusal)
    free_packet(packet)


@function()
def send_packet(packet: Packet) -> None:
    """Send a packet from where packets that come are looked at: one for this kernel is next there."""
    if packet.client != NONE:
        transmit(packet)
    else:
        loop_back(packet)


@function()
def loop_back(packet: Packet) -> None:
    """Send a packet to this kernel itself (loopback_xmit)."""
    step("ip_output")
    step("loopback_transmit")
    with atomic():
        netif_rx(packet)


# --- at the socket ------------------------------------------------------------------------------------------


@function()
def socket_input(socket: Socket, packet: Packet) -> None:
    """Give a packet to its socket, or to the backlog of one that a process has."""
    with section("owned", socket.backlog, socket.owned):
        owned = socket.owned
        if owned == 1:
            insert(socket.backlog, packet, packet)
    if owned == 0:
        process_packet(socket, packet)


@function()
def process_packet(socket: Socket, packet: Packet) -> None:
    """Do what a packet says."""
    if packet.kind == DATA:
        queue_data(socket, packet)
    elif packet.kind == CALL:
        new_connection(socket, packet)
    else:
        change_state(socket, packet)


@function()
def queue_data(socket: Socket, packet: Packet) -> None:
    """Queue bytes that have come, and wake who waits for them."""
    with section("data", socket.data, socket.unread):
        socket.unread += packet.bytes
        insert(socket.data, packet, packet)
    wake_up(socket.waits)


@function()
def change_state(socket: Socket, packet: Packet) -> None:
    """The other end accepts or refuses the connection, or sends no more."""
    step("tcp_state")
    with section("state", socket.connected, socket.ended):
        if packet.kind == ENDING:
            socket.ended = 1
        elif packet.source > 0:
            socket.peer = packet.source
            socket.connected = 1
        else:
            socket.refused = 1
    free_packet(packet)
    wake_up(socket.waits)


@function()
def new_connection(listener: Socket, packet: Packet) -> None:
    """Make the socket of a connection that somebody wants, and say so, before anybody can end it."""
    step("passive_open")
    socket = make_socket()
    socket.client = packet.client
    socket.peer = packet.source
    socket.connected = 1
    if packet.client != NONE:
        socket.key = packet.client.key
    else:
        socket.key = new_key()
    hash_socket(socket)
    send_packet(alloc_packet(ANSWER, packet.source, socket.key, packet.client))
    with section("pending", listener.pending, listener.closed):
        closed = listener.closed
        if closed == 0:
            insert(listener.pending, socket, socket)
    if closed == 1:
        unhash_socket(socket)
        send_packet(alloc_packet(ENDING, packet.source, socket.key, packet.client))
        put_socket(socket)
    free_packet(packet)
    if option("exclusive_accept"):
        wake_up_one(listener.waits)
    else:
        wake_up(listener.waits)


@function()
def acknowledge(key: int, length: int) -> None:
    """Bytes that an end of a connection sent were taken: it may send more (sk_write_space)."""
    socket = find_socket(key)
    if socket != NONE:
        step("write_space")
        with section("acknowledge", socket.unacknowledged, socket.full):
            socket.unacknowledged -= length
            full = socket.full
            socket.full = 0
        if full == 1:
            wake_up(socket.waits)
        put_socket(socket)
