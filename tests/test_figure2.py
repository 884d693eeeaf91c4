"""Figure 2 over samples of costs, at a small size."""

from lockscape.experiments.figure2 import CPUS, SampleRecord, run_sample, sample_specs, shares, verdicts
from lockscape.experiments.statements import STATEMENTS, SYSTEMS
from lockscape.workloads.postmark import PostmarkOptions

SMALL = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=10, transactions=20)


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
    assert found["flat"] == (1.0, 1.0)
    assert found["linear"] == (0.5, 0.5)
