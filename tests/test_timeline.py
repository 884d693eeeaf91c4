"""The timeline: what it says adds up to the run's own tables, to the real Perfetto trace processor as well."""

import gzip
import io
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

from cli_tools import Command
from lockscape.errors import InputError
from lockscape.experiments.result import RunResult
from lockscape.experiments.run import simulate
from lockscape.machine import layout as at
from lockscape.machine.execute import execute
from lockscape.machine.modes import KINDS, Modes
from lockscape.report import perfetto
from lockscape.report.perfetto import TraceFile, TraceFileError
from lockscape.report.timeline import MODES, WHOLE, Window, Written, write_timeline
from lockscape.workloads.postmark import PostmarkOptions
from perfetto_tools import TraceProcessor
from simulate_tools import WORK, result, spec
from test_contract import cycles, virtualized

SEVERAL = [("fine", 4), ("coarse-funnel", 3), ("linux-2.0", 3), ("linux-2.6", 4)]

SHORT = msgspec.structs.replace(WORK, files=8, transactions=20)
"""What gives some thousand slices to read again."""


class Slice(NamedTuple):
    path: tuple[str, ...]
    name: str
    begin: int
    end: int
    depth: int
    arguments: dict[str, str]

    @property
    def ns(self) -> int:
        return self.end - self.begin


def slices_of(data: bytes) -> list[Slice]:
    """Read a trace as a reader of the format must, but from start to end of file."""
    trace = Trace.FromString(data)
    tracks: dict[int, tuple[str, ...]] = {}
    names: dict[str, dict[int, str]] = {}
    found: list[Slice] = []
    events: dict[int, list[tuple[int, int, Any]]] = defaultdict(list)
    for order, packet in enumerate(trace.packet):
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            assert track.uuid not in tracks
            tracks[track.uuid] = (*(tracks[track.parent_uuid] if track.parent_uuid else ()), track.name)
            continue
        if packet.sequence_flags & packet.SEQ_INCREMENTAL_STATE_CLEARED:
            names = {"slices": {}, "keys": {}, "values": {}}
        new = packet.interned_data
        names["slices"].update((each.iid, each.name) for each in new.event_names)
        names["keys"].update((each.iid, each.name) for each in new.debug_annotation_names)
        names["values"].update((e.iid, e.str.decode()) for e in new.debug_annotation_string_values)
        event = packet.track_event
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            notes = event.debug_annotations
            arguments = {names["keys"][n.name_iid]: names["values"][n.string_value_iid] for n in notes}
            what: Any = (names["slices"][event.name_iid], arguments)
        else:
            what = None
        events[event.track_uuid].append((packet.timestamp, order, what))
    for uuid, each in events.items():
        stack: list[tuple[int, Any]] = []
        for time, _, what in sorted(each, key=lambda event: event[:2]):
            if what is not None:
                stack.append((time, what))
            else:
                begin, (name, arguments) = stack.pop()
                found.append(Slice(tracks[uuid], name, begin, time, len(stack), arguments))
        assert not stack
    return found


def written(
    tmp_path: Path, system: str, cpus: int, window: Window = WHOLE, work: PostmarkOptions = SHORT
) -> tuple[list[Slice], Written]:
    path = tmp_path / "run.pftrace"
    done = write_timeline(spec(system, cpus, postmark=work), path, window)
    found = slices_of(path.read_bytes())
    assert len(found) == done.slices
    assert path.stat().st_size == done.bytes
    return found, done


def near(ns: int, cycles: int, slices: int, run: RunResult) -> bool:
    """Each end of a slice is rounded down to a nanosecond."""
    return abs(ns - cycles * 1000 / run.clock_mhz) <= slices


@pytest.mark.parametrize(("system", "cpus"), SEVERAL)
def test_the_tables_of_the_run_are_in_the_timeline(tmp_path: Path, system: str, cpus: int) -> None:
    found, done = written(tmp_path, system, cpus)
    run = done.result
    assert run == simulate(spec(system, cpus, postmark=SHORT)), "the trace changed the run"
    check_tables(found, run, sequence=system == "linux-2.6")


def check_tables(found: list[Slice], run: RunResult, sequence: bool = False) -> None:
    check_calls(found, run)
    check_locks(found, run)
    check_processors(found, run, sequence)


def check_calls(found: list[Slice], run: RunResult) -> None:
    total, count = Counter(), Counter()
    for each in found:
        if each.path[0] == "Processes":
            total[each.name] += each.ns
            count[each.name] += 1
    finished = {call.call: call for call in run.calls}
    assert {name: n for name, n in count.items() if name in finished} == {c.call: c.count for c in run.calls}
    assert set(count) - set(finished) <= {"exit"}, "only exit never returns"
    for call in run.calls:
        assert near(total[call.call], call.total_cycles, call.count, run), call


def check_locks(found: list[Slice], run: RunResult) -> None:
    held, waited = defaultdict(list), defaultdict(list)
    for each in found:
        if each.path[0] == "Locks":
            {"held": held, "waited for": waited}[each.path[2]][each.path[1]].append(each)
    for lock in run.locks:
        ended = [each for each in held[lock.lock] if each.arguments["how"] != "still held"]
        assert len(ended) == lock.acquisitions - (len(held[lock.lock]) - len(ended)), lock
        assert near(sum(each.ns for each in ended), lock.hold_cycles, len(ended), run), lock
        waits = [each for each in waited[lock.lock] if each.end * run.clock_mhz // 1000 < run.makespan_cycles]
        assert near(sum(each.ns for each in waits), lock.wait_cycles, len(waits), run), lock
        assert all(each.arguments.keys() == {"waiter", "holder", "in", "how"} for each in waits)
        assert sum(each.arguments["how"] == "sleeps" for each in waits) <= lock.sleeps


def check_processors(found: list[Slice], run: RunResult, sequence: bool) -> None:
    for number, processor in enumerate(run.processors):
        here = [s for s in found if s.path[0] == "Processors" and s.path[1].startswith(f"processor {number}")]
        modes, count = Counter(), Counter()
        for each in here:
            if each.path[2:] == ("mode",):
                modes[each.name] += each.ns
                count[each.name] += 1
        spent = {mode: getattr(processor, f"{mode}_cycles") for mode in MODES[:5]}
        if sequence:  # waits for a sequence lock's writer have no row of their own
            spent["kernel"] += spent.pop("spin")
            modes["kernel"] += modes.pop("spin", 0)
        for mode, many in spent.items():
            assert near(modes[mode], many, sum(count.values()), run), (number, mode)
        who = sorted((s.begin, s.end, s.name) for s in here if len(s.path) == 2)
        assert all(a[1] == b[0] and a[2] != b[2] for a, b in pairwise(who))
        assert (who[0][0], who[-1][1]) == (0, run.makespan_cycles * 1000 // run.clock_mhz)
        check_interrupts(here)


def check_interrupts(here: list[Slice]) -> None:
    interrupts = [each for each in here if each.path[2:] == ("interrupts",)]
    modes = [each for each in here if each.path[2:] == ("mode",)]
    begun = {each.begin for each in modes if each.name in ("interrupt", "spin")}  # if it waits at its entry
    assert {each.begin for each in interrupts} <= begun


def test_interrupts_are_named_by_their_handlers_and_are_in_the_tables(tmp_path: Path) -> None:
    found, done = written(tmp_path, "application-kernel", 3, work=WORK)  # long enough for ticks
    assert done.result == simulate(spec("application-kernel", 3)), "the trace changed the run"
    check_tables(found, done.result)
    names = Counter(each.name for each in found if each.path[2:] == ("interrupts",))
    assert set(names) == {"timer_interrupt", "call_forwarded", "thread_tick", "replied"}


@pytest.mark.parametrize(("cpus", "hold_cycles"), [(1, 40), (2, 40), (1, 5000), (2, 5000)])
def test_virtual_processors_spend_what_the_engine_counts(cpus: int, hold_cycles: int) -> None:
    state = virtualized(cpus, hold_cycles)
    spent: Counter[tuple[int, int]] = Counter()

    def told(virtual: int, who: int, mode: int, begin: int, end: int) -> None:
        spent[virtual, mode] += end - begin

    modes = Modes(state, told)

    def read(rows: Any) -> None:
        for row in rows.tolist():
            if row[4] in KINDS:
                modes.read(tuple(row))

    assert execute(state, reader=read).reason == at.REASON_DONE
    modes.finish(int(state.m[at.H_TIME]))
    counted = {
        (n, mode): each for n in range(len(state.virtuals)) for mode, each in enumerate(cycles(state, n))
    }
    assert spent == Counter(counted)
    assert spent[cpus, at.STOLEN] and spent[0, at.GUEST]


def test_perfetto_opens_it_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "run.pftrace.gz"
    run = write_timeline(spec("fine", 4, postmark=SHORT), path).result
    lock = max(run.locks, key=lambda each: each.wait_cycles)
    below = "FROM slice JOIN track t ON slice.track_id = t.id JOIN track p ON t.parent_id = p.id"
    problems, calls, helds, waits, modes = TraceProcessor(tmp_path).query(path.read_bytes(), [
        "SELECT name, value FROM stats WHERE severity IN ('error', 'data_loss') AND value > 0",
        f"SELECT slice.name AS call, count(*) AS n, sum(dur) AS ns {below} WHERE p.name = 'Processes' GROUP BY 1",
        f"SELECT count(*) AS n, sum(dur) AS ns {below} WHERE t.name = 'held' AND p.name = '{lock.lock}'",
        f"SELECT count(*) AS n, sum(dur) AS ns, extract_arg(arg_set_id, 'debug.waiter') AS waiter, "
        f"extract_arg(arg_set_id, 'debug.holder') AS holder {below} "
        f"WHERE t.name = 'waited for' AND p.name = '{lock.lock}' GROUP BY 3, 4",
        f"SELECT p.name AS processor, slice.name AS mode, count(*) AS n, sum(dur) AS ns {below} "
        "WHERE t.name = 'mode' GROUP BY 1, 2",
    ])  # fmt: skip
    assert problems == []
    by_name = {each["call"]: each for each in calls}
    for call in run.calls:
        assert by_name[call.call]["n"] == call.count
        assert near(by_name[call.call]["ns"], call.total_cycles, call.count, run)
    (held,) = helds
    assert held["n"] == lock.acquisitions
    assert near(held["ns"], lock.hold_cycles, lock.acquisitions, run)
    assert lock.wait_cycles and near(sum(w["ns"] for w in waits), lock.wait_cycles, lock.contentions, run)
    assert all(w["waiter"].startswith("process ") and w["waiter"] != w["holder"] for w in waits)
    for number, processor in enumerate(run.processors):
        idle = [
            each for each in modes if (each["processor"], each["mode"]) == (f"processor {number}", "idle")
        ]
        assert near(sum(i["ns"] for i in idle), processor.idle_cycles, sum(i["n"] for i in idle), run)


def test_a_window_is_what_lies_in_it(tmp_path: Path) -> None:
    everything, done = written(tmp_path, "fine", 2)
    end_ms = done.result.makespan_s * 1000
    first, last = round(end_ms / 3, 4), round(end_ms / 2, 4)
    part, _ = written(tmp_path, "fine", 2, Window(first, last))
    low, high = round(first * 1e6), round(last * 1e6)

    def clipped(each: Slice) -> Slice:
        return each._replace(begin=max(each.begin, low), end=min(each.end, high))

    def key(each: Slice) -> tuple[Any, ...]:
        return each.path, each.begin, each.end, each.depth, each.name

    inside = [clipped(each) for each in everything if each.end > low and each.begin < high]
    open_at_the_end = {"exclusive", "shared", "still held"}
    assert sorted(map(key, inside)) == sorted(map(key, part))
    assert {each.arguments.get("how") for each in part} <= {*open_at_the_end, None, "spins", "sleeps"}
    assert 0 < len(part) < len(everything)


def test_a_window_without_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--trace-to 1: must be later than --trace-from 2"):
        write_timeline(spec(), tmp_path / "run.pftrace", Window(2, 1))


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TraceFileError, match="No such file or directory"):
        write_timeline(spec(), tmp_path / "none" / "run.pftrace")
    with pytest.raises(TraceFileError, match="No space left on device"):
        write_timeline(spec(), Path("/dev/full"))


def test_a_compressed_file_has_the_same_content(tmp_path: Path) -> None:
    for name in ("a.pftrace", "a.pftrace.gz"):
        write_timeline(spec(), tmp_path / name)
    plain = (tmp_path / "a.pftrace").read_bytes()
    assert gzip.decompress((tmp_path / "a.pftrace.gz").read_bytes()) == plain
    assert result() == write_timeline(spec(), tmp_path / "b.pftrace").result
    assert (tmp_path / "b.pftrace").read_bytes() == plain


def test_names_are_forgotten_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> bytes:
        out = io.BytesIO()
        file = TraceFile(out, 1000)
        track = file.track("line", file.track("group"))
        for k in range(300):
            file.begin(track, 10 * k, f"slice {k % 100}", {"key": f"value {k % 90}"})
            file.end(track, 10 * k + 5)
        file.close(3000)
        return out.getvalue()

    whole = made()
    monkeypatch.setattr(perfetto, "MOST_NAMES", 20)
    forgetful = made()
    assert slices_of(forgetful) == slices_of(whole)
    assert whole.count(b"slice 7") < forgetful.count(b"slice 7")
    assert len(slices_of(whole)) == 300


MEMORY = """
import io, resource
from lockscape.report.perfetto import TraceFile
class Nowhere(io.RawIOBase):
    def write(self, data):
        return len(data)
def more(slices):
    for k in range(slices):
        file.whole(track, 10 * k, 10 * k + 5, f"Inode@{k}", {"holder": "process 1"})
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
file = TraceFile(Nowhere(), 1000)
track = file.track("line")
print(more(20_000), more(60_000))
"""


def test_memory_does_not_grow_with_the_trace() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    before_kb, after_kb = map(int, done.stdout.split())
    assert after_kb - before_kb < 4_000, "a slice takes 100 bytes"


def test_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSCAPE_CACHE", str(tmp_path / "cache"))
    result("giant", 1)  # compiles the engine if need be, which it says on stderr
    call, path = Command(capsys), tmp_path / "run.pftrace"
    small = ("--transactions", "60", "--number", "20", "--processes", "3", "--seed-each", "--jobs", "1")
    code, out, err = call(
        "simulate", "giant", "--cpus", "1-3", *small, "--trace", str(path), "--trace-to", "2"
    )
    assert code == 0 and "Locks of giant on 3 processors" in out
    found = slices_of(path.read_bytes())
    assert err == (
        f"{path}: timeline of giant on 3 processors, {len(found):,} slices, {path.stat().st_size:,} bytes; "
        "open it at https://ui.perfetto.dev\n"
    )
    assert {each.path[1] for each in found if each.path[0] == "Processors"} == {
        f"processor {n}" for n in range(3)
    }
    assert max(each.end for each in found) == 2_000_000
    call("simulate", "giant", "--cpus", "1-3", *small, "--at", "2", "--trace", str(path))
    assert max(each.path for each in slices_of(path.read_bytes()))[1] == "processor 1"
    refused = call("simulate", "giant", "fine", "--trace", str(path))
    assert (refused.code, refused.err) == (
        1, "lockscape: --trace: the timeline is of one run; give one system, and no --without\n"
    )  # fmt: skip
