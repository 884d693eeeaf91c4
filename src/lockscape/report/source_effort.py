"""What multiprocessor support took in real kernels: Tables 2 and 3 as published, and as measured here."""

from collections.abc import Iterator

from lockscape import catalog
from lockscape.experiments.effort_axis import SourceEffort
from lockscape.report.bundled import bundled

KINDS = ("bkl", "spinlock", "rwlock", "seqlock", "rcu", "sema")
"""Kinds of locks of Table 2, and of the profile ``paper`` that counts them."""

METHOD = "cpp"
"""The paper's way to count changed lines."""


def source_efforts() -> list[SourceEffort]:
    """Return the study's versions of Linux in order, published ones first."""
    return [*_published(), *_measured()]


def _published() -> Iterator[SourceEffort]:
    rows = zip(catalog.versions(), catalog.table2().rows, catalog.table3().rows, strict=True)
    for version, locks, change in rows:
        sites = {kind: getattr(locks, kind) for kind in KINDS}
        yield SourceEffort(
            version.system, version.published, "published", sites, change.lines_no_smp, change.modified
        )


def _measured() -> Iterator[SourceEffort]:
    for version, found in zip(catalog.versions(), bundled(), strict=True):
        change = found.change(METHOD)
        assert change is not None, found.label
        yield SourceEffort(
            version.system, found.label, "measured", found.counts("paper"), change.lines_no_smp,
            change.modified,
        )  # fmt: skip
