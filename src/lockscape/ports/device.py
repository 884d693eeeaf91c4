"""New code of the dedicated processor: a lightweight device kernel that polls, beside the kernel of the rest.

The last processor runs nothing but the device kernel. It takes no interrupts: it looks at its devices and at
a queue of requests, again and again. The kernel of the other processors hands it requests, and is given
completions, through lock-free queues in shared memory; a signal tells it of the first completion of several.
The network card is the device kernel's as well, and with it the protocols: it takes packets that have come
through them and hands them over ready for their sockets, and packets to send through IP to the card. The
kernel has the sockets. Packets that are out are handed back with what comes next, or when there are several.
With one processor there is no device kernel, and the kernel drives its devices itself.
"""

from dataclasses import replace

from lockscape.kernel import objects
from lockscape.kernel.card import (
    free_packet,
    queue_packet,
    start_receive,
    start_transmit,
    take_arrived,
    take_sent,
)
from lockscape.kernel.entry import leave_interrupt
from lockscape.kernel.incoming import acknowledge, netif_rx, run_network_in_handler
from lockscape.kernel.network_objects import CALLING, DATA, Card, Client, Packet
from lockscape.kernel.objects import Disk
from lockscape.kernel.vectors import ARRIVED, DISK, SENT
from lockscape.kernel.waits import call
from lockscape.kernel.writeback import wake_sleepers
from lockscape.machine.state import Instance
from lockscape.ports.topology import KERNEL, NO_KERNEL, Options, Topology
from lockscape.program.language import (
    NONE,
    count,
    first,
    function,
    insert,
    mask,
    masked,
    now,
    option,
    remove,
    request,
    section,
    send_instance,
    step,
    the,
    the_of,
    this_cpu,
    unmask,
)  # fmt: skip
from lockscape.program.objects import Collection, Object, listed

ENOUGH = 8
"""Packets that are out and are handed back even if nothing comes; the kernel's bound of what it sends before
that is 11 (`kernel.sockets`: SEND_BUFFER of SEGMENT)."""

COMPLETED = 3
"""The interrupt vector by which the device kernel tells of completions."""

HOST = 0
"""The kernel's instance; the device kernel is the next."""


class Buffer(objects.Buffer, extends=True):
    """A buffer, and whether the device kernel has it."""

    sent: int


class Messages(Object, count=1):
    """The memory that both kernels share: requests to the device kernel, and what it has completed.

    `polled`: whether a device kernel takes them; `sent`: how many requests it has not completed. Packets to
    send go out, packets that have come go in, and those that are out go back; clients come to ports.
    """

    polled: int
    sent: int
    requests: Collection = listed(Buffer)
    completions: Collection = listed(Buffer)
    outward: Collection = listed(Packet)
    inward: Collection = listed(Packet)
    back: Collection = listed(Packet)
    clients: Collection = listed(Client)


class DeviceState(Object, count=1):
    """What the device kernel knows of the disk: the buffer it works on, and whether that is done; and of the
    network card: whether a packet has come, and whether one is out."""

    buffer: Buffer
    done: int
    arrived: int
    sent: int


# --- the device kernel --------------------------------------------------------------------------------------


@function()
def device_kernel() -> None:
    """Poll the requests and the disk for ever; interrupts are on only where the disk's status is read."""
    messages: Messages = the_of(Messages, HOST, 0)
    device: DeviceState = the(DeviceState)
    messages.polled = 1
    while True:
        mask()
        if device.done == 1:
            complete(messages, device)
        if device.buffer == NONE:
            begin(messages, device)
        drive_card(messages, device)
        step("poll_requests")
        unmask()
        step("poll_device")


@function()
def begin(messages: Messages, device: DeviceState) -> None:
    """Give the disk the next request, if there is one."""
    buffer: Buffer = first(messages.requests)
    if buffer != NONE:
        step("message")
        remove(messages.requests, buffer)
        device.buffer = buffer
        step("disk_command")
        request(0, option("disk_cycles"), 0)


@function()
def complete(messages: Messages, device: DeviceState) -> None:
    """Hand a buffer back; signal the kernel unless completions that it has not taken yet wait there."""
    step("message")
    told = count(messages.completions)
    insert(messages.completions, device.buffer, device.buffer)
    device.buffer = NONE
    device.done = 0
    if told == 0:
        tell_kernel()


@function()
def tell_kernel() -> None:
    """Signal the kernel that something waits for it."""
    step("send_signal")
    send_instance(HOST, 0, COMPLETED)


@function()
def drive_card(messages: Messages, device: DeviceState) -> None:
    """Do what there is to do for the network: what has come, what is out, and what the kernel wants."""
    if device.arrived == 1:
        device.arrived = 0
        hand_in(messages)
    if device.sent == 1:
        device.sent = 0
        hand_back(messages)
    packet: Packet = first(messages.outward)
    if packet != NONE:
        step("message")
        remove(messages.outward, packet)
        step("ip_output")
        queue_packet(packet)
        start_transmit()
    if count(messages.clients) > 0:
        let_come(messages)


@function()
def hand_in(messages: Messages) -> None:
    """Take a packet that has come through the protocols, and hand it to the kernel."""
    packet = take_arrived()
    start_receive()
    step("net_receive")
    step("ip_input")
    step("tcp_input")
    packet.ready = 1
    step("message")
    told = count(messages.inward)
    insert(messages.inward, packet, packet)
    if told == 0:
        tell_kernel()


@function()
def hand_back(messages: Messages) -> None:
    """Hand a packet that is out back to the kernel, which hears of it when it is told next."""
    packet = take_sent()
    start_transmit()
    start_receive()
    step("message")
    insert(messages.back, packet, packet)
    if count(messages.back) == ENOUGH:
        tell_kernel()


@function()
def let_come(messages: Messages) -> None:
    """Let clients of the outside world come to the card."""
    card: Card = the(Card)
    client: Client = first(messages.clients)
    while client != NONE:
        remove(messages.clients, client)
        insert(card.due, client, client)
        client = first(messages.clients)
    start_receive()


@function("interrupt")
def device_status() -> None:
    """The disk's status register, read by a poll, says that it is done: no interrupt is taken for it."""
    device: DeviceState = the(DeviceState)
    device.done = 1


@function("interrupt")
def arrived_status() -> None:
    """The card's status register, read by a poll, says that a packet has come."""
    device: DeviceState = the(DeviceState)
    device.arrived = 1


@function("interrupt")
def sent_status() -> None:
    """The card's status register, read by a poll, says that a packet is out."""
    device: DeviceState = the(DeviceState)
    device.sent = 1


@function("entry")
def no_program(unused: int) -> int:
    """The device kernel has no programs, so that none enters it."""
    return unused


@function("hook")
def no_process() -> None:
    """The device kernel has no process that could wait for a lock, or be woken."""


# --- the kernel ---------------------------------------------------------------------------------------------


@function(replaces=True)
def start_disk() -> None:
    """Hand what is in the disk's queue to the device kernel; without one, start the next request."""
    messages: Messages = the(Messages)
    if messages.polled == 1:
        hand_over(messages)
    else:
        start_request()


@function()
def start_request() -> None:
    """Give the disk its next request, if it has nothing to do."""
    disk: Disk = the(Disk)
    with masked(), section("start", disk.queue, disk.busy):
        if disk.busy == 0 and count(disk.queue) > 0:
            step("disk_command")
            disk.busy = 1
            request(0, option("disk_cycles"), this_cpu() * option("spread_interrupts"))


@function()
def hand_over(messages: Messages) -> None:
    """Move every buffer of the disk's queue to the requests, but those that are there from before."""
    disk: Disk = the(Disk)
    with masked(), section("start", disk.queue):
        buffer: Buffer = first(disk.queue)
        while buffer != NONE:
            remove(disk.queue, buffer)
            if buffer.sent == 0:
                buffer.sent = 1
                messages.sent += 1
                step("message")
                insert(messages.requests, buffer, buffer)
            buffer = first(disk.queue)


@function("interrupt")
def requests_completed() -> None:
    """The device kernel has completed requests: take them all."""
    step("signal_entry")
    messages: Messages = the(Messages)
    buffer: Buffer = first(messages.completions)
    while buffer != NONE:
        remove(messages.completions, buffer)
        buffer_written(buffer)
        buffer = first(messages.completions)
    take_packets(messages)
    leave_interrupt()
    step("interrupt_exit")


@function()
def buffer_written(buffer: Buffer) -> None:
    """A buffer is on the disk: wake who waits for it."""
    disk: Disk = the(Disk)
    messages: Messages = the(Messages)
    with section("done", disk.queue):
        step("request_done")
        messages.sent -= 1
        disk.served += 1
        sleepers = disk.waiting
        buffer.sent = 0
        waiter = buffer.waiter
        buffer.waiter = NONE
        buffer.busy = 0  # who looks for that without a lock frees it at once
    if waiter != NONE:
        call(waiter)
    if sleepers > 0:
        wake_sleepers(disk)


@function()
def take_packets(messages: Messages) -> None:
    """Take packets that the device kernel hands in to their sockets, and free those that it hands back."""
    packet: Packet = first(messages.back)
    while packet != NONE:
        remove(messages.back, packet)
        if packet.kind == DATA:
            acknowledge(packet.source, packet.bytes)
        free_packet(packet)
        packet = first(messages.back)
    packet = first(messages.inward)
    while packet != NONE:
        remove(messages.inward, packet)
        netif_rx(packet)
        packet = first(messages.inward)
    run_network_in_handler()


@function(replaces=True)
def do_protocols(packet: Packet) -> None:
    """Look at what a packet has of each protocol, unless the device kernel has."""
    if packet.ready == 0:
        step("net_receive")
        step("ip_input")
        step("tcp_input")


@function(replaces=True)
def transmit(packet: Packet) -> None:
    """Send a packet to the outside world: hand it to the device kernel, if there is one."""
    messages: Messages = the(Messages)
    if messages.polled == 1:
        step("message")
        insert(messages.outward, packet, packet)
    else:
        step("ip_output")
        queue_packet(packet)
        start_transmit()


@function(replaces=True)
def meet(client: Client, cycles: int) -> None:
    """Let a client come after so many cycles, to the device kernel's card if there is one."""
    client.state = CALLING
    client.due = now() + cycles
    client.coming = 1
    messages: Messages = the(Messages)
    if messages.polled == 1:
        insert(messages.clients, client, client)
    else:
        card: Card = the(Card)
        with section("meet", card.due):
            insert(card.due, client, client)


@function(replaces=True)
def requests_left(disk: Disk) -> int:
    """Return how many requests the disk has still to serve: in its queue, and with the device kernel."""
    messages: Messages = the(Messages)
    left: int = count(disk.queue) + messages.sent
    return left


def _instances(cpus: int, options: Options) -> list[Instance]:
    """The kernel alone, or on all processors but the last, which has the device kernel."""
    if cpus == 1:
        return [KERNEL]
    host = replace(KERNEL, cpus=cpus - 1, vectors={**KERNEL.vectors, COMPLETED: "requests_completed"})
    device = Instance(
        1, "no_program",
        {DISK: "device_status", ARRIVED: "arrived_status", SENT: "sent_status"},
        "device_kernel", "no_process", "no_process", NO_KERNEL,
        first=cpus - 1,
    )  # fmt: skip
    return [host, device]


TOPOLOGY = Topology(_instances)
"""The kernel on all processors but the last one, which has the device kernel."""
