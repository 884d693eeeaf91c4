"""Table 1 measured: responses of urgent processes, the rules for words, the record and what is shown of it."""

import csv
import io
import json
from typing import Any

import msgspec
import pytest

from cli_tools import Command
from lockscape import catalog
from lockscape.experiments import figure2, levels
from lockscape.experiments.measured import (
    Alone,
    Measured,
    Record,
    Sizes,
    Tail,
    Waits,
    _check_load,
    alone,
    differing,
    encode,
    measure,
    recorded,
)
from lockscape.experiments.result import RESPONDS, RunSpec
from lockscape.experiments.run import Loaded, damage, load_run, run_to_end, simulate
from lockscape.machine import layout as at
from lockscape.machine.execute import RunError
from lockscape.machine.faults import Detector
from lockscape.ports.plan import load_plan
from lockscape.report.manifest import Stopwatch
from lockscape.report.table1 import cells, print_table1, table1_csv, table1_document
from lockscape.workloads.postmark import PostmarkOptions
from lockscape.workloads.watch import Watch
from test_latency import assert_is

SMALL = Sizes(
    Watch(title="t", evidence=("e",), load=8, urgent=4, transactions=1500, files=300, sleeps=1),
    PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=40, transactions=100),
)


@pytest.fixture
def lockscape(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def watch(load: int, urgent: int, **more: int) -> Watch:
    sizes = {"transactions": 300, "files": 30, "sleeps": 3} | more
    return Watch(title="t", evidence=("e",), load=load, urgent=urgent, **sizes)


def spec(system: str, cpus: int, workload: Watch) -> RunSpec:
    return RunSpec(system, load_plan(system), cpus, workload.processes, workload=workload)


# --- responses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["linux-2.0", "linux-2.4", "fine"])
def test_a_response_lasts_from_the_tick_that_was_due_until_user_mode(system: str) -> None:
    """Who sleeps is woken by the first processor's ticks here: a response is what a call ends after one."""
    found: list[int] = []

    def look(loaded: Loaded):  # type: ignore[no-untyped-def]
        state = loaded.machine.state
        urgent = loaded.machine.contexts[2]
        first = next(v for v in state.virtuals if int(state.m[v + at.V_NUMBER]) == 0)
        period = int(state.m[first + at.V_PERIOD])
        phase = int(state.m[first + at.V_DUE])

        def read(rows) -> None:  # type: ignore[no-untyped-def]
            ends = rows[(rows[:, 4] == at.T_CALL_END) & (rows[:, 2] == urgent), 0].tolist()
            found.extend((end - phase) % period for end in ends if end > period)

        return read

    result = simulate(spec(system, 2, watch(2, 1)), watch=look)
    del found[3:]  # the last call is exit
    assert_is(result.event(RESPONDS), found)
    assert max(found) < 2_000_000  # a millisecond, not the slice of a process


def test_an_urgent_process_does_not_wait_for_the_slices_of_others() -> None:
    """A kernel of one processor gives it up for the urgent one when the call that it does has ended."""
    result = simulate(spec("uniprocessor", 1, watch(3, 1, transactions=1000)))
    calls = result.all_calls.max_cycles
    assert result.event(RESPONDS).count == 3
    assert result.event(RESPONDS).max_cycles < 100_000 < 20 * calls


@pytest.mark.parametrize("system", ["linux-2.4", "linux-2.6", "virtualization-para"])
def test_urgent_processes_leave_no_faults(system: str) -> None:
    loaded = load_run(spec(system, 2, watch(2, 2, transactions=40, files=10, sleeps=2)), traced=True)
    detector = Detector(loaded.machine.state, loaded.port.rules())
    run_to_end(loaded, reader=detector.read)
    assert [fault.message for fault in detector.faults] == []
    assert damage(loaded) == []


# --- measuring ----------------------------------------------------------------------------------------------


def test_a_giant_lock_lets_urgent_processes_wait_longer_than_fine_locks() -> None:
    giant, fine = (measure(name, sizes=SMALL, workers=1) for name in ("giant", "linux-2.6"))
    idle = alone("uniprocessor", sizes=SMALL, workers=1)
    assert giant.responds.count == fine.responds.count == 4
    assert idle.responds.count == 1
    assert idle.responds.p99 < fine.responds.p99 < giant.responds.p99
    assert giant.handled.p99 > fine.handled.p99
    assert giant.waits.spin_share > fine.waits.spin_share
    assert giant.waits.lock == "kernel_flag"
    assert giant.calls.p99 > idle.calls.p99
    assert giant.speedup < fine.speedup
    assert differing(fine, fine) == ""
    assert differing(giant, fine).startswith("system giant, now linux-2.6")


def test_a_system_is_compared_with_its_guest_alone() -> None:
    found = measure("virtualization-para", reference="uniprocessor", sizes=SMALL, workers=1)
    assert found.against is not None
    assert (found.against.plan, found.against.cpus, found.against.load) == ("uniprocessor", 1, 1)
    assert found.over_latency == found.responds.p99 / found.against.responds.p99
    assert found.over_speed == found.against.makespan_cycles / found.makespan_cycles[1]
    assert 0.5 < found.over_speed < 1


def test_a_watch_without_load_all_the_time_is_refused() -> None:
    short = Sizes(msgspec.structs.replace(SMALL.watch, transactions=10, files=2), SMALL.postmark)
    with pytest.raises(RunError, match="the load ended before the watch"):
        measure("fine", sizes=short, workers=1)


def test_who_is_answered_by_another_process_responds_when_it_goes_on() -> None:
    """In the application kernel a process of the first kernel sleeps for the thread, and is not it: the thread
    responds, later than that process runs, and to nothing but what it slept for: other answers are none."""
    found = measure("application-kernel", sizes=SMALL, workers=1)
    alone = measure("uniprocessor", sizes=SMALL, workers=1)
    assert found.responds.count == alone.responds.count == 4
    result = simulate(spec("application-kernel", 2, watch(3, 1, transactions=1000)))
    assert result.event(RESPONDS).count == 3 < result.event("replied done").count
    assert result.event(RESPONDS).mean_cycles > result.event("replied done").mean_cycles


def test_a_watch_in_which_somebody_does_not_respond_is_refused() -> None:
    result = simulate(spec("uniprocessor", 1, watch(0, 1)))
    with pytest.raises(RunError, match="uniprocessor: 3 responses to interrupts are known of 4"):
        _check_load(result, watch(0, 1, sleeps=4), "uniprocessor")
    with pytest.raises(RunError, match="uniprocessor: 3 responses to interrupts are known of 2"):
        _check_load(result, watch(0, 1, sleeps=2), "uniprocessor")


# --- the rules ----------------------------------------------------------------------------------------------


def test_words_change_at_the_thresholds() -> None:
    assert [levels.latency_level(each) for each in (1, 10, 10.01, 100, 100.01)] == [
        "Low", "Low", "Medium", "Medium", "High",
    ]  # fmt: skip
    assert [levels.scalability_level(each) for each in (0.5, 1.99, 2, 3.99, 4, 8)] == [
        "Low", "Low", "Medium", "Medium", "High", "High",
    ]  # fmt: skip
    assert [levels.is_alike(each) for each in (0.5, 0.51, 1, 1.99, 2)] == [False, True, True, True, False]


# --- the record and what is shown of it -----------------------------------------------------------------------


def tail(p99: int) -> Tail:
    return Tail(100, 100 * p99 // 2, p99 // 2, p99, 2 * p99)


def system(id: str, p99: int, speedup: float, over: int = 0) -> Measured:
    times = tail(p99)
    other = Alone("uniprocessor", 1, 1, tail(over), tail(over), 900) if over else None
    waits = Waits(0.25, "kernel_flag", 5000)
    return Measured(id, "", False, times, times, times, times, waits, times, waits,
                    (round(1000 * speedup), 1000), other)  # fmt: skip


def record(*systems: Measured, **failed: str) -> Record:
    idle = Alone("uniprocessor", 1, 0, tail(100), tail(50), 800)
    return Record(1, "0", "c" * 40, "s", "pentium4", idle, systems, failed, ())


def shown(found: Record) -> Any:
    return table1_document(found, Stopwatch().manifest())


def test_the_paper_and_the_measurements_agree_or_it_is_said_why() -> None:
    found = record(
        system("linux-2.2", 20_000, 0.9), system("linux-2.6", 900, 6.5), system("xen-2.0.5", 300, 7, 200)
    )
    by_id = {each.id: each for each in shown(found).systems}
    two, six, xen = by_id["linux-2.2"], by_id["linux-2.6"], by_id["xen-2.0.5"]
    assert (two.latency.measured, two.latency.ratio, two.latency.agrees) == ("High", 200, False)
    assert (two.scalability.measured, two.scalability.agrees) == ("Low", True)
    (why,) = two.explained
    assert "High, in the paper Medium" in why and "not preemptible" in why and "kernel_flag" in why
    assert (six.latency.agrees, six.scalability.agrees, six.explained) == (True, True, ())
    assert (xen.latency.measured, xen.latency.over, xen.latency.agrees) == ("As Guest", 1.5, True)
    assert (xen.scalability.over, xen.scalability.agrees) == (0.9, True)
    assert by_id["qnx"].latency is None and by_id["qnx"].why == "it has not been measured"


def test_a_guest_that_waits_much_longer_than_alone_is_not_as_guest() -> None:
    (each,) = [
        each for each in shown(record(system("xen-2.0.5", 1000, 7, 200))).systems if each.id == "xen-2.0.5"
    ]
    assert (each.latency.measured, each.latency.agrees) == ("not As Guest", False)


def test_a_word_that_hangs_on_the_width_of_a_bucket_is_said_to() -> None:
    near, far = (
        cells(catalog.system("linux-2.6"), system("linux-2.6", p99, 6.5), record()).explained
        for p99 in (1030, 1100)
    )
    assert "exactly, it may be Low" in near[0]
    assert len(far) == 1 and "exactly" not in far[0]


def test_a_word_that_the_paper_does_not_know_is_neither_right_nor_wrong() -> None:
    found = cells(catalog.system("qnx"), system("qnx", 5000, 3), record())
    assert found.scalability is not None and found.scalability.agrees is None
    assert found.scalability.measured == "Medium"
    assert found.latency is not None and found.latency.agrees is False


def test_a_system_that_could_not_be_measured_says_why() -> None:
    out = io.StringIO()
    print_table1(shown(record(**{"application-kernel": "nothing responded"})), out)
    assert "Application kernel: nothing responded" in " ".join(out.getvalue().split())


def test_a_record_is_read_as_it_was_written() -> None:
    found = record(system("linux-2.2", 2000, 0.9), qnx="no")
    assert msgspec.json.decode(encode(found), type=Record) == found
    assert encode(found).count(b"\n") > 10


def test_what_was_recorded_is_shown_in_full(lockscape: Command) -> None:
    code, out, err = lockscape("table1")
    assert (code, err) == (0, "")
    flat = " ".join(out.split())
    for rule in (levels.LATENCY_RULE, levels.SCALABILITY_RULE, levels.ALIKE_RULE):
        assert rule in flat
    for each in catalog.systems():
        assert sum(line.startswith(f"{each.name} ") for line in out.splitlines()) >= 1
    measured = {each.system for each in recorded().systems}
    assert {"linux-2.0", "linux-2.2", "linux-2.4", "linux-2.6"} <= measured
    rows = list(csv.DictReader(io.StringIO(lockscape("table1", "--csv").out)))
    assert len(rows) == 2 * len(catalog.systems())
    assert all((row["measured"] != "") == (row["id"] in measured) for row in rows)
    document = json.loads(lockscape("table1", "--json").out)
    assert document["document"] == "table1" and len(document["systems"]) == len(catalog.systems())
    differing_words = [text for each in document["systems"] for text in each["explained"]]
    assert len(differing_words) == sum(row["agrees"] == "false" for row in rows)


def test_the_record_has_the_makespans_of_figure_2() -> None:
    """The same runs, recorded by another tool: for one processor and for 8."""
    makespans = figure2.recorded("pentium4").samples[0].makespan_cycles
    known = {each.system: each.makespan_cycles for each in recorded().systems}
    for name, cycles in makespans.items():
        assert known[name] == (cycles[0], cycles[7])


def test_the_csv_has_a_row_for_each_quality() -> None:
    table = table1_csv(shown(record(system("linux-2.6", 900, 6.5))))
    row = next(row for row in table.rows if row[:2] == ("linux-2.6", "latency"))
    assert row == ("linux-2.6", "latency", "Low", "Low", 9.0, None, "true")


def test_what_was_not_measured_cannot_be_checked(lockscape: Command) -> None:
    for options, words in (
        (["--check", "linux-2.9"], "measured system 'linux-2.9'"),
        (["--machine", "m68030"], "Table 1 was not measured on machine 'm68030'"),
    ):
        code, _, err = lockscape("table1", *options)
        assert code == 1 and words in err


@pytest.mark.slow
def test_a_recorded_system_is_measured_again_with_the_same_bits(lockscape: Command) -> None:
    code, out, err = lockscape("table1", "--check", "linux-2.6")
    assert (code, out, err) == (0, "linux-2.6: the same bits as recorded\n", "")
