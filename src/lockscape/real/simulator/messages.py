"""What the plugin native/lockstep.c tells of a guest: a line of JSON each."""

import msgspec

from lockscape.errors import InputError

CALLS = (
    "open-read", "open-create", "open-append", "open-write", "fstat", "lseek", "read", "write", "close",
    "unlink", "mkdir", "rmdir", "mmap", "munmap",
)  # fmt: skip
"""Kinds of system calls, in the order of `enum call` in native/worker.c."""

OPERATIONS = ("open-read", "open-create", "open-append", "open-write", "unlink")
"""The calls that stand for operations: each operation of a stream has exactly one of them."""

CREATED, TRANSACTED = 1, 2
"""Marks of a stream (`lockscape.workloads.postmark`): its transactions begin, and end."""

LONGEST_LINE = 1 << 16
"""Bytes of a message; a longer line is none."""


class Progress(msgspec.Struct, frozen=True, tag_field="kind", tag="progress"):
    """Now and then: instructions in user mode and calls that ended, of all processors since the start."""

    user: int
    calls: int


class Begin(msgspec.Struct, frozen=True, tag_field="kind", tag="begin"):
    """What is measured begins."""


class Phase(msgspec.Struct, frozen=True, tag_field="kind", tag="phase"):
    """A process has come to a mark of its stream, at a time in cycles; `ended`: all calls so far, by kind."""

    phase: int
    time: int
    ended: tuple[int, ...]


class ProcessorCount(msgspec.Struct, frozen=True, tag_field="kind", tag="processor"):
    """What a processor executed in what was measured. `spinning`: of the kernel's and user's instructions."""

    number: int
    user: int
    kernel: int
    spinning: int
    pauses: int
    calls: int


class CallCount(msgspec.Struct, frozen=True, tag_field="kind", tag="call"):
    """Instructions in the kernel from a call to its return, by kind; `buckets` as in native/lockstep.c."""

    code: int
    count: int
    total: int
    least: int
    most: int
    buckets: dict[int, int]


class End(msgspec.Struct, frozen=True, tag_field="kind", tag="end"):
    """What is measured ends, after `time` cycles. See native/lockstep.c."""

    time: int
    quantum: int
    late: int
    all_idle: int
    all_idle_ns: int
    host_ns: int
    clock: bool


Message = Progress | Begin | Phase | ProcessorCount | CallCount | End
"""What the plugin tells."""

_DECODER = msgspec.json.Decoder(Message)


def read_message(line: bytes) -> Message:
    """Return a message. Raises `InputError` for what is none."""
    try:
        found: Message = _DECODER.decode(line)
    except msgspec.MsgspecError as error:
        raise InputError(f"the plugin wrote what is no message ({error}): {line[:80]!r}") from error
    return found


def bucket_bounds(number: int) -> tuple[int, int]:
    """Return the least and the greatest value of a bucket: eight of one width for each power of two."""
    if number < 16:
        return number, number
    power, part = divmod(number + 16, 8)
    width = 1 << (power - 3)
    least = (8 + part) * width
    return least, least + width - 1


def percentile(call: CallCount, share: float) -> int:
    """Return what `share` of the calls do not exceed: the upper bound of a bucket, or the greatest of all."""
    seen = 0
    for number in sorted(call.buckets):
        seen += call.buckets[number]
        if seen >= share * call.count:
            return min(bucket_bounds(number)[1], call.most)
    return call.most
