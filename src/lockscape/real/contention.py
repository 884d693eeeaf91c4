"""Reads how long locks were waited for: perf lock contention, /proc/lock_stat, or a run of lockscape."""

from collections.abc import Callable, Mapping
from pathlib import Path

from lockscape.errors import InputError, reason_of
from lockscape.inputs import read_file, read_standard_input
from lockscape.real.contention_lockstat import is_lock_stat, read_lock_stat
from lockscape.real.contention_perf import is_perf, read_perf
from lockscape.real.contention_rows import Choice, Measurement
from lockscape.real.contention_run import read_run

LARGEST = 32 * 2**20
"""Bytes of a file."""

LONGEST_LINE = 4096
"""Characters: of a longer line only so many are looked at, which no reader understands."""

_ACCEPTED = "the output of perf lock contention, /proc/lock_stat, or the --json of simulate, whatif or host"

TEXTS: Mapping[Callable[[list[str]], bool], Callable[[list[str], str], Measurement]] = {
    is_lock_stat: read_lock_stat,
    is_perf: read_perf,
}
"""What tells a kind of text by its lines, and its reader."""


def read_contention(name: str, choice: Choice = Choice()) -> Measurement:  # noqa: B008 (immutable)
    """Return what a file says, or standard input for ``-``.

    `choice`: which run is meant where there are several. Raises `InputError` with the remedy for a file that
    cannot be used; single lines that cannot be understood are counted in the measurement.
    """
    shown = "standard input" if name == "-" else name
    data = _bytes(name, shown)
    if data.startswith((b"PERFILE2", b"2ELIFREP")):
        raise InputError(
            f"{shown}: perf's own recording; give what 'perf lock contention -i FILE -x,' prints of it"
        )
    text = data.decode("utf-8-sig", "surrogateescape")
    if text.lstrip().startswith("{"):
        return read_run(text, shown, choice)
    if choice != Choice():
        raise InputError(f"{shown}: no run of lockscape; leave out --system and --at")
    lines = [line[:LONGEST_LINE] for line in text.split("\n")]
    for tells, read in TEXTS.items():
        if tells(lines):
            return read([line.rstrip("\r") for line in lines], shown)
    raise InputError(f"{shown}: {'empty' if not data.strip() else 'nothing known'}; give {_ACCEPTED}")


def _bytes(name: str, shown: str) -> bytes:
    try:
        if name == "-":
            data = read_standard_input(LARGEST + 1)
        else:
            data = read_file(Path(name), LARGEST + 1)
    except OSError as error:
        raise InputError(f"{shown}: {reason_of(error)}; give {_ACCEPTED}") from error
    if len(data) > LARGEST:
        raise InputError(
            f"{shown}: more than {LARGEST:,} bytes; keep the first lines, with the busiest locks"
        )
    return data
