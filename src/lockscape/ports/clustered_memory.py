"""New code of the reimplemented kernel: memory. Pools on each processor, and a root that they fill from.

A processor takes and gives from its own pool, which no other touches, and moves batches from and to the root.
When the root has no more, it asks for what lies idle in the pools, and each processor gives its own back at
its next tick.
"""

from lockscape.kernel.allocate import ENOUGH, balance
from lockscape.kernel.objects import LIMIT_BATCHES, PAGE_BATCH, PAGE_LIMIT, SLABS, Slab, SlabArray, Zone
from lockscape.program.language import function, hold, masked, option, section, step, the, this_cpu
from lockscape.program.objects import Object


class PagePool(Object, count="cpus"):
    """A processor's own free pages; `asked`: how often it has given all of them back."""

    represents = "Processor"

    pages: int
    asked: int


class PageRoot(Object, count=1):
    """How often the root of the free pages has asked for what the pools have."""

    asked: int


@function(replaces=True)
def slab_alloc(kind: int) -> None:
    """Take an object of a slab cache from this processor's pool."""
    step("slab_alloc")
    with masked():
        mine: SlabArray = the(SlabArray, this_cpu() * SLABS + kind)
        if mine.free == 0:
            slab: Slab = the(Slab, kind)
            with hold("slab_lock", slab), section("take", slab.free):
                step("slab_batch")
                if slab.free < option("slab_batch"):
                    slab.free += option("slab_batch")
                    slab.pages += 1
                slab.free -= option("slab_batch")
            mine.free += option("slab_batch")
        mine.free -= 1


@function(replaces=True)
def slab_free(kind: int) -> None:
    """Give an object of a slab cache to this processor's pool."""
    step("slab_free")
    with masked():
        mine: SlabArray = the(SlabArray, this_cpu() * SLABS + kind)
        mine.free += 1
        if mine.free > 2 * option("slab_batch"):
            mine.free -= option("slab_batch")
            slab: Slab = the(Slab, kind)
            with hold("slab_lock", slab), section("give", slab.free):
                step("slab_batch")
                slab.free += option("slab_batch")


@function(replaces=True)
def page_alloc() -> None:
    """Take a page from this processor's pool."""
    step("page_alloc")
    if option("swapping"):
        left = ENOUGH
    with masked():
        mine: PagePool = the(PagePool, this_cpu())
        if mine.pages == 0:
            zone: Zone = the(Zone)
            batch = PAGE_BATCH
            if option("swapping"):
                batch = zone.batch
            with hold("zone_lock", zone), section("fill", zone.free):
                step("page_batch")
                zone.free -= batch
                short = zone.free < batch
                if option("swapping"):
                    left = zone.free
            mine.pages += batch
            if short == 1:
                root: PageRoot = the(PageRoot)
                root.asked += 1
        mine.pages -= 1
    if option("swapping"):
        balance(left)


@function(replaces=True)
def page_free() -> None:
    """Give a page to this processor's pool."""
    step("page_free")
    with masked():
        mine: PagePool = the(PagePool, this_cpu())
        mine.pages += 1
        if option("swapping"):
            zone: Zone = the(Zone)
            if mine.pages > LIMIT_BATCHES * zone.batch:
                give_pages(mine, zone.batch)
        elif mine.pages > PAGE_LIMIT:
            give_pages(mine, PAGE_BATCH)


@function()
def give_pages(mine: PagePool, number: int) -> None:
    """Give pages back to the root."""
    zone: Zone = the(Zone)
    with hold("zone_lock", zone), section("drain", zone.free):
        step("page_batch")
        zone.free += number
    mine.pages -= number


@function()
def give_what_is_asked() -> None:
    """At a tick, give all idle pages back if the root has asked since the last time."""
    root: PageRoot = the(PageRoot)
    mine: PagePool = the(PagePool, this_cpu())
    asked = root.asked
    if asked != mine.asked:
        mine.asked = asked
        give_pages(mine, mine.pages)
