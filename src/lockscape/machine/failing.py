"""Takes an instance down in the middle of a run, with its processors and all that runs above it."""

from collections.abc import Collection

from lockscape.errors import InputError
from lockscape.machine import layout as at
from lockscape.machine.events import NEVER, account, set_event
from lockscape.machine.state import State


def fail(state: State, instance: int, homes: dict[int, int]) -> set[int]:
    """Stop the processors of an instance and its devices, now; return the instances that are lost.

    `homes`: the physical processor of each virtual one. Guests that run on these processors go with it.
    Raises `InputError` for an instance that has no processors of its own.
    """
    if not 0 <= instance < len(state.instances):
        raise InputError(f"instance {instance}: this machine has those from 0 to {len(state.instances) - 1}")
    m = state.m
    mine = state.instances[instance]
    gone = [p for p in range(state.hardware.processors) if int(m[_root(state, p) + at.V_INSTANCE]) == mine]
    if not gone:
        raise InputError(f"instance {instance} has no processors of its own: give one that has, as a cell")
    lost = [v for v in state.virtuals if homes[v] in gone]
    for p in gone:
        leaf = p + int(m[at.H_DEVICES])
        m[int(m[at.H_PROCESSOR]) + p * at.PROCESSOR_WORDS + at.P_RUNS] = _root(state, p)
        set_event(m, leaf, NEVER)
    for v in lost:
        _stop(state, v)
    _stop_devices(state, lost)
    return {state.instances.index(int(m[v + at.V_INSTANCE])) for v in lost}


def _root(state: State, p: int) -> int:
    """Return the virtual processor that owns a physical one."""
    return int(state.m[int(state.m[at.H_PROCESSOR]) + p * at.PROCESSOR_WORDS + at.P_ROOT])


def _stop(state: State, v: int) -> None:
    """Stop a virtual processor: nothing is due for it, and nothing can be raised on it any more."""
    m = state.m
    account(m, v, at.STOLEN if int(m[v + at.V_MODE]) == at.STOLEN else at.IDLE, int(m[at.H_TIME]))
    m[v + at.V_DUE : v + at.V_DUE + at.VECTORS] = at.INFINITY
    m[v + at.V_NEXT], m[v + at.V_PERIOD] = at.INFINITY, 0
    m[v + at.V_STATE], m[v + at.V_PROCESSOR], m[v + at.V_REMAINING] = at.AWAY, -1, -1


def _stop_devices(state: State, lost: Collection[int]) -> None:
    """Take from the devices what lost processors asked for."""
    m = state.m
    for number in range(int(m[at.H_DEVICES])):
        device = int(m[at.H_DEVICE]) + number * at.DEVICE_WORDS
        if m[device + at.D_BUSY] and int(m[device + at.D_TARGET]) in lost:
            m[device + at.D_BUSY] = 0
            set_event(m, number, NEVER)
