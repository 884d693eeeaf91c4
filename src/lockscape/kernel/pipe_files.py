"""The ends of pipes as open files: pipe makes two descriptors, read and write reach what they stand for."""

from lockscape.kernel.files import (
    BAD_DESCRIPTOR,
    fput,
    install,
    list_file,
    new_descriptor,
    new_file,
)
from lockscape.kernel.objects import File, Files, Pipe, Process
from lockscape.kernel.pipes import BROKEN_PIPE, make_pipe, read_pipe, write_pipe
from lockscape.kernel.signals import SIGPIPE, post_signal
from lockscape.program.language import current, function, option, step


@function()
def sys_pipe() -> int:
    """Make a pipe; return the descriptor to read from. The next free one, then, is to write to."""
    me: Process = current()
    pipe = make_pipe()
    reading = open_end(me.files, pipe, 0)
    open_end(me.files, pipe, 1)
    return reading


@function()
def open_end(files: Files, pipe: Pipe, writing: int) -> int:
    """Open an end of a pipe; return its descriptor."""
    fd = new_descriptor(files)
    file = new_file()
    file.pipe = pipe
    file.writing = writing
    if option("file_list"):
        list_file(file)
    install(files, fd, file)
    return fd


@function()
def read_end(file: File, length: int) -> int:
    """Read from a pipe; return how many bytes."""
    result = BAD_DESCRIPTOR
    step("pipe_read")
    if file.writing == 0:
        result = read_pipe(file.pipe, length)
        step("access_time")
    if option("file_counts") and not option("light_descriptors"):
        fput(file)
    return result


@function()
def write_end(file: File, length: int) -> int:
    """Write to a pipe; return how many bytes."""
    result = BAD_DESCRIPTOR
    step("pipe_write")
    if file.writing == 1:
        result = write_pipe(file.pipe, length)
        step("access_time")
        if result == BROKEN_PIPE:
            post_signal(current(), SIGPIPE)
    if option("file_counts") and not option("light_descriptors"):
        fput(file)
    return result
