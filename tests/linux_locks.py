"""What the sources of the four Linux versions do with locks, as data for the tests of their plans.

Written down while reading the sources (SMP branches, ext2), in the names of the plans; a lock of readers has
an R behind it. A warm call: its name is in the name cache (but a new one's), everything is in memory, all
metadata are dirty already; one page of directory; one block a file.
"""

TREES = {"2.0": "linux-2.0.40", "2.2": "linux-2.2.26", "2.4": "linux-2.4.31", "2.6": "linux-2.6.11"}

ORDER: dict[tuple[str, str], str] = {
    ("2.0", "open"): "kernel_flag",
    ("2.0", "creat"): "kernel_flag i_sem s_lock",
    ("2.0", "first read"): "kernel_flag",
    ("2.0", "read"): "kernel_flag",
    ("2.0", "first write"): "kernel_flag i_sem s_lock",
    ("2.0", "append"): "kernel_flag i_sem",
    ("2.0", "close after read"): "kernel_flag I_LOCK",
    ("2.0", "close after write"): "kernel_flag s_lock I_LOCK",
    ("2.0", "unlink"): "kernel_flag i_sem s_lock s_lock",
    ("2.0", "mmap"): "kernel_flag mmap_sem",
    ("2.0", "munmap"): "kernel_flag",
    ("2.0", "fault"): "kernel_flag mmap_semR",
    ("2.2", "open"): "page_alloc_lock kernel_flag page_alloc_lock",
    ("2.2", "creat"): (
        "page_alloc_lock kernel_flag i_sem c_spinlock i_sem inode_lock s_lock inode_lock inode_lock waitqueue_lockR"
        " page_alloc_lock"
    ),
    ("2.2", "first read"): "kernel_flag page_alloc_lock waitqueue_lockR global_irq_lock",
    ("2.2", "read"): "kernel_flag",
    ("2.2", "first write"): "kernel_flag i_sem s_lock waitqueue_lockR",
    ("2.2", "append"): "kernel_flag i_sem",
    ("2.2", "close after read"): "kernel_flag",
    ("2.2", "close after write"): "kernel_flag s_lock waitqueue_lockR",
    ("2.2", "unlink"): (
        "kernel_flag page_alloc_lock i_sem inode_lock s_lock waitqueue_lockR s_lock page_alloc_lock waitqueue_lockR"
        " inode_lock inode_lock page_alloc_lock"
    ),
    ("2.2", "mmap"): "mmap_sem kernel_flag c_spinlock",
    ("2.2", "munmap"): "mmap_sem kernel_flag c_spinlock page_alloc_lock c_spinlock c_spinlock",
    ("2.2", "fault"): "mmap_semR kernel_flag page_alloc_lock",
    ("2.4", "open"): "file_lock fs_lockR dcache_lock files_lock files_lock file_lock",
    ("2.4", "creat"): (
        "file_lock fs_lockR i_sem dcache_lock dcache_lock kernel_flag pagecache_lock dcache_lock dcache_lock"
        " i_zombie kernel_flag inode_lock s_lock inode_lock inode_lock pagecache_lock PG_locked dcache_lock"
        " files_lock arbitration_lock files_lock file_lock"
    ),
    ("2.4", "first read"): "file_lockR pagecache_lock pagemap_lru_lock dcache_lock",
    ("2.4", "read"): "file_lockR pagecache_lock dcache_lock",
    ("2.4", "first write"): (
        "file_lockR i_sem pagecache_lock zone_lock pagecache_lock pagemap_lru_lock PG_locked unused_list_lock"
        " kernel_flag kernel_flag s_lock hash_table_lockR lru_list_lock lru_list_lock dcache_lock"
    ),
    ("2.4", "append"): "file_lockR i_sem pagecache_lock PG_locked dcache_lock",
    ("2.4", "close after read"): "file_lock files_lock dcache_lock",
    ("2.4", "close after write"): "file_lock kernel_flag s_lock files_lock dcache_lock",
    ("2.4", "unlink"): (
        "fs_lockR i_sem dcache_lock i_zombie kernel_flag pagecache_lock PG_locked dcache_lock"
        " kernel_flag inode_lock pagecache_lock PG_locked lru_list_lock lru_list_lock hash_table_lock"
        " lru_list_lock hash_table_lock unused_list_lock buffer_wait_lock pagemap_lru_lock pagecache_lock"
        " zone_lock pagecache_lock kernel_flag hash_table_lockR s_lock s_lock lru_list_lock inode_lock"
        " lru_list_lock dcache_lock"
    ),
    ("2.4", "lseek"): "file_lockR kernel_flag",
    ("2.4", "fstat"): "file_lockR",
    ("2.4", "mmap"): "mmap_sem page_table_lock",
    ("2.4", "munmap"): "mmap_sem page_table_lock page_table_lock zone_lock",
    ("2.4", "fault"): "mmap_semR page_table_lock zone_lock page_table_lock",
    ("2.6", "open"): "file_lock fs_lockR d_lock files_lock file_lock",
    ("2.6", "creat"): (
        "file_lock fs_lockR i_sem dcache_lock tree_lock dcache_lock dcache_lock d_lock inode_lock sb_bgl_lock"
        " s_next_gen_lock inode_lock inode_lock tree_lock PG_locked dcache_lock i_lock files_lock file_lock"
    ),
    ("2.6", "first read"): "tree_lock tree_lock lru_lock d_lock",
    ("2.6", "read"): "tree_lock tree_lock d_lock",
    ("2.6", "first write"): (
        "i_sem tree_lock tree_lock PG_locked private_lock i_meta_lock i_meta_lock i_meta_lock sb_bgl_lock"
        " i_meta_lock i_meta_lock bdev_tree_lock tree_lock lru_lock i_size_seqcount d_lock"
    ),
    ("2.6", "append"): "i_sem tree_lock PG_locked i_size_seqcount d_lock",
    ("2.6", "close after read"): "file_lock files_lock dcache_lock d_lock",
    ("2.6", "close after write"): "file_lock i_meta_lock sb_bgl_lock files_lock dcache_lock d_lock",
    ("2.6", "unlink"): (
        "fs_lockR i_sem d_lock i_sem tree_lock PG_locked dcache_lock d_lock dcache_lock d_lock inode_lock"
        " tree_lock PG_locked private_lock tree_lock tree_lock tree_lock lru_lock tree_lock tree_lock"
        " i_meta_lock sb_bgl_lock i_meta_lock sb_bgl_lock inode_lock"
    ),
    ("2.6", "lseek"): "i_sem",
    ("2.6", "fstat"): "file_lock",
    ("2.6", "mmap"): "mmap_sem",
    ("2.6", "munmap"): "mmap_sem page_table_lock lru_lock lru_lock",
    ("2.6", "fault"): "mmap_semR page_table_lock page_table_lock page_table_lock",
}
"""Acquisitions in order. Not in the plans, so left out here: what each plan's `left_out` lists."""

CALLS = ("open", "creat", "read", "first write", "append", "close after read", "close after write", "unlink")

_COUNTS = {
    "2.0": """
        kernel_flag       1 1 1 1 1 1 1 1
        i_sem             0 1 0 1 1 0 0 1
        s_lock            0 1 0 1 0 0 1 2
        I_LOCK            0 0 0 0 0 1 1 0
    """,
    "2.2": """
        kernel_flag       1 1 1 1 1 1 1 1
        i_sem             0 2 0 1 1 0 0 1
        s_lock            0 1 0 1 0 0 1 2
        waitqueue_lock    0 1 0 1 0 0 1 2
        inode_lock        0 3 0 0 0-1 0 0 3
        page_alloc_lock   2 2 0 0-1 0 0 0 2-3
        c_spinlock        0 1 0 0 0 0 0 0
    """,
    "2.4": """
        kernel_flag       0 2 0 1 0 0 1 3
        dcache_lock       1 5 1 1 1 1 1 3
        inode_lock        0 3 0 0 0-1 0 0 2
        files_lock        2 2 0 0 0 1 1 0
        file_lock         2 2 1 1 1 1 1 0
        fs_lock           1 1 0 0 0 0 0 1
        arbitration_lock  0 1 0 0 0 0 0 0
        i_sem             0 1 0 1 1 0 0 1
        i_zombie          0 1 0 0 0 0 0 1
        s_lock            0 1 0 1 0 0 1 2
        pagecache_lock    0 2 1 2 1 0 0 4
        pagemap_lru_lock  0 0 0-1 1 0 0 0 1
        zone_lock         0 0 0 1 0 0 0 1
        lru_list_lock     0 0-5 0 2 0-2 0 0 5
        hash_table_lock   0 0 0 1 0 0 0 3
        unused_list_lock  0 0 0 1 0 0 0 1
        buffer_wait_lock  0 0 0 0 0 0 0 1
        PG_locked         0 1 0 1 1 0 0 2
    """,
    "2.6": """
        dcache_lock       0 4 0 0 0 1 1 2
        d_lock            1 1 1 1 1 1 1 3
        inode_lock        0 3 0 0 0-1 0 0 2
        files_lock        1 1 0 0 0 1 1 0
        file_lock         2 2 0 0 0 1 1 0
        fs_lock           1 1 0 0 0 0 0 1
        i_sem             0 1 0 1 1 0 0 2
        i_lock            0 1 0 0 0 0 0 0
        i_meta_lock       0 0 0 5 0 0 1 2
        sb_bgl_lock       0 1 0 1 0 0 1 2
        s_next_gen_lock   0 1 0 0 0 0 0 0
        tree_lock         0 2 2 3 1-2 0 0 7
        bdev_tree_lock    0 0-2 0 1-2 0 0 0-1 0-3
        private_lock      0 0 0 1 0 0 0 1
        PG_locked         0 1 0 1 1 0 0 2
        lru_lock          0 0 0-1 1 0-1 0 0 1-2
        zone_lock         0 0 0 0-1 0 0 0 0-1
    """,
}


def counts(version: str) -> dict[str, dict[str, tuple[int, int]]]:
    """Return how often each call takes each lock, least and most: by call, then lock.

    Outermost acquisitions of recursive locks. `kernel_flag` of 2.4 in unlink counts three, `buffer_wait_lock`
    one of the two wake-ups, for the other wait queue is the inode's own and left out.
    """
    found: dict[str, dict[str, tuple[int, int]]] = {call: {} for call in CALLS}
    for line in _COUNTS[version].strip().splitlines():
        lock, *numbers = line.split()
        for call, number in zip(CALLS, numbers, strict=True):
            least, _, most = number.partition("-")
            found[call][lock] = (int(least), int(most or least))
    return found


LOCKS = {
    "2.0": "kernel_flag i_sem mmap_sem s_lock I_LOCK",
    "2.2": (
        "kernel_flag inode_lock page_alloc_lock c_spinlock runqueue_lock tasklist_lock waitqueue_lock waitqueue_write_lock"
        " semaphore_wake_lock timerlist_lock xtime_lock global_irq_lock irq_controller_lock io_request_lock i_sem"
        " mmap_sem s_lock global_bh_count skb_queue_lock skb_cache_lock sp_lock sk_lock sigmask_lock"
    ),
    "2.4": (
        "kernel_flag dcache_lock inode_lock files_lock arbitration_lock pagecache_lock pagemap_lru_lock"
        " lru_list_lock hash_table_lock unused_list_lock zone_lock slab_lock page_table_lock mmap_sem file_lock"
        " fs_lock i_sem i_zombie s_lock PG_locked runqueue_lock tasklist_lock buffer_wait_lock semaphore_lock"
        " alloc_lock timerlist_lock xtime_lock io_request_lock desc_lock wait_queue_lock sem_ids_ary msg_ids_ary"
        " mmlist_lock swaplock sdev_lock"
        " slock sk_lock tcp_ehash_lock tcp_lhash_lock tcp_portalloc_lock dev_queue_lock xmit_lock sp_lock loopback_xmit_lock"
        " sigmask_lock"
    ),
    "2.6": (
        "dcache_lock d_lock rename_lock inode_lock files_lock i_sem i_lock i_size_seqcount i_meta_lock sb_bgl_lock"
        " s_next_gen_lock percpu_counter_lock tree_lock bdev_tree_lock private_lock bdev_private_lock PG_locked"
        " lru_lock zone_lock slab_lock file_lock fs_lock mmap_sem page_table_lock rq_lock xtime_lock queue_lock"
        " desc_lock tasklist_lock wait_queue_lock sem_perm_lock msg_perm_lock mmlist_lock swaplock sdev_lock"
        " slock sk_lock tcp_ehash_lock tcp_lhash_lock tcp_portalloc_lock tcp_bhash_lock dev_queue_lock xmit_lock sp_lock"
        " base_lock siglock"
    ),
}
"""Every lock that the calls of PostMark and about processes, the scheduler, ticks and write-back take in the source,
and the plan has."""

LEFT_OUT = {
    "2.0": "PG_locked BH_Lock i_condemned smp_process_available",
    "2.2": "tqueue_lock BH_Lock PG_locked I_LOCK",
    "2.4": "bdev_lock sb_lock BH_Lock tqueue_lock global_bh_lock global_irq_lock tlbstate_lock",
    "2.6": "vfsmount_lock sb_lock BH_Lock PG_writeback I_LOCK anon_vma tlbstate_lock kernel_sem sem->wait.lock",
}
"""Those that the source has and the plan says to leave out (`features.left_out`), with its reason."""
