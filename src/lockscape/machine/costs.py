"""Costs: what a machine's operations and a kernel's steps take, in cycles, with evidence and range."""

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Literal

import msgspec

from lockscape.errors import InputError, unknown

Confidence = Literal["A", "B", "C", "E"]
"""A: primary source or own measurement; B: secondary; C: from memory of a cited work; E: estimate."""


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cost of a machine, in cycles of its clock (names ending in _percent: percent)."""

    name: str
    cycles: int
    low: int
    high: int
    confidence: Confidence
    evidence: str


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A machine: its clock and costs.

    `stores_in_order`: others see a processor's stores in the order of its program, so that a barrier between
    two is nothing; with the evidence. A machine without that asks for them (`lockscape.machine.publishing`).
    `node_processors`: in a NUMA node, a power of two; a machine of no more has one node. 64 are one socket of
    the preset ``modern``, as its title says.
    """

    title: str
    clock_mhz: int
    stores_in_order: bool
    stores_evidence: str
    cost: tuple[Cost, ...]
    node_processors: int = 64


class StepCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a step costs: instructions, and a part of a cost of the machine (`percent`, or 1/10,000)."""

    name: str
    instructions: int
    low: int
    high: int
    confidence: Confidence
    evidence: str
    machine: str = ""
    percent: int = 0
    permyriad: int = 0
    user: bool = False


class StepCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of step costs."""

    step: tuple[StepCost, ...]


@functools.cache
def preset(name: str) -> Preset:
    """Load a machine preset by name. Raises `InputError` for one that does not exist."""
    folder = resources.files("lockscape.machine") / "presets"
    known = sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))
    if name not in known:
        raise InputError(unknown("machine", name, known))
    return msgspec.convert(tomllib.loads((folder / f"{name}.toml").read_text("utf-8")), Preset)


def step_costs(text: str) -> dict[str, StepCost]:
    """Parse a file of step costs (TOML)."""
    steps = msgspec.convert(tomllib.loads(text), StepCosts)
    return {s.name: s for s in steps.step}


_SYNCHRONISATION = {
    # operations on locks: (cost of the machine, instructions around it)
    "bkl_acquire": ("atomic_uncontended", 12), "bkl_release": ("line_hit", 6),
    "spinlock_acquire": ("atomic_uncontended", 4), "spinlock_release": ("line_hit", 2),
    "rwlock_acquire": ("atomic_uncontended", 5), "rwlock_release": ("atomic_uncontended", 3),
    "seqlock_acquire": ("atomic_uncontended", 6), "seqlock_release": ("line_hit", 4),
    "sema_acquire": ("atomic_uncontended", 5), "sema_release": ("atomic_uncontended", 5),
    "rwsem_acquire": ("atomic_uncontended", 6), "rwsem_release": ("atomic_uncontended", 6),
    "atomic": ("atomic_uncontended", 1), "cas": ("cas", 3), "cas2": ("cas2", 6),
}  # fmt: skip
"""Instructions around the locked one: read in asm-i386/spinlock.h, semaphore.h, rwsem.h and smplock.h of
Linux 2.4; releasing a spin lock is a plain store there."""


class CostTable:
    """Cycles of every named cost, for one machine and one kernel; a sample of ranges or the middle.

    `factors` multiply costs by name: a sample of the ranges is a table of such factors (see
    `lockscape.experiments.sample`). `changes` replaces a step's instructions (a system's own path lengths).
    Raises `InputError` for changes and factors of costs that do not exist.
    """

    def __init__(
        self,
        machine: Preset,
        steps: Mapping[str, StepCost],
        changes: Mapping[str, int] | None = None,
        factors: Mapping[str, float] | None = None,
    ) -> None:
        self.machine = {c.name: c.cycles for c in machine.cost}
        self.clock_mhz = machine.clock_mhz
        self.node_processors = machine.node_processors
        self.steps = dict(steps)
        self.changes = dict(changes or {})
        self.factors = dict(factors or {})
        for name in self.changes:
            if name not in self.steps:
                raise InputError(unknown("cost", name, sorted(self.steps)))
        for name in self.factors:
            if name not in self.steps and name not in self.machine:
                raise InputError(unknown("cost", name, sorted([*self.steps, *self.machine])))
        for name in self.machine:
            self.machine[name] = round(self.machine[name] * self.factors.get(name, 1.0))

    def __call__(self, name: str) -> int:
        """Return the cycles of a step or of an operation on a lock. Raises `InputError` for another name."""
        if name in self.steps:
            return self.step(self.steps[name])
        if name in _SYNCHRONISATION:
            cost, instructions = _SYNCHRONISATION[name]
            return self.machine[cost] + instructions * self.machine["cpi_kernel_percent"] // 100
        raise InputError(unknown("cost", name, [*self.steps, *_SYNCHRONISATION]))

    def step(self, cost: StepCost) -> int:
        """Return the cycles of a step."""
        instructions = self.changes.get(cost.name, cost.instructions) * self.factors.get(cost.name, 1.0)
        cpi = self.machine["cpi_user_percent" if cost.user else "cpi_kernel_percent"]
        part = self.machine[cost.machine] * (100 * cost.percent + cost.permyriad) if cost.machine else 0
        return round(instructions * cpi / 100) + part // 10_000
