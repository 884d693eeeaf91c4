"""The last of a process: its structure goes when its parent has asked for it and no processor has it."""

from lockscape.kernel.allocate import page_free
from lockscape.kernel.objects import Memory, Process
from lockscape.program.language import add_return, free, function, option, section, step


@function()
def put_process(p: Process) -> None:
    """Give a reference to a process back; with the last one its structure is freed."""
    with section("put", p.references):
        left = add_return(p.references, -1)
    if left == 0:
        free_process(p)


@function()
def put_memory(memory: Memory) -> None:
    """Give a reference to an address space back; with the last one it goes (mmput)."""
    with section("put", memory.users):
        left = add_return(memory.users, -1)
    if left == 0:
        free(memory)


@function()
def free_process(p: Process) -> None:
    """Free the structure of a process that has ended, with what is left of it."""
    step("free_process")
    free(p.files)
    if option("swapping"):
        put_memory(p.memory)
    else:
        free(p.memory)
    free(p.waits)
    free(p)
    page_free()
    page_free()
