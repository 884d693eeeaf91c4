"""What the timer's interrupt does: charges who runs, keeps the time, looks for timers."""

from lockscape.kernel.balance import balance_tick
from lockscape.kernel.deferral import check_deferred
from lockscape.kernel.objects import Clock, Process, Processor
from lockscape.kernel.scheduler import queue_of
from lockscape.kernel.vectors import RESCHEDULE
from lockscape.program.language import (
    NONE,
    add_return,
    cpus,
    current,
    function,
    option,
    section,
    send,
    step,
    the,
    this_cpu,
)


@function()
def tick_process() -> None:
    """Charge the running process for a tick."""
    me: Process = current()
    processor: Processor = the(Processor, this_cpu())
    step("tick_accounting")
    queue = queue_of(this_cpu())
    if processor.idle != me:
        with section("charge", queue.tasks, me.slice):
            left = add_return(me.slice, -1)
            if left <= 0:
                processor.need_resched = 1
    if option("processor_queues"):
        balance_tick(queue, processor)
    if option("rcu_lookup"):
        check_deferred(processor)


@function()
def tick_all() -> None:
    """Charge the processes of all processors for a tick, and tell those whose time is over."""
    step("tick_accounting")
    cpu = 0
    while cpu < cpus():
        step("look_at_cpu")
        other: Processor = the(Processor, cpu)
        p: Process = other.runs
        if p != NONE and p != other.idle:
            with section("charge", p.slice):
                p.slice -= 1
                over = p.slice <= 0
            if over == 1:
                other.need_resched = 1
                if cpu != this_cpu():
                    step("send_signal")
                    send(cpu, RESCHEDULE)
        cpu += 1


@function()
def advance_clock() -> None:
    """Keep the time: one processor's task at every tick."""
    clock: Clock = the(Clock)
    with section("time", clock.jiffies):
        step("timekeeping")
        clock.jiffies += 1
    if option("timer_lists"):
        run_timers(clock)


@function()
def run_timers(clock: Clock) -> None:
    """Look for kernel timers that are due, after the tick (timer_bh)."""
    with section("update", clock.jiffies):
        step("timer_update")
    with section("timers", clock.timers):
        step("timer_list")
        clock.timers += 1
