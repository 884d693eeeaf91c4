"""What PostMark prints besides its reports, and how its clock counts: what the real program is held against."""

from collections.abc import Mapping

import numpy as np

from lockscape.workloads.postmark_commands import Configuration
from lockscape.workloads.postmark_report import KILOBYTE, MEGABYTE, Seconds

HELP: Mapping[str, str] = {
    "set size": "Sets low and high bounds of files",
    "set number": "Sets number of simultaneous files",
    "set seed": "Sets seed for random number generator",
    "set transactions": "Sets number of transactions",
    "set location": "Sets location of working files",
    "set subdirectories": "Sets number of subdirectories",
    "set read": "Sets read block size",
    "set write": "Sets write block size",
    "set buffering": "Sets usage of buffered I/O",
    "set bias read": "Sets the chance of choosing read over append",
    "set bias create": "Sets the chance of choosing create over delete",
    "set report": "Choose verbose or terse report format",
    "run": "Runs one iteration of benchmark",
    "load": "Read configuration file",
    "show": "Displays current configuration",
    "help": "Prints out available commands",
    "quit": "Exit program",
}
"""The commands in PostMark's order, and what its ``help`` says of each."""


def whole_seconds(marks_s: tuple[float, float, float, float]) -> Seconds:
    """Return what PostMark measures if its clock shows `marks_s` at START, CREATED, TRANSACTED and DELETED."""
    start, created, transacted, deleted = (int(mark // 1) for mark in marks_s)
    return Seconds(
        max(1, deleted - start),
        max(1, created - start),
        max(1, transacted - created),
        max(1, deleted - transacted),
    )


def show(configuration: Configuration, folder: str) -> str:
    """Return what ``show`` prints, if the current folder is `folder`."""
    return "".join(part for part, _ in _shown(configuration, folder))


def show_to_file(configuration: Configuration, folder: str) -> tuple[str, str]:
    """Return what ``show FILE`` adds to the file, and what it still prints: the lines of the locations."""
    parts = _shown(configuration, folder)
    return "".join(part for part, stays in parts if not stays), "".join(
        part for part, stays in parts if stays
    )


def _shown(configuration: Configuration, folder: str) -> list[tuple[str, bool]]:
    """Return the lines of ``show``, and of each whether PostMark always prints it to the terminal."""
    options = configuration.options
    low, high = _size(options.size_low_bytes), _size(options.size_high_bytes)
    places = [f"\t{location.path} (weight={location.weight})" for location in options.locations]
    same = options.size_low_bytes == options.size_high_bytes
    lines = [
        "Current configuration is:",
        f"The base number of files is {options.files}",
        f"Transactions: {options.transactions}",
        f"Files are {low} in size" if same else f"Files range between {low} and {high} in size",
        f"Working director{'ies' if len(places) > 1 else 'y'}: {'' if places else folder}",
    ]
    rest = [
        f"Block sizes are: read={_size(options.read_block_bytes)}, write={_size(options.write_block_bytes)}",
        f"Biases are: read/append={options.read_bias}, create/delete={options.create_bias}",
        f"{'U' if options.buffered else 'Not u'}sing Unix buffered file I/O",
        f"Random number generator seed is {options.seed}",
        f"Report format is {'terse' if configuration.terse else 'verbose'}.",
    ]
    if options.subdirectories:
        plural = "y" if options.subdirectories == 1 else "ies"
        rest.insert(0, f"{options.subdirectories} subdirector{plural} will be used")
    return [(f"{line}\n", line in places) for line in lines + places + rest]


def help_text() -> str:
    """Return what ``help`` prints."""
    return "".join(f"{command} - {text}\n" for command, text in HELP.items())


def _size(size: int) -> str:
    """Return bytes as ``show`` prints them, in single precision."""
    if size >= MEGABYTE:
        return f"{float(np.float32(size)) / MEGABYTE:.2f} megabytes"
    return f"{size / KILOBYTE:.2f} kilobytes" if size >= KILOBYTE else f"{size} bytes"
