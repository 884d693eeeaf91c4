"""New code of a clock that one processor keeps for all, where each processor has its run queue.

At each tick it looks at every processor and charges the thread that runs there, under the lock of that
processor's queue (clock() of Solaris): the work of a tick grows with the processors, and one of them does it.
"""

from lockscape.kernel.kicks import preempt
from lockscape.kernel.objects import Process, Processor
from lockscape.kernel.scheduler import queue_of
from lockscape.program.language import NONE, cpus, function, section, step, the


@function(replaces=True)
def tick_all() -> None:
    """Charge the processes of all processors for a tick, and tell those whose time is over."""
    step("tick_accounting")
    cpu = 0
    while cpu < cpus():
        step("look_at_cpu")
        other: Processor = the(Processor, cpu)
        queue = queue_of(cpu)
        over = 0
        with section("charge", queue.tasks, other.runs):
            p: Process = other.runs
            if p != NONE and p != other.idle:
                p.slice -= 1
                over = p.slice <= 0
        if over == 1:
            preempt(cpu)
        cpu += 1
