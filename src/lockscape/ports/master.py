"""New code of the funnel to the master processor: bind a process to it, as OSF/1's unix_master() does."""

from lockscape.kernel.objects import Process
from lockscape.kernel.scheduler import MASTER, schedule
from lockscape.program.language import current, function, step, this_cpu


@function()
def enter_master() -> None:
    """Go on as the master processor only; calls nest."""
    me: Process = current()
    step("bind")
    me.bound += 1
    while this_cpu() != MASTER:
        schedule()


@function()
def leave_master() -> None:
    """Undo one `enter_master`; any processor may go on."""
    me: Process = current()
    step("bind")
    me.bound -= 1
