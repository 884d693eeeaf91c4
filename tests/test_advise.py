"""Advice: mixes, predictions, effort, exclusions, refusals, and the command."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_tools import Command
from lockscape.errors import InputError
from lockscape.experiments.advise import advise
from lockscape.experiments.advise_kernel import Kernel, Profile, check
from lockscape.experiments.advise_mix import mixes
from lockscape.experiments.advise_predict import amdahl_bounds, calibration, effort, predicted
from lockscape.experiments.advise_record import Record, covers, recorded
from lockscape.experiments.advise_subsystems import SUBSYSTEMS, Shares, function_subsystems, sample_shares
from lockscape.experiments.advise_ways import WAYS, members, way_of
from lockscape.experiments.choose import choose
from lockscape.experiments.effort_axis import port_effort
from lockscape.experiments.result import plan_digest
from lockscape.experiments.run import simulate
from lockscape.experiments.tradeoff import QUICK, Question, all_names, plain_run
from lockscape.kernel.build import MODULES
from lockscape.report.advise import advice_for
from map_tools import effort as some_effort
from map_tools import item, linux


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def shares(name: str, kernel: float, **split: float) -> Shares:
    return Shares(name, kernel, dict.fromkeys(SUBSYSTEMS, 0.0) | split)


BUSY, NET, IDLE = shares("busy", 0.9, fs=1.0), shares("net", 0.5, net=1.0), shares("idle", 0.0, entry=1.0)


# --- the record ---------------------------------------------------------------------------------------------


def test_the_record_is_of_the_ports_as_they_are() -> None:
    record = recorded()
    assert sorted(record.plans) == sorted(all_names())
    changed = [name for name, digest in record.plans.items() if plan_digest(choose(name).plan) != digest]
    assert not changed, "record it again: tools/record_advise.py"
    (giant,) = [each for each in record.tradeoff.items if each.name == "giant"]
    assert giant.effort == port_effort(choose("giant").plan)


@pytest.mark.slow
def test_the_record_is_what_runs_give() -> None:
    record = recorded()
    question = Question(8, ("netserve",), record.tradeoff.machine, record.tradeoff.postmark)
    spec = plain_run("netserve", question)
    result = simulate(spec)
    assert sample_shares(spec, "netserve", result.makespan_cycles) in record.shares


def test_every_function_of_the_kernel_has_a_subsystem() -> None:
    modules = {module.__name__.rpartition(".")[2] for module in MODULES}
    assert {name for found in SUBSYSTEMS.values() for name in found} == modules
    assert function_subsystems()["packet_arrived"] == "net"
    assert function_subsystems()["sys_open"] == "fs"


def test_every_port_and_system_goes_one_way() -> None:
    items = recorded().tradeoff.items
    assert sorted(each.name for way in WAYS for each in members(way, items)) == sorted(e.name for e in items)
    assert way_of(item("mine.toml", method="virtualization")) is None
    assert way_of(item("mine.toml", method="fine")) == "fine"


def test_what_a_record_covers() -> None:
    record = recorded()
    assert all(covers(record, Kernel(cpus=n)) for n in (2, 4, 8))
    assert not covers(record, Kernel(cpus=6))
    assert covers(record, Kernel(workload="compute"))
    assert not covers(record, Kernel(workload="dbench"))


# --- mixes --------------------------------------------------------------------------------------------------


def test_with_nothing_known_every_mix_stands_for_the_kernel() -> None:
    found = mixes(Kernel(), (BUSY, NET, IDLE))
    assert len(found.all) == 21 * 22 / 2
    assert sorted(found.nearest) == pytest.approx([0.3, 0.35, 0.35])


def test_the_kernels_share_narrows_the_mixes() -> None:
    found = mixes(Kernel(kernel_share=0.45), (BUSY, IDLE))
    assert found.nearest == pytest.approx((0.5, 0.5))
    assert [weights[0] for weights in found.all] == pytest.approx([0.45, 0.5, 0.55])


def test_a_profile_chooses_by_subsystem_and_not_by_the_way_in() -> None:
    split = Profile({"net": 0.3, "entry": 0.7}, 0.0)
    found = mixes(Kernel(profile=split, kernel_share=0.25), (BUSY, NET, IDLE))
    assert found.nearest == pytest.approx((0.0, 0.5, 0.5))
    assert found.distance == pytest.approx(0.0, abs=1e-9)


def test_a_workload_that_contradicts_the_rest_is_refused() -> None:
    assert mixes(Kernel(workload="net"), (BUSY, NET, IDLE)).workloads == ("net",)
    with pytest.raises(
        InputError, match="contradicts the profile or the kernel's share, which are nearer to"
    ):
        mixes(Kernel(workload="idle", kernel_share=0.9), (BUSY, NET, IDLE))
    with pytest.raises(InputError, match="unknown workload"):
        mixes(Kernel(workload="nothing"), (BUSY,))


@given(st.floats(0, 0.9))
def test_a_mix_is_never_farther_than_half_a_step(share: float) -> None:
    found = mixes(Kernel(kernel_share=share), (BUSY, IDLE))
    assert found.distance <= 0.9 * 0.05 / 2 + 1e-9
    assert sum(found.nearest) == pytest.approx(1)


# --- predictions --------------------------------------------------------------------------------------------


def test_a_mixes_speedup_is_the_harmonic_mean_over_the_uniprocessor_kernel() -> None:
    way = [item("fine", busy=2.0, idle=6.0), item("other", busy=4.0, idle=6.0)]
    found = predicted(way, mixes(Kernel(kernel_share=0.45), (BUSY, IDLE)), 8)
    assert found is not None
    one = 7.2 / 8  # of the made-up items: one processor is slower than the uniprocessor kernel
    assert found.low == pytest.approx(one / (0.55 / 2 + 0.45 / 6))
    assert found.high == pytest.approx(one / (0.45 / 4 + 0.55 / 6))
    assert found.low < found.middle < found.high
    assert predicted([item("fine", busy=2.0)], mixes(Kernel(), (BUSY, IDLE)), 8) is None


def test_effort_is_the_models_share_times_real_over_model() -> None:
    models = [
        item("linux-2.0", some_effort(30, kernel=3000), "giant", "system"),
        item("linux-2.2", some_effort(300, kernel=3000), "coarse", "system"),
        item("application-kernel", some_effort(2, new=100)),
    ]
    kernels = linux((0.01, 0.05, 1, 1), (66, 800, 1, 1))[:2]
    scale = calibration(models, kernels, {"application-kernel": 3600})
    assert (scale.lines.low, scale.lines.high) == pytest.approx((0.5, 1.0))
    assert scale.new_code.middle == pytest.approx(36)
    found = effort([models[0]], scale, 60_000)
    assert (found.changed.low, found.changed.high) == pytest.approx((300, 600))
    assert found.new.high == 0
    with pytest.raises(InputError, match="models of Linux"):
        calibration(models[2:], kernels, {})


def test_amdahls_bounds() -> None:
    assert amdahl_bounds(0.5, 8) == pytest.approx((1 / (0.5 + 0.5 / 8), 8))
    assert amdahl_bounds(1.0, 8)[0] == 1


# --- reasons ------------------------------------------------------------------------------------------------


def excluded(**kernel: Any) -> set[str]:
    return {each.way for each in advice_for(Kernel(**kernel), recorded()).ways if each.excluded}


def test_exclusions() -> None:
    guests = {"guests-full", "guests-para"}
    every = {way.id for way in WAYS}
    assert excluded() == set()
    assert excluded(shared_memory=True) == {*guests, "cells"}
    assert excluded(shared_memory=True, cpus=2) == guests, "a cell has two processors"
    assert excluded(containment=True) == every - {*guests, "cells"}
    assert excluded(hardware=frozenset()) == {"lock-free", "reimplementation"}
    assert excluded(hardware=frozenset({"cas"})) == set()
    assert "reimplementation" in excluded(most_lines=1000, lines=50_000)
    assert "giant" not in excluded(most_lines=1000, lines=50_000)
    assert excluded(most_sites=20) >= {"fine", "coarse"}


def test_every_reason_says_where_it_is_from() -> None:
    kernel = Kernel(
        containment=True, shared_memory=True, hardware=frozenset(), preemptible=False, most_lines=1
    )
    for each in advice_for(kernel, recorded()).ways:
        assert all(reason.text and reason.source for reason in each.reasons), each.way


def test_without_double_cas_only_kernels_without_it_count() -> None:
    found = advice_for(Kernel(hardware=frozenset({"cas"})), recorded())
    assert [each.members for each in found.ways if each.way == "lock-free"] == [("lock-free-single",)]


def test_the_order_and_the_front() -> None:
    found = advice_for(Kernel(shared_memory=True, kernel_share=0.6), recorded())
    ranks = [each.rank for each in found.ways]
    left = [rank for rank in ranks if rank is not None]
    assert left == list(range(1, len(left) + 1))
    assert ranks[len(left) :] == [None] * (len(ranks) - len(left)), "excluded ones stand last"
    middles = [round(each.speedup.middle, 1) for each in found.ways[: len(left)]]
    assert middles == sorted(middles, reverse=True)
    assert any(each.on_front for each in found.ways)
    for each in found.ways:
        assert each.speedup.low <= each.speedup.middle <= each.speedup.high <= found.parallel


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (Kernel(cpus=0), "0 processors"),
        (Kernel(cpus=1), "1 processors"),
        (Kernel(kernel_share=1.2), "kernel share 120 %"),
        (Kernel(profile=Profile({"fs": 0.8, "net": 0.4}, 0.0)), "sum to 120 %"),
        (Kernel(profile=Profile({"fs": -0.1}, 0.0)), "fs -10 %"),
        (Kernel(profile=Profile({"disk": 0.1}, 0.0)), "unknown subsystem 'disk'"),
        (Kernel(profile=Profile({"fs": 1.0}, 0.0, 0.2), kernel_share=0.6), "but the profile spends 20%"),
        (Kernel(profile=Profile({"fs": 1.0}, 0.0), kernel_share=0.0), "kernel share 0 %"),
        (Kernel(hardware=frozenset({"cas2"})), "cas2 without cas"),
        (Kernel(hardware=frozenset({"magic"})), "unknown hardware 'magic'"),
        (Kernel(most_lines=0), "0 lines"),
        (Kernel(lines=-5), "-5 lines"),
    ],
)
def test_what_cannot_be_is_refused(kernel: Kernel, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(kernel)


def test_a_choice_that_leaves_nothing_is_refused() -> None:
    for method in ("virtualization", "guests-para"):
        with pytest.raises(InputError, match="nothing is left of it: an application that shares memory"):
            advice_for(Kernel(shared_memory=True, methods=(method,)), recorded())
    with pytest.raises(InputError, match="unknown method 'magic'"):
        advice_for(Kernel(methods=("magic",)), recorded())


def test_ways_without_runs_are_told() -> None:
    record = recorded()
    few = [e for e in record.tradeoff.items if e.method != "lock-free"]
    assert len(few) < len(record.tradeoff.items)
    found = advice_for(Kernel(), _with(record, few))
    assert set(found.missing) == {"lock-free"}


def _with(record: Record, items: Any) -> Record:
    import msgspec

    return msgspec.structs.replace(
        record, tradeoff=msgspec.structs.replace(record.tradeoff, items=tuple(items))
    )


def test_no_kernels_no_scale() -> None:
    with pytest.raises(InputError, match="to scale effort"):
        advise(Kernel(lines=1), recorded(), [], {})
    assert QUICK.cpus == recorded().tradeoff.cpus


# --- the command --------------------------------------------------------------------------------------------


def test_the_command(call: Command) -> None:
    shown = call(
        "advise", "--no-locks", "--kernel-share", "60", "--shared-memory", "--hardware", "cas,virtualization"
    )
    assert shown.code == 0, shown.err
    for text in ("--kernel-share", "Reimplementation", "excluded", "Amdahl's law", "2.2.26"):
        assert text in shown.out
    assert max(map(len, shown.out.splitlines())) < 150
    details = call("advise", "--no-locks", "--details").out
    assert "Paper, section 3.7" in details


def test_csv_and_json(call: Command) -> None:
    rows = list(csv.DictReader(io.StringIO(call("advise", "--no-locks", "--fault-containment", "--csv").out)))
    assert {row["way"] for row in rows} == {way.id for way in WAYS}
    assert [row["rank"] for row in rows if row["excluded"]] == [""] * 9
    found = json.loads(call("advise", "--no-locks", "--not-preemptible", "--json").out)
    assert found["document"] == "advise"
    assert [each["source"] for each in found["given"]] == ["default", "--preemptible"]
    assert found["given"][1]["value"] == "no"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cpus", "0"], "0 processors"),
        (["--hardware", "cas2"], "cas2 without cas"),
        (["--hardware", "none,cas"], "'none' and something"),
        (["--hardware", ","], "name what there is"),
        (["--workload", "compute", "--kernel-share", "90"], "contradicts"),
        (["--kernel-share", "nan"], "kernel share nan"),
    ],
)
def test_refusals(call: Command, arguments: list[str], message: str) -> None:
    shown = call("advise", *arguments)
    assert shown.code == 1
    assert message in shown.err
    assert shown.err.count("\n") == 1
