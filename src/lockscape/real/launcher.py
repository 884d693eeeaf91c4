"""Becomes another program at the common start: of `lockscape host`, for a program that knows no barrier.

    python -I -S launcher.py FOLDER READY START FILE PARENT PROGRAM

FOLDER, READY, START and FILE are descriptors, PARENT is the process that must live, as in native/host.c. It
prints the user and system seconds, and the voluntary and involuntary switches, that it took itself. What
waits for the start is a shell, for it is small: to leave Python's mappings takes locks and a while. Then
that becomes PROGRAM, with FILE as its argument. Only what is quick is imported.
"""

import ctypes
import fcntl
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_READY, _START, _FILE = 3, 4, 5
FREE = 10
"""Descriptors that a shell knows have one digit; from this one on they are out of the way."""

WAIT = (
    f"echo >&{_READY}; exec {_READY}>&-; read -r line <&{_START}; exec {_START}<&-; "
    f'exec "$0" /proc/self/fd/{_FILE}'
)
"""The shell's program: ready, wait for the end of START, become the program."""


def main() -> None:
    """Become the shell that waits for the start and then becomes the program."""
    folder, ready, start, file, parent = map(int, sys.argv[1:6])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(3)
    os.fchdir(folder)
    os.close(folder)
    apart = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FREE) for fd in (ready, start, file)]
    for fd in (ready, start, file):
        os.close(fd)
    for fd, number in zip(apart, (_READY, _START, _FILE), strict=True):
        os.dup2(fd, number)
    used = resource.getrusage(resource.RUSAGE_SELF)
    taken = used.ru_utime, used.ru_stime, used.ru_nvcsw, used.ru_nivcsw
    os.write(1, (" ".join(map(str, taken)) + "\n").encode())
    os.execv("/bin/sh", ["sh", "-c", WAIT, sys.argv[6]])


if __name__ == "__main__":
    main()
