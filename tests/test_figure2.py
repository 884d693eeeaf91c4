"""Figure 2 over samples of costs, at a small size."""

import io
import json

import msgspec
import pytest

from cli_tools import Command
from lockscape.errors import InputError
from lockscape.experiments.choose import choose_plan
from lockscape.experiments.figure2 import (
    ABLATIONS,
    CPUS,
    PAPER,
    AblationRecord,
    Record,
    SampleRecord,
    ablated_system,
    ablation_plan,
    differing,
    encode,
    recorded,
    run_ablation,
    run_sample,
    sample_specs,
    shares,
    verdicts,
)
from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import damage, load_run, run_to_end
from lockscape.experiments.statements import STATEMENTS, SYSTEMS
from lockscape.experiments.trials import kernel_of, run_trial, trials
from lockscape.machine.faults import Detector
from lockscape.report.figure2 import curve_tables, figure2_document, print_figure2
from lockscape.report.manifest import Stopwatch
from lockscape.workloads.postmark import PostmarkOptions

SMALL = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=10, transactions=20)


@pytest.fixture
def lockscape(capsys):
    return Command(capsys)


def test_a_sample_is_the_same_twice_and_differs_from_others(tmp_path):
    first = run_sample(sample_specs(3, work=SMALL), workers=1)
    assert first == run_sample(sample_specs(3, work=SMALL), tmp_path, workers=2)
    assert first != run_sample(sample_specs(4, work=SMALL), workers=1)
    assert set(first.makespan_cycles) == set(SYSTEMS)
    assert all(len(row) == len(CPUS) and min(row) > 0 for row in first.makespan_cycles.values())


def test_one_draw_serves_all_systems():
    specs = sample_specs(7, work=SMALL)
    assert len(specs) == len(SYSTEMS) * len(CPUS)
    assert all(s.cost_factors == specs[0].cost_factors and s.cost_sample == 7 for s in specs)


def record(sample, **cycles):
    rows = {name: tuple(cycles[name.replace("-", "_").replace(".", "_")]) for name in SYSTEMS}
    rates = {name: tuple(10**9 // c for c in row) for name, row in rows.items()}
    return SampleRecord(sample, rows, rates)


def test_shares_count_samples():
    flat = [1000] * 8
    paper = record(
        1,
        linux_2_0=flat,
        linux_2_2=flat,
        linux_2_4=[800, 650, 560, *[555] * 5],
        linux_2_6=[900 // c for c in CPUS],
    )
    other = record(2, linux_2_0=flat, linux_2_2=flat, linux_2_4=flat, linux_2_6=flat)
    assert all(verdicts(paper).makespan.values())
    assert all(verdicts(paper).throughput.values())
    found = {name: (a, b) for name, a, b in shares([paper, other])}
    assert set(found) == {s.name for s in STATEMENTS}
    assert found["2.0 and 2.2 flat"] == (1.0, 1.0)
    assert found["2.6 linear"] == (0.5, 0.5)


def made(samples=3):
    """A record of made-up curves, the later samples a little slower each."""
    rows = [
        record(
            n, linux_2_0=[1000 + n] * 8, linux_2_2=[900] * 8, linux_2_4=[800, 650, 560, *[555] * 5],
            linux_2_6=[900 // c + n * c for c in CPUS],
        )
        for n in range(samples)
    ]  # fmt: skip
    ablation = AblationRecord("linux-2.4-search-outside", "linux-2.4", "2.4 otherwise",
                              tuple(800 // c for c in CPUS), tuple(10**9 * c // 800 for c in CPUS))  # fmt: skip
    return Record(1, "0.1.0", "f" * 40, "0" * 64, "pentium4", 8, "same", PAPER, {}, tuple(rows), (ablation,))


def test_a_record_is_read_as_it_was_written():
    assert msgspec.json.decode(encode(made()), type=Record) == made()


def test_where_two_samples_differ_is_told():
    one, other = made().samples[0], made().samples[1]
    assert differing(one, one) == ""
    assert differing(one, other).startswith("in linux-2.0 on 1 processors (makespan_cycles 1,000, now 1,001)")


def test_the_report_says_what_holds_and_what_an_ablation_changes():
    document = figure2_document(made(), Stopwatch().manifest())
    verdict = {s.name: s.verdict["makespan"] for s in document.statements}
    assert verdict["2.0 and 2.2 flat"] == "holds" and verdict["2.4 up to 3"] == "holds"
    out = io.StringIO()
    print_figure2(document, out)
    assert "Then “2.4 up to 3” no longer holds by makespan" in " ".join(out.getvalue().split())
    own = list(curve_tables(document.record))[1]
    by_name = {row[0]: row[1:] for row in own.rows}
    assert by_name["linux-2.4"][1] == "1.23" and by_name["linux-2.0"] == ("1.00",) * 8


def test_the_report_says_which_samples_later_sources_gave_again():
    record = msgspec.structs.replace(made(), again={"a" * 40: (0, 7)})
    assert msgspec.json.decode(encode(record), type=Record) == record
    out = io.StringIO()
    print_figure2(figure2_document(record, Stopwatch().manifest()), out)
    assert "commit aaaaaaaaaaaa gave the same bits" in " ".join(out.getvalue().split())
    assert "made again: samples 0, 7." in " ".join(out.getvalue().split())


def test_quantiles_of_few_samples_are_samples():
    rows = next(curve_tables(made(21))).rows
    low, high = rows[1], rows[2]
    assert (low[0], high[0]) == ("- 5%", "- 95%")
    assert low[1] == high[1] == "1.00"


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_builds_and_has_no_fault(name):
    spec = RunSpec(name, ablation_plan(name), 3, 3, msgspec.structs.replace(SMALL, transactions=30))
    loaded = load_run(spec, traced=True)
    detector = Detector(loaded.machine.state, loaded.port.rules())
    run_to_end(loaded, reader=detector.read)
    assert [fault.message for fault in detector.faults] == []
    assert damage(loaded) == []
    assert ablation_plan(name) != choose_plan(ablated_system(name))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ABLATIONS)
def test_no_trial_finds_a_fault_in_an_ablation(name):
    kernel = kernel_of(ablation_plan(name), swapping=1)
    assert {trial.name: run_trial(kernel, trial, Detector)[1] for trial in trials()} == {
        trial.name: "" for trial in trials()
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ABLATIONS)
def test_a_recorded_ablation_gives_the_same_bits_again(name):
    (was,) = (each for each in recorded("pentium4").ablations if each.name == name)
    assert run_ablation(name, commit=was.commit) == was


def test_no_record_of_a_machine_is_told():
    with pytest.raises(InputError, match="was not recorded on machine 'modern': it was on pentium4"):
        recorded("modern")


def test_the_command_prints_and_refuses(lockscape):
    done = lockscape("figure2")
    assert done.code == 0 and "What causes it" in done.out
    assert json.loads(lockscape("figure2", "--json").out)["document"] == "figure2"
    lines = lockscape("figure2", "--csv").out.splitlines()
    assert lines[0] == "sample,system,plan,cpus,makespan_cycles,steady_per_s"
    wrong = lockscape("figure2", "--check", "999999")
    assert wrong.code == 1 and "sample 999999 was not recorded" in wrong.err
