"""Free pages when memory is limited (build option ``swapping``): who lacks some frees some, or a daemon does.

Three marks of the zone say when: below the low one an allocation wakes the daemon, which goes on until the
high one; below the least one who allocates frees some pages himself (2.4: mm/page_alloc.c: __alloc_pages).
"""

from lockscape.kernel.objects import Zone
from lockscape.kernel.scheduler import finish_switch
from lockscape.kernel.swap import AddressSpaces, swap_out
from lockscape.kernel.waits import begin_wait, wait_until_called, wake_up
from lockscape.program.language import function, section, step, the, unmask

CLUSTER = 32
"""Pages that are freed at once (include/linux/swap.h: SWAP_CLUSTER_MAX)."""


@function(replaces=True)
def balance(left: int) -> None:
    """See to it that there are free pages, after an allocation that has left so many."""
    zone: Zone = the(Zone)
    if left < 0:
        zone.failed += 1
    if left < zone.low:
        spaces: AddressSpaces = the(AddressSpaces)
        wake_up(spaces.waits)
        if left < zone.least:
            step("reclaim")
            free_some(CLUSTER)


@function()
def free_some(number: int) -> int:
    """Free up to so many pages; return how many (try_to_free_pages)."""
    return swap_out(number)


@function()
def swap_thread() -> None:
    """Free pages whenever woken, until there are enough (kswapd)."""
    start_daemon()
    swap_forever()


@function()
def start_daemon() -> None:
    """Begin in the middle of a switch, as all processes do."""
    finish_switch()
    unmask()


@function()
def swap_forever() -> None:
    """Free pages until there are enough, and wait until they are few again."""
    spaces: AddressSpaces = the(AddressSpaces)
    zone: Zone = the(Zone)
    while True:
        freed = 1
        while freed > 0 and pages_free() < zone.high:
            step("reclaim")
            freed = free_some(CLUSTER)
        begin_wait(spaces.waits)
        wait_until_called()


@function()
def pages_free() -> int:
    """Return how many pages are free."""
    zone: Zone = the(Zone)
    with section("look", zone.free):
        number = zone.free
    return number
