"""The page's appendix: assumptions with their sources, locking plans, and how each result came about."""

import shlex
from dataclasses import dataclass
from typing import Any

from lockscape import catalog
from lockscape.experiments.sample import kernel_steps
from lockscape.experiments.tradeoff import MACHINE
from lockscape.machine.costs import preset
from lockscape.ports.plan import Plan
from lockscape.report.study import StudyDocument
from lockscape.systems.load import load_system
from lockscape.systems.model import Estimate, Mechanism


@dataclass(frozen=True)
class Model:
    """How a system of Table 1 is modelled: its plan, what sets it apart, what is an estimate, its limit."""

    id: str
    name: str
    plan: Plan
    machine: str
    machine_evidence: str
    limit: str
    mechanisms: tuple[Mechanism, ...]
    estimates: tuple[Estimate, ...]


def appendix_context(document: StudyDocument) -> dict[str, Any]:
    """Return what the template needs of the appendix."""
    machine = preset(MACHINE)
    return {
        "machine_name": MACHINE,
        "machine": machine,
        "steps": sorted(kernel_steps().values(), key=lambda step: step.name),
        "models": [_model(system.id, system.name) for system in catalog.systems()],
        "command": shlex.join(document.manifest.command) or "lockscape study",
        "sizes": SIZES,
    }


SIZES = {
    "full": (
        "This page is of a full study: PostMark of the paper’s size on all systems, and the map, were run "
        "for it."
    ),
    "quick": (
        "This page is of a quick study: only a small PostMark was run for it. What that weakens is marked "
        "where it stands; what would take minutes was recorded for the release. lockscape study makes the "
        "full one."
    ),
    "recorded": (
        "Nothing was run for this page: all figures were recorded for the release. lockscape study runs them."
    ),
}
"""What was run, by the size of the study."""


def _model(id: str, name: str) -> Model:
    found = load_system(id)
    limit = f"at most {found.most_processors}: {found.most_evidence}" if found.most_evidence else ""
    return Model(
        id, name, found.plan, found.machine, found.machine_evidence, limit, found.mechanisms, found.estimates
    )  # fmt: skip
