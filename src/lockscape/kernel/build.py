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
    card,
    clock,
    connections,
    deferral,
    delivery,
    directories,
    entries,
    entry,
    files,
    forked,
    incoming,
    inodes,
    kicks,
    links,
    messages,
    names,
    network_objects,
    objects,
    pages,
    pipe_files,
    pipes,
    processes,
    readwrite,
    reclaim,
    release,
    rename,
    scheduler,
    semaphores,
    signals,
    socket_table,
    sockets,
    stat,
    swap,
    synchronise,
    timers,
    waits,
    writeback,
)  # fmt: skip
from lockscape.program.locks import LockClass
from lockscape.program.nodes import Function
from lockscape.program.objects import Object
from lockscape.program.parse import parse

MODULES: tuple[types.ModuleType, ...] = (
    entry, files, stat, names, directories, entries, inodes, blocks, buffers, pages, readwrite, areas,
    allocate, deferral, balance, scheduler, kicks, clock, writeback, synchronise, rename,
    processes, forked, waits, release,
    pipes, pipe_files, timers, signals, delivery, semaphores, messages, links,
    swap, reclaim, sockets, socket_table, incoming, connections, card,
)  # fmt: skip
"""The files of the kernel, in the order in which their functions are assembled."""

OPTIONS: dict[str, int] = {
    "dentry_cache": 1,  # names are cached as dentries; 0: in a cache for one version of a directory (2.0)
    "lazy_unused": 0,  # a lookup leaves a dentry on the list of unused ones
    "directory_pages": 1,  # directories lie in the page cache; 0: in the buffer cache
    "buffer_data": 0,  # file data lie in the buffer cache, pages are copies (2.0, 2.2)
    "name_pages": 0,  # the copy of a path takes a page; 0: a slab object
    "slab_arrays": 0,  # processors keep free slab objects
    "page_lists": 0,  # processors keep free pages
    "super_lock": 1,  # one sleeping lock for bitmaps and counters of the file system
    "atomic_bitmaps": 0,  # bitmaps are changed by atomic operations
    "directory_semaphore": 0,  # i_zombie beside i_sem (2.4)
    "victim_semaphore": 0,  # i_sem of a file that is deleted (2.6)
    "delete_after_unlock": 0,  # a file is deleted after its directory was let go
    "discard_on_iput": 1,  # reserved blocks are given back at each iput
    "write_on_iput": 0,  # the last reference to a dirty inode writes it to its buffer (2.0)
    "dirty_on_read": 0,  # reads make inodes dirty
    "file_list": 1,  # open files are counted, or taken from a list, in common
    "file_slab": 1,  # open files come from a slab
    "file_counts": 0,  # calls count a reference to the open file
    "light_descriptors": 0,  # but read, write and lseek do not (2.6)
    "write_counts": 0,  # writers of a file are counted
    "walk_counts": 0,  # walks count references to the mount and the directory where they start
    "atomic_counts": 0,  # a reference that is not the last is given back without a lock
    "lookup_first": 0,  # names are looked up before the directory's semaphore is taken to change it (2.2)
    "rename_sequence": 0,  # a name not found is looked for again under the sequence of renamings
    "rcu_lookup": 0,  # lookups of names without a lock; dentries are freed when no reader is left
    "notify_parent": 0,  # reads and writes look whether the directory is watched
    "seek_semaphore": 0,  # i_sem of the file in lseek (2.6)
    "inode_slab": 1,  # inodes come from a slab; 0: from a list
    "clean_with_count": 0,  # a deleted inode leaves its lists where its count gets 0
    "clear_in_super": 0,  # pages of a deleted file go under the file system's lock
    "discard_on_delete": 0,  # and at deletion, twice (2.6)
    "preread_inode": 0,  # a new inode's block is looked up
    "wake_always": 0,  # giving a lock back looks for waiters each time (2.2)
    "bitmap_cache": 1,  # the super block keeps the buffers of bitmaps
    "recent_buffers": 0,  # processors remember eight buffers
    "buffer_queues": 0,  # data buffers are queued on their inode, too (2.4)
    "head_list": 0,  # buffer heads come from a list; 0: a slab
    "private_buffers": 0,  # buffers of a page are its file's own (2.6)
    "tagged_pages": 0,  # dirty pages are marked in their file (2.6)
    "processor_counters": 0,  # processors count free blocks, inodes and pages
    "block_colour": 0,  # processes look for blocks in different parts of a group
    "page_locks": 0,  # pages are locked while they change: 1, or 2: while an insertion looks at them, too
    "page_activation": 0,  # the second use makes a page active: 1 reads only, 2 writes, too
    "late_listing": 0,  # a page made by a write is listed at its end
    "readahead": 0,  # a first read looks ahead
    "anonymous_lru": 0,  # pages of processes are on the list of pages
    "reverse_maps": 0,  # areas are found from their pages
    "spare_area": 0,  # munmap takes an area in reserve
    "unmap_semaphore": 1,  # munmap and brk take mmap_sem
    "slab_batch": 30,  # slab objects that move at once
    "timer_lists": 0,  # kernel timers run after the tick
    "interrupt_lines": 0,  # interrupts mark their line
    "boot_tick": 0,  # the first processor's tick charges all (2.0)
    "split_switch": 0,  # a process is let go apart from the run queue
    "flush_thread": 0,  # a process writes back; 0: the tick does
    "inode_age_seconds": 0,  # and from what age on inodes are written
    "buffer_age_seconds": 30,  # and buffers
    "flush_seconds": 5,  # how often
    "affinity": 15,  # ticks that a process' last processor is worth
    "urgent": 0,  # some processes have the highest priority: who is woken, its processor looks who is next
    "binding": 0,  # processes can be bound to the first processor
    "processor_queues": 0,  # a run queue for each processor, balanced; 0: one for all
    "idle_search": 0,  # who becomes runnable is taken by an idle processor (with their queues)
    "interrupt_threads": 0,  # threads do devices' interrupts: 1 for each device, 2 for each processor
    "inheritance": 1,  # an interrupt's thread lends its urgency to the holder of its lock
    "slave_queue": 0,  # beside the one queue another, of jobs for slaves
    "guests": 1,  # of a hypervisor; 0: as many as give every processor one of theirs
    "guest_processors": 0,  # virtual processors of each guest; 0: as many as physical ones
    "most_guest_processors": 1024,  # as many as the product allows
    "trap_and_emulate": 0,  # an unmodified guest's kernel runs as it is and traps; 0: it is translated
    "co_scheduling": 0,  # virtual processors of a guest run together: 1 strictly, 2 relaxed
    "fill_slots": 0,  # a processor with nothing to do in a guest's time slot runs what is ready for another
    "virtual_migration": 0,  # virtual processors move to processors that have nothing to do
    "node_processors": 2,  # processors of a node, inside of which a virtual processor moves cheaply
    "balance_ticks": 8,  # ticks of the hypervisor after which it balances
    "split_drivers": 1,  # drivers are in an instance of their own; 0: in the hypervisor
    "hypervisor_ticks": 1,  # ticks of a hypervisor in the time of one of its guests'
    "virtual_slice": 3,  # the hypervisor's ticks of a virtual processor's slice
    "real_time_last": 0,  # in the pipeline of interrupts the kernel comes before the domain for real time
    "delayed_preemption": 0,  # a guest in its kernel may finish before it makes way: 1 it says so, 2 it shows
    "cell_processors": 2,  # processors of each cell
    "double_cas": 1,  # the hardware compares and swaps two words at once (CAS2)
    "code_synthesis": 0,  # opening a file generates the code that reads and writes it (Synthesis)
    "executable_queue": 0,  # the run queue is code: leaving a process jumps into the next (Synthesis)
    "object_cache": 0,  # threads, address spaces and mappings are loaded to be used (Cache Kernel)
    "thread_slots": 256,  # how many threads
    "space_slots": 64,  # address spaces
    "mapping_slots": 65_536,  # and mappings may be loaded
    "forwarding": 0,  # traps are forwarded to an emulator of Unix
    "server_threads": 0,  # threads of each server of a microkernel; 0: calls are done in the caller's place
    "hot_swap": 0,  # objects change their implementation in use (reimplemented kernel); 2: from the start
    "sharing": 1,  # processes make others, with whom they share files and pages; 0: none does, as PostMark's
    "pipe_pages": 1,  # pages of a pipe's buffer; more than one are taken as it fills, and given back (2.6)
    "pipe_merging": 1,  # who has read something waits for more as long as a writer waits for room
    "pipe_wake_held": 0,  # the other end is woken before the pipe's semaphore is given back (2.4)
    "processor_timers": 0,  # each processor has timers of its own; 0: the first one those of all
    "signal_interrupt": 1,  # who is sent a signal while running elsewhere is interrupted
    "semaphore_sets": 8,  # System V semaphore sets
    "message_queues": 8,  # and message queues
    "semaphore_handover": 0,  # who changes a semaphore does what sleepers wait to do; 0: they try again
    "message_handover": 1,  # a sender gives a message to who waits; 0: who waits looks for it
    "message_recheck": 1,  # who is given a message looks at the queue again (2.4)
    "swapping": 0,  # memory is limited: pages that are not used go to disk
    "preemptible": 0,  # the kernel can be preempted
    "spread_interrupts": 0,  # devices interrupt the processor that asked; 0: the first
    "hz": 100,  # ticks a second
    "slice_ticks": 20,  # length of a slice
    "groups": 8,  # block groups
    "disk_cycles": 16_000_000,  # time of a disk request; in a run the machine's cost disk_request
    "softirqs": 1,  # each processor looks at the packets that came to it; 0: one for all does (bottom halves)
    "exclusive_accept": 1,  # a connection wakes one of those who accept; 0: all (2.0)
    "wire_byte_cycles": 160,  # time of a byte on the link: 100 Mbit/s (IEEE 802.3u), by the clock
    "round_trip_cycles": 400_000,  # until a client's next packet comes: 200 microseconds, by the clock
    "buffered": 1,  # PostMark uses streams
    "mapped_buffers": 1,  # their buffers are mapped (C library of 2005)
    "read_block": 512,  # PostMark's blocks, bytes
    "write_block": 512,
}
"""Every build option with its default: features of kernels (1 or 0) and sizes. Plans say which kernel has
which, with the source of each."""

SEMAPHORES = (
    LockClass("i_sem", "Inode", "sema", nests="the parent directory first",
              evidence="fs.h: i_sem, also on one processor"),
    LockClass("i_zombie", "Inode", "sema", nests="the parent directory first",
              evidence="fs.h of 2.4: i_zombie"),
    LockClass("I_LOCK", "Inode", "sema", evidence="fs.h: the bit of an inode that is being written"),
    LockClass("s_lock", "SuperBlock", "sema", evidence="locks.h: lock_super"),
    LockClass("PG_locked", "Page", "sema", evidence="mm.h: the bit of a page that is being read or written"),
    LockClass("mmap_sem", "Memory", "rwsem", evidence="sched.h: mmap_sem"),
    LockClass("pipe_sem", "Pipe", "sema",
              evidence="pipe_fs_i.h of 2.4: PIPE_SEM; held over the copy for the user, which may sleep"),
    LockClass("sk_lock", "Socket", "sema", evidence="sock.h: lock_sock, of processes"),
)  # fmt: skip
"""Sleeping locks that the uniprocessor kernel has itself, for it sleeps inside."""

MASKED_SECTIONS = frozenset({
    "schedule/pick", "finish_switch/leave", "wake/enqueue", "wait_for_lock/sleep", "tick_process/charge",
    "move_task/move", "advance_clock/time", "flush_old/collect", "start_disk/start", "disk_done/done",
    "mark_buffer_dirty/dirty", "forget_buffer/forget", "clean_buffer/clean", "wait_on_buffer/wait",
    "queue_buffer/queue", "sleep_until_called/sleep", "sleep_until_woken/sleep",
    "wait_for_disk/register", "due_sleeper/due",
    "finish_switch/again", "leave_queue/leave", "sys_yield/yield",
    "call/call", "share_slice/share",
    "sleep_interruptibly/rest", "signal_wake_up/wake",
    "add_timer/add", "delete_timer/delete", "take_due/due",
    "begin_wait/enter", "end_wait/leave", "take_sleeper/take",
    "put_socket/put", "take_left/left", "hash_socket/enter", "unhash_socket/leave", "find_socket/find",
    "find_listener/find",
    "own_socket/own", "next_of_backlog/next", "socket_input/owned", "queue_data/data", "change_state/state",
    "new_connection/pending", "acknowledge/acknowledge", "close_connection/close", "unbind/unbind",
    "bind/bind",
    "take_pending/take", "are_pending/look", "reserve/reserve", "take_part/take",
    "netif_rx/queue", "claim_queue/begin", "next_packet/next", "count_packets/count", "queue_packet/queue",
    "start_transmit/start", "take_sent/sent", "meet/meet", "new_key/number", "start_receive/start",
    "take_arrived/arrived",
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

    Raises `InputError` for two functions of one name, unless the later one replaces the other, and for one
    that has nothing to replace.
    """
    found: dict[str, Function] = {}
    for module in (*MODULES, *more):
        for name, value in vars(module).items():
            marked = "lockscape_role" in getattr(value, "__dict__", {})
            if marked and value.__module__ == module.__name__:
                replaces = value.lockscape_replaces
                if replaces != (name in found):
                    why = "no function" if replaces else "a function"
                    raise InputError(f"{module.__name__}: there is {why} {name} already")
                found[name] = parse(value, chosen)
    return found


def classes() -> list[type[Object]]:
    """Return the kernel's object classes, the process first."""
    found = [each for module in (objects, network_objects, *MODULES) for each in declared_in(module)]
    return sorted(found, key=lambda c: c.__name__ != "Process")


def declared_in(module: types.ModuleType) -> list[type[Object]]:
    """Return the object classes that a module declares itself."""
    found = (v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Object))
    return [c for c in found if c.__module__ == module.__name__]
