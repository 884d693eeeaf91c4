"""New code of the dedicated processor: a lightweight device kernel that polls, beside the kernel of the rest.

The last processor runs nothing but the device kernel. It takes no interrupts: it looks at its devices and at
a queue of requests, again and again. The kernel of the other processors hands it requests, and is given
completions, through lock-free queues in shared memory; a signal tells it of the first completion of several.
With one processor there is no device kernel, and the kernel drives its disk itself.
"""

from dataclasses import replace

from lockscape.kernel import objects
from lockscape.kernel.entry import leave_interrupt
from lockscape.kernel.objects import Disk
from lockscape.kernel.scheduler import DISK, wake
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

COMPLETED = 3
"""The interrupt vector by which the device kernel tells of completions."""

HOST = 0
"""The kernel's instance; the device kernel is the next."""


class Buffer(objects.Buffer, extends=True):
    """A buffer, and whether the device kernel has it."""

    sent: int


class Messages(Object, count=1):
    """The memory that both kernels share: requests to the device kernel, and what it has completed.

    `polled`: whether a device kernel takes them; `sent`: how many requests it has not completed.
    """

    polled: int
    sent: int
    requests: Collection = listed(Buffer)
    completions: Collection = listed(Buffer)


class DeviceState(Object, count=1):
    """What the device kernel knows of the disk: the buffer it works on, and whether that is done."""

    buffer: Buffer
    done: int


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
        step("send_signal")
        send_instance(HOST, 0, COMPLETED)


@function("interrupt")
def device_status() -> None:
    """The disk's status register, read by a poll, says that it is done: no interrupt is taken for it."""
    device: DeviceState = the(DeviceState)
    device.done = 1


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
        buffer.busy = 0
        waiter = buffer.waiter
        buffer.waiter = NONE
    if waiter != NONE:
        wake(waiter)
    if sleepers > 0:
        wake_sleepers(disk)


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
        1, "no_program", {DISK: "device_status"}, "device_kernel", "no_process", "no_process", NO_KERNEL,
        first=cpus - 1,
    )  # fmt: skip
    return [host, device]


TOPOLOGY = Topology(_instances)
