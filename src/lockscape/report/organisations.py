"""Figure 1: how kernels are organised on a multiprocessor, drawn. Geometry only; the template draws it.

A panel shows processes above, kernels in the middle and processors below. A thick line around something is a
lock; a flash is a system call or an interrupt; what has neither a lock nor a neighbour in it needs none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lockscape.experiments.choose import choose
from lockscape.ports.port import kernel_count

WIDTH, HEIGHT = 252.0, 196.0
"""Of a drawing, in its units."""
PROCESSORS = 8
"""On how many the kernels of a panel's system are counted."""

Kind = Literal["kernel", "part", "object", "lock", "hypervisor", "processor", "process", "queue"]
"""What a box stands for; its colour."""


@dataclass(frozen=True)
class Box:
    """A thing with a name: `lock` draws the thick line."""

    kind: Kind
    x: float
    y: float
    width: float
    height: float
    text: str = ""
    lock: bool = False


@dataclass(frozen=True)
class Flash:
    """A system call or an interrupt, which ends at a point, from above or from below."""

    path: str


@dataclass(frozen=True)
class Arrow:
    """A message, or work that is handed on."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Organisation:
    """A panel of Figure 1: its letter, what it is, in two sentences how it works, and an example's kernels.

    `method` is the id that gives the colour; `plan` a port or system here, which has `kernels` kernels
    with files on 8 processors.
    """

    letter: str
    title: str
    method: str
    text: str
    plan: str
    kernels: int
    boxes: tuple[Box, ...]
    flashes: tuple[Flash, ...]
    arrows: tuple[Arrow, ...]


Drawn = tuple[Sequence[Box], Sequence[Flash], Sequence[Arrow]]
"""A drawing: boxes, marks of locks, and arrows."""


def flash(x: float, y: float, up: bool = False) -> Flash:
    """Return a flash whose tip is at a point, coming from above, or from below if `up`."""
    s = -1 if up else 1
    corners = ((x + 3, y - s * 22), (x - 4, y - s * 10), (x, y - s * 10), (x - 3, y), (x + 5, y - s * 13),
               (x + 1, y - s * 13), (x + 7, y - s * 22))  # fmt: skip
    return Flash("M" + "L".join(f"{a:g},{b:g}" for a, b in corners) + "z")


def _row(kind: Kind, texts: Sequence[str], x: float, y: float, width: float, height: float) -> list[Box]:
    """Return boxes side by side over a width."""
    each = (width - 6 * (len(texts) - 1)) / len(texts)
    return [Box(kind, x + n * (each + 6), y, each, height, text) for n, text in enumerate(texts)]


def _outside(processors: Sequence[str] = ("CPU 0", "CPU 1", "CPU 2")) -> list[Box]:
    """Return the processes above and the processors below."""
    return [
        *_row("process", ("process", "process", "process"), 10, 8, 232, 22),
        *_row("processor", processors, 10, 166, 232, 22),
    ]


def _parts(locks: bool) -> list[Box]:
    found = []
    for n, text in enumerate(("files", "memory", "network", "scheduler")):
        found.append(Box("part", 22 + 106 * (n % 2), 82 + 32 * (n // 2), 100, 24, text, locks))
    return found


_CALLS = (flash(48, 58), flash(126, 58), flash(204, 58))


def _giant() -> Drawn:
    kernel = Box("kernel", 10, 60, 232, 90, "kernel", lock=True)
    return [*_outside(), kernel, *_parts(False)], _CALLS, ()


def _coarse() -> Drawn:
    return [*_outside(), Box("kernel", 10, 60, 232, 90, "kernel"), *_parts(True)], _CALLS, ()


def _fine() -> Drawn:
    boxes = [*_outside(), Box("kernel", 10, 60, 232, 90, "kernel")]
    for n, text in enumerate(("inode", "inode", "page", "page", "name", "file", "socket", "task", "task")):
        column, row = n % 5, n // 5
        boxes.append(Box("object", 18 + 44 * column, 82 + 32 * row, 40, 24, text, lock=True))
    boxes.append(Box("object", 194, 114, 40, 24, "…", lock=True))
    return boxes, _CALLS, ()


def _master() -> Drawn:
    boxes = [
        *_outside(("master", "slave", "slave")),
        Box("kernel", 10, 60, 73, 90, "kernel"),
        Box("queue", 16, 88, 61, 22, "its queue"),
        Box("queue", 92, 104, 150, 22, "queue of the slaves"),
    ]
    return boxes, (flash(48, 58),), (Arrow(126, 32, 86, 70), Arrow(204, 32, 88, 78))


def _application() -> Drawn:
    boxes = [
        *_row("process", ("bootstrap", "process", "process"), 10, 8, 232, 22),
        *_row("processor", ("CPU 0", "CPU 1", "CPU 2"), 10, 166, 232, 22),
        Box("kernel", 10, 60, 73, 90, "kernel"), Box("kernel", 90, 104, 152, 46, "small kernel"),
    ]  # fmt: skip
    return boxes, (flash(48, 58), flash(140, 102), flash(210, 102)), (Arrow(92, 126, 66, 34),)


def _piglet() -> Drawn:
    boxes = [
        *_outside(("CPU 0", "CPU 1", "CPU 2")),
        Box("kernel", 10, 60, 150, 90, "kernel", lock=True),
        Box("kernel", 176, 60, 66, 90, "devices"),
        Box("queue", 182, 92, 54, 22, "polls"),
    ]
    return boxes, (flash(48, 58), flash(120, 58)), (Arrow(162, 90, 178, 90), Arrow(174, 120, 158, 120))


def _cache() -> Drawn:
    boxes = [
        *_outside(),
        Box("kernel", 10, 60, 110, 36, "application kernel"), Box("kernel", 132, 60, 110, 36, "another one"),
        Box("kernel", 10, 106, 232, 46, "Cache Kernel"),
        *_row("object", ("thread", "thread", "space", "space"), 22, 127, 208, 20),
    ]  # fmt: skip
    return boxes, (flash(48, 58), flash(204, 58)), (Arrow(40, 96, 40, 125), Arrow(214, 125, 214, 96))


def _virtual() -> Drawn:
    boxes = [
        *_outside(),
        *_row("kernel", ("kernel", "kernel", "kernel"), 10, 60, 232, 50),
        Box("hypervisor", 10, 122, 232, 30, "hypervisor"),
    ]
    return boxes, _CALLS, ()


def _k42() -> Drawn:
    boxes = [
        *_outside(), Box("kernel", 10, 60, 232, 90, "objects, distributed"),
        *_row("part", ("", "", ""), 18, 84, 216, 60),
    ]  # fmt: skip
    for column in range(3):
        for row, text in enumerate(("files", "memory")):
            boxes.append(Box("object", 26 + 74 * column, 90 + 26 * row, 52, 20, text))
    return boxes, _CALLS, (Arrow(78, 100, 99, 100), Arrow(152, 100, 173, 100))


_PANELS: tuple[tuple[str, str, str, str, str, Callable[[], Drawn]], ...] = (
    ("a", "Giant locking", "giant", "linux-2.0",
     "One lock around the whole kernel: one processor at a time is in it, and the others wait at the entry. "
     "Little inside has to change.", _giant),
    ("b", "Coarse-grained locking", "coarse", "coarse",
     "A lock for each subsystem: two processors can be in the kernel if they are in different ones. Calls "
     "that need several wait for each.", _coarse),
    ("c", "Fine-grained locking", "fine", "linux-2.6",
     "A lock for each object: processors wait only for who uses the same inode, page or task. There are "
     "many places to get right.", _fine),
    ("d", "Master-slave", "asymmetric", "master-slave",
     "Only the master runs the kernel. A process that calls it leaves its slave for the master's queue, and "
     "returns when the call is done.", _master),
    ("e", "Application kernel", "asymmetric", "application-kernel",
     "The kernel stays as it is, on one processor. On the others programs run on a small kernel, whose calls "
     "a bootstrap thread does for them.", _application),
    ("f", "Piglet", "asymmetric", "piglet",
     "Beside an ordinary kernel one processor does nothing but drive devices: it polls them, and takes and "
     "gives messages without a lock.", _piglet),
    ("g", "Cache Kernel", "lock-free", "cache-kernel",
     "A very small kernel without locks holds the threads and address spaces that are in use, like a cache. "
     "Application kernels above hold the rest.", _cache),
    ("h", "Virtualization", "virtualization", "xen-2.0.5",
     "A hypervisor divides the machine: a kernel for one processor runs on each, and none of them meets the "
     "others. The hypervisor needs the locks.", _virtual),
    ("i", "K42", "reimplementation", "k42",
     "Written anew: each object has a part on every processor that uses it, so that most calls meet nothing "
     "that others use.", _k42),
)  # fmt: skip


def organisations() -> tuple[Organisation, ...]:
    """Return the panels of Figure 1, in the paper's order."""
    found = []
    for letter, title, method, plan, text, draw in _PANELS:
        boxes, flashes, arrows = draw()
        many = kernel_count(choose(plan).plan, PROCESSORS)
        found.append(
            Organisation(letter, title, method, text, plan, many, tuple(boxes), tuple(flashes), tuple(arrows))
        )
    return tuple(found)


def words(panel: Organisation) -> str:
    """Return a panel in words, for who does not see it."""
    named = [box.text + (" with a lock" if box.lock else "") for box in panel.boxes if box.text]
    count = {text: named.count(text) for text in named}
    told = ", ".join(f"{n} times {text}" if n > 1 else text for text, n in count.items())
    return f"{panel.title}: {panel.text} Drawn: {told}."
