"""Reads the locks of a run of lockscape: the JSON of ``simulate``, ``whatif`` with its runs, or ``host``."""

from typing import Annotated, Literal

import msgspec

from lockscape.errors import InputError, unknown
from lockscape.program.locks import SLEEPING
from lockscape.real.contention_perf import sleeps_of
from lockscape.real.contention_rows import Choice, LockRow, Measurement, Place, Rerun, together

_MOST_PROCESSES = 4096

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""What a document may count."""
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**62)]
"""The same, if there is one at least."""
Few = Annotated[int, msgspec.Meta(ge=1, le=_MOST_PROCESSES)]
"""How many processes or processors."""


class _Lock(msgspec.Struct):
    lock: str
    kind: str
    acquisitions: Count
    contentions: Count
    wait_cycles: Count
    wait_max_cycles: Count
    hold_cycles: Count
    sleeps: Count


class _Result(msgspec.Struct):
    makespan_cycles: Positive
    clock_mhz: Positive
    locks: list[_Lock]


class _Point(msgspec.Struct):
    cpus: Few
    time_shares: dict[str, float]
    result: _Result


class _System(msgspec.Struct):
    name: str
    points: list[_Point]


class _Workload(msgspec.Struct):
    processes: Few


class _Simulated(msgspec.Struct):
    """What is needed of the document of ``lockscape simulate``."""

    workload: _Workload
    systems: list[_System]


class _Machine(msgspec.Struct):
    clock_mhz: Positive


class _Change(msgspec.Struct):
    lock: str
    kind: Literal["free", "split", "instance"]
    gain: Annotated[float, msgspec.Meta(gt=0)] | None


class _Changed(msgspec.Struct):
    """What is needed of the document of ``lockscape whatif``."""

    system: str
    cpus: Few
    workload: _Workload
    machine: _Machine
    makespan_cycles: Positive
    locks: list[_Lock]
    changes: list[_Change]


class _Wait(msgspec.Struct):
    caller: str
    kind: str
    contended: Count
    wait_total_ns: Count
    wait_max_ns: Count


class _Contention(msgspec.Struct):
    cpus: Few
    makespan_s: Annotated[float, msgspec.Meta(gt=0)] | None
    waits: list[_Wait]
    why_not: str | None


class _Curve(msgspec.Struct):
    name: str
    contention: _Contention | None


class _Host(msgspec.Struct):
    """What is needed of the document of ``lockscape host``."""

    workload: _Workload
    curves: list[_Curve]


class _Kind(msgspec.Struct):
    document: str


def read_run(text: str, shown: str, choice: Choice) -> Measurement:
    """Return what a document says of the locks of a run. Raises `InputError` for one that has none."""
    try:
        document = msgspec.json.decode(text, type=_Kind).document
        if document == "simulate":
            return _simulated(msgspec.json.decode(text, type=_Simulated), shown, choice)
        if document == "host":
            return _hosted(msgspec.json.decode(text, type=_Host), shown, choice)
        if document == "whatif":
            return _changed(msgspec.json.decode(text, type=_Changed), shown, choice)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InputError(f"{shown}: no document of a run ({error}); give that of simulate") from error
    raise InputError(f"{shown}: a document {document!r} has no locks; give that of simulate, whatif or host")


def _simulated(found: _Simulated, shown: str, choice: Choice) -> Measurement:
    names = [system.name for system in found.systems]
    if not names:
        raise InputError(f"{shown}: no run in it; run simulate without --without and --fail")
    if choice.system is None and len(names) > 1:
        raise InputError(f"{shown}: {len(names)} systems; choose one with --system {names[0]}")
    name = choice.system or names[0]
    if name not in names:
        raise InputError(f"{shown}: {unknown('system', name, names)}")
    points = {point.cpus: point for point in found.systems[names.index(name)].points}
    cpus = max(points, default=0) if choice.cpus is None else choice.cpus
    if cpus not in points:
        ran = ", ".join(map(str, sorted(points))) or "none"
        raise InputError(f"{shown}: no run of {name} on {cpus} processors; give --at one of {ran}")
    result, idle = points[cpus].result, points[cpus].time_shares.get("idle", 0.0)
    rows = tuple(_row(lock, result.clock_mhz) for lock in result.locks)
    return Measurement(
        "lockscape", f"simulate {name}", "class", rows, cpus, found.workload.processes,
        result.makespan_cycles / (result.clock_mhz * 1e6), min(max(idle, 0.0), 1.0),
    )  # fmt: skip


def _changed(found: _Changed, shown: str, choice: Choice) -> Measurement:
    if choice.system not in (None, found.system) or choice.cpus not in (None, found.cpus):
        raise InputError(f"{shown}: {found.system} on {found.cpus} processors; leave out --system and --at")
    gains = {(change.lock, change.kind): change.gain for change in found.changes}
    mhz = found.machine.clock_mhz
    rows = tuple(
        msgspec.structs.replace(
            _row(lock, mhz), rerun=Rerun(gains.get((lock.lock, "free")), gains.get((lock.lock, "split")))
        )
        for lock in found.locks
    )
    return Measurement(
        "lockscape", f"whatif {found.system}", "class", rows, found.cpus, found.workload.processes,
        found.makespan_cycles / (mhz * 1e6),
        notes=("Only the locks that whatif looked at are known.",),
    )  # fmt: skip


def _hosted(found: _Host, shown: str, choice: Choice) -> Measurement:
    runs = {curve.name: curve.contention for curve in found.curves if curve.contention is not None}
    if not runs:
        raise InputError(f"{shown}: no waits for locks in it; run host without --no-locks")
    if choice.system is None and len(runs) > 1:
        raise InputError(f"{shown}: {len(runs)} workloads; choose one with --system {next(iter(runs))}")
    name = choice.system or next(iter(runs))
    if name not in runs:
        raise InputError(f"{shown}: {unknown('workload', name, runs)}")
    run = runs[name]
    if run.why_not is not None or run.makespan_s is None:
        raise InputError(f"{shown}: no waits for locks were recorded: {run.why_not or 'the run has no time'}")
    if choice.cpus not in (None, run.cpus):
        raise InputError(f"{shown}: locks were recorded on {run.cpus} processors only; leave out --at")
    rows = [
        LockRow(
            wait.caller, wait.kind, sleeps_of(wait.kind), wait.wait_total_ns / 1e9, wait.contended,
            wait.wait_max_ns / 1e9, callers=(Place(wait.caller, wait.contended),),
        )
        for wait in run.waits
    ]  # fmt: skip
    return Measurement(
        "perf", f"host {name}", "caller", together(((row.type, row.name), row) for row in rows), run.cpus,
        found.workload.processes, run.makespan_s,
    )  # fmt: skip


def _row(lock: _Lock, mhz: int) -> LockRow:
    def seconds(cycles: int) -> float:
        return cycles / (mhz * 1e6)

    sleeps = lock.sleeps > 0 or lock.kind in SLEEPING
    return LockRow(
        lock.lock, lock.kind, sleeps, seconds(lock.wait_cycles), lock.contentions,
        seconds(lock.wait_max_cycles), lock.acquisitions, seconds(lock.hold_cycles),
    )  # fmt: skip
