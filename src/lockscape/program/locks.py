"""Lock classes: what a lock is, as data, read by the machine's one acquire routine."""

from typing import Literal

import msgspec

Kind = Literal["bkl", "spinlock", "rwlock", "seqlock", "rcu", "sema", "rwsem", "version"]
"""A kind of lock, as Table 2 counts them; and ``version``, which is none."""

SLEEPING: tuple[Kind, ...] = ("sema", "rwsem")
"""Kinds whose waiters sleep."""
READERS: tuple[Kind, ...] = ("rwlock", "rwsem")
"""Kinds that let several readers in."""


class LockClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One class of locks, as lockdep means it: all locks of one place in one object class.

    A ``version`` is no lock: a section on it is attempted without, and committed by compare-and-swap if no
    other commit has changed the version meanwhile (`lockscape.machine.attempts`). `object` is the class that
    embeds the lock. `kind` is the paper's (Table 2). `owner` is who holds it: the
    ``context`` (process), or the ``processor``, which passes it on to the context that it switches to
    (Linux 2.0). `spin_cycles` is how long a sleeping lock spins first while its owner runs (adaptive
    mutexes; 0: at once to sleep). `fair` locks are handed over in order of arrival; others are free for
    whoever comes first. `masks`: interrupts are off while it is held. `nests`: a context may hold several
    of the class, taken in this order (``the parent directory first``); empty: one only. `group`: a context
    may hold one lock of a group only (funnels). `free`: it costs nothing, a bound for what-ifs
    (`lockscape.machine.ahead`).
    """

    name: str
    object: str
    kind: Kind
    recursive: bool = False
    owner: Literal["context", "processor"] = "context"
    blocking: bool = False
    spin_cycles: int = 0
    fair: bool = False
    masks: bool = False
    nests: str = ""
    group: str = ""
    free: bool = False
    evidence: str = ""

    @property
    def sleeps(self) -> bool:
        """Whether a waiter gives up its processor."""
        return self.blocking or self.kind in SLEEPING

    @property
    def has_readers(self) -> bool:
        """Whether several readers may hold it at once."""
        return self.kind in READERS
