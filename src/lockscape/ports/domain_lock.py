"""New code of Xen: a hypervisor that changes one guest's page tables on one processor at a time.

Every guest, Xen's *domain*, has one lock (BIGLOCK) that its hypercalls about memory take.
"""

from lockscape.ports import hypervisor_objects
from lockscape.program.language import function, section, step, the


class Virtual(hypervisor_objects.Virtual, extends=True):
    """A virtual processor; a guest's first one counts the updates of its page tables."""

    updates: int


@function(replaces=True)
def update_tables(virtual: Virtual) -> None:
    """Change a guest's page tables as it asks, if it may (do_mmu_update)."""
    domain: Virtual = the(Virtual, virtual.first)
    with section("update", domain.updates):
        step("validate_update")
        domain.updates += 1
