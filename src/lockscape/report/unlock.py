"""The path from a giant lock to a fine-grained kernel: a document, tables and drawings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TextIO

import msgspec

from lockscape.experiments.releases import Placed, Release
from lockscape.experiments.result import RunSpec
from lockscape.experiments.unlock import CLOSE, LEAST, Attempt, Locks, Step, Walked
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.plot import Curve, print_plot
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.simulate import MachineRecord, Workload, simulate_document
from lockscape.report.simulate_tables import about_runs
from lockscape.report.table import Row, Table, print_tables

_BIG = "the giant lock, from entry to exit"
_SECTIONS = "the giant lock, around each section"
Field = Literal["own", "out"]
"""What is told of a lock's data in Linux: see `FIELDS`."""
FIELDS: tuple[Field, ...] = ("own", "out")
"""What is told of a lock's data in Linux: a lock of their own; and that they are off the big kernel lock."""

MOST_NAMED = 3
"""More locks than these that leave together are counted in the table and named below it."""


class PathStep(msgspec.Struct, frozen=True):
    """A state of the path; speedups are over the first state on one processor, which has the giant lock.

    `gain`: over the step before, 0.1 for a tenth faster. `edited`: lines of this step and all before.
    """

    state: Step
    speedup: float
    speedup_alone: float
    gain: float
    edited: int


class UnlockDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape unlock``. `path` is as it was walked, `steps` the same with its speedups.

    `speedup_fine`: of the fine-grained kernel. `data`: what Linux's releases do with what each lock protects;
    `linux`: the releases as a whole, their speedups over their own one processor.
    """

    schema_version: int
    document: Literal["unlock"]
    manifest: Manifest
    workload: Workload
    machine: MachineRecord
    path: Walked
    steps: tuple[PathStep, ...]
    speedup_fine: float
    data: dict[str, tuple[Placed, ...]]
    linux: tuple[Release, ...]


def unlock_document(
    walked: Walked, data: Mapping[str, tuple[Placed, ...]], linux: tuple[Release, ...], spec: RunSpec,
    manifest: Manifest,
) -> UnlockDocument:  # fmt: skip
    """Return the document of a path; `spec` says what ran."""
    ran = simulate_document([], manifest, about=spec)
    alone = walked.steps[0].alone_s
    steps: list[PathStep] = []
    for step in walked.steps:
        gain = steps[-1].state.makespan_s / step.makespan_s - 1 if steps else 0.0
        edited = step.edited + (steps[-1].edited if steps else 0)
        steps.append(PathStep(step, alone / step.makespan_s, alone / step.alone_s, gain, edited))
    return UnlockDocument(
        SCHEMA_VERSION, "unlock", manifest, ran.workload, ran.machines[0], walked, tuple(steps),
        alone / walked.fine_s, dict(data), linux,
    )  # fmt: skip


def unlock_csv(document: UnlockDocument) -> Table:
    """Return a row for each step."""
    columns = (
        "step", "kind", "locks", "makespan_s", "speedup", "gain", "alone_s", "speedup_alone", "giant_share",
        "spin_share", "sites_added", "lines", "edited", "edited_in_all", "own_lock_in", "off_big_lock_in",
    )  # fmt: skip
    rows = tuple(
        (
            each.state.number, each.state.kind, " ".join(each.state.locks), each.state.makespan_s,
            each.speedup, each.gain, each.state.alone_s, each.speedup_alone, each.state.giant_share,
            each.state.spin_share, each.state.added, each.state.lines, each.state.edited, each.edited,
            *(" ".join(_first(document.data[lock], field)[0] or "-" for lock in each.state.locks)
              for field in FIELDS),
        )
        for each in document.steps
    )  # fmt: skip
    return Table("", columns, rows, frozenset({1, 2, 14, 15}))


def print_unlock(document: UnlockDocument, out: TextIO) -> None:
    """Write everything for people: what ran, the path, drawings, and Linux's steps beside it."""
    path = document.path
    print_prose(
        [Paragraph(line, "note") for line in about_runs(document.workload, [document.machine], {})], out
    )
    out.write("\n")
    print_tables((path_table(document),), out)
    out.write("\n")
    for title, curves, axis in _drawings(document):
        print_plot(title, curves, axis, out)
        out.write("\n")
    print_tables((data_table(document), linux_table(document)), out)
    refused = list(_not_taken(path))
    if refused:
        out.write("\n")
        print_prose([Paragraph("Tried and not taken", "title")], out)
        print_prose([Paragraph(line, "note", hang=4) for line in refused], out)


def path_table(document: UnlockDocument) -> Table:
    """Return the path: speed and effort after each step."""
    path = document.path
    heads = (
        "step", "out of the giant lock", f"speedup on {path.cpus}", "gain %", "on one", "giant held %",
        "spin %", "sites", "lines", "edited",
    )  # fmt: skip
    rows: list[Row] = [
        (
            str(each.state.number), _what(each.state), f"{each.speedup:.2f}",
            f"{each.gain:+.1%}".rstrip("%") if each.state.number else "", f"{each.speedup_alone:.2f}",
            f"{100 * each.state.giant_share:.1f}", f"{100 * each.state.spin_share:.1f}", each.state.added,
            each.state.lines, each.state.edited,
        )
        for each in document.steps
    ]  # fmt: skip
    if path.left:
        rows.append(("", f"left: the other {len(path.left)}", f"{document.speedup_fine:.2f}", *[""] * 7))
    title = f"From one lock to many: {path.system} on {path.cpus} processors"
    return Table(title, heads, tuple(rows), frozenset({0, 1}), tuple(_notes(document)))


def _what(step: Step) -> str:
    """Return what a step does, in short."""
    if step.kind == "giant":
        return _BIG
    if step.kind == "sections":
        return _SECTIONS
    if len(step.locks) > MOST_NAMED:
        return (
            f"the other {len(step.locks)}"
            if step.kind == "rest"
            else f"{len(step.locks)} locks [{step.number}]"
        )
    return " and ".join(step.locks) + (" (plateau)" if step.kind == "plateau" else "")


def _notes(document: UnlockDocument) -> Iterator[str]:
    path = document.path
    yield (
        "Speedups are over the giant lock on one processor. Each step takes out the lock whose run ends "
        f"first ({path.runs} runs in all); a gain below {LEAST - 1:.0%} is none. giant held: share of the "
        "makespan; what else it takes of the time is its cache line on the way. sites: places that take or "
        "release a lock, and lines that differ, both against the uniprocessor kernel; edited: lines that "
        "differ from the step before."
    )
    trials = f"{path.trials} trial{'s' * (path.trials > 1)}"
    yield f"The fault detector finds nothing in any of these kernels, in {trials} of each."
    for step in path.steps:
        if len(step.locks) > MOST_NAMED:
            yield f"[{step.number}] {', '.join(step.locks)}."
        if step.close:
            close = ", ".join(map(_named, step.close))
            yield f"Step {step.number}: {close} within {CLOSE - 1:.1%}: this run does not tell their order."
    if path.unused:
        yield f"The workload never takes {', '.join(path.unused)}: these gain nothing."


def _named(locks: Locks) -> str:
    return " with ".join(locks)


def _drawings(document: UnlockDocument) -> Iterator[tuple[str, Sequence[Curve], str]]:
    """Yield title, curves and axis of each drawing: over steps, and over lines edited."""
    path, steps = document.path, document.steps
    many = [(float(each.state.number), each.speedup) for each in steps]
    one = [(float(each.state.number), each.speedup_alone) for each in steps]
    last = max(len(steps) - 1, 1)
    end = [(last * k / 200, document.speedup_fine) for k in range(201)]
    yield (
        "Speedup over the giant lock on one processor, step by step",
        [
            Curve(f"on {path.cpus} processors", many), Curve("on one", one),
            Curve(f"the fine-grained kernel on {path.cpus}", end, "", "-"),
        ],
        "step",
    )  # fmt: skip
    work = [(float(each.edited), each.speedup) for each in steps]
    yield (
        "The same, over the lines edited so far",
        [Curve(f"on {path.cpus} processors", [(0.0, 1.0), *work])],
        "lines",
    )


def data_table(document: UnlockDocument) -> Table:
    """Return for each lock of the path, step by step, what Linux did with the same data."""
    path = document.path
    steps = [*((str(step.number), step.locks) for step in path.steps), ("", path.left)]
    rows: tuple[Row, ...] = tuple(
        (number, lock, *(_when(document.data[lock], field) for field in FIELDS))
        for number, locks in steps
        for lock in locks
    )
    notes = (
        "Read from the plans of these releases: the first in which all sections on the same data have "
        "another lock than the big kernel lock (BKL), and the first in which none is ever done under it; in "
        "brackets, in how many before. A dash: no release has such data.",
        f"An own lock, by the steps of the path: {_in_order(document, 'own')}.",
        f"Off the big kernel lock: {_in_order(document, 'out')}.",
    )
    heads = ("step", "lock", "own lock in Linux", "off the BKL in")
    return Table("What Linux did with the same data", heads, rows, frozenset(range(4)), notes)


def _in_order(document: UnlockDocument, field: Field) -> str:
    """Return which release did what which steps do, the last of their locks counting."""
    found: dict[str, list[str]] = {}
    for step in document.path.steps:
        if step.locks and step.kind != "rest":
            releases = [_first(document.data[lock], field)[0] or "no release" for lock in step.locks]
            found.setdefault(max(releases), []).append(str(step.number))
    return "; ".join(f"{name} at {', '.join(found[name])}" for name in sorted(found)) or "no step"


def _when(placed: Sequence[Placed], field: Field) -> str:
    """Return the first release in which all of some data's sections have it, and those with some before."""
    name, some = _first(placed, field)
    before = f" ({', '.join(some)})" if some else ""
    return f"{name or 'none'}{before}" if any(each.places for each in placed) else "-"


def _first(placed: Sequence[Placed], field: Field) -> tuple[str, list[str]]:
    """Return the first release in which all have it, or nothing, and in how many of the others some do."""
    some: list[str] = []
    for each in placed:
        number, short = getattr(each, field), each.release.removeprefix("linux-")
        if each.places and number == each.places:
            return short, some
        if number:
            some.append(f"{short}: {number} of {each.places}")
    return "", some


def linux_table(document: UnlockDocument) -> Table:
    """Return the releases of Linux as they were, and the step of the path that is as fast."""
    rows: list[Row] = []
    for each in document.linux:
        speedup = each.alone_s / each.makespan_s
        reached = next((step.state.number for step in document.steps if step.speedup >= speedup), None)
        there = each.sections
        rows.append((
            each.name.replace("linux-", "Linux "), f"{speedup:.2f}", each.added, each.lines, there.places,
            f"{100 * there.own / there.places:.1f}", f"{100 * there.out / there.places:.1f}",
            "none" if reached is None else reached,
        ))  # fmt: skip
    cpus = document.path.cpus
    heads = (
        "release", f"speedup on {cpus}", "sites", "lines", "sections", "own lock %", "off the BKL %",
        "step as fast",
    )  # fmt: skip
    notes = (
        "Each over itself on one processor, and against its own uniprocessor kernel, which has its "
        "structural features too; sections: of its kernel; step: of the path, the first that is as fast.",
    )
    return Table("The steps that Linux took", heads, tuple(rows), notes=notes)


def _not_taken(path: Walked) -> Iterator[str]:
    """Yield what was refused and what had a fault, each once, with the first step where it was tried."""
    seen = set[Locks]()
    for step in path.steps:
        for each in step.tried:
            why = _why(each)
            if why and each.locks not in seen:
                seen.add(each.locks)
                yield f"{_named(each.locks)}, step {step.number}: {why}"


def _why(attempt: Attempt) -> str:
    return f"a fault, {attempt.fault}" if attempt.fault else attempt.refused
