"""Follows flags by which threads claim an object for themselves, as a process does with a socket (lock_sock).

A thread sets the flag under a lock, lets go of that, and clears the flag under the lock when it is through.
Who finds the flag clear may do, until it lets go of the lock, what it finds it clear for. So the flag keeps
the two apart as a lock would.

What may be a flag is read from the program: a field into which each function stores either 0 or 1. That it is
kept to is seen in the run: everybody who comes to one has the same lock, and nobody sets or clears what
another has set. Whether who finds it set always goes elsewhere is not proved, only seen.
"""

from collections import defaultdict
from collections.abc import Mapping, Set

from lockscape.experiments.follow import Life, Part
from lockscape.machine.state import State
from lockscape.program.nodes import Add, Const, Field, Function, Op, Store
from lockscape.program.walk import nodes

Hold = tuple[int, int, bool]
"""A lock that is held without a break: its address, a number of this holding, and whether it is shared."""

FIRST = -1 << 20
"""From this number downwards flags are numbered like locks, each once for each lock that was held."""

FLAG = "flag "
"""Begins the name of a flag among what excuses mutants."""

_CHANGING = ("compare_and_swap", "compare_and_swap2", "swap", "add_return")


class Claims:
    """Who has set flags, and who has found them clear."""

    def __init__(self, state: State) -> None:
        self.where = state.binary.where
        self.layouts = state.layouts
        self.stored: dict[tuple[int, int], dict[str, int]] = {}
        """Flags, by number of the class and offset: what each function stores."""
        shapes = {shape.name: (number, shape) for number, shape in enumerate(state.layouts)}
        for (cls, name), values in flags(state.program.functions).items():
            number, shape = shapes[cls]
            self.stored[number, shape.fields[name]] = values
        self.numbers: dict[tuple[Part, int], int] = {}
        self.set_by: dict[Part, int] = {}
        self.known: dict[int, dict[Part, tuple[int, Set[Hold]]]] = defaultdict(dict)
        """For each thread flags that it has set, or found clear, with their class and what it held then."""

    def access(self, thread: int, pc: int, write: bool, part: Part, cls: int, held: Set[Hold]) -> None:
        """A thread comes to a field that may be a flag."""
        stored = self.stored.get((cls, part[2]))
        if stored is None:
            return
        setter = self.set_by.get(part)
        if write and setter not in (None, thread):
            self.give_up(cls, part[2])
        elif write and stored[self.where[pc]]:
            self.set_by[part] = thread
            self.known[thread][part] = cls, held
        elif write:
            self.set_by.pop(part, None)
            self.known[thread].pop(part, None)
        elif setter is None:
            self.known[thread][part] = cls, held

    def give_up(self, cls: int, offset: int) -> None:
        """A field is no flag: somebody changed what another had set."""
        del self.stored[cls, offset]
        for known in self.known.values():
            for part in [part for part, (of, _) in known.items() if (of, part[2]) == (cls, offset)]:
                del known[part]

    def held(self, thread: int, held: Set[Hold]) -> Set[Hold]:
        """Return the flags that keep others from what a thread does, as locks, if it holds some locks now."""
        found = set[Hold]()
        known = self.known[thread]
        for part, (_, then) in [*known.items()]:
            left = then if self.set_by.get(part) == thread else then & held
            if not left:
                del known[part]
            found |= {(self.number(part, lock), number, shared) for lock, number, shared in left if lock >= 0}
        return found

    def number(self, part: Part, lock: int) -> int:
        """Return the number of a flag under a lock."""
        return self.numbers.setdefault((part, lock), FIRST - len(self.numbers))

    def kept(self, lives: Mapping[tuple[int, int], Life]) -> dict[int, str]:
        """Return the numbers of flags that all have kept to, and their names."""
        found = {}
        for (part, lock), number in self.numbers.items():
            life = lives[part[:2]]
            if (life.cls, part[2]) in self.stored and lock in (life.parts[part[2]].locks or ()):
                shape = self.layouts[life.cls]
                name = next(name for name, offset in shape.fields.items() if offset == part[2])
                found[number] = f"{FLAG}{shape.name}.{name}"
        return found


def flags(functions: Mapping[str, Function]) -> dict[tuple[str, str], dict[str, int]]:
    """Return the fields (class, name) into which each function stores either 0 or 1, and which it stores."""
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    other = set[tuple[str, str]]()
    for function in functions.values():
        for node in nodes(function.body):
            match node:
                case Store(target=Field(cls=cls, name=name), value=Const(value=0 | 1 as value)):
                    if found[cls, name].setdefault(function.name, value) != value:
                        other.add((cls, name))
                case Store(target=field) | Add(target=field):
                    other.add((field.cls, field.name))
                case Op(name=operation, args=args) if operation in _CHANGING:
                    other |= {(each.cls, each.name) for each in args if isinstance(each, Field)}
    both = {0, 1}
    return {
        each: values for each, values in found.items() if each not in other and {*values.values()} == both
    }
