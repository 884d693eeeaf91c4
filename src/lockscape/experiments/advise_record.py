"""What advice is taken from: the map of all ports and systems, run once for a release, and its workloads.

Recorded are the runs behind `lockscape map` (`lockscape.experiments.tradeoff`), the counts of preemptible
kernels and the chat room (`probes`), and where each workload's kernel time goes (`advise_subsystems`).
"""

from functools import cache
from importlib import resources
from pathlib import Path

import msgspec

from lockscape.errors import InputError
from lockscape.experiments.advise_kernel import Kernel
from lockscape.experiments.advise_subsystems import Shares, sample_shares
from lockscape.experiments.curve import Progress
from lockscape.experiments.evidence import Family
from lockscape.experiments.preemption import Preemption
from lockscape.experiments.record_file import encode_record
from lockscape.experiments.run import simulate
from lockscape.experiments.tradeoff import Question, Tradeoff, all_names, plain_run, run_count, tradeoff

FORMAT = 2
"""Raised when the file in `recorded` changes its form; it is then recorded again."""

FILE = "advise.json"
"""The record that comes with lockscape, in this package's folder."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The map as it was run once: by which version of lockscape and when (UTC, ISO 8601).

    `plans`: the digests of the plans that were run, by name.
    """

    format: int
    lockscape: str
    started: str
    plans: dict[str, str]
    preemption: dict[str, Preemption]
    families: tuple[Family, ...]
    shares: tuple[Shares, ...]
    tradeoff: Tradeoff


def encode(record: Record) -> bytes:
    """Return a record as JSON, in lines that can be compared."""
    return encode_record(record, ("shares", "families"))


@cache
def recorded() -> Record:
    """Return the record that comes with lockscape. Raises `InputError` if it cannot be read."""
    try:
        content = (resources.files("lockscape.experiments") / "recorded" / FILE).read_bytes()
        found = msgspec.json.decode(content, type=Record)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(
            f"{FILE} that comes with lockscape cannot be read: install it again ({error})"
        ) from error
    if found.format != FORMAT:
        raise InputError(
            f"{FILE} is of format {found.format}: this lockscape reads {FORMAT}; install it again"
        )
    return found


def covers(record: Record, kernel: Kernel) -> bool:
    """Say whether a record has what a kernel is for: its processors, and its workload if one is named."""
    points = record.tradeoff.items[0].scaling[0].points
    known = {each.workload for each in record.shares}
    return kernel.cpus in {point.cpus for point in points} and (
        kernel.workload is None or kernel.workload in known
    )


def question_of(record: Record, kernel: Kernel) -> Question:
    """Return what has to be run for a kernel, drawn once: its workload if one is named, else the record's."""
    names = (kernel.workload,) if kernel.workload else tuple(each.workload for each in record.shares)
    found = record.tradeoff
    return Question(kernel.cpus, names, found.machine, found.postmark)


def count_runs(record: Record, kernel: Kernel) -> int:
    """Return how many runs `make` makes, kept and equal ones counted too."""
    return run_count(all_names(), question_of(record, kernel))


def make(
    record: Record, kernel: Kernel, folder: Path | None = None, workers: int | None = None,
    progress: Progress | None = None, fresh: bool = False,
) -> Record:  # fmt: skip
    """Return a record like this one with other runs: those that a kernel needs, see `question_of`.

    What is counted of preemptible kernels, and the chat room, stay as they are. Raises what runs raise.
    """
    question = question_of(record, kernel)
    found = tradeoff(all_names(), question, folder, workers, progress, fresh)
    shares = record.shares
    if kernel.workload and kernel.workload not in {each.workload for each in shares}:
        spec = plain_run(kernel.workload, question)
        shares = (*shares, sample_shares(spec, kernel.workload, simulate(spec).makespan_cycles))
    return msgspec.structs.replace(record, shares=shares, tradeoff=found)
