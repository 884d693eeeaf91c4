"""The map: both axes, the design space, the rules of the conclusions, and the command."""

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_tools import Command
from lockscape.errors import InputError
from lockscape.experiments import cocomo
from lockscape.experiments.choose import choose
from lockscape.experiments.conclusions import CONCLUSIONS
from lockscape.experiments.design_space import design_space, hull, pareto
from lockscape.experiments.effort_axis import PortEffort, port_effort, port_efforts
from lockscape.experiments.evidence import Check, Evidence, Family, GivenCurve
from lockscape.experiments.laws import Curve
from lockscape.experiments.preemption import Marked, Preemption, preemption
from lockscape.experiments.scalability_axis import counts, geometric_mean, given_scaling, scaling
from lockscape.experiments.tradeoff import Missing, Question, all_names, run_count, tradeoff
from lockscape.ports.effort import both
from lockscape.ports.plan import load_plan, parse_plan
from lockscape.ports.port import kernel_count, port
from lockscape.report import labels
from lockscape.report.labels import ABOVE, BELOW, BOLD, TITLE_SIZE, Box, common, crosses, place_names, width
from lockscape.report.manifest import Stopwatch
from lockscape.report.map import Drawn, map_document
from lockscape.report.map_plot import round_numbers
from lockscape.report.map_svg import FRAME, map_svg
from lockscape.report.records import recorded_map
from lockscape.report.source_effort import source_efforts
from lockscape.workloads.postmark import PostmarkOptions
from map_tools import BUSY, IDLE, effort, evidence, item, linux, standard
from map_tools import tradeoff as made_up

TINY = Question(2, ("postmark",), postmark=PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=10,
                                                           transactions=20))  # fmt: skip


SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


# --- effort -------------------------------------------------------------------------------------------------


def test_a_ports_effort_is_that_of_the_listing(tmp_path: Path) -> None:
    found = port_effort(load_plan("giant"))
    assert (found.change.changed, found.new_lines, found.options_lines) == (19, 0, 0)
    assert found.added_sites == found.sites["bkl"] == 18
    assert found.lines == 19
    full = port_effort(load_plan("virtualization-full"))
    assert full.change.changed == full.replaced_lines == 15, "what traps or is translated"
    assert full.lines == 15 + full.new_lines
    assert port_effort(load_plan("fine")).options_lines > 0, "its kernel has run queues for each processor"
    plans = [load_plan("giant")]
    assert port_efforts(plans, tmp_path) == [found]
    (kept,) = (tmp_path / "counts").iterdir()
    kept.write_bytes(b"damaged")
    assert port_efforts(plans, tmp_path) == [found], "what is damaged is counted again"


def test_what_a_lock_does_by_itself_is_no_line() -> None:
    lines = [line.strip() for line in both(port(load_plan("linux-2.6"))).lines("dput")[1]]
    assert any(line.startswith("spin_lock(") for line in lines)
    for one, two in pairwise(lines):
        assert not (one == "preempt_off()" and two.startswith(("spin_lock(", "rcu_read_lock(")))
        assert not (one.startswith(("spin_unlock(", "rcu_read_unlock(")) and two == "preempt_on()")


def test_real_kernels_are_those_of_tables_2_and_3() -> None:
    found = source_efforts()
    assert [each.source for each in found] == ["published"] * 4 + ["measured"] * 4
    assert (found[0].version, found[0].all_sites, found[0].changed_lines) == ("2.0.40", 66, 541)
    assert f"{found[3].share:.2%}" == "1.74%"
    assert [each.system for each in found[:4]] == [each.system for each in found[4:]]


def test_places_that_preemption_marks() -> None:
    text = """
        title = "two places"
        method = "fine"
        [[lock]]
        name = "dcache_lock"
        object = "DentryCache"
        kind = "spinlock"
        [[rule]]
        at = "section dput/put"
        lock = "dcache_lock"
        [[rule]]
        at = "body sys_stat"
        lock = "dcache_lock"
    """
    found = preemption(parse_plan(text, "two"))
    assert (found.plain.places, found.plain.marked) == (2, 0)
    assert found.preemptible is not None
    assert (found.preemptible.places, found.preemptible.marked, found.preemptible.unmarked) == (2, 1, 1)
    funnel = preemption(load_plan("coarse-master"))
    assert funnel.preemptible is None
    assert "funnel" in funnel.why


@pytest.mark.parametrize(("lines", "nominal"), [(100_000, 465.3), (1000, 2.94), (0, 0.0)])
def test_person_months_by_the_manuals_formula(lines: int, nominal: float) -> None:
    found = cocomo.person_months(lines)
    assert found.low == pytest.approx(nominal * 1.34 * 0.85 * 0.88, rel=1e-3)
    assert found.high == pytest.approx(nominal * 1.74 * 1.19 * 1.15, rel=1e-3)
    assert found.calibrated == (lines >= 2000)


def test_negative_lines_are_refused() -> None:
    with pytest.raises(ValueError, match="-1 lines"):
        cocomo.person_months(-1)


# --- scalability --------------------------------------------------------------------------------------------


def test_a_curve_over_one_processor_and_over_the_uniprocessor_build() -> None:
    found = scaling("work", {1: [10.0], 2: [6.0], 4: [4.0], 8: [5.0]}, 8.0)
    assert [each.speedup for each in found.points] == pytest.approx([1, 10 / 6, 2.5, 2])
    assert [each.over_uniprocessor for each in found.points] == pytest.approx([0.8, 8 / 6, 2, 1.6])
    assert (found.peak.cpus, found.peak.speedup) == (4, 2.5)
    assert found.usl is not None
    assert found.usl.degrees_of_freedom == 1
    assert found.usl.peak_cpus == pytest.approx(4.6, abs=0.7)
    assert found.at(6).cpus == 4
    two = scaling("work", {1: [10.0], 2: [6.0]}, None)
    assert (two.usl, two.points[1].over_uniprocessor) == (None, None)


def test_curves_of_files() -> None:
    times = Curve("c", "makespan", (1, 4), (8.0, 4.0))
    assert [each.speedup for each in given_scaling("given", times).points] == [1.0, 2.0]
    speedups = Curve("c", "speedup", (4,), (3.0,))
    assert [(each.cpus, each.speedup) for each in given_scaling("given", speedups).points] == [
        (1, 1.0),
        (4, 3.0),
    ]
    with pytest.raises(InputError, match="no value for 1 of processors"):
        given_scaling("given", Curve("c", "throughput", (2, 4), (8.0, 4.0)))


@pytest.mark.parametrize(
    ("cpus", "expected"),
    [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8)), (24, (1, 2, 4, 8, 16, 24))],
)
def test_numbers_of_processors(cpus: int, expected: tuple[int, ...]) -> None:
    assert counts(cpus) == expected


# --- the design space ---------------------------------------------------------------------------------------

POINTS = st.lists(
    st.tuples(st.integers(1, 10_000).map(float), st.integers(0, 64).map(lambda n: n / 8)),
    min_size=1,
    max_size=30,
)


@given(POINTS)
def test_nothing_beats_the_front_and_all_else_is_beaten(points: list[tuple[float, float]]) -> None:
    front = pareto(points)
    for x, y in set(points):
        beaten = any(a <= x and b >= y and (a < x or b > y) for a, b in points)
        assert ((x, y) in front) != beaten


@given(POINTS)
def test_a_hull_is_convex_and_has_all_points_inside(points: list[tuple[float, float]]) -> None:
    corners = hull(points)
    assert set(corners) <= set(points)
    if len(corners) < 3:
        assert {min(points), max(points)} == set(corners)
        return
    flat = [(math.log(x), y) for x, y in corners]
    for (ax, ay), (bx, by) in zip(flat, flat[1:] + flat[:1], strict=True):
        for x, y in points:
            assert (bx - ax) * (y - ay) - (by - ay) * (math.log(x) - ax) > -1e-9


def test_places_and_regions() -> None:
    items = [
        item("giant", effort(20), postmark=1.0, compute=4.0),
        item("freebsd-4.9", effort(40, 10), "giant", "system", postmark=2.0, compute=4.5),
        item("fine", effort(400), postmark=4.0, compute=9.0),
        item("mine.toml", effort(500), "fine", "own", postmark=3.0, compute=3.0),
    ]
    space = design_space(items, 8)
    by_name = {place.name: place for place in space.places}
    assert by_name["giant"].speedup == pytest.approx(2.0)
    assert (by_name["giant"].low_workload, by_name["giant"].high_workload) == (BUSY, IDLE)
    assert [name for name, place in by_name.items() if place.on_front] == ["giant", "freebsd-4.9", "fine"]
    assert by_name["freebsd-4.9"].effort == 50
    assert [(region.method, region.members) for region in space.regions] == [
        ("giant", ("giant", "freebsd-4.9")), ("fine", ("fine",)),
    ]  # fmt: skip
    assert [place.effort for place in design_space(items, 8, "sites").places] == [40] * 4
    over = design_space(items, 8, over="uniprocessor").places[0]
    assert over.speedup == pytest.approx(2.0 * 7.2 / 8)


def test_the_front_of_what_is_one_kernel() -> None:
    guests = item("virtualization-full", effort(30), kernels=8, postmark=8.0, compute=8.0)
    space = design_space([item("giant", effort(20)), guests, item("fine", effort(90), **HIGH)], 8)
    assert [place.on_front for place in space.places] == [True, True, False]
    assert [place.on_front_of_one for place in space.places] == [True, False, True]
    names = ("giant", "application-kernel", "virtualization-full", "virtualization-para-one", "cells")
    assert [kernel_count(load_plan(name), 8) for name in names] == [1, 1, 8, 1, 4]


def test_what_could_not_be_run_has_no_place() -> None:
    lost = msgspec.structs.replace(item("giant"), scaling=(), missing=(Missing(BUSY, "cannot go on"),))
    space = design_space([lost, item("fine")], 8)
    assert [place.name for place in space.places] == ["fine"]
    assert space.absent == {"giant": "cannot go on"}
    with pytest.raises(InputError, match="nothing has a place on the map: cannot go on"):
        map_svg(map_document(made_up(lost), Stopwatch().manifest()))


def test_names_of_everything() -> None:
    names = all_names()
    assert len(names) == len(set(names)) == 39
    assert "uniprocessor" not in names


def test_both_axes_of_real_runs(tmp_path: Path) -> None:
    found = tradeoff(["giant", "solaris"], TINY, tmp_path, workers=1)
    giant, solaris = found.items
    assert [(each.name, each.kind, each.method) for each in found.items] == [
        ("giant", "port", "giant"), ("solaris", "system", "fine"),
    ]  # fmt: skip
    assert found.workloads[0].share > 0.8
    (curve,) = giant.scaling
    assert [each.cpus for each in curve.points] == [1, 2]
    first, last = curve.points
    assert (
        first.makespan_s is not None and last.makespan_s is not None and first.over_uniprocessor is not None
    )
    assert last.speedup == pytest.approx(first.makespan_s / last.makespan_s)
    assert first.over_uniprocessor < 1, "a lock costs something on one processor"
    assert solaris.scaling[0].points[0].over_uniprocessor is not None, "its kernel runs without its port"
    assert tradeoff(["giant", "solaris"], TINY, tmp_path, workers=1) == found


def test_several_seeds_are_one_run_after_the_other(tmp_path: Path) -> None:
    of_seeds = [
        tradeoff(
            ["giant"],
            TINY._replace(postmark=msgspec.structs.replace(TINY.postmark, seed=42 + k)),
            tmp_path,
            1,
        )
        for k in range(2)
    ]
    found = tradeoff(["giant"], TINY._replace(seeds=2), tmp_path, workers=1)
    (curve,) = found.items[0].scaling
    singles = [each.items[0].scaling[0].points for each in of_seeds]
    for number, point in enumerate(curve.points):
        times = [points[number].makespan_s for points in singles]
        assert None not in times
        assert point.makespan_s == pytest.approx(sum(t for t in times if t is not None))
        assert point.by_seed == tuple(points[number].speedup for points in singles)
        assert min(point.by_seed) <= point.speedup <= max(point.by_seed)
    assert singles[0][1].by_seed == ()
    assert singles[0][1].speedup != singles[1][1].speedup, "the seed draws something else"
    assert found.workloads == of_seeds[0].workloads


def test_what_draws_nothing_is_run_once(tmp_path: Path) -> None:
    room = tmp_path / "room.toml"
    room.write_text(
        'type = "chat"\ntitle = "a room"\nevidence = ["none"]\nrooms = 1\nusers = 2\nmessages = 1\n'
    )
    question = Question(2, (str(room),), seeds=3)
    assert run_count(["giant"], question) == run_count(["giant"], question._replace(seeds=1))
    (curve,) = tradeoff(["giant"], question, tmp_path, workers=1).items[0].scaling
    assert {point.by_seed for point in curve.points} == {()}


def test_what_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lockscape.experiments import curve
    from lockscape.machine.execute import RunError

    real = curve.make

    def make(spec: Any, progress: Any = None) -> Any:
        if spec.system == "giant" and spec.cpus == 2:
            return curve.Made(RunError("giant cannot go on"), 0.0)
        return real(spec, progress)

    monkeypatch.setattr(curve, "make", make)
    found = tradeoff(["giant"], TINY, tmp_path, workers=1).items[0]
    assert (found.scaling, found.missing) == ((), (Missing("postmark", "giant cannot go on"),))


# --- conclusions --------------------------------------------------------------------------------------------


def verdicts(name: str, found: Evidence) -> dict[str, str]:
    """Return the verdicts of a conclusion by source, the first of each."""
    checks: dict[str, Check] = {}
    for each in next(c for c in CONCLUSIONS if c.name == name).checks(found):
        checks.setdefault(each.source, each)
    return {source: check.verdict for source, check in checks.items()}


def simulated(name: str, found: Evidence) -> str:
    return verdicts(name, found)["simulated"]


HOLDS, NOT, UNTESTABLE = "holds", "does not hold", "not testable"

LOW, HIGH = {BUSY: 1.5, IDLE: 7.0}, {BUSY: 6.0, IDLE: 7.0}

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("giant is straightforward", {"giant": item("giant", effort(20))}, {"giant": item("giant", effort(120))}),
    ("giant serialises", {"giant": item("giant", **LOW)}, {"giant": item("giant", **HIGH)}),
    ("giant is a viable first step", {"giant": item("giant", effort(50))}, {"giant": item("giant", effort(51))}),
    ("coarse is more complex than giant", {"coarse": item("coarse", effort(200, sites=80))},
     {"coarse": item("coarse", effort(200, sites=44))}),
    ("fine adds complexity", {"fine": item("fine", effort(111, sites=45))}, {"fine": item("fine", effort(110, sites=45))}),
    ("fine scales better", {"fine": item("fine", **HIGH)}, {"fine": item("fine", postmark=2.2, compute=7.0)}),
    ("application kernel: low effort", {"application_kernel": item("application-kernel", effort(0, 99))},
     {"application_kernel": item("application-kernel", effort(0, 101))}),
    ("application kernel: bad scalability", {"application_kernel": item("application-kernel", **LOW)},
     {"application_kernel": item("application-kernel", **HIGH)}),
    ("master-slave: more modifications", {"application_kernel": item("application-kernel", effort(0, 9999))},
     {"master_slave": item("master-slave", effort(100, 50))}),
    ("master-slave: slightly faster", {"master_slave": item("master-slave", postmark=3.0, compute=7.0)},
     {"master_slave": item("master-slave", postmark=1.9, compute=7.0)}),
    ("lock-free takes high effort", {"lock_free": item("lock-free", effort(111))},
     {"lock_free": item("lock-free", effort(110))}),
    ("lock-free can scale", {"lock_free": item("lock-free", **HIGH)}, {"lock_free": item("lock-free", **LOW)}),
    ("guests scale at low cost", {"virtualization_full": item("virtualization-full", effort(0, 99))},
     {"virtualization_full": item("virtualization-full", effort(0, 100))}),
    ("guests scale at low cost: hypervisor bought", {"virtualization_full": item("virtualization-full", effort(0, 900))},
     {"fine": item("fine", effort(90))}),
    ("fully virtualized: unchanged", {"virtualization_full": item("virtualization-full", effort(3, 900, replaced=3))},
     {"virtualization_full": item("virtualization-full", effort(3, 900, replaced=2))}),
    ("paravirtualized: small changes", {"virtualization_para": item("virtualization-para", effort(150))},
     {"virtualization_para": item("virtualization-para", effort(151))}),
    ("reimplementation scales best", {"reimplementation": item("reimplementation", **HIGH)},
     {"fine": item("fine", **HIGH)}),
    ("reimplementation costs most", {"reimplementation": item("reimplementation", effort(90, 11))},
     {"reimplementation": item("reimplementation", effort(90, 9))}),
    ("asymmetric systems vary", {"master_slave": item("master-slave", effort(200), postmark=4.0, compute=7.0)},
     {"master_slave": item("master-slave", effort(199), postmark=4.0, compute=7.0)}),
]  # fmt: skip
"""Conclusions, with a port changed so that each holds, and so that it does not."""


@pytest.mark.parametrize(("name", "holds", "fails"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_tells_both_ways(name: str, holds: dict[str, Any], fails: dict[str, Any]) -> None:
    assert simulated(name, evidence(*standard(**holds))) == HOLDS
    assert simulated(name, evidence(*standard(**fails))) == NOT
    assert simulated(name, evidence()) == UNTESTABLE


def test_thresholds_go_with_the_processors() -> None:
    many = Evidence(made_up(*standard(), cpus=64))
    assert (many.bad, many.good) == (16.0, 32.0)
    assert (evidence(*standard()).bad, evidence(*standard()).good) == (2.0, 4.0)
    two = Evidence(made_up(*standard(), cpus=2))
    assert simulated("giant serialises", two) == UNTESTABLE


def test_systems_and_kinds_of_places() -> None:
    using = [item("linux-2.6", effort(rcu=14), "fine", "system"), item("aix", None, "fine", "system")]
    assert simulated("lock-free parts are used", evidence(*using)) == HOLDS
    assert (
        simulated("lock-free parts are used", evidence(*using, item("osf1", None, "fine", "system"))) == NOT
    )
    xen = item("xen-2.0.5", effort(100, 300), "virtualization", "system")
    sizes = {"xen-2.0.5": (75_000, 38_000), "linux-2.6": (6_100_000,)}
    assert verdicts("the hypervisor is very small", evidence(xen, sizes=sizes)) == {
        "published": HOLDS, "simulated": HOLDS,
    }  # fmt: skip
    assert verdicts("the guest changes little", evidence(item("xen-2.0.5", effort(151)), sizes={}))== {
        "published": UNTESTABLE, "simulated": NOT,
    }  # fmt: skip
    piglet = item("piglet", None, "asymmetric", "system", netserve=4.0)
    port = item("dedicated-processor", None, "asymmetric", netserve=1.0)
    assert simulated("Piglet is good at I/O", evidence(piglet, port)) == HOLDS
    assert simulated("Piglet is good at I/O", evidence(item("piglet", netserve=3.9), port)) == NOT


def test_hardware_for_lock_free_kernels() -> None:
    assert simulated("lock-free wants hardware", evidence(item("lock-free"), item("lock-free-single"))) == NOT
    more = item("lock-free-single", effort(111))
    assert simulated("lock-free wants hardware", evidence(item("lock-free"), more)) == HOLDS


@pytest.mark.parametrize(
    ("plain", "preemptible", "verdict"),
    [
        (Marked(20, 0, 90), Marked(20, 10, 90), HOLDS),
        (Marked(20, 0, 90), Marked(20, 9, 90), NOT),
        (None, None, UNTESTABLE),
    ],
)
def test_preemption_finds_places(plain: Marked | None, preemptible: Marked | None, verdict: str) -> None:
    found = {"fine": Preemption(plain, preemptible, "")} if plain else {}
    assert simulated("preemptible is simpler: places", evidence(preemption=found)) == verdict


def test_a_family_stays_in_a_guest() -> None:
    name = "shared memory stays in a guest"
    guests = [Family("virtualization-full", 8, 1.0), Family("virtualization-para", 8, 1.0)]
    assert simulated(name, evidence(families=[Family("fine", 8, 2.0), *guests])) == HOLDS
    assert simulated(name, evidence(families=[Family("fine", 8, 1.1), *guests])) == UNTESTABLE
    spread = [Family("virtualization-full", 8, 1.2), guests[1]]
    assert simulated(name, evidence(families=[Family("fine", 8, 2.0), *spread])) == NOT


def test_the_linux_case_study_by_each_source() -> None:
    falls = linux((0.01, 0.02, 0.02, 0.015), (60, 120, 126, 126))
    found = evidence(kernels=falls)
    for name in ("Linux 2.0 kept close", "Linux 2.2 became complex", "Linux 2.2 diverged",
                 "2.4 and 2.6 no more complex: lines", "2.4 and 2.6 no more complex: sites",
                 "Linux converges again"):  # fmt: skip
        assert verdicts(name, found) == {"published": UNTESTABLE, "measured": HOLDS, "simulated": UNTESTABLE}
    rises = evidence(kernels=linux((0.06, 0.06, 0.07, 0.08), (60, 119, 119, 126)))
    for name in ("Linux 2.0 kept close", "Linux 2.2 became complex", "Linux 2.2 diverged",
                 "2.4 and 2.6 no more complex: lines", "2.4 and 2.6 no more complex: sites",
                 "Linux converges again"):  # fmt: skip
        assert verdicts(name, rises)["measured"] == NOT


def test_the_papers_own_tables_contradict_one_of_its_conclusions() -> None:
    found = evidence(kernels=source_efforts())
    assert verdicts("2.4 and 2.6 no more complex: lines", found)["published"] == HOLDS
    assert verdicts("2.4 and 2.6 no more complex: sites", found)["published"] == NOT
    for name in ("giant is straightforward", "coarse is more complex than giant", "fine adds complexity",
                 "Linux converges again", "lock-free parts are used"):  # fmt: skip
        assert verdicts(name, found)["published"] == verdicts(name, found)["measured"] == HOLDS


def test_given_curves_are_held_apart() -> None:
    def curve(name: str, speedup: float) -> GivenCurve:
        return GivenCurve(name, "f", given_scaling("given", Curve(name, "speedup", (1, 8), (1.0, speedup))))

    found = evidence(
        *standard(), curves=[curve("linux-2.2", 1.0), curve("linux-2.6", 7.0), curve("linux-2.0", 1.9)]
    )
    assert verdicts("fine scales better", found) == {"simulated": NOT, "given": HOLDS}
    assert verdicts("giant serialises", found)["given"] == HOLDS


def test_shares_of_samples() -> None:
    good, bad = item("fine", **HIGH), item("fine", postmark=2.2, compute=7.0)
    samples = [Drawn(made_up(*standard(fine=fine)), ()) for fine in (good, good, good, bad)]
    document = map_document(made_up(*standard(fine=good)), Stopwatch().manifest(), drawn=samples)
    found = {each.name: each.checks for each in document.conclusions}
    assert found["fine scales better"][0].share == 0.75
    assert found["Linux converges again"][0].share is None, "no cost changes what is published"
    band = document.bands["fine"]
    assert band.low < band.high == pytest.approx(math.sqrt(42))


def test_conclusions_have_names_of_their_own_and_rules() -> None:
    assert len({each.name for each in CONCLUSIONS}) == len(CONCLUSIONS)
    for each in CONCLUSIONS:
        assert bool(each.rule) == bool(each.judges) != bool(each.untestable)


# --- pictures and the command -------------------------------------------------------------------------------


def meeting(boxes: list[Box]) -> list[tuple[Box, Box]]:
    """Return the pairs that have something in common."""
    return [(one, other) for one, other in combinations(boxes, 2) if common(one, other) > 0]


def outside(boxes: list[Box], frame: Box) -> list[Box]:
    return [box for box in boxes if common(box, frame) < (box[2] - box[0]) * (box[3] - box[1]) - 1e-6]


def test_names_keep_out_of_each_others_way() -> None:
    points = [(f"name {n}", 100.0 + 3 * n, 100.0) for n in range(6)] + [("edge", 395.0, 5.0)]
    frame = (0.0, 0.0, 400.0, 200.0)
    found = place_names(points, frame)
    assert [each.text for each in found] == [text for text, _, _ in points]
    boxes = [each.box for each in found]
    assert meeting(boxes) == [] and outside(boxes, frame) == []
    spread = [point for point in points if point[0] in ("name 0", "edge")]
    assert [each.lead for each in place_names(spread, frame)] == [None, None], "each stands beside its point"
    full = place_names([(f"name {n}", 20.0, 20.0) for n in range(9)], (0.0, 0.0, 60.0, 40.0))
    assert meeting([each.box for each in full]), "where there is no room they meet: this can be seen"


def test_names_that_find_no_room_are_placed_first_in_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        (length * "n", float(x), float(y))
        for length, x, y in (
            (18, 235, 20), (12, 268, 66), (12, 264, 60), (6, 278, 32), (12, 91, 27), (12, 95, 54), (3, 57, 102),
            (12, 261, 86), (3, 201, 70), (12, 124, 85), (18, 246, 81), (12, 51, 85),
        )
    ]  # fmt: skip
    frame = (0.0, 0.0, 300.0, 120.0)
    marks = [labels._around(x, y) for _, x, y in points]
    assert meeting([each.box for each in place_names(points, frame)]) == []
    assert not any(common(each.box, mark) for each in place_names(points, frame) for mark in marks)
    monkeypatch.setattr(labels, "TRIES", 1)
    once = place_names(points, frame)
    assert meeting([each.box for each in once]) or any(common(e.box, m) for e in once for m in marks)


@pytest.mark.parametrize(
    ("line", "expected"),
    [((0, 0, 10, 10), True), ((0, 5, 10, 5), True), ((0, 0, 3, 3), False), ((0, 9, 3, 0), False), ((4, 0, 4, 9), False)],
)  # fmt: skip
def test_lines_across_boxes(line: tuple[int, int, int, int], expected: bool) -> None:
    assert crosses(line, (4.0, 4.0, 6.0, 6.0)) is expected


@pytest.mark.parametrize("cpus", [2, 4, 8])
def test_no_names_on_the_recorded_map_touch(cpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are apart, on no point, and inside of the drawing; that text is no wider the report's tests ask a browser."""
    found = recorded_map()
    space = design_space(found.tradeoff.items, cpus, found.space.axis, found.space.over)
    calls: list[tuple[Any, ...]] = []

    def keep(points: Any, frame: Any, taken: Any) -> Any:
        calls.append((points, frame, taken, place_names(points, frame, taken)))
        return calls[-1][-1]

    monkeypatch.setattr("lockscape.report.map_svg.place_names", keep)
    root = ET.fromstring(map_svg(msgspec.structs.replace(found, space=space)))
    names = [(each.text or "", box_of(each)) for each in drawn(root, "text", "name")]
    boxes = [box for _, box in names]
    marks = [(x - 5, y - 5, x + 5, y + 5) for x, y in middles(root)]
    assert (len(names), len(marks)) == (len(space.places) + len(space.regions), len(space.places))
    assert meeting(boxes) == [] and outside(boxes, FRAME) == []
    assert [text for text, box in names if any(common(box, mark) for mark in marks)] == []
    assert [text for text, free in rooms_of_led(calls) if free] == [], "a line only where there is no room"


def rooms_of_led(calls: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, bool]]:
    """Yield each name that a line leads to, and whether a place beside its point is free of all else."""
    ((points, frame, taken, names),) = calls
    for name, (text, x, y) in zip(names, points, strict=True):
        if name.lead is None:
            continue
        others = [(other, at) for other, at in zip(names, points, strict=True) if other is not name]
        boxes = [*taken, *(labels._around(a, b) for _, a, b in points), *(other.box for other, _ in others)]
        lines = [(at[1], at[2], *other.lead) for other, at in others if other.lead]
        near = [option for _, option in labels._options(text, x, y) if option.lead is None]
        yield (
            text,
            any(
                labels._covered(option.box, boxes, frame) == 0
                and not any(crosses(line, option.box) for line in lines)
                for option in near
            ),
        )


def drawn(root: ET.Element, tag: str, kind: str) -> list[ET.Element]:
    """Return the elements of a picture of a class."""
    return [each for each in root.iter(f"{SVG}{tag}") if kind in each.get("class", "").split()]


def box_of(text: ET.Element) -> Box:
    """Return what a name or a title covers."""
    x, y, words = float(text.get("x", "")), float(text.get("y", "")), text.text or ""
    title = "region-name" in text.get("class", "")
    wide = BOLD * width(words, TITLE_SIZE) if title else width(words)
    return (x, y - ABOVE, x + wide, y + BELOW)


def middles(root: ET.Element) -> list[tuple[float, float]]:
    """Return where the points of ports (circles) and systems (diamonds) are."""
    marks = [each for group in root.iter(f"{SVG}g") for each in group if "dot" in each.get("class", "")]
    tops = [
        re.match(r"M(\S+) (\S+)l5.5 5.5l", each.get("d", "")) for each in marks if each.tag == f"{SVG}path"
    ]
    found = [
        (float(each.get("cx", "")), float(each.get("cy", ""))) for each in marks if each.tag == f"{SVG}circle"
    ]
    return found + [(float(top[1]), float(top[2]) + 5.5) for top in tops if top]


@pytest.mark.parametrize(
    ("xs", "expected"),
    [
        ([19.0, 956.0], [10, 20, 50, 100, 200, 500, 1000]),
        ([100.0], [100, 200]),
        ([1.0], [1, 2]),
        ([3.0, 4.0], [2, 5]),
    ],
)
def test_scales_of_effort(xs: list[float], expected: list[float]) -> None:
    assert round_numbers(xs) == expected


def test_the_picture_is_xml_with_words_and_nothing_loaded() -> None:
    items = [*standard(), item("<&\x1b>.toml", effort(500), "m\"'><script>", "own")]
    document = map_document(made_up(*items), Stopwatch().manifest())
    text = map_svg(document, "one")
    root = ET.fromstring(text)
    assert root.attrib["role"] == "img"
    space = "{http://www.w3.org/2000/svg}"
    assert root.attrib["aria-labelledby"].split() == [
        root.find(f"{space}{t}").attrib["id"] for t in ("title", "desc")
    ]
    assert "Pareto front: " in (root.find(f"{space}desc").text or "")
    assert len(root.findall(f"{space}g")) == len(items)
    assert "script" not in {each.tag.removeprefix(space) for each in root.iter()}
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "\x1b" not in text


def small(*names: str) -> list[str]:
    return ["map", *names, "--cpus", "4", "--workload", "compute"]


def test_the_command(call: Command, tmp_path: Path) -> None:
    kept = ["--resume", str(tmp_path / "runs"), "-j", "1"]
    curve = tmp_path / "curve.csv"
    curve.write_text("cpus,speedup\n1,1\n4,3.5\n")
    picture = tmp_path / "map.svg"
    result = call(*small("giant", "coarse"), *kept, "--details", "--person-months", "--curve", f"linux-2.6={curve}",
                  "--svg", str(picture))  # fmt: skip
    assert result.code == 0, result.err
    assert "A giant" in result.out and "Pareto front" in result.out
    assert "3.50 on 4" in result.out
    assert "COCOMO" in result.out and "Application kernel, published" in result.out
    assert "Rule: the giant port changes at most 5%" in result.out
    assert ET.parse(picture).getroot().tag.endswith("svg")
    rows = list(csv.DictReader(io.StringIO(call(*small("giant", "coarse"), *kept, "--csv").out)))
    assert [(row["name"], row["workload"], row["cpus"]) for row in rows] == [
        ("giant", "compute", "4"), ("coarse", "compute", "4"),
    ]  # fmt: skip
    assert rows[0]["lines"] == "19"
    seeded = call(*small("giant"), *kept, "--seeds", "2", "--details").out
    assert "drawn 2 times" in " ".join(seeded.split())
    assert re.search(r"^ +workload +on +speedup +single seeds +over uniprocessor", seeded, re.M)
    assert re.search(r"^giant +compute +4 +[\d.]+ +[\d.]+ to [\d.]+ ", seeded, re.M)
    document = json.loads(call(*small("giant", "coarse"), *kept, "--json").out)
    assert document["document"] == "map"
    assert (
        float(rows[1]["speedup"]) == document["tradeoff"]["items"][1]["scaling"][0]["points"][-1]["speedup"]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gaint"], "did you mean giant"),
        (["--workload", "postmrk"], "did you mean postmark"),
        (["--machine", "cray"], "cray"),
        (["--curve", "linux-2.6"], "give NAME=FILE"),
        (["--curve", "linux-2.6=nothing.csv"], "nothing.csv"),
        (["--curve", "linux-2.6=sdm.csv"], "2 curves, none of linux-2.6 (a, b)"),
        (["--cpus", "1"], "1 is not in the range"),
        (
            ["giant", "--workload", "compute", "--cpus", "2", "--svg", "no/such/folder/x.svg"],
            "give --svg FILE.svg",
        ),
    ],
)
def test_what_cannot_be_used(
    call: Command, arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sdm.csv").write_text("name,cpus,speedup\na,1,1\na,2,2\nb,1,1\nb,2,1\n")
    result = call("map", *arguments, "--resume", "runs", "-j", "1")
    assert result.code in (1, 2)
    assert words in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_uniprocessor_builds_of_systems_with_interrupt_threads() -> None:
    assert choose("solaris@uniprocessor").plan.options["interrupt_threads"] == 0


def test_means() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert isinstance(effort(), PortEffort)
