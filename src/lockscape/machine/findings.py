"""Faults as the detector reports them, and the collection that keeps each of them once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lockscape.errors import InputError, unknown
from lockscape.machine.places import Place, Places
from lockscape.machine.state import State

Kind = Literal[
    "race",
    "broken section",
    "use after free",
    "sleep while atomic",
    "page fault while atomic",
    "self-deadlock",
    "processor-local data elsewhere",
    "lock order",
    "lock not released",
    "no progress",
    "publish without barrier",
]
"""What can be wrong."""

MOST_FAULTS = 1000
"""Faults kept; further ones are only counted."""

_IDENTITY = re.compile(r"\[\d+\]|@\d+")
"""What tells objects of one class apart in their names."""


Now = tuple[int, int, int, int]
"""When and where something happened: time in cycles, virtual processor, context, row of code."""


@dataclass(frozen=True)
class Fault:
    """One fault. `places`, `contexts`, `processors` and `times_cycles` belong together, one for each party.

    `time_cycles` is when it showed; `objects` names class, identity and part of what it concerns; `contexts`
    are addresses in the machine's memory; `processors` are numbers of virtual processors; `message` is one
    line that quotes the values and names the remedy.
    """

    kind: Kind
    time_cycles: int
    objects: tuple[str, ...]
    places: tuple[Place, ...]
    contexts: tuple[int, ...]
    processors: tuple[int, ...]
    times_cycles: tuple[int, ...]
    message: str


@dataclass(frozen=True)
class Rules:
    """What a port says about its data that the program does not show.

    `local`: parts (class, part) that only their own processor touches; `published`: parts that readers inside
    an RCU read section may read while a holder of the writers' lock changes them; an empty part means the
    whole class. `nesting`: classes of locks that may be taken while another of the same class is held, in a
    fixed order of the objects. `preemptible`: code in kernel mode may lose its processor at any step unless
    preemption or interrupts are off. `weakly_ordered`: a processor's stores may be seen in another order than
    it made them, unless a barrier stands between them. `patience_cycles`: longest time without any system
    call completed (0: any).
    """

    local: frozenset[tuple[str, str]] = frozenset()
    published: frozenset[tuple[str, str]] = frozenset()
    nesting: frozenset[str] = frozenset()
    preemptible: bool = False
    weakly_ordered: bool = False
    patience_cycles: int = 0

    def check(self, state: State) -> None:
        """Raise `InputError` for names that the program does not have, and for a negative time."""
        layouts = state.program.layouts
        for name, part in sorted(self.local | self.published):
            if name not in layouts:
                raise InputError(unknown("object class", name, list(layouts)))
            parts = [*layouts[name].fields, *layouts[name].collections]
            if part and part not in parts:
                raise InputError(f"{name}: " + unknown("part", part, parts))
        for name in sorted(self.nesting):
            if name not in state.program.locks:
                raise InputError(unknown("lock", name, list(state.program.locks)))
        if self.patience_cycles < 0:
            raise InputError(
                f"patience of {self.patience_cycles} cycles: use 0 for none, or a positive number"
            )

    def offsets(self, parts: frozenset[tuple[str, str]], state: State, name: str) -> frozenset[int]:
        """Return the offsets in objects of class `name` that a set of parts covers."""
        shape = state.program.layouts[name]
        if (name, "") in parts:
            return frozenset([*shape.fields.values(), *shape.collections.values()])
        return frozenset(shape.member(part) for cls, part in parts if cls == name)


class Findings:
    """The faults found so far, each once: a fault is known by its kind, its places and what it concerns.

    `repeated` counts faults that were known already, `dropped` those beyond `MOST_FAULTS`.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self.faults: list[Fault] = []
        self.repeated = 0
        self.dropped = 0
        self._seen: set[tuple[object, ...]] = set()

    def known(self, *key: object) -> bool:
        """Say whether a fault with this key was reported before, and remember it if not."""
        if key in self._seen:
            self.repeated += 1
            return True
        self._seen.add(key)
        return False

    def report(self, kind: Kind, parties: Sequence[Now], objects: tuple[str, ...], message: str) -> None:
        """Keep a fault, unless one of its kind at the same lines of the listing is known."""
        places = tuple(self.places.place(now[3]) for now in parties)
        fault = Fault(
            kind,
            max(now[0] for now in parties),
            objects,
            places,
            tuple(now[2] for now in parties),
            tuple(now[1] for now in parties),
            tuple(now[0] for now in parties),
            message,
        )
        self.keep(fault)

    def keep(self, fault: Fault) -> None:
        """Keep a fault that is made up already."""
        parts = sorted({_IDENTITY.sub("", name) for name in fault.objects})
        if self.known(fault.kind, *parts, *sorted((p.function, p.line) for p in fault.places)):
            return
        if len(self.faults) >= MOST_FAULTS:
            self.dropped += 1
        else:
            self.faults.append(fault)
