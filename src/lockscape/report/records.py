"""Results that were made once and come with lockscape, as documents: the map, and paths from a giant lock.

A record is what its command printed with ``--json``, as it is; its manifest says which that was, when, and
with which version. They stand in `lockscape.experiments.recorded`, beside the samples of Figure 2 and
those of Table 1.
"""

import shlex
from functools import cache
from importlib import resources

import msgspec

from lockscape.experiments import figure2, measured
from lockscape.report.manifest import Manifest
from lockscape.report.map import MapDocument
from lockscape.report.unlock import UnlockDocument

UNLOCKED = ("postmark", "kernelbuild")
"""Workloads with which the path from Linux 2.0 was walked."""


class RecordedResult(msgspec.Struct, frozen=True):
    """What of a study came with lockscape: made by which version, of which `commit` or when, and how again.

    `again`: commands that make it, or a part of it, again.
    """

    id: str
    title: str
    lockscape: str
    commit: str
    started: str
    elapsed_s: float | None
    again: tuple[str, ...]


@cache
def recorded_map() -> MapDocument:
    """Return the map that comes with lockscape."""
    return msgspec.json.decode(_read("map"), type=MapDocument)


@cache
def recorded_unlock(workload: str) -> UnlockDocument:
    """Return the path from the giant lock of Linux 2.0 with a workload of `UNLOCKED`."""
    return msgspec.json.decode(_read(f"unlock-linux-2.0-{workload}"), type=UnlockDocument)


def _read(name: str) -> bytes:
    return (resources.files("lockscape.experiments") / "recorded" / f"{name}.json").read_bytes()


def records(machine: str, with_map: bool) -> tuple[RecordedResult, ...]:
    """Return what a study takes from records; `with_map`: the map, too."""
    samples, words = figure2.recorded(machine), measured.recorded(machine)
    found = [
        RecordedResult(
            "figure2", f"Figure 2 over {len(samples.samples) - 1} samples of all costs, and its causes",
            samples.lockscape, samples.commit, "", None, ("lockscape figure2 --check 0 --check 17",),
        ),
        RecordedResult(
            "table1", "Table 1: latency and scalability, measured", words.lockscape, words.commit, "", None,
            ("lockscape table1 --check linux-2.4",),
        ),
        *(
            _of_command(f"unlock-{name}", f"The path from one lock to many, {name}",
                        recorded_unlock(name).manifest)
            for name in UNLOCKED
        ),
    ]  # fmt: skip
    if with_map:
        found.append(_of_command("map", "The map (Figure 3)", recorded_map().manifest))
    return tuple(found)


def _of_command(id: str, title: str, made: Manifest) -> RecordedResult:
    command = shlex.join(made.command)
    return RecordedResult(id, title, made.lockscape, "", made.started, made.elapsed_s, (command,))
