"""The network card's driver, and the outside world behind the card.

The card sends one packet at a time and receives one at a time; each that is out or has come is an interrupt
of its own, as with cards of that time. A packet takes its bytes at the speed of the link, with what Ethernet,
IP and TCP add.

The outside world has clients, each with one connection: it connects, sends a request, and when the whole
reply has come sends the next one after a round trip; after its last reply it ends the connection. What
clients do takes no processor; their state is kept with the card's. The time of a round trip (on the way, and
thinking) is the same for all, so that their packets come in the order in which they were due. A packet that
cannot come yet because the link or the driver is busy waits outside: none is dropped. Acknowledgements travel
with data both ways: none is a packet of its own, and what is out is taken as received.
"""

from lockscape.kernel.network_objects import (
    ANSWER,
    ASKING,
    CALL,
    CALLING,
    DATA,
    ENDING,
    GONE,
    LEAVING,
    Card,
    Client,
    Packet,
    PacketPool,
    Ports,
)
from lockscape.program.language import (
    NONE,
    count,
    first,
    free,
    function,
    insert,
    masked,
    new,
    now,
    option,
    remove,
    request,
    section,
    step,
    the,
    this_cpu,
)

FRAME_BYTES, LEAST_FRAME = 78, 84
"""Bytes on the link beside those of the user, and the least that a frame takes: preamble and gap between
frames 20, Ethernet 18, IP and TCP 40; a frame has at least 64 bytes and the 20 (IEEE 802.3, RFC 791, 793)."""

SENDING, RECEIVING = 1, 2
"""Devices of the machine: the card's two ways. The disk is device 0."""

CLIENTS, REQUESTS, REQUEST_BYTES, REPLY_BYTES = 1 << 12, 1 << 14, 1 << 11, 1 << 24
"""A load of the outside world is one number, with these as bounds of its parts, the first one lowest."""


@function()
def ask_card(way: int, cycles: int) -> None:
    """Have the card interrupt after so many cycles, when a packet is out or has come."""
    request(way, cycles, this_cpu() * option("spread_interrupts"))


@function()
def wire_cycles(length: int) -> int:
    """Return how long a packet with so many bytes of the user is on the link."""
    total = length + FRAME_BYTES
    if total < LEAST_FRAME:
        total = LEAST_FRAME
    return total * option("wire_byte_cycles")


# --- packets ------------------------------------------------------------------------------------------------


@function()
def alloc_packet(kind: int, key: int, source: int, client: Client) -> Packet:
    """Make a packet (alloc_skb): its memory is a processor's own store's, or all share one."""
    step("packet_alloc")
    count_packets(1)
    packet: Packet = new(Packet)
    packet.kind = kind
    packet.key = key
    packet.source = source
    packet.client = client
    return packet


@function()
def free_packet(packet: Packet) -> None:
    """Free a packet (kfree_skb)."""
    step("packet_free")
    free(packet)
    count_packets(-1)


@function()
def count_packets(number: int) -> None:
    """Count packets that are taken out of a pool or, below 0, given back to one."""
    if option("slab_arrays"):
        with masked():
            mine: PacketPool = the(PacketPool, this_cpu())
            mine.out += number
    else:
        pool: PacketPool = the(PacketPool, 0)
        with section("count", pool.out):
            pool.out += number


# --- sending ------------------------------------------------------------------------------------------------


@function()
def transmit(packet: Packet) -> None:
    """Send a packet to the outside world (ip_queue_xmit, dev_queue_xmit)."""
    step("ip_output")
    queue_packet(packet)
    start_transmit()


@function()
def queue_packet(packet: Packet) -> None:
    """Put a packet into the card's queue."""
    card: Card = the(Card)
    with section("queue", card.transmit):
        step("queue_packet")
        insert(card.transmit, packet, packet)


@function()
def start_transmit() -> None:
    """Give the card the next packet to send, if it has nothing to do (hard_start_xmit)."""
    card: Card = the(Card)
    with section("start", card.transmit, card.sending):
        if card.sending == 0 and count(card.transmit) > 0:
            step("driver_transmit")
            card.sending = 1
            packet: Packet = first(card.transmit)
            ask_card(SENDING, wire_cycles(packet.bytes))


@function()
def take_sent() -> Packet:
    """Take the packet that is out off the card's queue; let the outside world have it."""
    card: Card = the(Card)
    client: Client = NONE
    with section("sent", card.transmit, card.sending, card.due):
        step("driver_sent")
        packet: Packet = first(card.transmit)
        remove(card.transmit, packet)
        card.sending = 0
        client = packet.client
        packet.client = NONE
        gone = hear(card, client, packet)
    if gone == 1:
        free(client)
    return packet


# --- the outside world --------------------------------------------------------------------------------------


@function()
def hear(card: Card, client: Client, packet: Packet) -> int:
    """A packet has come to a client; return 1 if that was its end. The caller keeps the card."""
    if packet.kind == DATA:
        client.awaited -= packet.bytes
        if client.awaited <= 0 and client.state == ASKING:
            if client.left == 0:
                client.state = LEAVING
            come_back(card, client)
    elif packet.kind == ANSWER and packet.source > 0:
        client.state = ASKING
        if client.left == 0:
            client.state = LEAVING
        come_back(card, client)
    else:  # the other end is closed, or was never there
        client.closed = 1
    return client.closed == 1 and client.coming == 0


@function()
def come_back(card: Card, client: Client) -> None:
    """Have a client's next packet come after a round trip. The caller keeps the card."""
    client.due = now() + option("round_trip_cycles")
    client.coming = 1
    insert(card.due, client, client)


@function()
def begin_clients(port: int, load: int) -> None:
    """Let the clients of a load come to a port, all within a round trip."""
    clients = load % CLIENTS
    left = load // CLIENTS % REQUESTS
    length = load // (CLIENTS * REQUESTS) % REQUEST_BYTES
    reply = load // (CLIENTS * REQUESTS * REQUEST_BYTES)
    number = 0
    while number < clients:
        client: Client = new(Client)
        client.key = new_key()
        client.port = port
        client.left = left
        client.bytes = length
        client.reply = reply
        meet(client, option("round_trip_cycles") * number // clients)
        number += 1
    if clients > 0:
        start_receive()


@function()
def meet(client: Client, cycles: int) -> None:
    """Let a client come after so many cycles."""
    card: Card = the(Card)
    with section("meet", card.due):
        client.state = CALLING
        client.due = now() + cycles
        client.coming = 1
        insert(card.due, client, client)


@function()
def new_key() -> int:
    """Return the number of a new end of a connection."""
    ports: Ports = the(Ports)
    with section("number", ports.last):
        ports.last += 1
        key = ports.last
    return key


# --- receiving ----------------------------------------------------------------------------------------------


@function()
def start_receive() -> None:
    """Let the card receive the next packet that is under way, if it does not already."""
    card: Card = the(Card)
    with section("start", card.due, card.receiving):
        if card.receiving == 0 and count(card.due) > 0:
            card.receiving = 1
            client: Client = first(card.due)
            cycles = wire_cycles(client.bytes)
            left = client.due - now()
            if left > cycles:
                cycles = left
            ask_card(RECEIVING, cycles)


@function()
def take_arrived() -> Packet:
    """Take the packet that has come from the card's ring."""
    card: Card = the(Card)
    packet = alloc_packet(DATA, 0, 0, NONE)
    client: Client = NONE
    with section("arrived", card.due, card.receiving):
        step("driver_receive")
        client = first(card.due)
        remove(card.due, client)
        card.receiving = 0
        client.coming = 0
        packet.key = client.key
        speak(client, packet)
        gone = client.closed
    if gone == 1:
        free(client)
    return packet


@function()
def speak(client: Client, packet: Packet) -> None:
    """Fill a client's next packet. The caller keeps the card."""
    if client.state == CALLING:
        packet.kind = CALL
        packet.key = client.port
        packet.client = client
    elif client.state == ASKING:
        packet.bytes = client.bytes
        client.awaited = client.reply
        client.left -= 1
    else:
        packet.kind = ENDING
        client.state = GONE
