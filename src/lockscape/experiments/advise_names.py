"""Which subsystem a function or a system call of Linux belongs to, told by its name.

Names are those of Linux 2.6 to 6.x; the subsystem is the folder that defines them: fs, block and drivers of
disks are `fs`, mm `mm`, kernel and sched `process`, net and drivers of cards `net`, ipc and pipes `ipc`, the
architecture's entry code `entry`. A name that says nothing of its folder belongs to none.
"""

import re

_CALLS = {
    "fs": (
        "open openat openat2 creat close read pread64 readv preadv preadv2 write pwrite64 writev "
        "pwritev pwritev2 lseek _llseek stat stat64 lstat lstat64 fstat fstat64 newfstatat "
        "fstatat64 statx access faccessat faccessat2 unlink unlinkat mkdir mkdirat rmdir rename "
        "renameat renameat2 link linkat symlink symlinkat readlink readlinkat getdents getdents64 "
        "chdir fchdir getcwd chmod fchmod fchmodat chown fchown fchownat lchown utime utimes "
        "utimensat futimesat truncate ftruncate fallocate fsync fdatasync sync syncfs "
        "sync_file_range statfs fstatfs mount umount umount2 dup dup2 dup3 fcntl fcntl64 flock "
        "sendfile sendfile64 copy_file_range readahead fadvise64 getxattr lgetxattr fgetxattr "
        "setxattr listxattr inotify_init inotify_init1 inotify_add_watch inotify_rm_watch mknod "
        "mknodat umask io_submit io_getevents io_uring_enter"
    ),
    "mm": (
        "mmap mmap2 old_mmap munmap mremap mprotect brk madvise msync mincore mlock mlock2 munlock "
        "mlockall munlockall mbind get_mempolicy set_mempolicy membarrier memfd_create"
    ),
    "process": (
        "fork vfork clone clone3 execve execveat exit exit_group wait4 waitpid waitid kill tkill "
        "tgkill rt_sigaction sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend sigaltstack "
        "rt_sigtimedwait sched_yield sched_setaffinity sched_getaffinity sched_setscheduler "
        "nanosleep clock_nanosleep getpid getppid gettid getuid geteuid getgid getegid setuid "
        "setgid setsid setpgid getpgrp getrlimit setrlimit prlimit64 getrusage times alarm "
        "setitimer getitimer timer_create timer_settime timerfd_create timerfd_settime futex "
        "set_robust_list set_tid_address arch_prctl prctl rseq ptrace pause gettimeofday "
        "clock_gettime time uname sysinfo getrandom capget capset"
    ),
    "net": (
        "socket bind connect listen accept accept4 send sendto sendmsg sendmmsg recv recvfrom "
        "recvmsg recvmmsg shutdown getsockname getpeername setsockopt getsockopt socketpair "
        "socketcall"
    ),
    "ipc": (
        "pipe pipe2 semget semop semtimedop semctl msgget msgsnd msgrcv msgctl shmget shmat shmdt "
        "shmctl ipc mq_open mq_timedsend mq_timedreceive splice tee vmsplice eventfd eventfd2"
    ),
}
"""System calls by subsystem. Those that wait for any kind of file (poll, select, ioctl) are in none."""

CALLS = {call: subsystem for subsystem, calls in _CALLS.items() for call in calls.split()}
"""The subsystem of each system call."""

_BEGINNINGS = {
    "entry": (
        r"(?:entry_|asm_|ret_from_|sysret|syscall_|do_syscall|do_int80|system_call|irqentry|exc_|"
        r"error_entry|swapgs|restore_|native_irq_return|el[01]t?_|el0_svc|common_interrupt)"
    ),
    "net": (
        r"(?:tcp|udp|ip|ip6|ipv6|inet|inet6|sock|sk|skb|net|netif|napi|dev_queue|dev_hard|eth|arp|"
        r"neigh|nf|fib|unix|packet|qdisc|sch_direct|pfifo|__netif|__skb|___pskb|__tcp|__ip|__inet|"
        r"__dev_queue|__sys_(?:send|recv|accept|connect)|virtnet|e1000|ixgbe|bnx2|mlx|loopback|"
        r"xmit)_"
    ),
    "ipc": (
        r"(?:pipe|anon_pipe|msg|sem|semctl|ipc|shm|do_msg|do_sem|mqueue|eventfd|splice)_|"
        r"(?:do_semtimedop|do_splice)"
    ),
    "mm": (
        r"(?:page_alloc|alloc_page|alloc_pages|free_page|free_pages|free_unref|get_page|"
        r"__alloc_pages|__free_page|rmqueue|handle_mm_fault|__handle_mm_fault|handle_pte_fault|"
        r"do_page_fault|do_user_addr_fault|do_anonymous_page|do_wp_page|do_fault|zap_p|unmap_|"
        r"vma_|find_vma|mmap_|do_mmap|__do_munmap|do_munmap|do_brk|clear_page|clear_huge|"
        r"copy_page|kmem_cache|kmalloc|kfree|__kmalloc|slab|___slab|__slab|shrink_|lru_|"
        r"mem_cgroup|__mod_memcg|try_charge|uncharge|tlb_|flush_tlb|pte_|change_p|swap_|"
        r"folio_(?:add_lru|batch)|release_pages|vm_normal|wp_page|anon_vma|mas_|mt_)"
    ),
    "process": (
        r"(?:schedule|__schedule|sched_|pick_next|try_to_wake|wake_up|__wake_up|enqueue_|dequeue_|"
        r"update_curr|update_load|select_task|load_balance|rebalance|ttwu|task_|finish_task|"
        r"__switch_to|context_switch|copy_process|do_fork|kernel_clone|do_exit|do_wait|wait_|"
        r"release_task|do_signal|send_signal|get_signal|signal_|hrtimer|run_timer|tick_|timer_|"
        r"futex|do_futex|dup_|exec_|load_elf|cpu_idle|default_idle|rcu_|__rcu|ktime|update_wall|"
        r"account_)"
    ),
    "fs": (
        r"(?:vfs|ext[234]|xfs|btrfs|jbd2?|journal|reiserfs|ufs|nfs|path_|link_path|walk_|lookup|"
        r"__lookup|d_|__d_|dput|dget|dentry|inode|iget|iput|__iget|namei|filename|getname|"
        r"do_sys_open|do_filp|file_|fget|__fget|fput|__fput|generic_file|generic_perform|filemap|"
        r"__filemap|pagecache|find_get_p|grab_cache|add_to_page|bio_|__bio|blk_|submit_bio|block_|"
        r"__block|buffer_|__find_get_block|bread|__bread|getblk|mark_buffer|writeback|wb_|"
        r"do_writep|write_cache|sync_|do_sync|ll_rw|elv_|scsi|nvme|ata_|ahci|stat_|cp_new_stat|"
        r"filldir|iterate_dir|readdir|do_unlink|do_rename|do_mkdir|read_pages|iov_iter|proc_|"
        r"sysfs|fsnotify|lockref|mnt_|complete_walk|step_into|open_last|do_dentry)"
    ),
}
SYMBOLS = tuple((subsystem, re.compile(begins)) for subsystem, begins in _BEGINNINGS.items())
"""What functions' names begin with, by subsystem; the first that fits counts."""

_WRAPPED = re.compile(r"(?:__(?:x64|ia32|arm64|se|do)_)?(?:compat_)?sys_")


def call_subsystem(name: str) -> str | None:
    """Return the subsystem of a system call, None for one that is in none."""
    return CALLS.get(name)


def symbol_subsystem(name: str) -> str | None:
    """Return the subsystem of a function of the kernel, None if its name does not tell."""
    wrapped = _WRAPPED.match(name)
    if wrapped is not None and (found := CALLS.get(name[wrapped.end() :])) is not None:
        return found
    bare = name.lstrip("_") if not name.startswith(("__", "___")) else name
    for subsystem, pattern in SYMBOLS:
        if pattern.match(bare) or pattern.match(name.lstrip("_")):
            return subsystem
    return None
