"""Chat rooms on one machine, server and clients in the same kernel, as VolanoMark's loopback test.

A file of this kind looks like this::

    type = "chat"
    title = "…"
    evidence = ["…"]
    rooms = 2
    users = 20              # of each room, each with a connection of its own
    messages = 3            # that each user sends
    message_bytes = 100

For each connection there are four processes: the client's sender and receiver, and the server's. What the
server's receiver gets it hands to the senders of all other users of the room, by a message queue.
"""

from typing import Annotated

import msgspec
import numpy as np

from lockscape.errors import InputError
from lockscape.kernel.entry import ACCEPT, CLOSE, CONNECT, LISTEN, MSGRCV, MSGSND, RECEIVE, SEND, SOCKET, WAIT
from lockscape.workloads.families import Rows, call, fork
from lockscape.workloads.file_system import Node
from lockscape.workloads.load import Stream
from lockscape.workloads.network import WHOLE

MOST_ROOMS = 8
"""Rooms, each with a message queue of its own (build option ``message_queues``)."""

_FIRST_PORT = 8000

NOTICE_BYTES = 16
"""What the server's receiver hands to a sender: which message it is to send."""


class Chat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="chat"):
    """Chat rooms as their file says; see the module. A room is an initial process, which makes all others."""

    title: str
    evidence: tuple[str, ...]
    rooms: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROOMS)]
    users: Annotated[int, msgspec.Meta(ge=2, le=60)] = 20
    messages: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3
    message_bytes: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    think_cycles: Annotated[int, msgspec.Meta(ge=0, le=1 << 30)] = 0
    lacks: tuple[str, ...] = ()

    @property
    def processes(self) -> int:
        """Return how many processes there are at the beginning."""
        return self.rooms

    @property
    def operations(self) -> int:
        """Return how many messages each room delivers."""
        return self.users * self.messages * (self.users - 1)

    shared = False
    empty_files = memory_pages = 0

    def changed(self, **changes: int) -> "Chat":
        """Return the workload with another number of rooms. Raises `InputError` for anything else."""
        for name in changes.keys() - {"processes", "seed"}:
            raise InputError(f"{name}: chat rooms have no such setting")
        rooms = changes.get("processes", self.rooms)
        if not 1 <= rooms <= MOST_ROOMS:
            raise InputError(f"{rooms} chat rooms: from 1 to {MOST_ROOMS}")
        return msgspec.structs.replace(self, rooms=rooms)

    def tree(self) -> list[Node]:
        """Return the files that must be there: none."""
        return []

    def streams(self) -> list[Stream]:
        """Return what each room's first process does; nothing is drawn."""
        return [Stream(self.room(number)) for number in range(self.rooms)]

    def room(self, number: int) -> Rows:
        """Return the rows of a room's server: it accepts each user and makes the two that look after him."""
        port = _FIRST_PORT + number
        parts = [call(SOCKET, result=0), call(LISTEN, 0, port, result=0)]
        for user in range(self.users):
            parts += [
                fork(self.client(port)), call(ACCEPT, 0, result=1), fork(self.receiver(number, user)),
                fork(self.sender(number, user)), call(CLOSE, 1, result=0),
            ]  # fmt: skip
        return np.concatenate([*parts, call(CLOSE, 0), *[call(WAIT)] * (3 * self.users)])

    def client(self, port: int) -> Rows:
        """Return a user's receiver, which connects and makes his sender."""
        said = call(SEND, 1, self.message_bytes, think_cycles=self.think_cycles, result=self.message_bytes)
        sender = np.concatenate([*[said] * self.messages, call(CLOSE, 1)])
        heard = call(RECEIVE, 1, self.message_bytes, WHOLE, result=self.message_bytes)
        return np.concatenate([
            call(SOCKET, result=1), call(CONNECT, 1, port, result=0), fork(sender),
            *[heard] * ((self.users - 1) * self.messages), call(WAIT), call(CLOSE, 1),
        ])  # fmt: skip

    def receiver(self, room: int, user: int) -> Rows:
        """Return the server's receiver for a user: what he says goes to all others of the room."""
        heard = call(RECEIVE, 1, self.message_bytes, WHOLE, result=self.message_bytes)
        told = [call(MSGSND, room, other + 1, NOTICE_BYTES) for other in range(self.users) if other != user]
        return np.concatenate([np.concatenate([heard, *told])] * self.messages)

    def sender(self, room: int, user: int) -> Rows:
        """Return the server's sender for a user: it sends him what the others say."""
        one = [
            call(MSGRCV, room, user + 1),
            call(SEND, 1, self.message_bytes, result=self.message_bytes),
        ]
        return np.concatenate([*one * ((self.users - 1) * self.messages)])
