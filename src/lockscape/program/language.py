"""What the source of a simulated function may say, besides Python's own statements.

A simulated function is written as a Python function, marked with `function`, and is never run by Python:
`lockscape.program.parse` reads it. It may use integers, objects of classes derived from `Object`, local
variables, ``if``, ``while``, ``break``, ``return``, arithmetic, comparisons, calls of other marked functions,
``with section(...)``, ``with hold(...)``, ``with masked()`` and the operations of this module.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

CALLED_ROLES = ("kernel", "waker")
"""Roles of functions that others call: what nobody calls is left out."""

ROLES = ("kernel", "waker", "user", "entry", "interrupt", "hook")
"""What a function is to the machine: how it is reached, and how it returns."""


def function(role: str = "kernel", replaces: bool = False) -> Callable[[_F], _F]:
    """Mark a Python function as source of the simulator.

    `role`: ``kernel`` is called by others, and so is ``waker``, which lets the process that it is given go
    on, itself or by a message; ``user`` runs in user mode; ``entry`` is entered from user mode by a system
    call or fault; ``interrupt`` by an interrupt; ``hook`` by the machine's blocking locks.
    `replaces`: it stands for the kernel's function of the same name (new code of a port only).
    """
    if role not in ROLES:
        raise ValueError(f"role {role!r}: one of {', '.join(ROLES)}")

    def mark(source: _F) -> _F:
        source.__dict__["lockscape_role"] = role
        source.__dict__["lockscape_replaces"] = replaces
        return source

    return mark


@dataclass(frozen=True)
class Operation:
    """An operation of the machine: its number of arguments and what it does."""

    name: str
    arity: int
    text: str

    def __call__(self, *args: Any) -> Any:
        """Refuse: Python does not execute simulated functions."""
        raise TypeError(f"{self.name}() means something only inside a function marked with @function()")

    def __enter__(self) -> None:
        """Allow ``with`` in typed source; never executed."""

    def __exit__(self, *exc: object) -> None:
        """See `__enter__`."""


def _op(name: str, arity: int, text: str) -> Operation:
    return Operation(name, arity, text)


# Statements
step = _op("step", -1, "step(cost[, times]): compute for the named cost, times over")
section = _op("section", -1, "with section(name, object.part, ...): statements to be seen together")
hold = _op("hold", -1, "with hold(lock, object[, mode]): statements under a lock that a uniprocessor has too")
atomic = _op("atomic", 0, "with atomic(): statements in which this processor keeps this process")
masked = _op("masked", 0, "with masked(): statements with this processor's interrupts off")
option = _op("option", 1, "option(name): a build option, known before the program runs")
the = _op("the", -1, "the(Class[, number]): a system object of this kernel instance")

# Collections
find = _op("find", 2, "value stored under a key, or 0; costs as the collection says")
find_from = _op("find_from", 3, "as find, the search starting at a position and wrapping around")
position = _op("position", 2, "position of a key (its slot, in a slotted collection), or -1; free of charge")
insert = _op(
    "insert", 3, "store a value under a key, at the tail or in the first free slot; 1 if the key is new"
)
remove = _op("remove", 2, "take a key out; gives its value, or 0")
move = _op("move", 2, "move a key to the tail")
first = _op("first", 1, "value at the head, or 0")
oldest = _op("oldest", 1, "key at the head, or 0")
after = _op("after", 2, "value after the one with this key, or 0")
count = _op("count", 1, "number of keys")
first_free = _op(
    "first_free", 2, "first clear bit at or after a goal, wrapping around, or -1; costs as declared"
)

# Objects and memory
new = _op("new", 1, "a fresh object of a class, its fields 0")
free = _op("free", 1, "give an object back")
compare_and_swap = _op("compare_and_swap", 3, "if the field holds the old value store the new; 1 if done")
compare_and_swap2 = _op("compare_and_swap2", 6, "the same for two words at once")
add_return = _op("add_return", 2, "add to a field; gives the sum (only as the whole of an assignment)")
swap = _op("swap", 2, "store a value into a field; gives the old one")
barrier = _op("barrier", 0, "what was written before is seen by others before what is written after")

# Contexts, processors, interrupts
current = _op("current", 0, "the process that runs here")
this_cpu = _op("this_cpu", 0, "number of this (virtual) processor in its kernel instance")
cpus = _op("cpus", 0, "number of processors of this kernel instance")
switch_to = _op("switch_to", 1, "continue another process on this processor")
spawn = _op(
    "spawn",
    2,
    "spawn(process, rows): a context for a new process, which begins as all do, with the next rows of this "
    "one's workload; 0 if the machine has none left",
)
exit_process = _op("exit_process", 0, "the current process is done; never returns to user mode")
granted = _op("granted", 0, "1 when this process waits for no sleeping lock, or who woke it has granted it")
grant = _op("grant", 1, "let a process go on that was first in the queue of a sleeping lock, if it was")
interrupted_user = _op("interrupted_user", 0, "1 when this entry or interrupt came from user mode")
atomic_depth = _op("atomic_depth", 0, "how often preemption is off here")
mask = _op("mask", 0, "interrupts of this processor off (nests)")
unmask = _op("unmask", 0, "undo one mask")
halt = _op("halt", 0, "interrupts on, and wait for the next one")
send = _op("send", 2, "raise an interrupt vector on a processor of this instance")
send_instance = _op("send_instance", 3, "raise a vector on a processor of another instance")
set_timer = _op("set_timer", 2, "raise a vector on this processor after so many cycles")
request = _op(
    "request", 3, "ask a device for service of so many cycles; it then raises its vector on a processor"
)
now = _op("now", 0, "the time, in cycles")
pause = _op("pause", 1, "compute so many cycles (a register; for think times)")
instance = _op("instance", 0, "number of this kernel instance")
the_of = _op("the_of", 3, "the_of(Class, instance, number): a system object of another instance")

# User mode
system_call = _op("system_call", -1, "system_call(number, ...): enter the kernel with up to four arguments")
next_operation = _op("next_operation", 0, "fetch the next row of the workload; gives its kind, 0 at the end")
operand = _op("operand", 1, "a column of the row that next_operation fetched")

# Hypervisors
run = _op(
    "run", 1, "run a virtual processor here until it traps, halts or an interrupt comes; gives the reason"
)
trap = _op("trap", 1, "leave to the hypervisor with a reason")
guest_time = _op("guest_time", 1, "time when a virtual processor's next interrupt is due")

NONE: Any = 0
"""No object."""

OPERATIONS = {op.name: op for op in list(globals().values()) if isinstance(op, Operation)}
"""The operations of the language, by name."""
