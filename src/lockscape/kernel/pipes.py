"""Pipes: a bounded buffer between processes. Who finds it empty, or too full, sleeps until that changes."""

from lockscape.kernel.allocate import page_alloc, page_free
from lockscape.kernel.objects import PAGE_BYTES, Pipe, Process, WaitQueue
from lockscape.kernel.waits import INTERRUPTED, begin_wait, wait_interruptibly, wake_up
from lockscape.program.language import current, free, function, hold, new, option, step

BROKEN_PIPE = -32
"""EPIPE of Linux: nobody reads."""


@function()
def make_pipe() -> Pipe:
    """Make a pipe with two ends. Where its buffer is one page, that is there from the beginning."""
    step("pipe_create")
    pipe: Pipe = new(Pipe)
    pipe.waits = new(WaitQueue)
    pipe.readers = 1
    pipe.writers = 1
    if option("pipe_pages") == 1:
        page_alloc()
    return pipe


@function()
def leave_pipe(pipe: Pipe, writing: int) -> None:
    """Give one end of a pipe back, and tell the other; with the last end the pipe goes."""
    with hold("pipe_sem", pipe):
        step("pipe_release")
        if writing == 1:
            pipe.writers -= 1
        else:
            pipe.readers -= 1
        left = pipe.readers + pipe.writers
        if left > 0:
            wake_up(pipe.waits)
    if left == 0:
        free_pipe(pipe)


@function()
def free_pipe(pipe: Pipe) -> None:
    """Free a pipe with its pages, whatever is in them."""
    if option("pipe_pages") == 1:
        page_free()
    else:
        pages = pipe.spare + used_room(pipe) // PAGE_BYTES
        while pages > 0:
            page_free()
            pages -= 1
    free(pipe.waits)
    free(pipe)


@function()
def used_room(pipe: Pipe) -> int:
    """Return how much of its buffer a pipe uses, in bytes: where it has several pages, of whole ones."""
    if option("pipe_pages") == 1:
        return pipe.bytes
    if pipe.bytes == 0:
        return 0
    return (pipe.start + pipe.bytes + PAGE_BYTES - 1) // PAGE_BYTES * PAGE_BYTES


@function()
def read_pipe(pipe: Pipe, length: int) -> int:
    """Read up to so many bytes, and wait until there are some; return how many, 0 at the end."""
    done = 0
    state: int = length > 0
    while state == 1:
        with hold("pipe_sem", pipe):
            before = used_room(pipe)
            done += take_bytes(pipe, length - done)
            freed: int = used_room(pipe) < before
            state = reader_waits(pipe, done, length, freed)
            if option("pipe_wake_held"):
                if state <= 0 and freed == 1:
                    wake_up(pipe.waits)
        if state == 1:
            wait_interruptibly(pipe.waits)
        elif freed == 1 and not option("pipe_wake_held"):
            wake_up(pipe.waits)
    if state < 0:
        return state
    return done


@function()
def take_bytes(pipe: Pipe, most: int) -> int:
    """Copy bytes to the user, no more than there are, and give emptied pages back; return how many bytes."""
    part = pipe.bytes
    if part > most:
        part = most
    if part > 0:
        step("copy_line", part // 64 + 1)
        before = used_room(pipe)
        pipe.bytes -= part
        if option("pipe_pages") > 1:
            pipe.start = (pipe.start + part) % PAGE_BYTES
            if pipe.bytes == 0:
                pipe.start = 0
            keep_or_free(pipe, (before - used_room(pipe)) // PAGE_BYTES)
    return part


@function()
def keep_or_free(pipe: Pipe, pages: int) -> None:
    """Give so many pages back, but for one that a pipe keeps."""
    while pages > 0:
        pages -= 1
        if pipe.spare == 0:
            pipe.spare = 1
        else:
            page_free()


@function()
def reader_waits(pipe: Pipe, done: int, length: int, freed: int) -> int:
    """Enter the queue and return 1 if a reader must wait; else return 0, or why it cannot go on."""
    me: Process = current()
    if done == length or pipe.writers == 0:
        return 0
    if done > 0 and (pipe.blocked == 0 or me.signals != 0 or not option("pipe_merging")):
        return 0
    if me.signals != 0:
        return INTERRUPTED
    if freed == 1:
        wake_up(pipe.waits)
    begin_wait(pipe.waits)
    return 1


@function()
def write_pipe(pipe: Pipe, length: int) -> int:
    """Write so many bytes, and wait for room; return how many were written, or why none."""
    done = 0
    slept = 0
    state: int = length > 0
    while state == 1:
        with hold("pipe_sem", pipe):
            pipe.blocked -= slept
            moved = put_bytes(pipe, length - done, done)
            done += moved
            state = writer_waits(pipe, done, length, moved)
            if option("pipe_wake_held"):
                if state <= 0 and moved > 0:
                    wake_up(pipe.waits)
        if state == 1:
            wait_interruptibly(pipe.waits)
            slept = 1
        elif moved > 0 and not option("pipe_wake_held"):
            wake_up(pipe.waits)
    if state < 0:
        return state
    return done


@function()
def put_bytes(pipe: Pipe, left: int, done: int) -> int:
    """Copy as many bytes from the user as there is room for; return how many.

    What fits into a page is written at once or not at all.
    """
    room = option("pipe_pages") * PAGE_BYTES - pipe.start - pipe.bytes
    if pipe.readers == 0 or room == 0 or (done == 0 and left <= PAGE_BYTES and room < left):
        return 0
    part = left
    if part > room:
        part = room
    before = used_room(pipe)
    pipe.bytes += part
    if option("pipe_pages") > 1:
        fresh = (used_room(pipe) - before) // PAGE_BYTES
        while fresh > 0:
            take_page(pipe)
            fresh -= 1
    step("copy_line", part // 64 + 1)
    return part


@function()
def take_page(pipe: Pipe) -> None:
    """Take a page for the buffer: the one that the pipe has kept, or another."""
    if pipe.spare == 1:
        pipe.spare = 0
    else:
        page_alloc()


@function()
def writer_waits(pipe: Pipe, done: int, length: int, moved: int) -> int:
    """Enter the queue and return 1 if a writer must wait; else return 0, or why it cannot go on."""
    me: Process = current()
    if done == length:
        return 0
    if pipe.readers == 0 or me.signals != 0:
        if done > 0:
            return 0
        if pipe.readers == 0:
            return BROKEN_PIPE
        return INTERRUPTED
    if moved > 0:
        wake_up(pipe.waits)
    pipe.blocked += 1
    begin_wait(pipe.waits)
    return 1
