"""User mode, in the language of the simulator: PostMark and the C library's buffered streams.

What they call is what strace shows of the real program.

Two libraries. ``modern`` is glibc 2.36: a stream's buffer comes from malloc. ``2005`` is glibc 2.3: every
buffer is mapped, so each stream adds an mmap, a munmap and a page fault, and opening for append finds the
end by fstat.

The rules of a buffered stream, the same in both:

- The buffer has the block size of the file system, and is allocated, after an fstat, at the first transfer.
- A write fills the buffer. What does not fit makes the full buffer be written, then whole buffers straight
  from the program's memory; the rest stays in the buffer. Closing writes what is left.
- A read takes what the buffer has. If less than a buffer is still wanted, the buffer is filled by one read,
  else whole buffers are read straight into the program's memory.

PostMark writes and reads in blocks of the size that is set; the last may be shorter. If the bytes are a
multiple of the block, it adds an empty block, which only an unbuffered file sees: a call with 0 bytes.
"""

from lockscape.kernel.entry import (
    CLOSE,
    EXIT,
    FAULT,
    FSTAT,
    LSEEK,
    MKDIR,
    MMAP,
    MUNMAP,
    OPEN,
    READ,
    RMDIR,
    TIME,
    UNLINK,
    WRITE,
)
from lockscape.kernel.files import APPENDING, CREATING, READING, WRITING
from lockscape.program.language import function, next_operation, operand, option, step, system_call

(DO_MKDIR, DO_CREATE, DO_READ, DO_APPEND, DO_DELETE, DO_RMDIR, DO_NOTHING, DO_MARK) = range(1, 9)
"""Kinds of operations: those of `lockscape.workloads.postmark`, one higher (0 ends a stream)."""

FIRST_CALL = 64
"""Kinds from here on are system calls: this many above their number, with path, name and bytes as arguments.
Descriptors need no variables: a process that closes what it opens knows which is the lowest free one."""

(KIND, PATH, NAME, BYTES, BEFORE, PROBES) = range(6)
"""The columns of a stream's row."""

TO_PIPE = 1
"""The third argument of a write to a pipe, which the kernel does not look at: it takes no room on a disk."""

BUFFER_BYTES = 4096
"""Of a stream's buffer."""


@function("user")
def postmark() -> None:
    """Do every operation of the stream, then exit."""
    kind = next_operation()
    while kind != 0:
        step("postmark_operation")
        probes = operand(PROBES)
        if probes > 0:
            step("postmark_probe", probes)
        do_operation(kind)
        kind = next_operation()
    system_call(EXIT, 0, 0, 0)


@function("user")
def do_operation(kind: int) -> None:
    """Do one operation of PostMark."""
    if kind == DO_CREATE:
        create_file(operand(PATH), operand(NAME), operand(BYTES))
    elif kind == DO_READ:
        read_file(operand(PATH), operand(NAME))
    elif kind == DO_DELETE:
        system_call(UNLINK, operand(PATH), operand(NAME), 0)
    elif kind == DO_APPEND:
        append_file(operand(PATH), operand(NAME), operand(BYTES))
    elif kind == DO_MARK:
        system_call(TIME, operand(NAME), 0, 0)
    elif kind == DO_MKDIR:
        system_call(MKDIR, operand(PATH), operand(NAME), 0)
    elif kind == DO_RMDIR:
        system_call(RMDIR, operand(PATH), operand(NAME), 0)


@function("user")
def create_file(path: int, name: int, length: int) -> None:
    """Create a file and write its bytes."""
    fd = system_call(OPEN, path, name, CREATING)
    if fd < 0:
        return
    if option("buffered"):
        step("stdio_open")
        buffer = allocate(fd)
        write_stream(fd, buffer, length)
        close_stream(fd, buffer)
    else:
        write_parts(fd, length)
        system_call(CLOSE, fd, 0, 0)


@function("user")
def append_file(path: int, name: int, length: int) -> None:
    """Open a file to append and write more; a stream (fopen "a") may create it, and looks for its end."""
    if option("buffered"):
        fd = system_call(OPEN, path, name, CREATING + APPENDING)
    else:
        fd = system_call(OPEN, path, name, WRITING + APPENDING)
    if fd < 0:
        return
    if option("buffered"):
        step("stdio_open")
        if option("mapped_buffers"):
            buffer = allocate(fd)
            size = system_call(FSTAT, fd, 0, 0)
            system_call(LSEEK, fd, size, 0)
        else:
            system_call(LSEEK, fd, -1, 0)
            buffer = allocate(fd)
        write_stream(fd, buffer, length)
        close_stream(fd, buffer)
    else:
        write_parts(fd, length)
        system_call(CLOSE, fd, 0, 0)


@function("user")
def allocate(fd: int) -> int:
    """Get a stream's buffer: a mapped page in the library of 2005."""
    system_call(FSTAT, fd, 0, 0)
    if option("mapped_buffers"):
        return system_call(MMAP, 0, 0, 0)
    return 0


@function("user")
def close_stream(fd: int, buffer: int) -> None:
    """Close a stream."""
    step("stdio_close")
    system_call(CLOSE, fd, 0, 0)
    if option("mapped_buffers"):
        system_call(MUNMAP, buffer, 0, 0)


@function("user")
def write_parts(fd: int, length: int) -> None:
    """Write unbuffered: each block of the size that is set is one call, also an empty rest."""
    left = length
    while left >= option("write_block"):
        system_call(WRITE, fd, option("write_block"), 0)
        left -= option("write_block")
    system_call(WRITE, fd, left, 0)


@function("user")
def write_stream(fd: int, buffer: int, length: int) -> None:
    """Write through a stream's buffer, and out what is left in it."""
    used = 0
    room = 0
    touched = 0
    left = length
    while left >= 0:
        part = left
        if part > option("write_block"):
            part = option("write_block")
        kept = part
        if kept > room:
            kept = room
        step("stdio_write")
        step("copy_line", kept // 64 + 1)
        used += kept
        room -= kept
        rest = part - kept
        if rest > 0:
            whole = rest - rest % BUFFER_BYTES
            if used > 0:
                system_call(WRITE, fd, used, 0)
            if whole > 0:
                system_call(WRITE, fd, whole, 0)
            used = rest - whole
            room = BUFFER_BYTES - used
            step("copy_line", used // 64 + 1)
        if used > 0 and touched == 0:
            touched = 1
            touch_buffer(buffer)
        left -= option("write_block")
    if used > 0:
        system_call(WRITE, fd, used, 0)


@function("user")
def touch_buffer(buffer: int) -> None:
    """Use a stream's buffer for the first time: a mapped page is filled by a fault."""
    if option("mapped_buffers"):
        system_call(FAULT, buffer, 0, 0)


@function("user")
def read_file(path: int, name: int) -> None:
    """Read a file to its end."""
    length = operand(BYTES)
    fd = system_call(OPEN, path, name, READING)
    if fd < 0:
        return
    if option("buffered"):
        step("stdio_open")
        buffer = allocate(fd)
        read_stream(fd, buffer, length)
        close_stream(fd, buffer)
    else:
        left = length
        while left >= option("read_block"):
            system_call(READ, fd, option("read_block"), 0)
            left -= option("read_block")
        system_call(READ, fd, left, 0)
        system_call(CLOSE, fd, 0, 0)


@function("user")
def read_stream(fd: int, buffer: int, length: int) -> None:
    """Read through a stream's buffer in blocks of the size that is set, to the end of the file."""
    held = 0
    touched = 0
    left = length
    while left >= 0:
        wanted = left
        if wanted > option("read_block"):
            wanted = option("read_block")
        step("stdio_read")
        step("copy_line", wanted // 64 + 1)
        while wanted > held:
            wanted -= held
            held = 0
            if wanted < BUFFER_BYTES:
                held = read_into(fd, buffer, touched)
                touched = 1
                if held <= 0:
                    return
            else:
                got = system_call(READ, fd, wanted - wanted % BUFFER_BYTES, 0)
                if got <= 0:
                    return
                wanted -= got
        held -= wanted
        left -= option("read_block")


@function("user")
def read_into(fd: int, buffer: int, touched: int) -> int:
    """Fill a stream's buffer by one read; the fault of its first use is taken inside that."""
    if touched == 0:
        touch_buffer(buffer)
    return system_call(READ, fd, BUFFER_BYTES, 0)
