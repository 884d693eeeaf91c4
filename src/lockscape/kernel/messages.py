"""System V message queues: that there are from the start, empty, each with so many bytes at most.

From 2.4 on a sender gives its message to the first receiver that waits for one of its kind (option
``message_handover``); in 2.4 the receiver then takes the lock once more to look (``message_recheck``).
Before, it calls all who wait, and each looks through the queue itself. Whoever receives calls all senders
that wait for room.
"""

from lockscape.kernel.allocate import slab_alloc, slab_free
from lockscape.kernel.objects import MESSAGES, Process
from lockscape.kernel.semaphores import INVALID
from lockscape.kernel.waits import call, wait_until_called
from lockscape.program.language import (
    NONE,
    after,
    current,
    first,
    free,
    function,
    insert,
    new,
    option,
    remove,
    section,
    step,
    the,
)
from lockscape.program.objects import Collection, Object, listed

MESSAGE_BYTES, QUEUE_BYTES = 8192, 16384
"""The longest message, and the bytes of a queue (include/linux/msg.h: MSGMAX, MSGMNB)."""

PART_BYTES = 4096 - 20
"""Bytes of a message that one object of memory holds (ipc/msg.c: DATALEN_MSG, a page less its head)."""


class Message(Object):
    """A System V message."""

    kind: int
    size: int


class MessageQueue(Object, count="message_queues"):
    """A System V message queue, with who waits for room and who for a message."""

    bytes: int
    messages: Collection = listed(Message)
    senders: Collection = listed(Process)
    receivers: Collection = listed(Process)


class MessageTotals(Object, count=1):
    """All messages that are in queues."""

    messages: int
    bytes: int


@function()
def sys_msgsnd(number: int, kind: int, length: int) -> int:
    """Send a message of a kind (1 and up) to a queue, and sleep while there is no room for it."""
    step("msgsnd")
    if number < 0 or number >= option("message_queues"):
        return INVALID
    if kind < 1 or length < 0 or length > MESSAGE_BYTES:
        return INVALID
    me: Process = current()
    queue: MessageQueue = the(MessageQueue, number)
    message = load_message(kind, length)
    me.waiting = 1
    while post(queue, me, message) == 0:
        wait_until_called()
        me.waiting = 1
    me.waiting = 0
    return 0


@function()
def load_message(kind: int, length: int) -> Message:
    """Copy a message from the user."""
    left = length
    slab_alloc(MESSAGES)
    while left > PART_BYTES:
        slab_alloc(MESSAGES)
        left -= PART_BYTES
    step("load_message")
    step("copy_line", length // 64 + 1)
    message: Message = new(Message)
    message.kind = kind
    message.size = length
    return message


@function()
def post(queue: MessageQueue, me: Process, message: Message) -> int:
    """Give a message to who waits for it, or enter it into a queue; return 0 if there is no room."""
    size = message.size
    receiver: Process = NONE
    with section("post", queue.bytes, queue.messages, queue.receivers, queue.senders):
        step("post_message")
        room = queue.bytes + size <= QUEUE_BYTES
        if room == 0:
            insert(queue.senders, me, me)
        else:
            if option("message_handover"):
                receiver = receiver_for(queue, message)
            if receiver != NONE:
                remove(queue.receivers, receiver)
                receiver.message = message
            else:
                insert(queue.messages, message, message)
                queue.bytes += size
    if room == 1:
        tell_receivers(queue, receiver, size)
    return room


@function()
def receiver_for(queue: MessageQueue, message: Message) -> Process:
    """Return the first of those who wait that wants a message of this kind."""
    p: Process = first(queue.receivers)
    while p != NONE and p.asked != 0 and p.asked != message.kind:
        step("look_at_receiver")
        p = after(queue.receivers, p)
    return p


@function()
def tell_receivers(queue: MessageQueue, receiver: Process, size: int) -> None:
    """Call the receiver that got a message; or count the message, and let all who wait look for it."""
    if receiver != NONE:
        call(receiver)
    else:
        count_messages(1, size)
        if not option("message_handover"):
            p = take_receiver(queue)
            while p != NONE:
                call(p)
                p = take_receiver(queue)


@function()
def take_receiver(queue: MessageQueue) -> Process:
    """Take the receiver that has waited longest off the list; the caller must call it."""
    with section("receiver", queue.receivers):
        p: Process = first(queue.receivers)
        if p != NONE:
            remove(queue.receivers, p)
    return p


@function()
def count_messages(number: int, size: int) -> None:
    """Count messages in all queues, and their bytes."""
    totals: MessageTotals = the(MessageTotals)
    with section("bytes", totals.bytes):
        totals.bytes += size
    with section("messages", totals.messages):
        totals.messages += number


@function()
def sys_msgrcv(number: int, kind: int) -> int:
    """Receive the first message of a kind, or of any (0); sleep while there is none. Return its length."""
    me: Process = current()
    step("msgrcv")
    if number < 0 or number >= option("message_queues"):
        return INVALID
    queue: MessageQueue = the(MessageQueue, number)
    me.asked = kind
    me.message = NONE
    me.waiting = 1
    message = take(queue, me)
    while message == NONE:
        wait_until_called()
        if option("message_handover"):
            message = given_message(queue, me)
        else:
            me.waiting = 1
            message = take(queue, me)
    me.waiting = 0
    return store_message(message)


@function()
def given_message(queue: MessageQueue, me: Process) -> Message:
    """Return the message that a sender gave to this process; some kernels look at the queue again."""
    if option("message_recheck"):
        with section("look", queue.receivers):
            step("look_at_receiver")
            message = me.message
    else:
        message = me.message
    me.message = NONE
    return message


@function()
def take(queue: MessageQueue, me: Process) -> Message:
    """Take the first message of the kind wanted out of a queue, or enter the list of who waits for it."""
    with section("take", queue.bytes, queue.messages, queue.receivers):
        step("take_message")
        message: Message = first(queue.messages)
        while message != NONE and me.asked != 0 and me.asked != message.kind:
            step("look_at_message")
            message = after(queue.messages, message)
        if message != NONE:
            remove(queue.messages, message)
            queue.bytes -= message.size
        else:
            insert(queue.receivers, me, me)
    if message != NONE:
        count_messages(-1, 0 - message.size)
        wake_senders(queue)
    return message


@function()
def wake_senders(queue: MessageQueue) -> None:
    """Let all go on who wait for room in a queue (ss_wakeup)."""
    p = take_sender(queue)
    while p != NONE:
        call(p)
        p = take_sender(queue)


@function()
def take_sender(queue: MessageQueue) -> Process:
    """Take the sender that has waited longest off the list; the caller must call it."""
    with section("sender", queue.senders):
        p: Process = first(queue.senders)
        if p != NONE:
            remove(queue.senders, p)
    return p


@function()
def store_message(message: Message) -> int:
    """Copy a message to the user and free it; return its length."""
    length = message.size
    step("store_message")
    step("copy_line", length // 64 + 1)
    left = length
    slab_free(MESSAGES)
    while left > PART_BYTES:
        slab_free(MESSAGES)
        left -= PART_BYTES
    free(message)
    return length
