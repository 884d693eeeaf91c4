"""Sleeping where it is forbidden: under a spinning lock, with preemption or interrupts off, in a handler."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lockscape.program.assemble import Program
from lockscape.program.nodes import Body, Sync
from lockscape.program.walk import bodies, calls_in

if TYPE_CHECKING:
    from lockscape.machine.activity import Activity, Tracker
    from lockscape.machine.places import Places

SWITCH = "switch_to"
"""The operation that gives a processor to another context."""

KEPT = 8
"""Programs for which it is kept what is worked out here: each run of one asks for it."""


@functools.lru_cache(KEPT)
def dropped_on_sleep(program: Program) -> frozenset[str]:
    """Return the locks that the scheduler lets go: those dropped around code that reaches a switch."""
    switching = _functions_that_switch(program.calls)
    found: set[str] = set()
    for function in program.functions.values():
        for body in _bodies(function.body):
            for k, node in enumerate(body):
                if (
                    isinstance(node, Sync)
                    and node.op == "drop"
                    and _switches(_until_retake(body, k), switching)
                ):
                    found.add(node.lock)
    return frozenset(found)


@functools.lru_cache(KEPT)
def own_preemption(program: Program) -> int:
    """Return how often the scheduler has preemption off itself when it switches, besides its locks."""
    switching = (program.functions[name] for name, names in program.calls.items() if SWITCH in names)
    return max((_preemption_at_switch(function.body) for function in switching), default=0)


def _preemption_at_switch(body: Body) -> int:
    """Return how often a body turned preemption off, but for taking a lock, when it first switches."""
    depth = 0
    for k, node in enumerate(body):
        if isinstance(node, Sync) and node.op in ("preempt_off", "preempt_on"):
            after, before = body[k + 1 : k + 2], body[k - 1 : k] if k else ()
            locks = after if node.op == "preempt_off" else before
            if not any(isinstance(n, Sync) and n.op in ("acquire", "release") for n in locks):
                depth += 1 if node.op == "preempt_off" else -1
        elif _switches((node,), set()):
            inner = [_preemption_at_switch(b) for b in bodies(node) if _switches(b, set())]
            return depth + max(inner, default=0)
    return 0


def _until_retake(body: Body, k: int) -> Body:
    drop = body[k]
    assert isinstance(drop, Sync)
    rest = body[k + 1 :]
    end = next(
        (i for i, n in enumerate(rest) if isinstance(n, Sync) and n.op == "retake" and n.lock == drop.lock),
        len(rest),
    )
    return rest[:end]


def _functions_that_switch(calls: Mapping[str, frozenset[str]]) -> set[str]:
    found: set[str] = set()
    grown = True
    while grown:
        new = {n for n, names in calls.items() if n not in found and (SWITCH in names or names & found)}
        found |= new
        grown = bool(new)
    return found


def _switches(body: Body, switching: set[str]) -> bool:
    names = calls_in(body)
    return SWITCH in names or bool(names & switching)


def _bodies(body: Body) -> Iterator[Body]:
    """Yield a body and every body inside it."""
    yield body
    for node in body:
        for inner in bodies(node):
            yield from _bodies(inner)


def why_atomic(act: Activity, tracker: Tracker, places: Places, switching: bool) -> str:
    """Say why an activity must not sleep now, or nothing if it may.

    With `switching` it is about to give up its processor, else it does what may lead to that: then locks that
    the scheduler drops are no reason. Locks of the processor pass to the context that it goes on with.
    """
    preempt, masks = sum(n for n, cls in act.dropped.values() if not tracker.sleeps[cls]), 0
    if switching:
        preempt += tracker.own_preemption
    for held in [*act.held, *(tracker.owned[act.virtual] if act.virtual >= 0 else [])]:
        if tracker.sleeps[held.cls]:
            continue
        passes = tracker.by_processor[held.cls] if switching else tracker.dropped_on_sleep[held.cls]
        if not passes:
            return (
                f"holding {places.lock(held.place, held.lock - held.place)}, taken at {places.place(held.pc)}"
            )
        preempt += 1
        masks += tracker.locks[held.cls].masks
    if act.frames and (act.frames[-1].hard or not act.frames[-1].may_switch):
        return "in an interrupt handler"
    if act.rcu:
        return "in an RCU read section"
    if act.mask > masks:
        return "with interrupts masked"
    return "with preemption off" if act.atomic > preempt else ""
