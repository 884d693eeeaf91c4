"""The study as a document: published figures, what lockscape measured beside them, and checked claims."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from lockscape import catalog
from lockscape.catalog import Claim, CodeChange, Finding
from lockscape.catalog.derived import holds
from lockscape.experiments import measured
from lockscape.experiments.study import Studied
from lockscape.experiments.tradeoff import MACHINE
from lockscape.report.bundled import Measurement, bundled
from lockscape.report.catalog import SystemRecord, system_record
from lockscape.report.manifest import Manifest, Unread
from lockscape.report.map import MapDocument, map_document
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.records import UNLOCKED, RecordedResult, recorded_map, recorded_unlock, records
from lockscape.report.study_runs import (
    Booted,
    Size,
    StudyCurves,
    StudyStatement,
    study_curves,
    study_statements,
)
from lockscape.report.table1 import SystemCells, table1_document
from lockscape.report.unlock import UnlockDocument

Source = Literal["published", "measured"]
"""Where a figure comes from."""
Method = Literal["evaluate", "cpp"]
"""How changed lines are found: by lockscape's evaluator, or by cpp, indent and diff."""

STUDY_METHODS: tuple[Method, ...] = ("cpp", "evaluate")
"""The methods of the bundled footprints, the study's own first."""


class LockRow(msgspec.Struct, frozen=True):
    """A row of Table 2: places by kind of lock. `beside` is the published version it stands beside.

    `files` and `bytes` are those of the counted files, null in a published row.
    """

    version: str
    source: Source
    beside: str | None
    files: int | None
    bytes: int | None
    counts: dict[str, int]


class ChangeRow(msgspec.Struct, frozen=True):
    """A row of Table 3. `method` is how it was measured; `share` is of the lines without, from 0 to 1."""

    version: str
    source: Source
    beside: str | None
    method: Method | None
    files: int
    changed_files: int
    lines_without: int
    lines_with: int
    changed_lines: int
    share: float


class CheckedValue(msgspec.Struct, frozen=True):
    """A figure that a claim was held against: its value in the claim's unit, and whether it agrees.

    `beside` is the published version that the claim is about. `detail` tells two figures of one version
    apart: the denominator of a share of the BKL, ``with semaphores`` or ``without semaphores``.
    """

    version: str
    beside: str
    source: Source
    detail: str | None
    method: Method | None
    value: float
    holds: bool


class ClaimRecord(msgspec.Struct, frozen=True):
    """A claim of the paper with every figure that checks it."""

    claim: Claim
    checked: tuple[CheckedValue, ...]

    def verdict(self, source: Source) -> Literal["holds", "does not hold", "holds in part"]:
        """Return whether all, none or some of the figures of a source agree with the claim."""
        found = [each.holds for each in self.checked if each.source == source]
        if all(found):
            return "holds"
        return "holds in part" if any(found) else "does not hold"


class MeasuredTree(msgspec.Struct, frozen=True):
    """A tree that was counted. `bundled` trees were measured before and came with lockscape.

    `identity` is the SHA-256 over the sorted lines ``<sha256>  <path>`` of its counted files.
    """

    label: str
    bundled: bool
    lockscape: str
    identity: str
    commit: str | None
    files: int
    bytes: int
    tools: dict[str, str]
    patterns_without_files: tuple[str, ...]
    stand_ins: tuple[str, ...]
    """What was counted in place of folders of the study's set that the tree does not have."""
    problems: tuple[Unread, ...]


class OwnTable(msgspec.Struct, frozen=True):
    """A tree that is no Linux: its lock operations by its own profile's kinds, and its footprint."""

    label: str
    profile: str
    define: dict[str, str]
    against: dict[str, str]
    kinds: dict[str, str]
    counts: dict[str, int]
    change: ChangeRow | None


class StudyDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape study``: all that its tables, its figures and its page show.

    `size`: how much of it was run. `curves`: PostMark on all systems (Figure 2), None if nothing was run;
    `map`: scalability against effort (Figure 3), with the checked conclusions. `records`: what came with
    lockscape instead: the samples behind `statements`, `table1_measured`, `unlocked`, and `map` unless it is
    of this study.
    """

    schema_version: int
    document: Literal["study"]
    manifest: Manifest
    trees: tuple[MeasuredTree, ...]
    table1: tuple[SystemRecord, ...]
    table2: tuple[LockRow, ...]
    table2_modern: tuple[LockRow, ...]
    modern_kinds: dict[str, str]
    table3: tuple[ChangeRow, ...]
    other_families: tuple[OwnTable, ...]
    claims: tuple[ClaimRecord, ...]
    findings: tuple[Finding, ...]
    size: Size
    curves: StudyCurves | None
    statements: tuple[StudyStatement, ...]
    table1_measured: tuple[SystemCells, ...]
    unlocked: tuple[UnlockDocument, ...]
    map: MapDocument
    booted: tuple[Booted, ...]
    records: tuple[RecordedResult, ...]


def study_document(
    trees: Sequence[Measurement], manifest: Manifest, size: Size = "recorded", studied: Studied | None = None,
    booted: Sequence[Booted] = (),
) -> StudyDocument:  # fmt: skip
    """Return the study with the bundled measurements, and these trees beside them.

    `studied`: what was run; None: all figures are those that come with lockscape.
    """
    known = bundled()
    linux = [tree for tree in trees if "paper" in tree.profiles]
    curves = study_curves(studied.points, manifest) if studied else None
    drawn = _map(studied, manifest)
    return StudyDocument(
        schema_version=SCHEMA_VERSION,
        document="study",
        manifest=manifest,
        trees=tuple(_tree(each, each in known) for each in (*known, *trees)),
        table1=tuple(map(system_record, catalog.systems())),
        table2=tuple(_table2(known, linux)),
        table2_modern=tuple(_lock_row(each, None, "linux") for each in (*known, *linux)),
        modern_kinds=known[0].kinds[known[0].profiles.index("linux")],
        table3=tuple(_table3(known, linux)),
        other_families=tuple(_own(tree) for tree in trees if "paper" not in tree.profiles),
        claims=tuple(_check(claim, known) for claim in catalog.claims()),
        findings=catalog.findings(),
        size=size,
        curves=curves,
        statements=tuple(study_statements(curves, MACHINE, manifest)),
        table1_measured=table1_document(measured.recorded(MACHINE), manifest).systems,
        unlocked=tuple(map(recorded_unlock, UNLOCKED)),
        map=drawn or recorded_map(),
        booted=tuple(booted),
        records=records(MACHINE, drawn is None),
    )


def _map(studied: Studied | None, manifest: Manifest) -> MapDocument | None:
    """Return the map of this study, if it made one."""
    if studied is None or studied.tradeoff is None:
        return None
    return map_document(studied.tradeoff, manifest, preemption=studied.preemption, families=studied.families)


def _tree(each: Measurement, is_bundled: bool) -> MeasuredTree:
    paths = [file.path for file in each.files]
    stand_ins = tuple(
        f"{new} for {old}"
        for old, new in (("arch/i386", "arch/x86"), ("include/asm-i386", "include/asm-x86"))
        if not any(path.startswith(f"{old}/") for path in paths)
        and any(path.startswith(f"{new}/") for path in paths)
    )
    return MeasuredTree(
        label=each.label,
        bundled=is_bundled,
        lockscape=each.lockscape,
        identity=each.identity,
        commit=each.commit,
        files=len(each.files),
        bytes=each.bytes,
        tools=each.tools,
        patterns_without_files=each.patterns_without_files,
        stand_ins=stand_ins,
        problems=each.problems,
    )


def _table2(known: Sequence[Measurement], trees: Sequence[Measurement]) -> Iterator[LockRow]:
    for row, each in zip(catalog.table2().rows, known, strict=True):
        counts = msgspec.structs.asdict(row)
        del counts["version"]
        yield LockRow(row.version, "published", None, None, None, counts)
        yield _lock_row(each, row.version, "paper")
    for tree in trees:
        yield _lock_row(tree, None, "paper")


def _lock_row(each: Measurement, beside: str | None, profile: str) -> LockRow:
    return LockRow(each.label, "measured", beside, len(each.files), each.bytes, each.counts(profile))


def _table3(known: Sequence[Measurement], trees: Sequence[Measurement]) -> Iterator[ChangeRow]:
    for row, each in zip(catalog.table3().rows, known, strict=True):
        yield _change_row(row, "published", None, None)
        for method in STUDY_METHODS:
            if change := each.change(method):
                yield _change_row(change, "measured", row.version, method)
    for tree in trees:
        if change := tree.change("evaluate"):
            yield _change_row(change, "measured", None, "evaluate")


def _change_row(row: CodeChange, source: Source, beside: str | None, method: Method | None) -> ChangeRow:
    return ChangeRow(
        row.version, source, beside, method, row.files, row.changed_files, row.lines_no_smp, row.lines_smp,
        row.modified, round(row.modified_share, 6),
    )  # fmt: skip


def _own(tree: Measurement) -> OwnTable:
    profile = tree.profiles[0]
    change = tree.change("evaluate")
    return OwnTable(
        tree.label, profile, tree.define, tree.against, tree.kinds[0], tree.counts(profile),
        _change_row(change, "measured", None, "evaluate") if change else None,
    )  # fmt: skip


def _check(claim: Claim, known: Sequence[Measurement]) -> ClaimRecord:
    published = next(each for each in catalog.check_claims() if each.claim == claim).measures
    checked = []
    for each in published:
        version, _, detail = each.label.partition(", ")
        checked.append(
            CheckedValue(
                version, version, "published", detail or None, None, round(each.value, 3), each.holds
            )
        )
    names = [version.published for version in catalog.versions()]
    for beside in claim.versions:
        tree = known[names.index(beside)]
        for which, method, value in _measured(claim, tree):
            fits = holds(claim, value)
            checked.append(CheckedValue(tree.label, beside, "measured", which, method, round(value, 3), fits))
    return ClaimRecord(claim, tuple(checked))


def _measured(claim: Claim, each: Measurement) -> Iterator[tuple[str | None, Method | None, float]]:
    """Yield what was measured for a claim: denominator, method, and the value in places, lines or percent."""
    if claim.quantity.startswith("bkl"):
        counts = each.counts("paper")
        total = sum(counts.values())
        if claim.quantity == "bkl-places":
            yield None, None, counts["bkl"]
        else:
            yield "with semaphores", None, 100 * counts["bkl"] / total
            yield "without semaphores", None, 100 * counts["bkl"] / (total - counts["sema"])
        return
    for method in STUDY_METHODS:
        if change := each.change(method):
            values = {
                "modified-lines": change.modified,
                "modified-share": 100 * change.modified_share,
                "changed-files-share": 100 * change.changed_files / change.files,
            }
            yield None, method, values[claim.quantity]


METHOD_NAMES = {"cpp": "cpp", "evaluate": "evaluator"}
"""How the methods of the footprint are called in tables."""
