"""What processes ask of the scheduler."""

from lockscape.kernel.objects import Process, Processor
from lockscape.kernel.scheduler import queue_of
from lockscape.program.language import (
    NONE,
    atomic,
    current,
    function,
    insert,
    remove,
    section,
    step,
    the,
    this_cpu,
)


@function()
def sys_yield() -> int:
    """Let others run first: give the rest of the slice up and go to the end of the queue (sched_yield).

    So does Linux 2.0; later versions leave the slice as it is and pass the process over once.
    """
    me: Process = current()
    processor: Processor = the(Processor, this_cpu())
    step("yield")
    with atomic():
        queue = queue_of(this_cpu())
        with section("yield", queue.tasks, me.slice):
            me.slice = 0
            if remove(queue.tasks, me) != NONE:
                insert(queue.tasks, me, me)
            processor.need_resched = 1
    return 0
