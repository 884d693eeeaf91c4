"""From tree form to binary form: rows of int64, with every name resolved and every cost filled in."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lockscape.program import opcodes as op
from lockscape.program.emit import FunctionCode
from lockscape.program.inline import Inlining
from lockscape.program.layout import ROW
from lockscape.program.locks import LockClass
from lockscape.program.nodes import Field, Function
from lockscape.program.objects import Layout
from lockscape.program.walk import calls_in

CostOf = Callable[[str], int]
"""Gives the cycles of a named cost; raises `InputError` for a name that it does not have."""


@dataclass(frozen=True, eq=False)
class Program:
    """Lowered functions with what their names mean: input of `assemble`. It is equal only to itself, so that
    what is worked out of one can be kept."""

    functions: Mapping[str, Function]
    layouts: Mapping[str, Layout]
    locks: Mapping[str, LockClass]
    atomic: frozenset[tuple[str, str]] = frozenset()
    """Fields (class, name) that the port's object table makes atomic."""
    double: bool = True
    """Whether the hardware compares and swaps two words at once."""

    @functools.cached_property
    def calls(self) -> dict[str, frozenset[str]]:
        """The functions and operations that each function calls itself."""
        return {name: calls_in(function.body) for name, function in self.functions.items()}


@dataclass(frozen=True)
class Binary:
    """The binary form of a program.

    `code`: int64 of shape (rows, ROW). `starts`: first row of each function that has rows. `frames`: words of
    its frame.
    `where`: function of each row. `classes`, `locks`, `sections`: what their numbers mean, in order.
    `covered`: the parts of objects that each section names, as (number of the class, offset); None: all.
    """

    code: NDArray[np.int64]
    starts: dict[str, int]
    frames: dict[str, int]
    where: list[str]
    classes: list[str]
    locks: list[str]
    sections: list[str]
    covered: list[frozenset[tuple[int, int]] | None]

    def rows(self, function: str) -> range:
        """Return the rows of a function that has some."""
        start, rows = self.starts[function], len(self.where)
        return range(start, next((k for k in range(start, rows) if self.where[k] != function), rows))


@dataclass
class Names:
    """Numbers given to classes, locks and sections while assembling."""

    program: Program
    cost: CostOf
    traced: bool
    classes: list[str]
    locks: list[str]
    sections: dict[str, set[tuple[int, int]]] = field(default_factory=dict)

    @functools.cached_property
    def inlining(self) -> Inlining:
        """Which calls are replaced by the called function's rows."""
        return Inlining(self.program.functions)

    def section(self, name: str, targets: Iterable[Field]) -> int:
        """Return the number of a section that names some parts, giving one at first sight."""
        parts = self.sections.setdefault(name, set())
        for target in targets:
            parts.add((self.classes.index(target.cls), self.program.layouts[target.cls].member(target.name)))
        return list(self.sections).index(name)


def assemble(program: Program, cost: CostOf, traced: bool = False) -> Binary:
    """Assemble a program. With `traced`, rows that only the fault detector needs are added, and each function
    has rows; without, those have none whose every call is replaced (see `inline`).

    Raises `InputError` for calls of functions that do not exist and costs without a value.
    """
    names = Names(program, cost, traced, list(program.layouts), list(program.locks))
    parts = _parts(names)
    starts: dict[str, int] = {}
    where: list[str] = []
    for name, part in parts.items():
        starts[name] = len(where)
        where += [name] * len(part.rows)
    frames = {name: part.frame for name, part in parts.items()}
    rows = [row for part in parts.values() for row in part.linked(starts, frames)]
    code = np.array(rows, np.int64).reshape(len(where), ROW)
    covered = [frozenset(parts) or None for parts in names.sections.values()]
    return Binary(code, starts, frames, where, names.classes, names.locks, list(names.sections), covered)


def _parts(names: Names) -> dict[str, FunctionCode]:
    """Return the code of each function that has rows, in the order of the program."""
    functions = names.program.functions
    left = list(functions) if names.traced else names.inlining.begun()
    found: dict[str, FunctionCode] = {}
    while left:
        name = left.pop()
        if name not in found:
            found[name] = FunctionCode(functions[name], names)
            left += [called for _, called in found[name].calls if called]
    return {name: found[name] for name in functions if name in found}


def row_text(binary: Binary, pc: int) -> str:
    """Return one row as text, for messages and debugging."""
    row = binary.code[pc]
    name = next((n for n, v in vars(op).items() if v == row[0] and n.isupper()), "?")
    return f"{pc} {binary.where[pc]}: {name} {' '.join(str(x) for x in row[1:])}"
