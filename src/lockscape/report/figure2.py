"""Figure 2 as it was recorded: the paper's statements, curves with their uncertainty, causes."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TextIO

import msgspec

from lockscape.experiments.band import HIGH, LOW, quantile
from lockscape.experiments.figure2 import CPUS, AblationRecord, Record, SampleRecord, shares, verdicts
from lockscape.experiments.statements import STATEMENTS, SYSTEMS
from lockscape.machine.costs import preset
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.plot import Curve, print_plot
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.table import Cell, Row, Table, print_tables

HOLDS, FAILS = 0.95, 0.05
"""Shares of samples from which on a statement holds, and up to which it does not."""

Measure = Literal["makespan", "throughput"]
"""By what a speedup is taken."""


class StatementRecord(msgspec.Struct, frozen=True):
    """One of the paper's statements: with the stated costs, and the share of samples in which it holds."""

    name: str
    text: str
    rule: str
    stated: dict[str, bool]
    share: dict[str, float]
    verdict: dict[str, str]


class Figure2Document(msgspec.Struct, frozen=True):
    """The result of ``lockscape figure2``: what was recorded, and what it says of the paper's statements."""

    schema_version: int
    document: Literal["figure2"]
    manifest: Manifest
    statements: tuple[StatementRecord, ...]
    record: Record


def figure2_document(record: Record, manifest: Manifest) -> Figure2Document:
    """Return the document of a record."""
    stated = verdicts(record.samples[0])
    drawn = record.samples[1:] or record.samples
    by_name = {name: {"makespan": m, "throughput": t} for name, m, t in shares(drawn)}
    found = tuple(
        StatementRecord(
            s.name, s.text, s.rule,
            {"makespan": stated.makespan[s.name], "throughput": stated.throughput[s.name]},
            by_name[s.name], {measure: verdict(share) for measure, share in by_name[s.name].items()},
        )
        for s in STATEMENTS
    )  # fmt: skip
    return Figure2Document(SCHEMA_VERSION, "figure2", manifest, found, record)


def verdict(share: float) -> str:
    """Return what the share of samples in which a statement holds means."""
    if share >= HOLDS:
        return "holds"
    return "does not hold" if share <= FAILS else "undetermined by evidence"


def figure2_csv(document: Figure2Document) -> Table:
    """Return one long table: each sample's and ablation's makespan and throughput."""
    rows: list[Row] = []
    for sample in document.record.samples:
        for name in SYSTEMS:
            pairs = zip(CPUS, sample.makespan_cycles[name], sample.steady_per_s[name], strict=True)
            rows += [(sample.sample, name, name, cpus, cycles, rate) for cpus, cycles, rate in pairs]
    for each in document.record.ablations:
        pairs = zip(CPUS, each.makespan_cycles, each.steady_per_s, strict=True)
        rows += [(0, each.system, each.name, cpus, cycles, rate) for cpus, cycles, rate in pairs]
    columns = ("sample", "system", "plan", "cpus", "makespan_cycles", "steady_per_s")
    return Table("", columns, tuple(rows), frozenset({1, 2}))


def print_figure2(document: Figure2Document, out: TextIO) -> None:
    """Write everything for people."""
    record = document.record
    print_prose([Paragraph(line, "note") for line in _about(record)], out)
    out.write("\n")
    print_tables((statements_table(document),), out)
    first = record.samples[0]
    base = first.makespan_cycles[SYSTEMS[0]][0]
    curves = [
        Curve(name, [(n, base / c) for n, c in zip(CPUS, first.makespan_cycles[name], strict=True)])
        for name in SYSTEMS
    ]
    out.write("\n")
    print_plot(f"Speedup over {SYSTEMS[0]} on one processor, stated costs", curves, "processors", out)
    out.write("\n")
    print_tables((*curve_tables(record), *ablation_tables(record)), out)


def _about(record: Record) -> Iterator[str]:
    machine, work = preset(record.machine), record.postmark
    yield (
        f"Figure 2 of the paper, simulated: PostMark, {record.processes} processes of {work.transactions:,} "
        f"transactions on {work.files:,} files of {work.size_low_bytes} bytes. "
        f"Machine {record.machine}: {machine.title}, {machine.clock_mhz:,} MHz."
    )
    yield (
        f"Recorded by lockscape {record.lockscape} at commit {record.commit[:12]}: the stated costs, and "
        f"{len(record.samples) - 1} samples in which every cost was drawn from its range. "
        "`lockscape figure2 --check N` makes sample N again and compares it bit for bit."
    )
    for commit, numbers in record.again.items():
        yield (
            f"The sources of commit {commit[:12]} gave the same bits in those of them that were made again: "
            f"sample{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}."
        )


def statements_table(document: Figure2Document) -> Table:
    """Return the paper's statements, with the share of samples in which each holds."""
    rows: list[Row] = [
        (
            s.name, measure, "holds" if s.stated[measure] else "does not",
            f"{s.share[measure]:.0%}", s.verdict[measure],
        )
        for s in document.statements
        for measure in ("makespan", "throughput")
    ]  # fmt: skip
    return Table(
        "What the paper says of it, and in how many samples that holds",
        ("statement", "judged by", "stated costs", "samples", "so it"),
        tuple(rows), frozenset({0, 1, 2, 4}),
        notes=(
            *(f"{s.name}: “{s.text}”; checked: {s.rule}." for s in document.statements),
            "Conditions and thresholds were written down before the curves were first run. "
            f"Undetermined by evidence: in more than {FAILS:.0%} and less than {HOLDS:.0%} of the samples. "
            "Makespan: the time until all processes are done, as in the paper; eight processes on 5 to 7 "
            "processors show balancing in it. Throughput: while all processes were in their transactions.",
        ),
    )  # fmt: skip


def curve_tables(record: Record) -> Iterator[Table]:
    """Yield speedups: stated costs, and the quantiles of the samples."""
    base = SYSTEMS[0]
    note = f"Below each system: what {LOW:.0%} and {HIGH:.0%} of the samples do not exceed."
    yield _speedups(
        record, f"Speedup over {base} on one processor, by makespan",
        lambda s, name: [s.makespan_cycles[base][0] / cycles for cycles in s.makespan_cycles[name]], (note,),
    )  # fmt: skip
    yield _speedups(
        record, "Speedup over one processor of the same system, by makespan",
        lambda s, name: [s.makespan_cycles[name][0] / cycles for cycles in s.makespan_cycles[name]],
    )  # fmt: skip
    yield _speedups(
        record, "Speedup over one processor of the same system, by throughput",
        lambda s, name: [each / max(s.steady_per_s[name][0], 1) for each in s.steady_per_s[name]],
    )  # fmt: skip


def _speedups(
    record: Record,
    title: str,
    speedups: Callable[[SampleRecord, str], list[float]],
    notes: tuple[str, ...] = (),
) -> Table:
    rows: list[Row] = []
    for name in SYSTEMS:
        rows.append((name, *map(_two, speedups(record.samples[0], name))))
        drawn = [speedups(sample, name) for sample in record.samples[1:]]
        rows += [
            (f"- {share:.0%}", *(_two(quantile(column, share)) for column in zip(*drawn, strict=True)))
            for share in (LOW, HIGH)
            if drawn
        ]
    return Table(title, ("processors", *map(str, CPUS)), tuple(rows), notes=notes)


def ablation_tables(record: Record) -> Iterator[Table]:
    """Yield what each ablation does to its system's curve."""
    first = record.samples[0]
    rows: list[Row] = []
    notes: list[str] = []
    for name in SYSTEMS:
        chosen = [each for each in record.ablations if each.system == name]
        if chosen:
            alone = first.makespan_cycles[name][0]
            rows.append(_row(name, first.makespan_cycles[name], alone))
            rows += [_row(f"- {each.name}", each.makespan_cycles, alone) for each in chosen]
            notes += [f"{each.name}: {each.title}.{_changed(first, each)}" for each in chosen]
    if rows:
        yield Table(
            "What causes it: one thing changed; speedup over one processor of the unchanged system",
            ("processors", *map(str, CPUS)), tuple(rows), notes=tuple(notes),
        )  # fmt: skip


def _row(label: str, cycles: Sequence[int], alone: int) -> tuple[Cell, ...]:
    return (label, *(_two(alone / each) for each in cycles))


def _changed(first: SampleRecord, each: AblationRecord) -> str:
    """Return which statements would be judged otherwise if the system were its ablation."""
    other = SampleRecord(
        0,
        first.makespan_cycles | {each.system: each.makespan_cycles},
        first.steady_per_s | {each.system: each.steady_per_s},
    )
    before, after = verdicts(first), verdicts(other)
    texts = []
    for measure in ("makespan", "throughput"):
        was, now = getattr(before, measure), getattr(after, measure)
        texts += [
            f"“{s.name}” {'holds' if now[s.name] else 'no longer holds'} by {measure}"
            for s in STATEMENTS
            if was[s.name] != now[s.name]
        ]
    return f" Then {', '.join(texts)}." if texts else ""


def _two(value: float) -> str:
    return f"{value:.2f}"
