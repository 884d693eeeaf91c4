"""Made-up measurements for the tests of the map: items of which everything is said."""

from typing import Any

from lockscape.experiments.effort_axis import PortEffort, SourceEffort
from lockscape.experiments.evidence import STANDARD, Evidence
from lockscape.experiments.scalability_axis import scaling
from lockscape.experiments.tradeoff import Item, KernelShare, Tradeoff
from lockscape.ports.effort import Change
from lockscape.workloads.postmark import PostmarkOptions

CPUS = 8
BUSY, IDLE = "postmark", "compute"
"""A kernel-bound workload and one that is not."""

METHODS = {"master-slave": "asymmetric", "application-kernel": "asymmetric", "dedicated-processor": "asymmetric",
           "virtualization-full": "virtualization", "virtualization-para": "virtualization"}  # fmt: skip


def effort(
    lines: int = 100, new: int = 0, sites: int = 40, kernel: int = 3000, replaced: int = 0, **kinds: int
) -> PortEffort:
    """Return an effort with so many changed and new lines."""
    return PortEffort(
        kinds or {"spinlock": sites}, sites, Change(kernel, kernel, lines, 0, 0), replaced, new, 0
    )


def item(
    name: str,
    counted: PortEffort | None = None,
    method: str = "",
    kind: Any = "port",
    kernels: int = 1,
    **speedups: float,
) -> Item:
    """Return a port with speedups on `CPUS` by workload; two points have no law to be fitted."""
    speedups = speedups or {BUSY: 2.0, IDLE: 7.0}
    curves = tuple(scaling(work, {1: [8.0], CPUS: [8.0 / value]}, 7.2) for work, value in speedups.items())
    return Item(
        name, name, method or METHODS.get(name, name), kind, 1024, kernels, counted or effort(), curves, ()
    )


def tradeoff(*items: Item, cpus: int = CPUS) -> Tradeoff:
    """Return what was measured of some items."""
    works = [each.workload for item_ in items[:1] for each in item_.scaling] or [BUSY]
    shares = tuple(KernelShare(work, 0.1 if work == IDLE else 0.9) for work in works)
    return Tradeoff(cpus, "pentium4", 0, 1, PostmarkOptions(), shares, items)


def standard(**changed: Item) -> list[Item]:
    """Return all of the methods' ports, some of them changed; - is written _."""
    given = {name.replace("_", "-"): each for name, each in changed.items()}
    return [given.get(name) or item(name) for name in STANDARD]


def evidence(*items: Item, **more: Any) -> Evidence:
    """Return evidence of some items."""
    return Evidence(tradeoff(*items), **more)


def linux(shares: tuple[float, ...], sites: tuple[int, ...], source: str = "measured") -> list[SourceEffort]:
    """Return Linux 2.0 to 2.6 with shares of changed lines and numbers of sites."""
    return [
        SourceEffort(f"linux-{v}", f"{v}.1", source, {"spinlock": n}, 10_000, round(10_000 * share))
        for v, share, n in zip(("2.0", "2.2", "2.4", "2.6"), shares, sites, strict=True)
    ]
