"""Runs the command line inside the test process, and makes small trees to run it on."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from lockscape.cli.main import run


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Command:
    """The command line: calling it returns a `Result`."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *arguments: str) -> Result:
        self._capture.readouterr()
        with pytest.raises(SystemExit) as stop:
            run(arguments)
        out, err = self._capture.readouterr()
        return Result(int(stop.value.code or 0), out, err)


def write_tree(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files by path into a new folder and return it."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


LINUX_FILES = {
    "include/linux/sched.h": "struct task_struct;\n",
    "kernel/sched.c": (
        "int a;\n"
        "#ifdef CONFIG_SMP\n"
        "int b;\n"
        "int c;\n"
        "#else\n"
        "int d;\n"
        "#endif\n"
        "void f(void)\n"
        "{\n"
        "\t/* not spin_lock(&this) */\n"
        "\tspin_lock(&runqueue_lock);\n"
        "\tmutex_lock(&m);\n"
        "\tspin_unlock(&runqueue_lock);\n"
        "}\n"
    ),
    "mm/memory.c": "void g(void)\n{\n\tlock_kernel();\n\tdown(&sem);\n\tup(&sem);\n\tunlock_kernel();\n}\n",
    "fs/open.c": "void h(void)\n{\n\tread_lock(&l);\n}\n",
}
"""A Linux of four files: by the study's counting 2 bkl, 3 spinlock, 1 rwlock and 2 sema; of the files of the
footprint (kernel/, mm/) one differs, by 1 modified and 1 new line."""

BSD_FILES = {
    "sys/kern/kern_mutex.c": (
        "void f(void)\n{\n\tmtx_lock(&Giant);\n\tmtx_unlock(&Giant);\n}\n#ifdef SMP\nint smp;\n#endif\n"
    ),
    "sys/sys/mutex.h": "struct mtx;\n",
}
"""A FreeBSD of two files: 2 operations of Giant, 1 new line with SMP."""
