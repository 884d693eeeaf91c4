"""Processes: making one, becoming another program, ending, waiting for one that has ended, making way."""

from lockscape.kernel import names
from lockscape.kernel.allocate import page_alloc
from lockscape.kernel.areas import drop_areas, map_image
from lockscape.kernel.directories import NOT_FOUND
from lockscape.kernel.files import (
    READING,
    copy_files,
    list_file,
    open_dentry,
    open_old,
    sys_close,
)
from lockscape.kernel.forked import copy_memory
from lockscape.kernel.objects import (
    BLOCKED,
    DONE,
    PAGE_BYTES,
    File,
    Inode,
    Kernel,
    Memory,
    Process,
    Processor,
    ProcessTable,
    WaitQueue,
)
from lockscape.kernel.pages import find_page
from lockscape.kernel.readwrite import missing_page
from lockscape.kernel.release import put_process
from lockscape.kernel.scheduler import queue_of, schedule, wake
from lockscape.kernel.signals import SIGCHLD, inherit_actions, post_signal, reset_handlers
from lockscape.kernel.stat import inode_size
from lockscape.kernel.swap import leave_spaces
from lockscape.kernel.waits import INTERRUPTED, begin_wait, end_wait, wait_interruptibly, wake_up
from lockscape.program.language import (
    NONE,
    after,
    atomic,
    count,
    current,
    exit_process,
    first,
    free,
    function,
    insert,
    new,
    oldest,
    option,
    remove,
    section,
    spawn,
    step,
    the,
    this_cpu,
)

AGAIN, NO_CHILD = -11, -10
"""Results of calls that fail, as in Unix."""


@function()
def sys_fork(rows: int) -> int:
    """Make a process that is a copy of this one; it does the next rows of the workload. Return its number."""
    me: Process = current()
    step("fork")
    page_alloc()
    page_alloc()
    child: Process = new(Process)
    if spawn(child, rows) == 0:
        free(child)
        return AGAIN
    child.files = copy_files(me.files)
    child.memory = copy_memory(me.memory)
    child.waits = new(WaitQueue)
    child.directory = me.directory
    child.weight = me.weight
    child.cpu = this_cpu()
    child.state = BLOCKED
    share_slice(me, child)
    inherit_actions(me, child)
    number = enter_process(me, child)
    me.youngest = number
    wake_new(child)
    return number


@function()
def share_slice(me: Process, child: Process) -> None:
    """Give a new process half of this one's slice (do_fork: counter >>= 1)."""
    queue = queue_of(this_cpu())
    with section("share", queue.tasks, me.slice):
        half = (me.slice + 1) // 2
        me.slice = me.slice - half
        child.slice = half


@function()
def enter_process(me: Process, child: Process) -> int:
    """Give a process its number, and enter it among all and among this one's children."""
    table: ProcessTable = the(ProcessTable)
    kernel: Kernel = the(Kernel)
    with section("enter", table.table, table.last, me.children):
        step("enter_process")
        table.last += 1
        number = table.last
        child.number = number
        child.parent = me
        child.references = 2  # its parent's, and its own until its processor has left it
        insert(table.table, number, child)
        insert(me.children, number, child)
    with section("count", kernel.processes):
        kernel.processes += 1
    return number


@function()
def wake_new(child: Process) -> None:
    """Let a new process run."""
    wake(child)


@function()
def sys_exec(path: int, name: int, ranges: int) -> int:
    """Become the program in a file, which is mapped with so many fresh ranges instead of what there was."""
    me: Process = current()
    names.getname()
    step("exec")
    file = open_image(path, name)
    names.putname()
    if file == NONE:
        return NOT_FOUND
    pages = read_header(file)
    reset_handlers(me)
    memory: Memory = me.memory
    drop_areas(memory)
    map_image(memory, file, pages, ranges)
    return 0


@function()
def open_image(path: int, name: int) -> File:
    """Open a program's file, without a descriptor (open_exec)."""
    directory = names.walk(path)
    file: File = NONE
    if directory != NONE:
        if option("dentry_cache"):
            file = open_dentry(directory, name, READING)
        else:
            file = open_old(directory, name, READING)
    names.leave_directory()
    if file != NONE:
        list_file(file)
    elif option("walk_counts"):
        names.put_mount()
    return file


@function()
def read_header(file: File) -> int:
    """Read the first page of a program, which says how it is mapped; return how many pages the file has."""
    inode: Inode = file.inode
    if find_page(inode, 0) == NONE:
        missing_page(inode, 0)
    return (inode_size(inode) + PAGE_BYTES - 1) // PAGE_BYTES


@function()
def sys_exit() -> None:
    """End the current process."""
    me: Process = current()
    if option("sharing"):
        step("end")
        drop_areas(me.memory)
        if option("swapping"):
            leave_spaces(me.memory)
        close_all(me)
        tell_family(me)
    else:
        step("exit")
    with atomic():  # a switch from an interrupt would never come back to a process that is off its queue
        leave_queue(me)
        kernel: Kernel = the(Kernel)
        with section("count", kernel.processes):
            kernel.processes -= 1
        if option("sharing"):
            leave_processor(me)
        exit_process()
    schedule()


@function()
def leave_processor(me: Process) -> None:
    """Tell the next process of this processor that this one has ended: it gives the last reference back."""
    processor: Processor = the(Processor, this_cpu())
    processor.leaving = me


@function()
def close_all(me: Process) -> None:
    """Close what is open."""
    while count(me.files.table) > 0:
        sys_close(oldest(me.files.table))


@function()
def tell_family(me: Process) -> None:
    """Let children go, and tell the parent that this process has ended (exit_notify)."""
    step("exit_notify")
    child = let_go(me)
    while child != NONE:
        put_process(child)
        child = let_go(me)
    parent = become_zombie(me)
    if parent != NONE:
        post_signal(parent, SIGCHLD)
        wake_up(parent.waits)
        put_process(parent)


@function()
def let_go(me: Process) -> Process:
    """Take the oldest child from this process, which waits for it no more; return it, with its reference."""
    table: ProcessTable = the(ProcessTable)
    with section("let_go", table.table, me.children):
        child: Process = first(me.children)
        if child != NONE:
            remove(me.children, child.number)
            child.parent = NONE
            if child.ended == 1:
                remove(table.table, child.number)
    return child


@function()
def become_zombie(me: Process) -> Process:
    """Say that this process has ended; return its parent, with a reference, or take leave of a lost one's."""
    table: ProcessTable = the(ProcessTable)
    with section("end", table.table, me.ended, me.parent):
        me.ended = 1
        parent: Process = me.parent
        if parent != NONE:
            parent.references += 1
        else:
            remove(table.table, me.number)
    return parent


@function()
def leave_queue(me: Process) -> None:
    """Mark the process as ended; the scheduler takes it off its queue."""
    with atomic():
        queue = queue_of(this_cpu())
        with section("leave", queue.tasks, me.state):
            me.state = DONE


@function()
def sys_wait() -> int:
    """Wait until a child has ended, and take leave of it; return its number. A signal ends the wait, too."""
    me: Process = current()
    step("wait")
    begin_wait(me.waits)
    child = take_ended(me)
    while child == NONE and count(me.children) > 0 and me.signals == 0:
        wait_interruptibly(me.waits)
        begin_wait(me.waits)
        child = take_ended(me)
    end_wait(me.waits)
    if child == NONE:
        if count(me.children) > 0:
            return INTERRUPTED
        return NO_CHILD
    number = child.number
    step("release_process")
    put_process(child)
    return number


@function()
def take_ended(me: Process) -> Process:
    """Take a child that has ended out of the tables; return it, or nothing."""
    table: ProcessTable = the(ProcessTable)
    with section("look", table.table, me.children):
        child: Process = first(me.children)
        while child != NONE and child.ended == 0:
            step("look_at_child")
            child = after(me.children, child.number)
        if child != NONE:
            remove(me.children, child.number)
            remove(table.table, child.number)
            child.parent = NONE
    return child


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
