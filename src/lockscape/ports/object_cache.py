"""New code of the Cache Kernel: threads, address spaces and mappings are objects in caches of fixed size.

The kernel keeps what is in use. Unix is an *application kernel* above it, an emulator: it has processes,
loads a thread and its address space before they run, and a mapping when a page is first used. If a cache is
full, what was used longest ago is written back to the application kernel, which loads it again when it is
needed. A call of a program traps into the Cache Kernel, which forwards it to the emulator, as it does a page
fault. With the build option ``object_cache`` at 0 all is loaded for ever; with ``forwarding`` at 0 Unix takes
traps itself.
"""

from typing import Any

from lockscape.kernel import objects
from lockscape.kernel.allocate import page_free
from lockscape.kernel.delivery import check_signals
from lockscape.kernel.entry import FAULT, call_body
from lockscape.kernel.kicks import choose_cpu, kick
from lockscape.kernel.objects import Memory, Processor
from lockscape.kernel.release import put_process
from lockscape.kernel.scheduler import queue_of, schedule
from lockscape.machine.state import State
from lockscape.ports.topology import NATIVE, Options, Topology
from lockscape.program.language import (
    NONE,
    add_return,
    count,
    current,
    find,
    free,
    function,
    insert,
    move,
    oldest,
    option,
    remove,
    section,
    step,
    the,
    this_cpu,
)  # fmt: skip
from lockscape.program.objects import Collection, Object, listed

THREADS, SPACES, MAPPINGS = range(3)
"""Caches, by what they hold."""

LOADED, DISPLACED = 1, 2
"""What `use` did: nothing if 0; it loaded the object; it wrote another back for that."""

WORKING_SET = 3
"""Mappings that a program uses at once: of its text, data and stack. Its address space comes back without
them, so that it takes so many faults."""


class ObjectCache(Object, count=3):
    """A cache of the kernel: what is loaded, what was used longest ago first, and how much may be."""

    slots: int
    loaded: Collection = listed()


class Process(objects.Process, extends=True):
    """A process, and how often its address space was loaded."""

    loads: int


class Area(objects.Area, extends=True):
    """A range, and the load of its process' address space after which its mappings were loaded."""

    load: int


# --- the caches ---------------------------------------------------------------------------------------------


@function()
def use(kind: int, thing: Any) -> int:
    """Use an object, which is loaded if it is not there, and another written back if there is no room."""
    cache: ObjectCache = the(ObjectCache, kind)
    with section("use", cache.loaded):
        done = 0
        if find(cache.loaded, thing) != 0:
            move(cache.loaded, thing)
        else:
            done = LOADED
            if count(cache.loaded) >= cache.slots:
                done = DISPLACED
                remove(cache.loaded, oldest(cache.loaded))
            insert(cache.loaded, thing, 1)
    return done


@function()
def unload(kind: int, thing: Any) -> None:
    """Take an object out of its cache that is no more, or that went with another."""
    cache: ObjectCache = the(ObjectCache, kind)
    with section("unload", cache.loaded):
        remove(cache.loaded, thing)


@function()
def load_thread(me: Process) -> None:
    """Have the thread that is to run loaded, and its address space before it."""
    if me.memory != NONE:
        load_space(me)
    done = use(THREADS, me)
    if done != 0:
        step("load_thread")
    if done == DISPLACED:
        step("write_back_thread")


@function()
def load_space(me: Process) -> None:
    """Have the address space of a thread loaded; its mappings do not come with it."""
    done = use(SPACES, me.memory)
    if done != 0:
        step("load_space")
        me.loads += 1
        if me.loads > 1:
            step("forward_fault", WORKING_SET)
            step("load_mapping", WORKING_SET)
    if done == DISPLACED:
        step("write_back_space")


@function()
def load_mappings(area: Area) -> None:
    """Have the mappings of a range of the running process loaded, of which a page is used."""
    me: Process = current()
    if area.load != me.loads:
        unload(MAPPINGS, area)
    done = use(MAPPINGS, area)
    if done != 0:
        step("load_mapping")
        area.load = me.loads
    if done == DISPLACED:
        step("write_back_mapping")


# --- the application kernel ---------------------------------------------------------------------------------


@function("entry", replaces=True)
def system_call(number: int, a: int, b: int, c: int) -> int:
    """Trap into the Cache Kernel, which forwards a call or a fault to the emulator, and return from there."""
    if number == FAULT:
        step("exception_entry")
        if option("forwarding"):
            step("forward_fault")
    else:
        step("syscall_entry")
        if option("forwarding"):
            step("forward_trap")
    result = call_body(number, a, b, c)
    processor: Processor = the(Processor, this_cpu())
    if processor.need_resched == 1:
        schedule()
    if option("sharing"):
        check_signals()
    if option("forwarding") and number != FAULT:
        step("forward_trap")
    step("syscall_exit")
    return result


@function(replaces=True)
def finish_switch() -> None:
    """Let go of the process that ran here before, and have the one that runs now loaded."""
    processor: Processor = the(Processor, this_cpu())
    previous = processor.previous
    queue = queue_of(this_cpu())
    waiting = 0
    with section("leave", queue.tasks, previous.running):
        previous.running = 0
        if previous.queued == 1:
            waiting = 1
    if waiting == 1:
        kick(choose_cpu(this_cpu()))
    if option("sharing"):
        processor.previous = NONE
        ended = processor.leaving
        if ended != NONE:
            processor.leaving = NONE
            put_process(ended)
    if option("object_cache"):
        me: Process = current()
        if me != processor.idle:
            load_thread(me)


@function(replaces=True)
def find_area(memory: Memory, start: int) -> Area:
    """Return the range that begins at a page which a program uses, with its mappings loaded."""
    with section("find", memory.areas):
        area: Area = find(memory.areas, start)
    if option("object_cache") and area != NONE:
        load_mappings(area)
    return area


@function(replaces=True)
def zap(memory: Memory, area: Area, pages: int) -> None:
    """Take the pages of a range out of the page table, and its mappings out of the cache."""
    if option("object_cache"):
        unload(MAPPINGS, area)
    with section("zap", area.page, memory.pages):
        step("zap_page", pages)
        area.page = 0
        memory.pages -= pages


@function(replaces=True)
def put_memory(memory: Memory) -> None:
    """Give a reference to an address space back; with the last one it is unloaded, and goes."""
    with section("put", memory.users):
        left = add_return(memory.users, -1)
    if left == 0:
        drop_memory(memory)


@function()
def drop_memory(memory: Memory) -> None:
    """Free an address space that nobody uses any more."""
    if option("object_cache"):
        unload(SPACES, memory)
    free(memory)


@function(replaces=True)
def free_process(p: Process) -> None:
    """Free the structure of a process that has ended, whose thread is unloaded, with what is left of it."""
    step("free_process")
    if option("object_cache"):
        unload(THREADS, p)
    free(p.files)
    if option("swapping"):
        put_memory(p.memory)
    else:
        drop_memory(p.memory)
    free(p.waits)
    free(p)
    page_free()
    page_free()


def _prepare(state: State, options: Options) -> dict[int, int]:
    """Say how much room the caches have."""
    for kind, name in ((THREADS, "thread_slots"), (SPACES, "space_slots"), (MAPPINGS, "mapping_slots")):
        state.set(state.system("ObjectCache", kind), slots=options[name])
    return {}


TOPOLOGY = Topology(NATIVE.instances, prepare=_prepare)
"""One kernel on all processors, and its caches of objects."""
