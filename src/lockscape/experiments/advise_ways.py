"""The ways that advice compares: the seven methods, two of them told apart by how their systems are built.

Asymmetric systems and guests of a hypervisor differ among themselves more than other methods do; a
uniprocessor guest for each processor needs no port of the kernel, a guest with several processors needs one
besides.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple

from lockscape.experiments.tradeoff import Item


class Way(NamedTuple):
    """A way to make a kernel multiprocessor: its method's id, and of which variant of it."""

    id: str
    method: str
    title: str


GUESTS = ("guests-full", "guests-para")
"""A guest for each processor."""

WAYS = (
    Way("giant", "giant", "Giant locking"),
    Way("coarse", "coarse", "Coarse-grained"),
    Way("fine", "fine", "Fine-grained"),
    Way("lock-free", "lock-free", "Lock-free"),
    Way("master-slave", "asymmetric", "Master-slave"),
    Way("application-kernel", "asymmetric", "Application kernel"),
    Way("dedicated-processor", "asymmetric", "Dedicated processor"),
    Way("guests-full", "virtualization", "Guests, unmodified"),
    Way("guests-para", "virtualization", "Guests, paravirtual"),
    Way("guest-smp", "virtualization", "Guest, multiprocessor"),
    Way("cells", "virtualization", "Cells"),
    Way("reimplementation", "reimplementation", "Reimplementation"),
)
"""The ways that are compared, in the order of the paper."""

_TOLD_APART = MappingProxyType({
    "master-slave": "master-slave", "dual-vax": "master-slave",
    "application-kernel": "application-kernel",
    "dedicated-processor": "dedicated-processor", "piglet": "dedicated-processor",
    "virtualization-full": "guests-full",
    "virtualization-para": "guests-para", "xen-2.0.5": "guests-para", "adeos": "guests-para",
    "virtualization-full-one": "guest-smp", "virtualization-para-one": "guest-smp",
    "virtualization-gang": "guest-smp", "vmware-esx": "guest-smp", "l4linux": "guest-smp",
    "cells": "cells", "cellular-disco": "cells",
})  # fmt: skip
"""The way of each asymmetric or virtualized port and system."""


def way_of(item: Item) -> str | None:
    """Return the way of a port or system, None for one of the user's whose method is told apart."""
    return _TOLD_APART.get(item.name) if item.method in ("asymmetric", "virtualization") else item.method


def members(way: Way, items: Sequence[Item]) -> list[Item]:
    """Return the ports and systems that go a way."""
    return [item for item in items if way_of(item) == way.id]
