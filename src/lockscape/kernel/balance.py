"""Balancing: processes move between the run queues of processors."""

from lockscape.kernel.objects import Process, Processor, RunQueue
from lockscape.program.language import (
    NONE,
    after,
    cpus,
    first,
    function,
    insert,
    remove,
    section,
    step,
    the,
    this_cpu,
)


@function()
def pull(queue: RunQueue, cpu: int) -> None:
    """Take a process from the longest queue of another processor (idle and periodic balancing)."""
    longest = 1
    busiest = cpu
    other = 0
    while other < cpus():
        step("look_at_cpu")
        source: RunQueue = the(RunQueue, other)
        if source.length > longest:
            longest = source.length
            busiest = other
        other += 1
    if busiest != cpu and longest > queue.length + 1:
        source = the(RunQueue, busiest)
        if busiest < cpu:
            move_task(source, queue, source, queue, cpu)
        else:
            move_task(queue, source, source, queue, cpu)


@function()
def move_task(low: RunQueue, high: RunQueue, source: RunQueue, queue: RunQueue, cpu: int) -> None:
    """Move the last process of one queue that does not run to another; `low` is the one of lower number."""
    with section("move", low.tasks, high.tasks):
        step("move_task")
        p: Process = first(source.tasks)
        chosen: Process = NONE
        while p != NONE:
            if p.running == 0:
                chosen = p
            p = after(source.tasks, p)
        if chosen != NONE:
            remove(source.tasks, chosen)
            source.length -= 1
            insert(queue.tasks, chosen, chosen)
            queue.length += 1
            chosen.cpu = cpu


@function()
def balance_tick(queue: RunQueue, processor: Processor) -> None:
    """Balance now and then: an idle processor often, a busy one rarely."""
    step("balance_check")
    processor.ticks += 1
    period = 200
    if queue.length == 0:
        period = 1
    if processor.ticks >= period:
        processor.ticks = 0
        step("balance")
        pull(queue, this_cpu())
        if queue.length > 0 and processor.idling == 1:
            processor.need_resched = 1


@function()
def pull_when_idle(queue: RunQueue, processor: Processor) -> None:
    """Look for a process of another processor at the moment when this one runs out of them (idle_balance)."""
    if queue.length == 0:
        step("balance")
        pull(queue, this_cpu())
        if queue.length > 0:
            processor.need_resched = 1
