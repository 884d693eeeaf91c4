"""Which processor looks at a woken process, and how it is told to."""

from lockscape.kernel.objects import Process, Processor
from lockscape.kernel.vectors import RESCHEDULE
from lockscape.program.language import cpus, function, option, send, step, the, this_cpu

THREAD_SLICE = 1 << 20
"""A slice that only interrupt threads have, where there are any, and who holds a lock that one waits for."""

ANYWHERE, ON_MASTER, AT_ONCE = 0, 1, 2
"""Where a process wants to run: a bound one on the master only, an interrupt's thread instead of others."""

MASTER = 0
"""The processor that processes are bound to, where a kernel binds them (option ``binding``)."""


@function()
def choose_cpu(last: int) -> int:
    """Return the processor that should look at a woken process: its last one, or another idle one."""
    if option("processor_queues") and not option("idle_search"):
        return last
    home: Processor = the(Processor, last)
    if home.idling == 1:
        return last
    cpu = 0
    while cpu < cpus():
        step("look_at_cpu")
        other: Processor = the(Processor, cpu)
        if other.idling == 1 and other.need_resched == 0:
            return cpu
        cpu += 1
    return last


@function()
def wish_of(p: Process) -> int:
    """Return where a process wants to run: who wakes it asks before, for afterwards it may have ended."""
    if option("binding") and p.bound > 0:
        return ON_MASTER
    if option("interrupt_threads") and p.weight >= THREAD_SLICE:
        return AT_ONCE
    return ANYWHERE


@function()
def kick_for(wish: int, cpu: int) -> None:
    """See that some processor looks at a woken process, which ran last on `cpu`."""
    if option("binding") and wish == ON_MASTER:
        kick_master()
    elif option("interrupt_threads") and wish == AT_ONCE:
        preempt(choose_cpu(cpu))
    else:
        kick(choose_cpu(cpu))


@function()
def kick_master() -> None:
    """Make the master processor call the scheduler, whatever it does: a bound process waits for it."""
    processor: Processor = the(Processor, MASTER)
    processor.need_resched = 1
    if this_cpu() != MASTER:
        step("send_signal")
        send(MASTER, RESCHEDULE)


@function()
def preempt(cpu: int) -> None:
    """Make a processor call the scheduler, whatever it does: an urgent process waits for it."""
    processor: Processor = the(Processor, cpu)
    processor.need_resched = 1
    if cpu != this_cpu():
        step("send_signal")
        send(cpu, RESCHEDULE)


@function()
def kick(cpu: int) -> None:
    """Make a processor call the scheduler soon."""
    processor: Processor = the(Processor, cpu)
    if option("urgent") or processor.idling == 1:
        processor.need_resched = 1
        if cpu != this_cpu():
            step("send_signal")
            send(cpu, RESCHEDULE)
