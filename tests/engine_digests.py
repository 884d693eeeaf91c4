"""Runs small programs and prints a digest of each one's memory and trace: for two ways of running the engine."""

import hashlib
from collections.abc import Iterator

import test_contract as contract
import test_engine_locks as locks
import test_engine_time as time
import test_free_locks as free_locks
import test_lockfree as lockfree
from engine_tools import Machine
from lockscape.machine.compiled import PLAIN
from lockscape.machine.execute import execute
from lockscape.machine.state import Hardware, State
from lockscape.program.locks import LockClass

contract.WORK[:] = [rows[:24] for rows in contract.WORK]


def states() -> Iterator[tuple[str, State]]:
    """Build every machine that is compared."""
    for name in ("giant", "coarse", "fine", "fine with RCU", "lock-free", "reimplementation"):
        yield f"{name}, 3 processors", contract.build(contract.METHODS[name], 3, traced=True)[0]
    yield "virtualization, 1 processor", contract.virtualized(1)
    for kind in ("spinlock", "rwlock", "sema", "bkl"):
        lock = LockClass("lock", "Part", kind, fair=kind == "sema", recursive=kind == "bkl")
        hardware = Hardware(4, 50, 70, 20, 5, 30)
        made: Machine = locks.machine(
            lock, locks.contend, locks.block, locks.wake, locks.wake_up, idle="contend", cpus=4, block="block", wake="wake",
            vectors={0: "no_interrupt", 1: "wake_up"}, costs={"arrive": 10, "inside": 100}, hardware=hardware, cost=3,
        )  # fmt: skip
        yield kind, made.state()
    for kind in ("spinlock", "rwlock", "sema", "bkl"):
        yield f"free {kind}", free_locks.everything(kind).state()
    yield "versions", lockfree.machine(lockfree.count_up, 4, traced=True).state()
    yield "interrupts", time.machine(time.split_twice, idle="split_twice", costs={"long": 100}).state()


def digest(name: str, state: State, traced: bool) -> str:
    whole = hashlib.sha256()
    reader = (lambda rows: whole.update(rows.tobytes())) if traced else None
    stopped = execute(state, until=300_000 if traced else 1_000_000, reader=reader, trace_rows=500)
    whole.update(state.m.tobytes())
    return f"{name}{', traced' if traced else ''}: {stopped.reason} {whole.hexdigest()}"


if __name__ == "__main__":
    print(f"plain: {PLAIN}")
    for traced in (False, True):
        for name, state in states():
            print(digest(name, state, traced))
