"""Makes a fresh file system: its counts, directories of processes, and what is in them before a run."""

from collections.abc import Sequence
from typing import NamedTuple

from lockscape.errors import InputError
from lockscape.kernel.blocks import BLOCKS_PER_GROUP
from lockscape.kernel.inodes import INODES_PER_GROUP
from lockscape.kernel.objects import PAGE_BYTES
from lockscape.machine.state import State

_ROOT_SERIAL = 1


class Node(NamedTuple):
    """A file or directory that is there before a run: numbers of the directories above it, and its own.

    `link`: length of the path in it, if it is a symbolic link.
    """

    above: tuple[int, ...]
    name: int
    is_directory: bool
    size_bytes: int
    link: int = 0


def make_file_system(
    state: State, opt: dict[str, int], instance: int, processes: Sequence[int], together: bool, files: int,
    tree: Sequence[Node] = (),
) -> None:  # fmt: skip
    """Make a fresh file system with a directory for each process of a kernel, spread over the groups."""
    for number in range(opt["groups"]):
        state.set(state.system("BlockGroup", number, instance), free_inodes=INODES_PER_GROUP,
                  free_blocks=BLOCKS_PER_GROUP)  # fmt: skip
    sb = state.system("SuperBlock", 0, instance)
    groups = opt["groups"]
    state.set(sb, free_inodes=INODES_PER_GROUP * groups, free_blocks=BLOCKS_PER_GROUP * groups,
              serials=_ROOT_SERIAL)  # fmt: skip
    state.set(state.system("Clock", 0, instance), flush=opt["flush_seconds"] * opt["hz"])
    for number, process in enumerate(processes):
        if number == 0 or not together:
            inode = make_directory(state, number % opt["groups"], instance)
            for name in range(1, files + 1):
                _make_file(state, inode, name, instance)
            make_tree(state, inode, tree, opt["groups"], instance)
        state.set(process, directory=inode)


def make_directory(state: State, group: int, instance: int = 0) -> int:
    """Make a directory in a block group, as if it had been there; return its inode."""
    sb, g = state.system("SuperBlock", 0, instance), state.system("BlockGroup", group, instance)
    block = len(state.items(g, "block_map"))
    state.insert(g, "block_map", block, 1)
    serial = state.get(sb, "serials") + 1
    state.set(sb, serials=serial, free_blocks=state.get(sb, "free_blocks") - 1)
    state.set(g, free_blocks=state.get(g, "free_blocks") - 1)
    inode = _make_inode(state, group, instance)
    state.set(inode, nlink=2, count=1, directory=1, serial=serial, block=group * BLOCKS_PER_GROUP + block + 1)
    return inode


def _make_file(state: State, directory: int, name: int, instance: int) -> int:
    """Make an empty file, as if it had been there, that nobody refers to but its directory."""
    inode = _make_inode(state, state.get(directory, "group"), instance)
    state.set(inode, nlink=1)
    state.insert(directory, "entries", name, state.get(inode, "number"))
    return inode


def _make_inode(state: State, group: int, instance: int) -> int:
    """Take the next inode of a group, and have it in memory."""
    sb, g = state.system("SuperBlock", 0, instance), state.system("BlockGroup", group, instance)
    used = len(state.bits(g, "inode_map"))
    if used >= INODES_PER_GROUP:
        raise InputError(
            f"more than {INODES_PER_GROUP:,} files in one block group: give a workload with fewer"
        )
    state.insert(g, "inode_map", used, 1)
    state.set(sb, free_inodes=state.get(sb, "free_inodes") - 1)
    state.set(g, free_inodes=state.get(g, "free_inodes") - 1)
    inode = state.new("Inode")
    number = group * INODES_PER_GROUP + used + 1
    state.set(inode, number=number, group=group)
    cache = state.system("InodeCache", 0, instance)
    state.insert(cache, "table", number, inode)
    state.set(cache, inodes=state.get(cache, "inodes") + 1)
    return inode


def make_tree(state: State, root: int, tree: Sequence[Node], groups: int, instance: int = 0) -> None:
    """Make directories and files, as if they had been there: each directory in the next block group.

    Raises `InputError` for more than a group has room for.
    """
    made: dict[tuple[int, ...], int] = {(): root}
    group = state.get(root, "group")
    for node in tree:
        for depth in range(len(node.above) + node.is_directory):
            path = (*node.above, node.name)[: depth + 1]
            if path not in made:
                group = (group + 1) % groups
                made[path] = make_directory(state, group, instance)
                state.set(made[path], count=0)
                parent = made[path[:-1]]
                state.insert(parent, "entries", path[-1], state.get(made[path], "number"))
                state.set(parent, nlink=state.get(parent, "nlink") + 1)
        if node.is_directory:
            inode = made[*node.above, node.name]
        else:
            directory = made[node.above]
            inode = _make_file(state, directory, node.name, instance)
            _fill_file(state, directory, inode, node.size_bytes, instance)
        state.set(inode, link=node.link)


def _fill_file(state: State, directory: int, inode: int, size_bytes: int, instance: int) -> None:
    """Give a new file its size, and blocks one behind the other in the group of its directory."""
    group = state.get(directory, "group")
    g, sb = state.system("BlockGroup", group, instance), state.system("SuperBlock", 0, instance)
    used, blocks = len(state.bits(g, "block_map")), -(-size_bytes // PAGE_BYTES)
    if used + blocks > BLOCKS_PER_GROUP:
        raise InputError(
            f"files of more than {BLOCKS_PER_GROUP:,} blocks of {PAGE_BYTES:,} bytes in one block "
            "group: give a workload with smaller files"
        )
    for index in range(blocks):
        state.insert(g, "block_map", used + index, 1)
        block = group * BLOCKS_PER_GROUP + used + index + 1
        if index == 0:
            state.set(inode, block=block)
        else:
            state.insert(inode, "blocks", index, block)
    state.set(inode, size=size_bytes)
    state.set(g, free_blocks=state.get(g, "free_blocks") - blocks)
    state.set(sb, free_blocks=state.get(sb, "free_blocks") - blocks)
