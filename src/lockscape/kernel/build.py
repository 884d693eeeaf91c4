"""Builds a kernel from its source: the functions and object classes, with build options decided."""

import types
from collections.abc import Mapping, Sequence

from lockscape.errors import InputError
from lockscape.kernel import (
    allocate,
    areas,
    balance,
    blocks,
    buffers,
    deferral,
    directories,
    entries,
    entry,
    files,
    inodes,
    names,
    objects,
    pages,
    readwrite,
    scheduler,
    writeback,
)  # fmt: skip
from lockscape.program.nodes import Function
from lockscape.program.objects import Object
from lockscape.program.parse import parse

MODULES: tuple[types.ModuleType, ...] = (
    entry, files, names, directories, entries, inodes, blocks, buffers, pages, readwrite, areas,
    allocate, deferral, balance, scheduler, writeback,
)  # fmt: skip

OPTIONS: dict[str, int] = {
    "dentry_cache": 1,
    "lazy_unused": 0,
    "directory_pages": 1,
    "buffer_data": 0,
    "name_pages": 0,
    "slab_arrays": 0,
    "page_lists": 0,
    "super_lock": 1,
    "atomic_bitmaps": 0,
    "directory_semaphore": 0,
    "victim_semaphore": 0,
    "delete_after_unlock": 0,
    "discard_on_iput": 1,
    "write_on_iput": 0,
    "dirty_on_read": 0,
    "file_list": 1,
    "file_slab": 1,
    "file_counts": 0,
    "light_descriptors": 0,
    "write_counts": 0,
    "walk_counts": 0,
    "atomic_counts": 0,
    "lookup_first": 0,
    "rename_sequence": 0,
    "rcu_lookup": 0,
    "notify_parent": 0,
    "seek_semaphore": 0,
    "inode_slab": 1,
    "clean_with_count": 0,
    "clear_in_super": 0,
    "discard_on_delete": 0,
    "preread_inode": 0,
    "wake_always": 0,
    "bitmap_cache": 1,
    "recent_buffers": 0,
    "buffer_queues": 0,
    "head_list": 0,
    "private_buffers": 0,
    "tagged_pages": 0,
    "processor_counters": 0,
    "block_colour": 0,
    "page_locks": 0,
    "page_activation": 0,
    "late_listing": 0,
    "readahead": 0,
    "anonymous_lru": 0,
    "reverse_maps": 0,
    "spare_area": 0,
    "unmap_semaphore": 1,
    "slab_batch": 30,
    "timer_lists": 0,
    "interrupt_lines": 0,
    "boot_tick": 0,
    "split_switch": 0,
    "flush_thread": 0,
    "inode_age_seconds": 0,
    "buffer_age_seconds": 30,
    "flush_seconds": 5,
    "affinity": 15,
    "binding": 0,
    "processor_queues": 0,
    "preemptible": 0,
    "spread_interrupts": 0,
    "hz": 100,
    "slice_ticks": 20,
    "groups": 8,
    "disk_cycles": 16_000_000,
    "buffered": 1,
    "mapped_buffers": 1,
    "read_block": 512,
    "write_block": 512,
}
"""Every build option with its default: features of kernels (1 or 0) and sizes. The table of what they mean
and which kernel has which is in the documentation, with the source of each."""

UNIPROCESSOR_LOCKS = ("i_sem", "i_zombie", "I_LOCK", "s_lock", "PG_locked", "mmap_sem")
"""Semaphores that the uniprocessor kernel has, for it sleeps inside."""

MASKED_SECTIONS = frozenset({
    "schedule/pick", "finish_switch/leave", "wake/enqueue", "wait_for_lock/sleep", "tick_process/charge",
    "move_task/move", "advance_clock/time", "flush_old/collect", "start_disk/start", "disk_done/done",
    "mark_buffer_dirty/dirty", "forget_buffer/forget", "clean_buffer/clean", "wait_on_buffer/wait",
    "queue_buffer/queue", "sleep_on_buffer/sleep", "sleep_until_woken/sleep",
    "finish_switch/again", "leave_queue/leave",
})  # fmt: skip
"""Sections that an interrupt handler also enters: on one processor they are done with interrupts masked."""


def options(**changes: int) -> dict[str, int]:
    """Return all build options with some changed. Raises `InputError` for one that does not exist."""
    for name in changes:
        if name not in OPTIONS:
            raise InputError(f"no build option {name!r}: {', '.join(sorted(OPTIONS))}")
    return OPTIONS | changes


def functions(chosen: Mapping[str, int], more: Sequence[types.ModuleType] = ()) -> dict[str, Function]:
    """Parse every function of the kernel, and of more modules (user mode, new code of a port).

    Raises `InputError` for two functions of one name.
    """
    found: dict[str, Function] = {}
    for module in (*MODULES, *more):
        for name, value in vars(module).items():
            marked = "lockscape_role" in getattr(value, "__dict__", {})
            if marked and value.__module__ == module.__name__:
                if name in found:
                    raise InputError(f"{module.__name__}: there is a function {name} already")
                found[name] = parse(value, chosen)
    return found


def classes() -> list[type[Object]]:
    """Return the kernel's object classes, the process first."""
    found = [
        v for v in vars(objects).values() if isinstance(v, type) and issubclass(v, Object) and v is not Object
    ]
    return sorted(found, key=lambda c: c.__name__ != "Process")
