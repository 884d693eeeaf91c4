"""Processes that talk to each other by System V semaphores and messages, in pairs of a maker and a user."""

import numpy as np

from lockscape.kernel.entry import MSGRCV, MSGSND, SEMOP, WAIT
from lockscape.kernel.messages import MESSAGE_BYTES
from lockscape.workloads.families import Rows, call, fork


def pair(seed: int, turns: int = 10) -> Rows:
    """Return a process and its child: one gives what the other wants, so that they end, whoever is there.

    All meet at set 0 and queue 0, and take turns with semaphore 0 of set 1; the kind in queue 2 and the
    semaphore of set 3 are a pair's own. Users ask for what was given before a message was sent, so that no
    maker can sleep for ever at a full queue.
    """
    draw = np.random.Generator(np.random.PCG64(seed))
    own = seed % 100 + 1
    make: list[Rows] = []
    use: list[Rows] = []

    def think() -> int:
        return int(draw.integers(4000))

    for turn in range(turns):
        kind, length = int(draw.integers(1, 4)), int(draw.integers(MESSAGE_BYTES + 1))
        make += [call(SEMOP, 0, 5, 1, think_cycles=think())]
        make += [call(MSGSND, 0, kind, length, think_cycles=think())]
        use += [call(SEMOP, 0, 5, -1, think_cycles=think()), call(MSGRCV, 0, 0, think_cycles=think())]
        for each in (make, use):
            each += [call(SEMOP, 1, 0, 1), call(SEMOP, 1, 0, -1)]
        if turn % 3 == 0:
            make += [call(MSGSND, 2, own, 100), call(SEMOP, 3, own, 3)]
            use += [call(MSGRCV, 2, own), call(SEMOP, 3, own, -2), call(SEMOP, 3, own, -1)]
        if turn % 4 == 1:
            use += [call(SEMOP, 4, 9, 0)]
    return np.concatenate([fork(np.concatenate(use), think()), *make, call(WAIT)])
