"""Locks ranked by the time waited for them, and what relieving each would gain: a document and tables."""

from collections.abc import Iterator
from typing import Literal, TextIO

import msgspec

from lockscape.experiments.relief import By, Model, Relief, Setting, Waited, relieve
from lockscape.real.contention_rows import LockRow, Measurement, RowsAre, UnreadLine
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.table import Row, Table, print_tables

TOP = 20
"""Locks in the table."""

LEAST_SHARE = 0.005
"""Of the customers' time: what was waited for less says nothing about how long it was held."""

APART = 1.5
"""By which factor the model's time under a lock and the measured one differ enough to be told."""

LOCKS: tuple[RowsAre, ...] = ("lock", "class", "caller")
"""Rows that stand for locks; the others say who waited, and for them there is no model."""

LEGEND = (
    "A gain is the time as it is over that with the change. Bound: nobody waits for it, all else stays. "
    "Free: the same, but others are then waited for more. Split: two locks, each with half of the work."
)
"""What the gains mean, for readers."""
_BOUND = "Bound: the time as it is over that without these waits, if all else stays."
_RERUN = "Re-run: what 'lockscape whatif' found for the same lock with a run."


class RankedLock(msgspec.Struct, frozen=True):
    """A lock with its rank, from 1, its share of all waits, and what relieving it would gain.

    `relief` is None where the number of processors or the time is not known.
    """

    rank: int
    lock: LockRow
    share_of_waits: float
    relief: Relief | None


class ContentionDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape contention``. `setting` is None if the processors or the time are not known.

    `models`: the closed queueing networks behind the gains; `demand`: what the time under a lock is taken
    from. `assumptions`: what the gains rest on, in words. `lines_not_understood` counts all, `unread` has the
    first.
    """

    schema_version: int
    document: Literal["contention"]
    manifest: Manifest
    source: str
    title: str
    rows_are: RowsAre
    setting: Setting | None
    demand: By
    models: tuple[Model, ...]
    locks: tuple[RankedLock, ...]
    assumptions: tuple[str, ...]
    lines_not_understood: int
    unread: tuple[UnreadLine, ...]


def contention_document(
    measured: Measurement, setting: Setting | None, demand: By, manifest: Manifest
) -> ContentionDocument:
    """Return the document of a measurement; without a `setting` there are no gains."""
    locks = sorted(measured.locks, key=lambda lock: (-lock.wait_s, -(lock.hold_s or 0.0), lock.name))
    reliefs: list[Relief] | list[None] = [None] * len(locks)
    models: list[Model] = []
    if setting is not None:
        waited = [Waited(lock.wait_s, lock.hold_s, lock.sleeps) for lock in locks]
        if measured.rows_are in LOCKS:
            reliefs, models = relieve(waited, setting, demand)
        else:
            reliefs = [_bound_only(lock, setting) for lock in locks]
    whole = sum(lock.wait_s for lock in locks)
    ranked = tuple(
        RankedLock(rank, lock, lock.wait_s / whole if whole else 0.0, relief)
        for rank, (lock, relief) in enumerate(zip(locks, reliefs, strict=True), 1)
    )
    return ContentionDocument(
        SCHEMA_VERSION, "contention", manifest, measured.source, measured.title, measured.rows_are, setting,
        demand, tuple(models), ranked, tuple(_assumptions(measured, setting, demand, models, ranked)),
        measured.lines_not_understood, measured.unread,
    )  # fmt: skip


def _bound_only(lock: LockRow, setting: Setting) -> Relief:
    share = lock.wait_s / (setting.cpus * setting.elapsed_s)
    return Relief(share, 1 / (1 - share) if share < 1 else None)


# --- what it rests on -------------------------------------------------------------------------------------


def _assumptions(
    measured: Measurement, setting: Setting | None, demand: By, models: list[Model],
    ranked: tuple[RankedLock, ...],
) -> Iterator[str]:  # fmt: skip
    yield from measured.notes
    yield from _of_rows(measured)
    if setting is None:
        yield "The number of processors or the time is not known: give --cpus and --elapsed for gains."
        return
    yield _of_setting(setting)
    for model in models:
        yield from _of_model(model, demand)
    yield from _of_sleep(measured, setting, ranked)
    yield (
        "A system that waits for a disk, the network or its users gains less. What waiting costs the holder "
        "(its cache lines) is not in the figures; without it a system gains more."
    )


def _of_rows(measured: Measurement) -> Iterator[str]:
    if measured.rows_are == "caller":
        yield (
            "A row is a place that waited, not a lock: several may wait for one lock, and one for several. "
            "Each is taken for a lock; 'perf lock contention -l' tells locks apart."
        )
    elif measured.rows_are == "class":
        yield "A row is a class of locks, of which there may be many. It is taken for one."
    elif measured.rows_are not in LOCKS:
        yield (
            f"A row is a {measured.rows_are}, not a lock, so there is only a bound: the gain if its waits "
            "went away. Run perf without -t, -o and -g for locks."
        )
    if measured.source == "perf":
        yield "perf does not say how long locks were held."


def _of_setting(setting: Setting) -> str:
    processes = f", {setting.processes:,} processes" if setting.processes else ""
    idle = f", {setting.idle:.1%} of their time idle" if setting.idle is not None else ""
    return f"{setting.cpus:,} processors{idle}{processes}, for {setting.elapsed_s:,.4g} s."


def _of_model(model: Model, demand: By) -> Iterator[str]:
    whose = {"all": "", "spin": " that spin", "sleep": " that sleep"}[model.of]
    if model.why:
        yield f"No model of waiters{whose}: {model.why}. Give --processes, or another --elapsed."
        return
    if not model.servers:
        return
    known = (
        "The time under a lock is what such waits need" if demand == "waits"
        else "The time under a lock is how long it was held, as if no lock was taken under another"
    )  # fmt: skip
    yield (
        f"Model of waiters{whose}: {model.customers:,} customers, {_some(model.servers)}, each a queue in "
        "order of arrival, random (exponential) times; exact mean value analysis. "
        f"{known}; {model.think:.1%} of all time is outside of locks and waits."
    )
    if demand == "holds":
        yield f"Waits in the model are {model.matched:.3g} times the measured ones."
    elif model.matched < 1:
        yield (
            f"Waits are longer than the model can have; it has {model.matched:.1%} of them. The rest is "
            "taken for time in which a lock passes on, which is gone where nobody waits."
        )
    if model.others:
        yield f"Not in the model, {_some(model.others)} that are waited for least: their waits stay."


def _some(locks: int) -> str:
    return f"{locks:,} lock{'s' if locks != 1 else ''}"


def _of_sleep(measured: Measurement, setting: Setting, ranked: tuple[RankedLock, ...]) -> Iterator[str]:
    waited = [each for each in ranked if each.lock.wait_s > 0]
    if any(each.relief and each.relief.limited for each in ranked):
        yield "Who sleeps needs a processor when it no longer waits: such gains end with the idle time."
    elif any(each.lock.sleeps for each in waited) and setting.idle is None:
        yield (
            "Who sleeps leaves its processor to others: to wait no longer gains only where processors were "
            "idle (--idle)."
        )
    if measured.rows_are in LOCKS and any(each.lock.sleeps is None for each in waited):
        yield "Whether waiters spin or sleep is not known of all; those are taken to spin."


# --- tables -----------------------------------------------------------------------------------------------


def contention_csv(document: ContentionDocument) -> Table:
    """Return one row for each lock; times in seconds."""
    columns = (
        "rank", "lock", "type", "sleeps", "where", "waits", "wait_s", "wait_max_s", "acquisitions", "hold_s",
        "share_of_waits", "share", "bound", "free", "split", "busy", "limited", "rerun_free", "rerun_split",
    )  # fmt: skip
    rows: list[Row] = []
    for each in document.locks:
        lock, relief, rerun = each.lock, each.relief, each.lock.rerun
        gains = [
            getattr(relief, name, None) for name in ("share", "bound", "free", "split", "busy", "limited")
        ]
        rows.append((
            each.rank, lock.name, lock.type, lock.sleeps, _where(lock), lock.waits, lock.wait_s,
            lock.wait_max_s, lock.acquisitions, lock.hold_s, each.share_of_waits, *gains,
            rerun.free if rerun else None, rerun.split if rerun else None,
        ))  # fmt: skip
    return Table("", columns, tuple(rows), frozenset({1, 2, 4}))


def print_contention(document: ContentionDocument, every: bool, out: TextIO) -> None:
    """Write the ranking, what times under locks say, and what all rests on."""
    waited = [each for each in document.locks if each.lock.wait_s > 0]
    if not waited:
        print_prose([Paragraph(f"{document.title}: nobody waited for a lock.", "title")], out)
        return
    shown = waited if every else waited[:TOP]
    tables = [_ranking(document, shown, len(waited) - len(shown))]
    if document.setting is not None and any(map(_telling, shown)):
        tables.append(_held(document.setting, [each for each in shown if _telling(each)]))
    print_tables(tables, out)
    bullets = [Paragraph(text, "bullet", hang=2) for text in document.assumptions]
    print_prose([Paragraph("What this rests on", "heading"), *bullets], out)


def _ranking(document: ContentionDocument, shown: list[RankedLock], left: int) -> Table:
    known = document.setting is not None
    gains = (
        ("bound", "free", "split") if known and document.rows_are in LOCKS else ("bound",) if known else ()
    )
    places = any(each.lock.callers for each in shown) and document.rows_are != "caller"
    types = any(each.lock.type for each in shown)
    reruns = any(each.lock.rerun for each in shown)
    unit, factor = _unit(shown[0].lock.wait_s)
    heads = ["", document.rows_are if document.rows_are != "class" else "lock"]
    heads += [*(["type"] if types else []), *(["where"] if places else [])]
    text = frozenset(range(1, len(heads)))
    heads += ["waits", f"waited {unit}", "share" if known else "of waits", *gains]
    heads += ["re-run free", "re-run split"] if reruns else []
    rows: list[Row] = []
    for each in shown:
        lock, relief, again = each.lock, each.relief, each.lock.rerun
        row: list[str | int | float | None] = [each.rank, lock.name]
        row += [*([lock.type] if types else []), *([_function(lock)] if places else [])]
        row += [lock.waits, lock.wait_s * factor, f"{relief.share if relief else each.share_of_waits:.1%}"]
        row += [_gain(getattr(relief, name)) for name in gains]
        row += [_gain(again.free if again else None), _gain(again.split if again else None)] if reruns else []
        rows.append(tuple(row))
    notes = [f"{left:,} more with --locks all."] if left else []
    notes += [LEGEND if len(gains) > 1 else _BOUND] if gains else []
    notes += [_RERUN] if reruns else []
    title = (
        f"{document.title}: locks by the time waited for them"
        if document.rows_are in LOCKS
        else document.title
    )
    return Table(title, tuple(heads), tuple(rows), text, tuple(notes))


def _telling(each: RankedLock) -> bool:
    return bool(each.lock.hold_s and each.relief and each.relief.share >= LEAST_SHARE)


def _held(setting: Setting, shown: list[RankedLock]) -> Table:
    rows: list[Row] = []
    for each in shown:
        held = (each.lock.hold_s or 0.0) / setting.elapsed_s
        busy = each.relief.busy if each.relief else None
        rows.append(
            (each.lock.name, f"{held:,.1%}", None if busy is None else f"{busy:.1%}", _compared(held, busy))
        )
    return Table(
        "Share of the time in which a lock was held, and in which the model has it held",
        ("lock", "held", "model", ""), tuple(rows), frozenset({0, 3}),
    )  # fmt: skip


def _compared(held: float, busy: float | None) -> str:
    """Return what it means if a lock was held for longer or shorter than its waits need."""
    if busy is None:
        return ""
    if busy > held * APART:
        return "too short for its waits: they come in bursts, or holds vary"
    if busy * APART < held:
        return "too long for its waits: several locks, readers, or holds that sleep"
    return "as long as its waits need"


def _where(lock: LockRow) -> str | None:
    return lock.callers[0].place if lock.callers else None


def _function(lock: LockRow) -> str:
    """Return where was waited most, without the place in the function, for which a table has no room."""
    return (_where(lock) or "").partition("+0x")[0]


def _gain(gain: float | None) -> str | None:
    return None if gain is None else f"{gain:.2f}"


def _unit(most_s: float) -> tuple[str, float]:
    """Return the unit in which the longest time has up to five digits before the point."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if most_s * factor >= 10:
            return unit, factor
    return "µs", 1e6
