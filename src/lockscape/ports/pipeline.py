"""New code of Adeos: a nano-kernel that passes interrupts through the domains of a processor, in their order.

Each processor has a pipeline of two domains: one for work in real time, and a uniprocessor kernel with
processes, memory, a disk and a card of its own, so that together they are a cluster (Yaghmour 2002). The
nano-kernel has all interrupts. Each goes down the pipeline: a domain accepts it (handles it, and it passes
on), ignores it (it passes on), terminates it (handles it, and it goes no further) or discards it (nobody
further down has it either). What a kernel masks are the interrupts of its own domain only: the nano-kernel
takes them, and those further up have theirs. The first domain in the pipeline that has something to do runs.

Domains have all privileges and their own memory as it is: calls, faults, page tables and ports take nothing
more. The option ``guests`` says how many kernels there are, on the first processors; 0: one on each.
"""

from collections.abc import Sequence
from dataclasses import replace

from lockscape.kernel.card import SENDING
from lockscape.kernel.objects import Disk
from lockscape.kernel.vectors import ARRIVED, DISK, RESCHEDULE, SENT, TICK
from lockscape.machine import layout as at
from lockscape.machine.guests import EXIT_HALT
from lockscape.machine.state import Instance, State
from lockscape.ports.hypervisor_objects import DISK_COMMAND, KINDS
from lockscape.ports.topology import KERNEL, NO_KERNEL, Options, Topology
from lockscape.program.language import (
    NONE,
    count,
    function,
    guest_time,
    halt,
    mask,
    now,
    option,
    request,
    run,
    section,
    send_instance,
    set_timer,
    step,
    the,
    this_cpu,
    trap,
    unmask,
)  # fmt: skip
from lockscape.program.objects import Object

DISCARD, TERMINATE, IGNORE, ACCEPT = range(4)
"""What a domain does with an interrupt: the odd ones handle it, from `IGNORE` on it passes on."""

PASSED_TICK, REAL_TIME = 3, 6
"""Interrupt vectors of domains: the clock's tick for a kernel, and for work in real time."""

CARD_SENDS, CARD_RECEIVES = DISK_COMMAND + 1, DISK_COMMAND + 2
"""What a kernel asks the hardware for, beside the disk: * KINDS, the cycles that it takes."""


class Domain(Object, count="domains"):
    """A domain of a processor's pipeline, above `next`; the machine's virtual processor `number`, of the
    instance `guest`.

    `tick`, `disk`, `arrived`, `sent`: what it does with an interrupt. `tick_vector`: how it gets the clock's.
    """

    guest: int
    number: int
    halted: int
    tick: int
    disk: int
    arrived: int
    sent: int
    tick_vector: int
    next: "Domain"


class Pipeline(Object, count="cpus"):
    """The domains of a processor, from the first on."""

    first: Domain


class RealTime(Object, count="cpus"):
    """What a domain for real time has done."""

    jobs: int


# --- the nano-kernel ----------------------------------------------------------------------------------------


@function()
def nanokernel() -> None:
    """Run the first domain that has something to do, again and again; halt when none has."""
    while True:
        mask()
        domain = next_domain()
        if domain == NONE:
            halt()
        else:
            reason = run(domain.number)
            if reason == EXIT_HALT and guest_time(domain.number) > now():
                domain.halted = 1
            unmask()
            ask_hardware(reason)


@function()
def next_domain() -> Domain:
    """Return the first domain of this processor that has something to do, or none."""
    pipeline: Pipeline = the(Pipeline, this_cpu())
    domain = pipeline.first
    while domain != NONE and domain.halted == 1:
        domain = domain.next
    return domain


@function()
def ask_hardware(reason: int) -> None:
    """Do what a kernel does itself: have a device of its processor work. It takes the kernel's time only."""
    kind = reason % KINDS
    if kind == DISK_COMMAND:
        request(this_cpu(), option("disk_cycles"), this_cpu())
    elif kind == CARD_SENDS:
        set_timer(SENT, reason // KINDS)
    elif kind == CARD_RECEIVES:
        set_timer(ARRIVED, reason // KINDS)


@function()
def pass_down(line: int) -> None:
    """Pass an interrupt through the domains of this processor, until one keeps it."""
    pipeline: Pipeline = the(Pipeline, this_cpu())
    domain = pipeline.first
    while domain != NONE:
        step("pipeline_stage")
        does = action_of(domain, line)
        if does % 2 == 1:
            send_instance(domain.guest, 0, vector_of(domain, line))
            domain.halted = 0
        if does >= IGNORE:
            domain = domain.next
        else:
            domain = NONE


@function()
def action_of(domain: Domain, line: int) -> int:
    """Return what a domain does with an interrupt."""
    if line == TICK:
        return domain.tick
    if line == DISK:
        return domain.disk
    if line == ARRIVED:
        return domain.arrived
    return domain.sent


@function()
def vector_of(domain: Domain, line: int) -> int:
    """Return the vector by which a domain gets an interrupt."""
    if line == TICK:
        return domain.tick_vector
    return line


@function("interrupt")
def clock_ticks() -> None:
    """The clock interrupts this processor."""
    step("interrupt_entry")
    pass_down(TICK)
    step("interrupt_exit")


@function("interrupt")
def disk_done_here() -> None:
    """The disk of this processor's kernel has done a request."""
    step("interrupt_entry")
    pass_down(DISK)
    step("interrupt_exit")


@function("interrupt")
def card_arrived() -> None:
    """The card of this processor's kernel has received a packet."""
    step("interrupt_entry")
    pass_down(ARRIVED)
    step("interrupt_exit")


@function("interrupt")
def card_sent() -> None:
    """The card of this processor's kernel has sent a packet."""
    step("interrupt_entry")
    pass_down(SENT)
    step("interrupt_exit")


# --- the domain for real time -------------------------------------------------------------------------------


@function()
def wait_for_work() -> None:
    """Halt: all is done in the interrupt handler."""
    while True:
        mask()
        halt()


@function("interrupt")
def real_time_tick() -> None:
    """Do the work that is due at each tick."""
    step("real_time_job")
    mine: RealTime = the(RealTime, 0)
    mine.jobs += 1


# --- kernels ------------------------------------------------------------------------------------------------


@function(replaces=True)
def start_disk() -> None:
    """Give this kernel's disk its next request, if it has nothing to do."""
    disk: Disk = the(Disk)
    with section("start", disk.queue, disk.busy):
        if disk.busy == 0 and count(disk.queue) > 0:
            step("disk_command")
            disk.busy = 1
            trap(DISK_COMMAND)


@function(replaces=True)
def ask_card(way: int, cycles: int) -> None:
    """Have this kernel's card interrupt after so many cycles, when a packet is out or has come."""
    if way == SENDING:
        trap(CARD_SENDS + KINDS * cycles)
    else:
        trap(CARD_RECEIVES + KINDS * cycles)


# --- topology -----------------------------------------------------------------------------------------------

NANOKERNEL = replace(
    KERNEL, idle="nanokernel",
    vectors={TICK: "clock_ticks", DISK: "disk_done_here", ARRIVED: "card_arrived", SENT: "card_sent"},
)  # fmt: skip
"""The instance that owns the processors and hands interrupts on."""

WORK = replace(
    KERNEL, cpus=1, idle="wait_for_work", native=False, vectors={REAL_TIME: "real_time_tick"},
    quantities=NO_KERNEL | {"domains": 0},
)  # fmt: skip
"""An instance of work in real time, without a kernel."""

LINUX = replace(
    KERNEL, cpus=1, native=False, quantities={"domains": 0},
    vectors={PASSED_TICK: KERNEL.vectors[TICK],
             **{vector: KERNEL.vectors[vector] for vector in (RESCHEDULE, DISK, ARRIVED, SENT)}},
)  # fmt: skip
"""An instance of the kernel, which gets interrupts when no real-time work wants them."""


def _instances(cpus: int, options: Options) -> Sequence[Instance]:
    """The nano-kernel, and the domains of all processors in the order in which they are in the pipelines."""
    kernels = min(options["guests"] or cpus, cpus)
    below = replace(NANOKERNEL, cpus=cpus, quantities=NO_KERNEL | {"domains": cpus + kernels})
    domains = [[WORK] * cpus, [LINUX] * kernels]
    first, second = reversed(domains) if options["real_time_last"] else domains
    return [below, *first, *second]


def _prepare(state: State, _: Options) -> dict[int, int]:
    """Put the domains into the pipelines; the first of each kind is on the first processor."""
    homes: dict[int, int] = {}
    placed = {True: 0, False: 0}
    for index, v in enumerate(state.virtuals[state.hardware.processors :]):
        domain, is_kernel = state.system("Domain", index), _has_files(state, 1 + index)
        actions = IN_KERNEL if is_kernel else IN_REAL_TIME
        state.set(domain, guest=1 + index, number=int(state.m[v + at.V_INDEX]), **actions)
        homes[v] = placed[is_kernel]
        placed[is_kernel] += 1
        _enter(state, state.system("Pipeline", homes[v]), domain)
    return homes


IN_KERNEL = dict.fromkeys(("tick", "disk", "arrived", "sent"), ACCEPT) | {"tick_vector": PASSED_TICK}
"""What a kernel's domain does with interrupts: it accepts all."""
IN_REAL_TIME = {"tick": ACCEPT, "disk": IGNORE, "arrived": IGNORE, "sent": IGNORE, "tick_vector": REAL_TIME}
"""What domains do with interrupts."""


def _has_files(state: State, instance: int) -> bool:
    return bool(state.m[state.system("BlockGroup", 0, instance) - 1])


def _enter(state: State, pipeline: int, domain: int) -> None:
    """Put a domain at the end of a pipeline."""
    last = state.get(pipeline, "first")
    while last and state.get(last, "next"):
        last = state.get(last, "next")
    if last:
        state.set(last, next=domain)
    else:
        state.set(pipeline, first=domain)


TOPOLOGY = Topology(_instances, own_disks=True, prepare=_prepare)
"""The nanokernel, and above it domains in order of urgency."""
