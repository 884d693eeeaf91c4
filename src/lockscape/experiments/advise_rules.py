"""What excludes a way, speaks against it or for it: each reason in words, with where it is from.

A rule looks at what is known of the user's kernel; of what is not known it says what would decide.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from lockscape.experiments.advise_kernel import Kernel
from lockscape.experiments.advise_predict import Effort
from lockscape.experiments.advise_record import Record
from lockscape.experiments.advise_ways import GUESTS, Way
from lockscape.experiments.conclusions_others import GUESTS as GUEST_PORTS
from lockscape.experiments.scalability_axis import geometric_mean
from lockscape.experiments.tradeoff import Item
from lockscape.ports.plan import load_plan

CONTAINED = (*GUESTS, "cells")
"""Ways with a kernel for each guest or cell: what takes one down leaves the others."""

_NEED_CAS = ("lock-free", "reimplementation")

Verdict = Literal["excluded", "against", "if", "for", "note"]
"""``if``: it depends on something that is not known."""


class Reason(msgspec.Struct, frozen=True):
    """Why a way is excluded, or what speaks against it or for it; and where that is from."""

    verdict: Verdict
    text: str
    source: str


class Case(msgspec.Struct, frozen=True):
    """What a rule looks at: a way with its ports and systems, and what it would take."""

    kernel: Kernel
    way: Way
    items: tuple[Item, ...]
    effort: Effort
    record: Record


Rule = Callable[[Case], Iterator[Reason]]
"""Yields what it has for or against a way in a case."""


def reasons(case: Case) -> tuple[Reason, ...]:
    """Return every reason, exclusions first."""
    found = [reason for rule in _RULES for reason in rule(case)]
    order: tuple[Verdict, ...] = ("excluded", "against", "if", "for", "note")
    return tuple(sorted(found, key=lambda each: order.index(each.verdict)))


def _shared_memory(case: Case) -> Iterator[Reason]:
    if case.way.id in GUESTS:
        ran = {
            each.name: each.speedup for each in case.record.families if each.name in ("fine", *GUEST_PORTS)
        }
        shown = ", ".join(f"{name} {value:.2f}" for name, value in ran.items())
        text = "an application that shares memory cannot be balanced across guests"
        source = (
            f"paper, section 6; simulated, one chat room on {case.record.tradeoff.cpus} processors: {shown}"
        )
        yield Reason("excluded" if case.kernel.shared_memory else "if", text, source)
    if case.way.id == "cells":
        size = load_plan("cells").options["cell_processors"]
        text = (
            f"the port's cells are kernels of {size} processors: an application shares memory inside of one"
        )
        if case.kernel.cpus > size:
            yield Reason(
                "excluded" if case.kernel.shared_memory else "if",
                text + "; larger cells share more and contain less",
                "plan cells, cell_processors (lockscape port cells); paper, section 6",
            )


def _containment(case: Case) -> Iterator[Reason]:
    if case.way.id in CONTAINED:
        if case.kernel.containment:
            yield Reason(
                "for", "what takes one kernel down leaves the others", "lockscape simulate cells --fail 2@50"
            )
            yield Reason("against", "hardware support is needed for fault tolerance", "paper, section 6")
    elif case.kernel.containment:
        yield Reason(
            "excluded", "all processors have one kernel: a fault in it takes everything down",
            "paper, sections 3.6 and 4.4: cells contain faults",
        )  # fmt: skip


def _atomic(case: Case) -> Iterator[Reason]:
    known = case.kernel.hardware
    if case.way.id not in _NEED_CAS:
        return
    if known is not None and "cas" not in known:
        yield Reason("excluded", "its structures are changed by compare-and-swap, which the hardware lacks",
                     "paper, section 3.4; --hardware")  # fmt: skip
    if (
        case.way.id == "lock-free"
        and (known is None or "cas2" not in known)
        and (cost := _single(case.record))
    ):
        text = (
            f"without a double compare-and-swap one processor takes {cost:.2f} times as long (geometric mean)"
        )
        verdict: Verdict = "if" if known is None else "against"
        yield Reason(verdict, text, "simulated: lock-free-single over lock-free; paper, section 6")


def _single(record: Record) -> float | None:
    """Return how much longer the lock-free kernel takes without a double compare-and-swap."""
    found = {item.name: item for item in record.tradeoff.items}
    if not {"lock-free", "lock-free-single"} <= found.keys():
        return None
    pairs = zip(found["lock-free-single"].scaling, found["lock-free"].scaling, strict=True)
    ratios = [a.points[0].makespan_s / b.points[0].makespan_s for a, b in pairs
              if a.points[0].makespan_s and b.points[0].makespan_s]  # fmt: skip
    return geometric_mean(ratios)


def _hypervisor(case: Case) -> Iterator[Reason]:
    if case.way.method != "virtualization":
        return
    taken = case.effort
    yield Reason(
        "if",
        f"of the lines about {taken.changed.middle:,.0f} change the kernel; the others are a hypervisor, "
        "which may be there already",
        "effort above",
    )
    if case.way.id == "guests-para":
        text = "the kernel must be written for an architecture that the hypervisor supports"
        yield Reason("if", text, "paper, section 6")
    if case.way.id == "guests-full" and case.kernel.hardware is not None:
        if "virtualization" in case.kernel.hardware:
            yield Reason("for", "the hardware supports it: no code of the kernel is translated", "--hardware")
        else:
            text = "without hardware support the hypervisor translates the guest's code while it runs"
            yield Reason("against", text, "paper, section 3.6; --hardware")


def _other_port(case: Case) -> Iterator[Reason]:
    """Look at a guest with several processors: its kernel is a multiprocessor kernel."""
    if case.way.id != "guest-smp":
        return
    source = "plans of its ports (lockscape port virtualization-para-one)"
    text = "the guest is a multiprocessor kernel, so the kernel needs another port besides"
    if case.kernel.methods and {*case.kernel.methods} <= {"virtualization", "guest-smp"}:
        yield Reason("excluded", text + ", and none is considered", source)
    else:
        yield Reason("against", text + "; the models have fine-grained locks", source)


def _preemptible(case: Case) -> Iterator[Reason]:
    found = case.record.preemption.get("fine")
    if case.way.id != "fine" or found is None or found.preemptible is None:
        return
    plain, preempted = found.plain, found.preemptible
    source = "counted, lockscape map; paper, section 6: AIX and OSF/1"
    no = f"{plain.unmarked} of {plain.places} places that need a lock are not marked in it"
    yes = f"{preempted.unmarked} of {preempted.places}"
    lines = f"the lines that change do not get fewer by it: {preempted.lines}, else {plain.lines}"
    if case.kernel.preemptible:
        text = (
            f"preemptible: {yes} places that need a lock are not marked in it, else {plain.unmarked}; {lines}"
        )
        yield Reason("for", text, source)
    elif case.kernel.preemptible is False:
        yield Reason("against", f"not preemptible: {no}, else {yes}", source)
    else:
        yield Reason("if", f"if the kernel is not preemptible, {no}; if it is, {yes}", source)


def _available(case: Case) -> Iterator[Reason]:
    limits = (
        ("lines", case.kernel.most_lines, case.effort.lines),
        ("sites", case.kernel.most_sites, case.effort.sites),
    )
    for what, most, taken in limits:
        if most is None:
            continue
        there = f"{most:,} are available"
        if taken.low > most:
            yield Reason("excluded", f"it takes {taken.low:,.0f} {what} at least: {there}", "effort above")
        elif taken.middle > most:
            text = f"it takes about {taken.middle:,.0f} {what}, at least {taken.low:,.0f}: {there}"
            yield Reason("against", text, "effort above")


def _processors(case: Case) -> Iterator[Reason]:
    few = [item for item in case.items if item.most_processors < case.kernel.cpus]
    if not few:
        return
    names = ", ".join(f"{item.name} {item.most_processors}" for item in few)
    source = "systems' files (lockscape systems show)"
    if len(few) == len(case.items):
        text = f"none of its systems uses {case.kernel.cpus} processors; these use at most: {names}"
        yield Reason("against", text, source)
    else:
        yield Reason("note", f"left out, for they use fewer processors: {names}", source)


_RULES: tuple[Rule, ...] = (
    _shared_memory, _containment, _atomic, _other_port, _hypervisor, _preemptible, _available, _processors,
)  # fmt: skip
