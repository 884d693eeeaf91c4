"""What the file of a system says: its plan and machine, the mechanism that sets it apart, and how that shows.

A file looks like this::

    machine = "pentium4"            # a machine preset: the one that the system ran on
    machine_evidence = "what ran it, and how well the preset stands for that"
    most_processors = 2             # that it can use
    listing = "sys_unlink"          # the function whose listing shows what its method does

    [plan]                          # a locking plan, see `lockscape.ports.plan`; mostly a variant
    base = "giant"
    title = "FreeBSD 4.9: …"

    [[mechanism]]                   # what sets it apart from the other systems
    id = "forwarded-interrupts"
    text = "what it does"
    source = "where that is written"
    confidence = "C"                # a mark of the catalogue

    [mechanism.shown]               # where it shows: this observable goes up or down because of it
    workload = "netserve"
    cpus = 4
    observable = "events.packet_arrived begins.mean_cycles"
    direction = "lower"

    [mechanism.off]                 # the change that disables it, as a variant's
    options = {forwarded_interrupts = 0}

    [[estimate]]                    # what is not known, and what was taken instead
    what = "…"
    why = "…"

    [[variant]]                     # the same system otherwise: NAME@ID
    id = "smp"
    title = "…"
    change = {options = {}}

What is published of a system stays in the catalogue, under the same name.
"""

from typing import Annotated, Any, Literal

import msgspec

from lockscape.machine.state import MOST_PROCESSORS
from lockscape.ports.plan import Change

Confidence = Literal["A", "B", "C", "E"]
"""A mark of `lockscape.catalog.MARKS`."""

Text = Annotated[str, msgspec.Meta(min_length=1)]
"""Text that says something."""
Id = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9.-]*$")]
"""A name that is an id: of a system, a mechanism, a machine."""


class Datum(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of what is read from a system's file."""


class Trial(Datum, frozen=True, kw_only=True):
    """A run to look at: a workload by name on so many processors.

    `operations` of each process (of PostMark: transactions), and `processes`; 0: as the workload says.
    `files` of each process of PostMark.
    """

    workload: Text
    cpus: Annotated[int, msgspec.Meta(ge=1, le=MOST_PROCESSORS)]
    operations: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    processes: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0
    files: Annotated[int, msgspec.Meta(ge=1, le=250_000)] = 100


class Shown(Trial, frozen=True, kw_only=True):
    """Where a mechanism shows: in this run `observable` is higher or lower with it than without.

    `fails`: an instance that fails, ``INSTANCE@MS``. Observables are those of
    `lockscape.experiments.observe`.
    """

    observable: Text
    direction: Literal["higher", "lower"]
    fails: Annotated[str, msgspec.Meta(pattern=r"^$|^[0-9]{1,4}@[0-9]{1,9}(\.[0-9]{1,6})?$")] = ""


class Mechanism(Datum, frozen=True, kw_only=True):
    """What sets a system apart: in words, with source and mark; where it shows; the change without it.

    The change may be a file of `lockscape.systems.ablations`, by name.
    """

    id: Id
    text: Text
    source: Text
    confidence: Confidence
    shown: Shown
    off: Change | str


class Estimate(Datum, frozen=True, kw_only=True):
    """What is not known of a system, and why what stands for it was chosen."""

    what: Text
    why: Text


class SystemVariant(Datum, frozen=True, kw_only=True):
    """The same system otherwise: the `change` of its plan, and mechanisms of its own, or those of the system
    but for what it `lacks`."""

    id: Id
    title: Text
    change: Change = Change()
    machine: str = ""
    most_processors: Annotated[int, msgspec.Meta(ge=0, le=MOST_PROCESSORS)] = 0
    mechanism: tuple[Mechanism, ...] = ()
    lacks: tuple[Id, ...] = ()


class SystemFile(Datum, frozen=True, kw_only=True):
    """A system's file. `plan` is a plan's name, or a table that says one.

    `alone`: the name of the system or plan that its scalability and latency depend on, where Table 1 says *as
    guest* or *as UP*: it is run alone beside this one.
    """

    machine: Text
    machine_evidence: Text
    plan: str | dict[str, Any]
    mechanism: Annotated[tuple[Mechanism, ...], msgspec.Meta(min_length=1)]
    most_processors: Annotated[int, msgspec.Meta(ge=1, le=MOST_PROCESSORS)] = MOST_PROCESSORS
    most_evidence: str = ""
    listing: Text = "sys_unlink"
    alone: str = ""
    estimate: tuple[Estimate, ...] = ()
    variant: tuple[SystemVariant, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a limit that nothing is said about, and names that stand twice."""
        if self.most_processors < MOST_PROCESSORS and not self.most_evidence:
            raise ValueError("most_processors needs most_evidence: say who allows no more")
        for what, names in (
            ("mechanism", [each.id for each in self.mechanism]),
            ("variant", [each.id for each in self.variant]),
        ):
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise ValueError(f"two {what}s have the id {twice[0]!r}: give each its own")
