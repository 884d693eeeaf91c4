"""Advice for a kernel: its document, and its tables as CSV and for people."""

from collections.abc import Iterator
from typing import Literal, TextIO

import msgspec

from lockscape import catalog
from lockscape.experiments.advise import Advice, Ranked, advise
from lockscape.experiments.advise_kernel import Given, Kernel
from lockscape.experiments.advise_locks import NEXT, NextLocks
from lockscape.experiments.advise_mix import Mixes
from lockscape.experiments.advise_predict import Calibration, Estimate
from lockscape.experiments.advise_profile import Read
from lockscape.experiments.advise_record import Record
from lockscape.experiments.advise_rules import Reason
from lockscape.report.advise_tree import TreeFacts
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.source_effort import source_efforts
from lockscape.report.table import Row, Table, print_tables

NEW_CODE = ("application-kernel", "xen-2.0.5")
"""Systems of Table 1 whose first printed size is that of the code that was written for multiprocessors: the
small kernel, and the hypervisor (the second is of the changes to Linux)."""

FIRST, CONCLUSIONS = 3, "6"
"""Of so many ways the conclusions of the paper are told without being asked for, and their section."""

_VERDICTS = {"excluded": "Excluded", "against": "Against", "if": "Depends", "for": "For", "note": "Note"}


def given_profile(read: Read | None, name: str | None) -> Iterator[Given]:
    """Yield what a profile says, and where it came from."""
    if read is None:
        return
    rows = "number" if read.form == "numbers" else "row"
    source = f"--profile: {read.form}" + ("" if read.form == "numbers" else f" {name}")
    source += f", {read.rows:,} {rows}{'' if read.rows == 1 else 's'}"
    parts = sorted(read.profile.subsystems.items(), key=lambda each: -each[1])
    split = ", ".join(f"{subsystem} {share:.0%}" for subsystem, share in parts)
    yield Given("kernel's time by subsystem", f"{split}, other {read.profile.other:.0%}", source)
    if read.profile.kernel is not None:
        yield Given("kernel's share of the time, %", f"{100 * read.profile.kernel:.0f}", source)


class Statement(msgspec.Struct, frozen=True):
    """What the paper says of a method."""

    method: str
    section: str
    text: str


class AdviseDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape advise``.

    `given`: what is known of the kernel, each with where it came from. `recorded`: the ports were run for the
    release, not now. `about`: the rules of the figures, a sentence or two each. `ways` are in order, those
    that are excluded last. `next_locks`: of a simulated port, None if none was run; `tree`: what was counted.
    """

    schema_version: int
    document: Literal["advise"]
    manifest: Manifest
    given: tuple[Given, ...]
    kernel: Kernel
    recorded: bool
    about: tuple[str, ...]
    size: int
    size_of: str
    mixes: Mixes
    serial: float
    parallel: float
    ways: tuple[Ranked, ...]
    next_locks: NextLocks | None
    tree: TreeFacts | None
    calibration: Calibration
    statements: tuple[Statement, ...]
    missing: dict[str, str]


def advice_for(kernel: Kernel, record: Record) -> Advice:
    """Return advice that rests on a record, the measured kernels of the study and two published sizes."""
    sizes = {name: catalog.system(name).code_lines for name in NEW_CODE}
    return advise(
        kernel, record, [each for each in source_efforts() if each.source == "measured"],
        {name: lines[0] for name, lines in sizes.items() if lines},
    )  # fmt: skip


def advise_document(
    found: Advice, record: Record, recorded: bool, manifest: Manifest, locks: NextLocks | None = None,
    tree: TreeFacts | None = None,
) -> AdviseDocument:  # fmt: skip
    """Return the document of advice."""
    methods = {each.method for each in found.ways}
    statements = tuple(
        Statement(method.id, each.section, each.text)
        for method in catalog.methods() if method.id in methods
        for each in (*method.scalability, *method.effort)
    )  # fmt: skip
    return AdviseDocument(
        SCHEMA_VERSION, "advise", manifest, found.kernel.given, found.kernel, recorded,
        tuple(about(found, record, recorded)), found.size, found.size_of, found.mixes, found.serial,
        found.parallel, found.ways, locks, tree, found.calibration, statements, found.missing,
    )  # fmt: skip


def about(found: Advice, record: Record, recorded: bool) -> Iterator[str]:
    """Yield what the figures rest on."""
    ran = f"recorded with lockscape {record.lockscape}, {record.started[:10]}" if recorded else "run now"
    items, mix, cpus = record.tradeoff.items, found.mixes, found.kernel.cpus
    yield (
        f"Speedup: of {len(items)} simulated ports and systems ({ran}) on {cpus} processors of a "
        f"{record.tradeoff.machine}, over the uniprocessor kernel. Middle: the median of a method's ports "
        "and systems in all mixes of workloads that stand for the kernel; interval: the least and greatest."
    )
    yield (
        f"Mixes: {len(mix.all):,}, in steps of 5% of the time: the nearest to what is given and those within "
        f"5 points of it. Nearest: {_mix_text(mix)}, in the kernel {mix.kernel:.0%}; it has "
        f"{mix.distance:.0%} of the time elsewhere than the kernel that was described."
    )
    yield (
        f"Amdahl's law: with {_share(found):.0%} of the time in the kernel at most {found.serial:.2f} if the "
        f"kernel does one thing at a time, {found.parallel:.0f} if nothing waits."
    )
    whose = "given" if found.kernel.lines is not None else f"not given: as many as {found.size_of} has"
    yield (
        f"Effort: for a kernel of {found.size:,} lines without multiprocessor support ({whose}). The model's "
        "share of changed lines and its sites per line, times real over model; code that is brought likewise."
        " Intervals are the product of both spreads. " + "; ".join(found.calibration.basis) + "."
    )


def _share(found: Advice) -> float:
    return found.mixes.kernel if found.kernel.share is None else found.kernel.share


def _mix_text(mix: Mixes) -> str:
    pairs = zip(mix.workloads, mix.nearest, strict=True)
    return ", ".join(f"{name} {weight:.0%}" for name, weight in pairs if weight)


def ways_table(document: AdviseDocument) -> Table:
    """Return the ranking for people."""
    rows: list[Row] = [
        (
            None if each.rank is None else each.rank, each.title + (" *" if each.on_front else ""),
            f"{each.speedup.middle:.1f}", f"{each.speedup.low:.1f}\N{EN DASH}{each.speedup.high:.1f}",
            _count(each.effort.lines.middle), _range(each.effort.lines), _count(each.effort.sites.middle),
            _range(each.effort.sites),
        )
        for each in document.ways
    ]  # fmt: skip
    notes = [
        "* no other method that is left gives as much for less, or more for as much. Ranked by speedup to a "
        "tenth, then by lines; without a rank: excluded. Lines: changed and new ones; k: thousands."
    ]
    notes += [f"{name} has no place: {why}." for name, why in document.missing.items()]
    return Table(
        f"Ways to make it multiprocessor, on {document.kernel.cpus} processors",
        ("", "method", "speedup", "interval", "lines", "interval", "sites", "interval"), tuple(rows),
        frozenset({1, 3, 5, 7}), tuple(notes),
        frozenset(n for n, each in enumerate(document.ways) if each.on_front),
    )  # fmt: skip


def _range(value: Estimate) -> str:
    return f"{_count(value.low)}\N{EN DASH}{_count(value.high)}"


def _count(value: float) -> str:
    """Return a number of lines or sites with two digits that count, as 130, 1.8k or 150k."""
    if value < 1:
        return "0"
    rounded = round(value, 2 - len(str(int(value))))
    if rounded < 1000:
        return f"{rounded:.0f}"
    return f"{rounded / 1000:.1f}k" if rounded < 10_000 else f"{rounded / 1000:.0f}k"


def given_table(document: AdviseDocument) -> Table:
    """Return what is known of the kernel."""
    rows: list[Row] = [(each.what, each.value, each.source) for each in document.given]
    return Table("What is known of the kernel", ("", "value", "from"), tuple(rows), frozenset({0, 1, 2}))


def reasons_prose(document: AdviseDocument) -> Iterator[Paragraph]:
    """Yield the reasons of each way, and what the paper says of its method, once."""
    told: set[str] = set()
    for each in document.ways:
        yield Paragraph(_heading(each), "heading")
        best = f"{each.best}, {each.best_speedup:.2f} times in the nearest mix"
        yield Paragraph(f"Ports and systems: {', '.join(each.members)}. Fastest: {best}.", "bullet", hang=2)
        yield from map(_told, each.reasons)
        if each.method not in told:
            told.add(each.method)
            for said in document.statements:
                if said.method == each.method:
                    yield _statement(said)


def locks_tables(document: AdviseDocument) -> Iterator[Table]:
    """Yield the next locks: of the simulated port, and of the tree."""
    found, tree = document.next_locks, document.tree
    if found is not None:
        rows: list[Row] = [
            (each.lock, each.contentions, f"{100 * each.wait_share:.1f}",
             "" if each.bound is None else f"{each.bound:.2f}")
            for each in found.locks
        ]  # fmt: skip
        yield Table(
            f"Next locks to split: {found.port}, simulated, {found.workload} on {found.cpus} processors",
            ("lock", "waits", "% of the time", "bound"), tuple(rows), frozenset({0}),
            (f"{found.port}: {found.why}. Bound: so many times as fast at most, if nobody waited for it. "
             f"What a change of each gains: {found.command}",) if rows else
            (f"{found.port}: {found.why}. Nobody waited for a lock.",),
        )  # fmt: skip
    if tree is not None and tree.locks:
        uses: list[Row] = [(each.lock, each.kind, each.places, each.files) for each in tree.locks[:NEXT]]
        yield Table(
            f"Next locks to split: {tree.tree.label}, by places that take them",
            ("lock", "kind", "places", "files"), tuple(uses), frozenset({0, 1}),
            ("Counted in the source: how often and how long a lock is waited for, it does not tell. "
             "lockscape contention does, on the running kernel.",),
        )  # fmt: skip


def print_advice(document: AdviseDocument, out: TextIO, details: bool = False) -> None:
    """Write everything for people; `details`: with what the paper says, and every reason of every way."""
    if document.given:
        print_tables((given_table(document),), out)
    else:
        print_prose([Paragraph("Nothing is known of the kernel: give a tree, --profile, --kernel-share, …; "
                               "see --help.", "note")], out)  # fmt: skip
    out.write("\n")
    print_tables((ways_table(document),), out)
    out.write("\n")
    print_prose([Paragraph(summary(document), "title")], out)
    if details:
        print_prose(reasons_prose(document), out)
    else:
        print_prose(_short(document), out)
    for table in locks_tables(document):
        out.write("\n")
        print_tables((table,), out)
    out.write("\n")
    print_prose([Paragraph(line, "note") for line in document.about], out)
    if not details:
        print_prose([Paragraph("--details adds what the paper says of each method.", "note")], out)


def _short(document: AdviseDocument) -> Iterator[Paragraph]:
    """Yield what matters most: of an excluded way only why, of others all but what is merely noted, and of
    the first ones what the paper concludes."""
    for each in document.ways:
        wanted = ("excluded",) if each.excluded else ("against", "if", "for")
        chosen = [reason for reason in each.reasons if reason.verdict in wanted]
        first = each.rank is not None and each.rank <= FIRST
        said = [
            s for s in document.statements if s.method == each.method and s.section == CONCLUSIONS and first
        ]
        if chosen or said:
            yield Paragraph(_heading(each), "heading")
            yield from map(_told, chosen)
            yield from map(_statement, said)


def _statement(said: Statement) -> Paragraph:
    return Paragraph(f"Paper, section {said.section}: {said.text}", "bullet", hang=2)


def _heading(each: Ranked) -> str:
    return f"{each.rank}. {each.title}" if each.rank else f"{each.title}: excluded"


def _told(reason: Reason) -> Paragraph:
    return Paragraph(f"{_VERDICTS[reason.verdict]}: {reason.text} [{reason.source}].", "bullet", hang=2)


def summary(document: AdviseDocument) -> str:
    """Return what to do, in a sentence or two."""
    left = [each for each in document.ways if each.rank is not None]
    if not left:
        return "Every method is excluded: give up one of the demands."
    first = left[0]
    text = f"Fastest of those that are left: {first.title.lower()}, {first.speedup.middle:.1f} times."
    cheaper = [each for each in left[1:] if each.on_front and round(each.speedup.middle, 1) > 1]
    if cheaper:
        text += " For less: " + ", ".join(
            f"{each.title.lower()} ({each.speedup.middle:.1f} times, about "
            f"{_count(each.effort.lines.middle)} lines)"
            for each in cheaper
        ) + "."  # fmt: skip
    overlap = [e.title.lower() for e in left[1:] if e.speedup.high >= first.speedup.middle]
    if overlap:
        text += f" The intervals do not tell it apart from {len(overlap)} of the others."
    return text


def ways_csv(document: AdviseDocument) -> Table:
    """Return a row for each way."""
    rows: list[Row] = []
    for each in document.ways:
        figures = (each.speedup, each.effort.lines, each.effort.changed, each.effort.new, each.effort.sites)
        why = "; ".join(reason.text for reason in each.reasons if reason.verdict == "excluded")
        rows.append((
            each.rank, each.way, each.method, document.kernel.cpus, str(each.on_front).lower(),
            *(value for e in figures for value in (e.low, e.middle, e.high)), each.best, each.best_speedup,
            why,
        ))  # fmt: skip
    names = ("speedup", "lines", "changed_lines", "new_lines", "sites")
    columns = (
        "rank", "way", "method", "cpus", "on_front",
        *(f"{name}_{part}" for name in names for part in ("low", "middle", "high")), "best", "best_speedup",
        "excluded",
    )  # fmt: skip
    return Table("", columns, tuple(rows), frozenset({1, 2, 4, 20, 22}))
