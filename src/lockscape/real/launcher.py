"""Becomes another program at the common start: of `lockscape host`, for a program that knows no barrier.

    python -I -S launcher.py FOLDER READY START PARENT PROGRAM ARGUMENT...

FOLDER, READY and START are descriptors, PARENT is the process that must live, as in native/host.c. It prints
the user and system seconds, and voluntary and involuntary switches, that it took itself. It imports only what
is quick.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Wait for the start, then become the program."""
    folder, ready, start, parent = map(int, sys.argv[1:5])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(3)
    os.fchdir(folder)
    os.close(folder)
    used = resource.getrusage(resource.RUSAGE_SELF)
    taken = used.ru_utime, used.ru_stime, used.ru_nvcsw, used.ru_nivcsw
    os.write(1, (" ".join(map(str, taken)) + "\n").encode())
    os.write(ready, b"\0")
    os.close(ready)
    os.read(start, 1)
    os.close(start)
    os.execv(sys.argv[5], sys.argv[5:])


main()
