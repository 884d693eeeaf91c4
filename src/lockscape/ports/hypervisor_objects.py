"""New code of virtualization: what a hypervisor knows of its guests, and what it shares with them."""

from typing import Annotated

from lockscape.program.objects import Collection, Object, Racy, listed

KICKED, VIRTUAL_TIMER = 1, 3
"""Interrupt vectors of the hypervisor, beside its tick and the disk: another processor wants it to look at
its queue; a virtual processor that halts has an interrupt due."""

DRIVER_EVENT = 3
"""Interrupt vector of a driver instance: a request has come."""

(NOTIFY, DISK_COMMAND, EMULATE, GUEST_CALL, GUEST_FAULT, PAGE_TABLE, GIVE_UP, TO_DRIVER, TO_GUEST,
 CARD_PORTS, CARD_RING, SHADOW, CALL_MESSAGE, REPLY_MESSAGE) = range(3, 17)  # fmt: skip
"""Why a guest traps, besides an interrupt and a halt."""

KINDS = 32
"""A trap's reason is one of these + KINDS * an argument, the number of a processor."""

HALTED, READY, RUNNING = 0, 1, 2
"""States of a virtual processor, as the hypervisor knows it."""

STRICT, RELAXED = 1, 2
"""Kinds of co-scheduling."""

SKEW_TICKS = 2
"""Ticks by which a virtual processor may be ahead of a sibling that waits, before both make way."""

PORTS = 8
"""Accesses to the ports of an emulated disk controller for one request: sector, count, command, status."""

FAR = 1 << 50
"""Later than any time that is waited for."""


class Virtual(Object, count="virtuals"):
    """A virtual processor: number `cpu` of the instance `guest`, the machine's number `number`.

    `first`: the index of its guest's first one; `siblings`: how many its guest has; `left`: ticks of its
    slice; `slot`: the time slot in which its guest runs, with strict co-scheduling.
    """

    guest: int
    cpu: int
    number: int
    first: int
    siblings: int
    home: int
    slot: int
    left: int
    state: Annotated[int, Racy("other processors look at it to co-schedule; an old value costs time only")]
    progress: Annotated[int, Racy("ticks that it has run, a measure that need not be exact")]
    extended: int
    unsafe: Annotated[int, Racy("a hint of the guest's: it is in its kernel")]
    wanted: Annotated[int, Racy("a hint of the hypervisor's: the guest should give up its processor")]


class PhysicalProcessor(Object, count="cpus"):
    """A physical processor, as the hypervisor knows it."""

    running: Virtual
    reschedule: Annotated[int, Racy("set by other processors, which then send an interrupt")]
    boosted: Collection = listed(Virtual)
    ready: Collection = listed(Virtual)
    halted: Collection = listed(Virtual)


class Gang(Object, count=1):
    """Which time slot it is with strict co-scheduling, of `slots`; processor 0 decides. `virtuals`: how many
    virtual processors there are."""

    slot: Annotated[int, Racy("written by processor 0, which then interrupts the others")]
    left: int
    virtuals: int
    slots: int


class SharedDisk(Object, count=1):
    """The physical disk: who waits for it, the first of them served."""

    busy: int
    waiting: Collection = listed(Virtual)


class SharedInfo(Object, count="cpus"):
    """What a guest's processor and the hypervisor share."""

    virtual: Virtual
