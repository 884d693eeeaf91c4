"""What a machine's memory has that can still be reached, from the processes and the system's own objects."""

import numpy as np
from numpy.typing import NDArray

from lockscape.machine import layout as at
from lockscape.machine.state import State
from lockscape.program.objects import Object

Addresses = NDArray[np.int64]
"""Where objects are in the machine's memory."""
NOTHING: Addresses = np.zeros(0, np.int64)
"""The objects of a class that has none."""


class Live:
    """What can be reached from the system's own objects and the processes: `of` has addresses by class.

    A run leaves tens of thousands of names, so that what concerns all objects of a class is asked at once
    (`column`, `values`), and single words are read through a view of the machine's memory. `system` gives
    the system's objects of the kernel `instance`.
    """

    def __init__(self, state: State, instance: int = 0) -> None:
        self.state = state
        self.instance = instance
        self.of: dict[str, Addresses] = {}
        self.words = state.m.data
        nodes = _nodes(state.m)
        nodes = nodes[np.argsort(state.m[nodes + at.N_OWNER], kind="stable")]
        self.owners: Addresses = state.m[nodes + at.N_OWNER]
        self.valued: Addresses = state.m[nodes + at.N_VALUE]

    def system(self, cls: str) -> int:
        """Return the address of the only system object of a class in this kernel."""
        return self.state.system(cls, 0, self.instance)

    def column(self, cls: str, field: str) -> Addresses:
        """Return a field of all objects of a class."""
        places = self.of.get(cls, NOTHING)
        values: Addresses = self.state.m[places + self.state.program.layouts[cls].fields[field]]
        return values

    def values(self, owners: Addresses) -> Addresses:
        """Return the values in all of these collections, in no order."""
        first = np.searchsorted(self.owners, owners, "left")
        count = np.searchsorted(self.owners, owners, "right") - first
        ends = np.cumsum(count)
        values: Addresses = self.valued[np.repeat(first - ends + count, count) + np.arange(count.sum())]
        return values

    def get(self, place: int, field: str) -> int:
        """Return a field of an object."""
        word: int = self.words[place + self.state.layouts[self.words[place]].fields[field]]
        return word

    def items(self, place: int, collection: str) -> list[tuple[int, int]]:
        """Return (key, value) of a collection that is no bitmap, in its order."""
        words = self.words
        node: int = words[place + self.state.layouts[words[place]].collections[collection] + at.S_FIRST]
        found = []
        while node:
            found.append((words[node + at.N_KEY], words[node + at.N_VALUE]))
            node = words[node + at.N_NEXT]
        return found

    def total(self, cls: str, field: str) -> int:
        """Return the sum of a field over all objects of a class, and of classes that represent it."""
        shapes = self.state.program.layouts
        return sum(int(self.state.m[self.places(name) + shapes[name].fields[field]].sum())
                   for name in self.kinds(cls) if field in shapes[name].fields)  # fmt: skip

    def members(self, cls: str, collection: str) -> list[tuple[int, int]]:
        """Return (key, value) of a collection of all objects of a class, and of classes that represent it."""
        shapes = self.state.program.layouts
        return [
            item
            for name in self.kinds(cls)
            if collection in shapes[name].collections
            for place in self.places(name).tolist()
            for item in self.items(place, collection)
        ]

    def places(self, cls: str) -> Addresses:
        """Return the addresses of a class' objects: of the system's own, those of this kernel only."""
        if self.state.program.layouts[cls].count:
            return np.array(table_of(self.state, cls, self.instance), np.int64)
        return self.of.get(cls, NOTHING)

    def kinds(self, cls: str) -> list[str]:
        """Return a class and those that say they represent it: system objects that a port distributes."""
        more = [n for n in self.of if getattr(Object.declared.get(n), "represents", "") == cls]
        return [cls, *more]


def reach(state: State, processes: list[int], instance: int = -1) -> Live:
    """Follow every reference and collection from the processes and the system objects, of all instances or
    of one."""
    live = Live(state, max(instance, 0))
    first = [*processes]
    for number in range(len(state.instances)) if instance < 0 else (instance,):
        for name, shape in state.program.layouts.items():
            if shape.count:
                first += table_of(state, name, number)
    fields = [[shape.fields[n] for n, i in shape.infos.items() if i.refers] for shape in state.layouts]
    lists = [[shape.collections[n] for n, k in shape.kinds.items() if k.values] for shape in state.layouts]
    seen = np.zeros(len(state.m), bool)
    seen[0] = True
    fresh = np.unique(np.array(first, np.int64))
    parts: dict[str, list[Addresses]] = {}
    while len(fresh):
        seen[fresh] = True
        classes = state.m[fresh]
        onward = []
        for number in np.unique(classes).tolist():
            places = fresh[classes == number]
            parts.setdefault(state.layouts[number].name, []).append(places)
            onward += [state.m[places + offset] for offset in fields[number]]
            onward += [live.values(places + offset) for offset in lists[number]]
        found = np.unique(np.concatenate([NOTHING, *onward]))
        fresh = found[~seen[found]]
    live.of = {name: np.concatenate(each) for name, each in parts.items()}
    return live


def _nodes(m: Addresses) -> Addresses:
    """Return the nodes of all collections: they hang in the buckets of the machine's index."""
    first = int(m[at.H_HASH])
    node = m[first : first + int(m[at.H_HASH_MASK]) + 1]
    found = []
    while len(node):
        node = node[node != 0]
        found.append(node)
        node = m[node + at.N_CHAIN]
    return np.concatenate(found)


def table_of(state: State, name: str, instance: int) -> list[int]:
    """Return the addresses of a class' system objects: one behind the other, after their number."""
    slot = state.binary.classes.index(name)
    place = int(state.m[state.instances[instance] + at.I_SLOT + slot])
    return [place + k * state.layouts[slot].words for k in range(int(state.m[place - 1]))]
