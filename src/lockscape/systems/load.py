"""Systems by name, ``ID`` or ``ID@VARIANT``, and from files of the user's."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from lockscape import catalog
from lockscape.errors import InputError, unknown
from lockscape.machine.costs import preset
from lockscape.machine.state import MOST_PROCESSORS
from lockscape.ports import packages
from lockscape.ports.plan import Plan, changed_plan, convert_plan, load_plan, parse_plan
from lockscape.systems.model import Estimate, Mechanism, SystemFile, SystemVariant

UNIPROCESSOR = "uniprocessor"
"""The variant that every system has: its kernel without a port, on one processor."""

NOT_ALONE = {"slave_queue": 0, "binding": 0, "interrupt_threads": 0}
"""Options that a kernel without the new code of its port cannot have, and what they are then."""


@dataclass(frozen=True)
class System:
    """A system that can run: what its file says, with the variant that was asked for.

    `variants` are ids with their titles; `alone` and the rest are as in `SystemFile`.
    """

    id: str
    plan: Plan
    machine: str
    machine_evidence: str
    most_processors: int
    most_evidence: str
    listing: str
    alone: str
    mechanisms: tuple[Mechanism, ...]
    estimates: tuple[Estimate, ...]
    variants: Mapping[str, str]

    @classmethod
    def of_plan(cls, name: str, plan: Plan, most: int = MOST_PROCESSORS) -> "System":
        """Return what runs if a plan by itself is asked for: on the paper's machine."""
        return cls(name, plan, "pentium4", "", most, "", "sys_unlink", "", (), (), {})

    def uniprocessor(self) -> "System":
        """Return its kernel, with the same options and costs, as it is without a port."""
        plan = Plan(
            title=f"{self.plan.title}: without its port, on one processor", method=UNIPROCESSOR,
            options=self.plan.options | NOT_ALONE, costs=self.plan.costs, features=self.plan.features,
        )  # fmt: skip
        name = f"{self.id}@{UNIPROCESSOR}"
        return replace(self, id=name, plan=plan, most_processors=1, mechanisms=(), most_evidence="no port")

    def without(self, mechanism: str) -> "System":
        """Return the system with a mechanism disabled. Raises `InputError` for one that it does not have."""
        for each in self.mechanisms:
            if each.id == mechanism:
                name = f"{self.id} without {mechanism}"
                if isinstance(each.off, str):
                    return replace(self, id=name, plan=load_ablation(each.off), mechanisms=())
                return replace(self, id=name, plan=changed_plan(self.plan, each.off, name), mechanisms=())
        raise InputError(
            f"{self.id}: " + unknown("mechanism", mechanism, [each.id for each in self.mechanisms])
        )


def system_ids() -> list[str]:
    """Return the ids of the systems that come with lockscape, variants left out: the rows of Table 1."""
    return [system.id for system in catalog.systems()]


def ablation_names() -> list[str]:
    """Return the names of the ablations: variants of plans that show a cause."""
    folder = resources.files("lockscape.systems") / "ablations"
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir())


def ablation_text(name: str) -> str:
    """Return the file of an ablation. Raises `InputError` for one that there is not."""
    if name not in ablation_names():
        raise InputError(unknown("ablation", name, ablation_names()))
    return (resources.files("lockscape.systems") / "ablations" / f"{name}.toml").read_text("utf-8")


def load_ablation(name: str) -> Plan:
    """Return the plan of an ablation."""
    return parse_plan(ablation_text(name), name)


def load_system(name: str) -> System:
    """Load a system, ``ID`` or ``ID@VARIANT``, lockscape's own or an installed package's.

    Raises `InputError` for one that there is not.
    """
    id, _, variant = name.partition("@")
    if id in system_ids():
        return _of_table1(id, variant)
    found = packages.text_of("systems", id)
    if found is None:
        raise InputError(unknown("system", id, [*system_ids(), *packages.names("systems")]))
    with packages.told(found[:1]):
        system = convert_system(tomllib.loads(found[1]), id, variant)
        packages.owners(system.plan.new_code)
        return system


@cache
def _of_table1(id: str, variant: str) -> System:
    text = (resources.files("lockscape.systems") / "data" / f"{id}.toml").read_text("utf-8")
    return convert_system(tomllib.loads(text), id, variant)


def convert_system(data: Mapping[str, Any], name: str, variant: str = "") -> System:
    """Return the system that a file's table says. Raises `InputError`, naming it, for what is none."""
    try:
        file = msgspec.convert(data, SystemFile)
    except msgspec.ValidationError as error:
        raise InputError(f"{name}: not a system: {error}") from error
    plan = load_plan(file.plan) if isinstance(file.plan, str) else convert_plan(file.plan, name)
    whole = System(
        name, plan, file.machine, file.machine_evidence, file.most_processors, file.most_evidence,
        file.listing, file.alone, file.mechanism, file.estimate,
        {each.id: each.title for each in file.variant},
    )  # fmt: skip
    if variant == UNIPROCESSOR:
        found = whole.uniprocessor()
    else:
        found = _varied(whole, file.variant, variant) if variant else whole
    preset(found.machine)
    return found


def _varied(whole: System, variants: tuple[SystemVariant, ...], id: str) -> System:
    """Return a system's variant, which has the mechanisms of the system unless it says its own."""
    chosen = next((each for each in variants if each.id == id), None)
    if chosen is None:
        known = [*(each.id for each in variants), UNIPROCESSOR]
        raise InputError(f"{whole.id}: {unknown('variant', id, known)}")
    name = f"{whole.id}@{id}"
    plan = changed_plan(whole.plan, msgspec.structs.replace(chosen.change, title=chosen.title), name)
    return replace(
        whole, id=name, plan=plan, machine=chosen.machine or whole.machine,
        most_processors=chosen.most_processors or whole.most_processors,
        mechanisms=chosen.mechanism or tuple(e for e in whole.mechanisms if e.id not in chosen.lacks),
    )  # fmt: skip
