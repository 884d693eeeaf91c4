"""Memory of the kernel itself: slab objects and pages, with or without a processor's own store."""

from lockscape.kernel.objects import (
    LIMIT_BATCHES,
    PAGE_BATCH,
    PAGE_LIMIT,
    SLABS,
    PageCache,
    Processor,
    Slab,
    SlabArray,
    Zone,
)  # fmt: skip
from lockscape.program.language import (
    add_return,
    atomic,
    function,
    masked,
    option,
    section,
    step,
    the,
    this_cpu,
)

ENOUGH = 1 << 40
"""Pages left that are enough for anything."""

VECTOR = 14
"""Pages that a processor gathers before they are listed (linux/pagevec.h of 2.6.11: PAGEVEC_SIZE)."""


@function()
def slab_alloc(kind: int) -> None:
    """Take an object of a slab cache."""
    step("slab_alloc")
    if option("slab_arrays"):
        with masked():
            mine: SlabArray = the(SlabArray, this_cpu() * SLABS + kind)
            if mine.free == 0:
                slab_refill(kind, mine)
            mine.free -= 1
    else:
        slab_take(kind)


@function()
def slab_take(kind: int) -> None:
    """Take one object from the slab itself."""
    slab: Slab = the(Slab, kind)
    with section("take", slab.free):
        if slab.free == 0:
            slab.free += option("slab_batch")
            slab.pages += 1
        slab.free -= 1


@function()
def slab_refill(kind: int, mine: SlabArray) -> None:
    """Fill a processor's array from the slab."""
    slab: Slab = the(Slab, kind)
    with section("refill", slab.free):
        step("slab_batch")
        if slab.free < option("slab_batch"):
            slab.free += option("slab_batch")
            slab.pages += 1
        slab.free -= option("slab_batch")
    mine.free += option("slab_batch")


@function()
def slab_free(kind: int) -> None:
    """Give an object of a slab cache back."""
    step("slab_free")
    if option("slab_arrays"):
        with masked():
            mine: SlabArray = the(SlabArray, this_cpu() * SLABS + kind)
            mine.free += 1
            if mine.free > 2 * option("slab_batch"):
                mine.free -= option("slab_batch")
                slab: Slab = the(Slab, kind)
                with section("drain", slab.free):
                    step("slab_batch")
                    slab.free += option("slab_batch")
    else:
        slab = the(Slab, kind)
        with section("give", slab.free):
            slab.free += 1


@function()
def page_alloc() -> None:
    """Take a page."""
    step("page_alloc")
    if option("swapping"):
        left = ENOUGH
    if option("page_lists"):
        with masked():
            mine: Processor = the(Processor, this_cpu())
            if mine.pages == 0:
                zone: Zone = the(Zone)
                batch = PAGE_BATCH
                if option("swapping"):
                    batch = zone.batch
                with section("refill", zone.free):
                    step("page_batch")
                    if option("swapping"):
                        left = add_return(zone.free, 0 - batch)
                    else:
                        zone.free -= batch
                mine.pages += batch
            mine.pages -= 1
    else:
        zone = the(Zone)
        with section("take", zone.free):
            step("page_buddy")
            if option("swapping"):
                left = add_return(zone.free, -1)
            else:
                zone.free -= 1
    if option("swapping"):
        balance(left)


@function()
def balance(left: int) -> None:
    """See to it that there are free pages, after an allocation that has left so many; `reclaim` knows how."""


@function()
def page_free() -> None:
    """Give a page back."""
    step("page_free")
    if option("page_lists"):
        with masked():
            mine: Processor = the(Processor, this_cpu())
            mine.pages += 1
            zone: Zone = the(Zone)
            batch = PAGE_BATCH
            most = PAGE_LIMIT
            if option("swapping"):
                batch = zone.batch
                most = LIMIT_BATCHES * batch
            if mine.pages > most:
                with section("drain", zone.free):
                    step("page_batch")
                    zone.free += batch
                mine.pages -= batch
    else:
        zone = the(Zone)
        with section("give", zone.free):
            step("page_buddy")
            zone.free += 1


@function()
def gather_page() -> None:
    """Gather a new page on this processor; a full vector goes to the list of pages."""
    with atomic():
        mine: Processor = the(Processor, this_cpu())
        mine.gathered += 1
        if mine.gathered >= VECTOR:
            list_gathered(mine)


@function()
def drain_gathered() -> None:
    """List what this processor has gathered, however little."""
    with atomic():
        mine: Processor = the(Processor, this_cpu())
        if mine.gathered > 0:
            list_gathered(mine)


@function()
def list_gathered(mine: Processor) -> None:
    """Move the gathered pages to the list that all processors share."""
    cache: PageCache = the(PageCache)
    with section("gathered", cache.anonymous):
        step("list_page", mine.gathered)
        cache.anonymous += mine.gathered
    mine.gathered = 0


@function()
def release_anonymous() -> None:
    """Take an anonymous page off the list; what this processor gathered is listed before."""
    drain_gathered()
    cache: PageCache = the(PageCache)
    with section("release", cache.anonymous):
        step("list_page")
        cache.anonymous -= 1
