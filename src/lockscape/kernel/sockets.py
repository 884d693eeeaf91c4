"""The system calls about sockets: stream sockets, whose data are counts of bytes."""

from lockscape.kernel.card import CLIENTS, alloc_packet, begin_clients, free_packet, new_key
from lockscape.kernel.connections import output, take_pending
from lockscape.kernel.files import BAD_DESCRIPTOR, fget, fput, install, list_file, new_descriptor, new_file
from lockscape.kernel.incoming import acknowledge, disown_socket, own_socket, run_network
from lockscape.kernel.network_objects import CALL, DATA, Packet, Ports, Socket
from lockscape.kernel.objects import File, Files, Process
from lockscape.kernel.socket_table import hash_socket, make_socket, unhash_socket
from lockscape.kernel.waits import begin_wait, end_wait, wait_until_called, wake_up_one
from lockscape.program.language import (
    NONE,
    count,
    current,
    find,
    first,
    function,
    hold,
    insert,
    option,
    remove,
    section,
    step,
    the,
)

NO_SOCKET, IN_USE, IS_CONNECTED, NOT_CONNECTED, REFUSED, BROKEN, INVALID = (
    -88,
    -98,
    -106,
    -107,
    -111,
    -32,
    -22,
)
"""Results of calls that fail, as in Unix."""

SEGMENT, LOOPBACK_SEGMENT = 1460, 16384
"""Bytes of the user that a packet carries at most: 1,500 of Ethernet less 40 for IP and TCP; of the loopback
device, whose packets have 16,436 (drivers/net/loopback.c of 2.4.31: (16 * 1024) + 20 + 20 + 12)."""

SEND_BUFFER = 16384
"""Bytes that may be on their way or with the receiver, who has not taken them yet (net/ipv4/tcp.c of 2.4.31:
sysctl_tcp_wmem, 16*1024)."""

ENDED = -1
"""There is nothing more to receive, or nobody to send to."""


# --- descriptors --------------------------------------------------------------------------------------------


@function()
def install_socket(socket: Socket) -> int:
    """Give a socket a descriptor (sock_map_fd)."""
    me: Process = current()
    files: Files = me.files
    fd = new_descriptor(files)
    file = new_file()
    file.socket = socket
    if option("file_list"):
        list_file(file)
    install(files, fd, file)
    return fd


@function()
def find_file(fd: int) -> File:
    """Return the open file of a descriptor (sockfd_lookup)."""
    file = fget(fd)
    return file


@function()
def put_file(file: File) -> None:
    """Give the reference of `find_file` back."""
    if option("file_counts"):
        fput(file)


@function()
def sys_socket() -> int:
    """Make a socket; return its descriptor."""
    socket = make_socket()
    return install_socket(socket)


@function()
def socket_call(fd: int, number: int, a: int, b: int) -> int:
    """Do a call (0 listen, 1 accept, 2 connect, 3 send, 4 receive) on the socket of a descriptor."""
    file = find_file(fd)
    if file == NONE:
        return BAD_DESCRIPTOR
    socket: Socket = file.socket
    result = NO_SOCKET
    if socket != NONE:
        if number == 0:
            result = sys_listen(socket, a, b)
        elif number == 1:
            result = sys_accept(socket)
        elif number == 2:
            result = sys_connect(socket, a)
        elif number == 3:
            result = sys_send(socket, a)
        else:
            result = sys_receive(socket, a, b)
    put_file(file)
    return result


# --- connections --------------------------------------------------------------------------------------------


@function()
def sys_listen(socket: Socket, port: int, load: int) -> int:
    """Wait for connections at a port; a load of the outside world begins with that (`begin_clients`)."""
    step("listen")
    if port <= 0 or socket.key > 0 or socket.port > 0:
        return INVALID
    if bind(socket, port) == 0:
        return IN_USE
    if load % CLIENTS > 0:
        begin_clients(port, load)
    return 0


@function()
def bind(socket: Socket, port: int) -> int:
    """Let a socket be found at a port, if there is none; return 1 if so."""
    ports: Ports = the(Ports)
    with section("bind", ports.table, socket.references):
        taken = find(ports.table, port) != NONE
        if taken == 0:
            socket.port = port
            socket.references += 1
            insert(ports.table, port, socket)
    return taken == 0


@function()
def sys_accept(listener: Socket) -> int:
    """Wait for a connection; return the descriptor of its socket."""
    step("accept")
    if listener.port == 0:
        return INVALID
    return install_socket(wait_for_connection(listener))


@function()
def wait_for_connection(listener: Socket) -> Socket:
    """Return the next connection that waits to be accepted, perhaps after a sleep (wait_for_connect)."""
    socket = accept_now(listener)
    while socket == NONE:
        begin_wait(listener.waits)
        socket = accept_now(listener)
        if socket == NONE:
            wait_until_called()
        else:
            end_wait(listener.waits)
    if are_pending(listener) == 1:  # who was called for one of these may have been this process
        wake_up_one(listener.waits)
    return socket


@function()
def accept_now(listener: Socket) -> Socket:
    """Take a connection that waits to be accepted, or nothing."""
    with hold("sk_lock", listener):
        own_socket(listener)
        socket = take_pending(listener)
        disown_socket(listener)
    run_network()
    return socket


@function()
def are_pending(listener: Socket) -> int:
    """Return whether connections wait to be accepted."""
    with section("look", listener.pending):
        some = count(listener.pending) > 0
    return some


@function()
def sys_connect(socket: Socket, port: int) -> int:
    """Connect to a port of this kernel's own; wait for the answer."""
    step("connect")
    if socket.key > 0 or socket.port > 0:
        return IS_CONNECTED
    socket.key = new_key()
    hash_socket(socket)
    output(alloc_packet(CALL, port, socket.key, NONE))
    result = answer_to(socket)
    while result == 0:
        begin_wait(socket.waits)
        result = answer_to(socket)
        if result == 0:
            wait_until_called()
        else:
            end_wait(socket.waits)
    if result == 1:
        return 0
    unhash_socket(socket)
    return REFUSED


@function()
def answer_to(socket: Socket) -> int:
    """Return 1 if a connection is made, -1 if it was refused, and 0 while there is no answer."""
    return socket.connected - socket.refused


# --- data ---------------------------------------------------------------------------------------------------


@function()
def sys_send(socket: Socket, length: int) -> int:
    """Send so many bytes; wait for room. Return how many, or that the other end is gone."""
    step("send")
    if answer_to(socket) != 1:
        return NOT_CONNECTED
    most = LOOPBACK_SEGMENT
    if socket.client != NONE:
        most = SEGMENT
    left = length
    while left > 0:
        part = left
        if part > most:
            part = most
        sent = send_segment(socket, part)
        while sent == 0:
            begin_wait(socket.waits)
            sent = send_segment(socket, part)
            if sent == 0:
                wait_until_called()
            else:
                end_wait(socket.waits)
        if sent < 0:
            return BROKEN
        left -= part
    return length


@function()
def send_segment(socket: Socket, length: int) -> int:
    """Send bytes in one packet; return how many: 0 without room, below 0 if the other end is gone."""
    with hold("sk_lock", socket):
        own_socket(socket)
        sent = reserve(socket, length)
        if sent > 0:
            packet = alloc_packet(DATA, socket.peer, socket.key, socket.client)
            packet.bytes = length
            step("copy_line", length // 64 + 1)
            step("tcp_output")
            output(packet)
        disown_socket(socket)
    run_network()
    return sent


@function()
def reserve(socket: Socket, length: int) -> int:
    """Reserve room for bytes to send; return how many, 0 without room, below 0 if nobody takes them."""
    with section("reserve", socket.unacknowledged, socket.full, socket.ended):
        result = length
        if socket.ended == 1:
            result = ENDED
        elif socket.unacknowledged + length > SEND_BUFFER:
            socket.full = 1
            result = 0
        else:
            socket.unacknowledged += length
    return result


@function()
def sys_receive(socket: Socket, wanted: int, whole: int) -> int:
    """Receive up to so many bytes, or just as many (`whole`: MSG_WAITALL); return how many, 0 at the end."""
    step("receive")
    if answer_to(socket) != 1:
        return NOT_CONNECTED
    got = 0
    going: int = wanted > 0
    while going == 1:
        part = receive_now(socket, wanted - got)
        while part == 0:
            begin_wait(socket.waits)
            part = receive_now(socket, wanted - got)
            if part == 0:
                wait_until_called()
            else:
                end_wait(socket.waits)
        if part > 0:
            got += part
        if part < 0 or whole == 0 or got == wanted:
            going = 0
    return got


@function()
def receive_now(socket: Socket, wanted: int) -> int:
    """Receive what has come, up to so many bytes; return how many, below 0 if no more will come."""
    with hold("sk_lock", socket):
        own_socket(socket)
        got = copy_data(socket, wanted)
        disown_socket(socket)
    run_network()
    if got > 0 and socket.client == NONE:
        acknowledge(socket.peer, got)
    return got


@function()
def copy_data(socket: Socket, wanted: int) -> int:
    """Copy bytes to the user, packet by packet."""
    got = 0
    going = 1
    while going == 1 and got < wanted:
        part = take_part(socket, wanted - got)
        if part > 0:
            step("copy_line", part // 64 + 1)
            got += part
        else:
            going = 0
            if got == 0:
                got = part
    return got


@function()
def take_part(socket: Socket, wanted: int) -> int:
    """Take bytes of the first packet that has come; return how many, 0 without one, below 0 at the end."""
    used: Packet = NONE
    with section("take", socket.data, socket.unread, socket.ended):
        packet: Packet = first(socket.data)
        part = 0
        if packet != NONE:
            part = packet.bytes
            if part <= wanted:
                remove(socket.data, packet)
                used = packet
            else:
                part = wanted
                packet.bytes -= wanted
            socket.unread -= part
        elif socket.ended == 1:
            part = ENDED
    if used != NONE:
        free_packet(used)
    return part
