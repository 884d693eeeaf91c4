"""Names: from path to directory, and from a name in a directory to its inode, through the name cache."""

from lockscape.kernel.allocate import page_alloc, page_free, slab_alloc, slab_free
from lockscape.kernel.deferral import defer_free
from lockscape.kernel.entries import search
from lockscape.kernel.inodes import iget, iput
from lockscape.kernel.objects import DENTRIES, NAMES, Dentry, DentryCache, Inode, Mount, NameCache, Process
from lockscape.program.language import (
    NONE,
    compare_and_swap,
    count,
    current,
    find,
    free,
    function,
    hold,
    insert,
    new,
    oldest,
    option,
    remove,
    section,
    step,
    the,
)

NAME_BITS = 24
"""A name's number takes the lower bits of a key of the name cache, the directory's serial number the rest."""

COMPONENT_BITS = 20
"""A path's directories are numbers packed into one word, the first one lowest."""

OLD_CACHE = 128
"""Names in each of the two levels of Linux 2.0's cache (fs/dcache.c: DCACHE_SIZE)."""


@function()
def getname() -> None:
    """Copy a path from the user."""
    if option("name_pages"):
        page_alloc()
    else:
        slab_alloc(NAMES)
    step("getname")


@function()
def putname() -> None:
    """Give the copy of a path back."""
    if option("name_pages"):
        page_free()
    else:
        slab_free(NAMES)


@function()
def walk(path: int) -> Inode:
    """Return the directory that a path leads to, beginning at the process' own; none if there is no such."""
    step("walk_base")
    me: Process = current()
    with section("pwd", me.directory):
        directory: Inode = me.directory
        if option("walk_counts"):
            directory.users += 1
            mount: Mount = the(Mount)
            mount.users += 1
    while path != 0 and directory != NONE:
        directory = step_into(me, directory, path % (1 << COMPONENT_BITS))
        path = path >> COMPONENT_BITS
    return directory


@function()
def end_walk() -> None:
    """Give back what a walk refers to (path_release)."""
    leave_directory()
    if option("walk_counts"):
        put_mount()


@function()
def leave_directory() -> None:
    """Give the reference to the directory that a walk led to back."""
    me: Process = current()
    if option("walk_counts"):
        start: Inode = me.directory
        start.users -= 1
    if option("dentry_cache"):
        if me.entered != NONE:
            dput(me.entered)
            me.entered = NONE
    elif me.inside != NONE:
        iput(me.inside)
        me.inside = NONE


@function()
def put_mount() -> None:
    """Give a reference to the mounted file system back."""
    mount: Mount = the(Mount)
    mount.users -= 1


@function()
def step_into(me: Process, directory: Inode, name: int) -> Inode:
    """Return the directory of this name in a directory, to which the process refers from now on."""
    if option("dentry_cache"):
        dentry = lookup(directory, name)
        if me.entered != NONE:
            dput(me.entered)
        me.entered = dentry
        inode: Inode = dentry.inode
    else:
        inode = iget(old_lookup(directory, name))
        if me.inside != NONE:
            iput(me.inside)
        me.inside = inode
    return inode


@function()
def lookup(directory: Inode, name: int) -> Dentry:
    """Return the dentry of a name, with a reference; it may be negative."""
    step("component")
    key = (directory.serial << NAME_BITS) | name
    dentry = cached(key)
    if dentry == NONE:
        with hold("i_sem", directory):
            if option("rename_sequence"):
                dentry = cached_again(key)
            else:
                dentry = cached(key)
            if dentry == NONE:
                dentry = real_lookup(directory, key, name)
    return dentry


@function()
def lookup_held(directory: Inode, name: int) -> Dentry:
    """The same for a caller that holds the directory's semaphore, to create or delete the name."""
    step("component")
    key = (directory.serial << NAME_BITS) | name
    dentry = cached(key)
    if option("rename_sequence"):
        if dentry == NONE:
            dentry = cached_again(key)
    if dentry == NONE:
        dentry = real_lookup(directory, key, name)
    return dentry


@function()
def cached_again(key: int) -> Dentry:
    """Look again for a name that was not found, lest a renaming moved it meanwhile (d_lookup)."""
    cache: DentryCache = the(DentryCache)
    with section("again", cache.table):
        there = find(cache.table, key) != 0
    if there == 1:
        return cached(key)
    return NONE


@function()
def cached(key: int) -> Dentry:
    """Look a name up in the name cache and take a reference."""
    cache: DentryCache = the(DentryCache)
    with section("lookup", cache.table):
        dentry: Dentry = find(cache.table, key)
        if dentry != NONE:
            if option("rcu_lookup"):
                dentry = take_unless_dropped(dentry)
            else:
                with section("take", dentry.count):
                    dentry.count += 1
            if not option("lazy_unused"):
                if dentry.listed == 1:
                    remove(cache.unused, dentry)
                    dentry.listed = 0
    return dentry


@function()
def take_unless_dropped(dentry: Dentry) -> Dentry:
    """Take a reference to a dentry found without a lock; it may have been dropped since."""
    with section("take", dentry.count, dentry.dropped):
        dropped = dentry.dropped
        if dropped == 0:
            dentry.count += 1
    if dropped == 1:
        return NONE
    return dentry


@function()
def real_lookup(directory: Inode, key: int, name: int) -> Dentry:
    """Ask the file system for a name and remember the answer, also that there is none."""
    cache: DentryCache = the(DentryCache)
    slab_alloc(DENTRIES)
    step("dentry_alloc")
    dentry: Dentry = new(Dentry)
    dentry.key = key
    dentry.count = 1
    with section("alloc", cache.entries):
        cache.entries += 1
    answer(directory, dentry, name)
    return dentry


@function()
def answer(directory: Inode, dentry: Dentry, name: int) -> None:
    """Let the file system fill a new dentry in (its lookup operation)."""
    cache: DentryCache = the(DentryCache)
    number = search(directory, name)
    inode: Inode = NONE
    if number != 0:
        inode = iget(number)
    with section("instantiate", dentry.inode):
        dentry.inode = inode
    with section("rehash", cache.table):
        step("dentry_hash")
        insert(cache.table, dentry.key, dentry)


@function()
def dput(dentry: Dentry) -> None:
    """Give a reference to a dentry back; the last one puts it on the list of the unused."""
    step("dput")
    if option("atomic_counts"):
        seen = dentry.count
        while seen > 1:
            if compare_and_swap(dentry.count, seen, seen - 1) == 1:
                return
            seen = dentry.count
    cache: DentryCache = the(DentryCache)
    gone = 0
    with section("put", dentry.count, cache.unused):
        dentry.count -= 1
        if dentry.count == 0:
            if dentry.dropped == 1:
                cache.entries -= 1
                gone = 1
            elif dentry.listed == 0:
                insert(cache.unused, dentry, dentry)
                dentry.listed = 1
    if gone == 1:
        free_dentry(dentry)


@function()
def free_dentry(dentry: Dentry) -> None:
    """Free the dentry of a deleted name that nobody uses any more, with its reference to the file."""
    inode: Inode = dentry.inode
    if option("rcu_lookup"):
        dentry.inode = NONE
        defer_free(dentry)
    else:
        free(dentry)
        slab_free(DENTRIES)
    if inode != NONE:
        iput(inode)


@function()
def attach(dentry: Dentry, inode: Inode) -> None:
    """Make a negative dentry stand for a new inode."""
    with section("attach", dentry.inode):
        dentry.inode = inode


@function()
def detach(dentry: Dentry) -> Inode:
    """Make a deleted name's dentry negative and return its file; if others use it, only drop it."""
    cache: DentryCache = the(DentryCache)
    step("dentry_delete")
    inode: Inode = NONE
    with section("detach", dentry.inode, dentry.count, cache.table):
        if dentry.count == 1:
            inode = dentry.inode
            dentry.inode = NONE
        else:
            drop(cache, dentry)
    return inode


@function()
def drop(cache: DentryCache, dentry: Dentry) -> None:
    """Take a dentry that others use out of the cache, so that it goes with its last user (d_drop)."""
    remove(cache.table, dentry.key)
    dentry.dropped = 1
    if dentry.listed == 1:
        remove(cache.unused, dentry)
        dentry.listed = 0


@function()
def replace(dentry: Dentry, inode: Inode) -> Inode:
    """Let a name's dentry stand for another file; return the file whose reference is to be given back.

    If others use the dentry it is only dropped: they keep the file that they know, and the next lookup asks
    the directory.
    """
    cache: DentryCache = the(DentryCache)
    step("dentry_delete")
    was = inode
    with section("replace", dentry.inode, dentry.count, cache.table):
        if dentry.count == 1:
            was = dentry.inode
            dentry.inode = inode
        else:
            drop(cache, dentry)
    return was


@function()
def old_lookup(directory: Inode, name: int) -> int:
    """Return the inode number of a name, or 0, through the name cache of Linux 2.0."""
    step("component")
    cache: NameCache = the(NameCache)
    key = (directory.serial << NAME_BITS) | name
    packed = old_cached(cache, key)
    if packed != 0 and packed % (1 << 30) == directory.version % (1 << 30):
        return (packed >> 30) - 1
    number = search(directory, name)
    old_remember(cache, key, directory.version, number)
    return number


@function()
def old_enter(directory: Inode, name: int, number: int) -> None:
    """Remember a name that was just created, for the directory's new version."""
    cache: NameCache = the(NameCache)
    old_remember(cache, (directory.serial << NAME_BITS) | name, directory.version, number)


@function()
def old_cached(cache: NameCache, key: int) -> int:
    """Return what the old cache has under a key: (inode number + 1, version of the directory), or 0."""
    with section("lookup", cache.first, cache.second):
        packed = find(cache.first, key)
        if packed == 0:
            packed = find(cache.second, key)
    return packed


@function()
def old_remember(cache: NameCache, key: int, version: int, number: int) -> None:
    """Put a name into the first level of the old cache; a name seen there before moves to the second."""
    packed = ((number + 1) << 30) | (version % (1 << 30))
    with section("remember", cache.first, cache.second):
        step("name_cache_add")
        seen = remove(cache.first, key)
        if seen == 0:
            seen = remove(cache.second, key)
        if seen != 0:
            insert(cache.second, key, packed)
        else:
            insert(cache.first, key, packed)
        if count(cache.first) > OLD_CACHE:
            remove(cache.first, oldest(cache.first))
        if count(cache.second) > OLD_CACHE:
            remove(cache.second, oldest(cache.second))
