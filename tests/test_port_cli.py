"""``lockscape port``: listings before and after, what adds a line, and the effort counted."""

import csv
import io
import json
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cli_tools import Command
from lockscape.errors import InputError, unknown
from lockscape.ports import plan
from lockscape.ports.effort import Both, Change, both, compare, count_changes, effort, function_change
from lockscape.ports.plan import load_plan, plan_names
from lockscape.ports.port import Port, port
from lockscape.program.listing import listing
from lockscape.report.port import listing_record, print_listing
from terminal_tools import Terminal, plain_lines
from test_schemas import closed, shipped


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@cache
def pair(system: str) -> Both:
    return both(port(load_plan(system)))


def check(out: str) -> Any:
    found = json.loads(out)
    Draft202012Validator(closed(shipped("port"))).validate(found)
    return found


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ([], [], Change(0, 0, 0, 0, 0)),
        (["a"], ["do:", "    a"], Change(1, 2, 0, 1, 0)),
        (["a", "b"], ["a", "b"], Change(2, 2, 0, 0, 0)),
        (["a"], ["x", "a", "y"], Change(1, 3, 0, 2, 0)),
        (["a", "b", "c"], ["a", "x", "c"], Change(3, 3, 1, 0, 0)),
        (["a", "b", "c"], ["a", "x", "y", "c"], Change(3, 4, 1, 1, 0)),
        (["a", "b", "c"], ["c"], Change(3, 1, 0, 0, 2)),
    ],
)
def test_lines_are_counted_as_in_table_3(before: list[str], after: list[str], change: Change) -> None:
    assert count_changes(before, after) == change
    assert change.changed == change.modified + change.new + change.removed


def test_effort_adds_up() -> None:
    ported = pair("fine").port
    found = effort(pair("fine"))
    bare = ported.uniprocessor()
    reached = ported.reachable() | bare.reachable()
    assert {"sys_open", "schedule", "sys_rename"} < reached < set(ported.source)

    def lines_of(port: Port) -> int:
        return sum(len(listing(port.program.functions[name], dict(port.program.locks))) for name in reached)

    lines, own = lines_of(ported), lines_of(bare)
    assert found.change.lines_ported == lines
    assert found.change.lines_uniprocessor == own
    assert found.change.new - found.change.removed == lines - own
    assert sum(each.change.changed for each in found.functions) == found.change.changed
    places = [rule.at.split()[-1].split("/")[0] for rule in load_plan("fine").rule]
    rules = sum(
        place in reached for place in places
    )  # the others' are of code that this kernel is built without
    assert found.change.changed >= 2 * (rules - 3)
    for kind, count in found.sites_uniprocessor.items():
        assert found.sites[kind] >= count


def test_a_uniprocessor_has_no_effort() -> None:
    found = effort(pair("uniprocessor"))
    assert (found.change.changed, found.new_lines, found.functions) == (0, 0, ())
    assert found.sites == found.sites_uniprocessor


def test_new_code_is_counted_apart() -> None:
    found = effort(pair("coarse-master"))
    new = [each for each in found.functions if each.is_new]
    assert new
    assert found.new_lines == sum(each.change.lines_ported for each in new)
    assert sum(each.change.changed for each in found.functions if not each.is_new) == found.change.changed


@pytest.mark.parametrize("system", ["giant", "fine"])
def test_both_listings_are_in_the_comparison(system: str) -> None:
    ported, bare = pair(system).port, pair(system).uniprocessor
    for name in ported.source:
        lines = compare(pair(system), name)
        locks = dict(ported.program.locks)
        left = [line.text.strip() for line in lines if line.mark != "+"]
        assert left == [line.strip() for line in listing(bare.program.functions[name], locks)]
        assert [line.text for line in lines if line.mark != "-"] == listing(
            ported.program.functions[name], locks
        )
        assert function_change(lines) == count_changes(
            [line.text for line in lines if line.mark != "+"],
            [line.text for line in lines if line.mark != "-"],
        )


@pytest.mark.parametrize("system", ["giant", "coarse", "fine"])
def test_every_added_line_has_its_rule(system: str) -> None:
    ported = pair(system).port
    used = set()
    for each in effort(pair(system)).functions:
        for line in compare(pair(system), each.name, with_rules=True):
            used.update(line.rules)
            assert line.mark == "+" or not line.rules
            if line.mark == "+":
                assert line.rules, (each.name, line)
            for number in line.rules:
                rule = ported.plan.rule[number]
                assert rule.at == "entry" or f" {each.name}" in rule.at
    idle = {number for number in range(len(ported.plan.rule)) if number not in used}
    for number in idle:  # a rule for kernels with other options
        function = ported.plan.rule[number].at.split()[1].split("/")[0]
        assert function not in ported.reachable()


def test_a_function_in_both_kernels(call: Command) -> None:
    code, out, err = call("port", "giant", "timer_interrupt", "--sources")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("timer_interrupt: uniprocessor ")
    assert any(line.startswith("+     lock_kernel(kernel_flag)") and line.endswith("[1]") for line in lines)
    assert "  timer_interrupt()" in lines
    assert any(
        line.startswith("[1] rule 1, at entry: kernel_flag, exclusive. the method's definition")
        for line in lines
    )
    found = check(call("port", "giant", "timer_interrupt", "--sources", "--json").out)
    assert [rule["number"] for rule in found["listing"]["rules"]] == [0]
    rows = list(csv.DictReader(io.StringIO(call("port", "giant", "timer_interrupt", "--csv").out)))
    assert [row["line"] for row in rows if row["mark"] == "+"] == [
        "    lock_kernel(kernel_flag)", "    unlock_kernel(kernel_flag)",
    ]  # fmt: skip


def test_an_unchanged_function_says_so(call: Command) -> None:
    assert "leaves the function as it is" in call("port", "giant", "find_page").out


@pytest.mark.parametrize("columns", [40, 80, 110, 200])
def test_side_by_side_where_there_is_room(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    ported = pair("fine").port
    lines = compare(pair("fine"), "cached")
    out = Terminal()
    print_listing("fine", listing_record("cached", lines, function_change(lines), ported.plan), out)
    shown = plain_lines(out.getvalue())
    if columns >= 110:
        assert max(map(len, shown)) <= columns
        assert any(" + " in line and not line.startswith("+") for line in shown)
        both = [line for line in shown if line.count("cached(key)") == 2]
        assert len(both) == 1
    else:
        assert sum(line.startswith("+ ") for line in shown) >= 2


def test_colours_on_a_terminal_only(call: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    ported = pair("giant").port
    lines = compare(pair("giant"), "timer_interrupt")
    out = Terminal()
    print_listing("giant", listing_record("timer_interrupt", lines, function_change(lines), ported.plan), out)
    assert "\x1b[32m" in out.getvalue()
    assert "\x1b" not in call("port", "giant", "timer_interrupt").out


def test_functions_that_differ(call: Command) -> None:
    out = call("port", "giant").out
    assert out.splitlines()[0].startswith("giant: Giant locking")
    for name in ("system_call", "timer_interrupt", "schedule"):
        assert any(line.startswith(name) for line in out.splitlines())
    found = check(call("port", "giant", "--json").out)
    assert found["listing"] is None
    assert found["ports"][0]["effort"]["change"]["new"] > 0


def test_effort_of_all_ports(call: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    some = ["coarse", "coarse-master", "giant", "uniprocessor"]
    assert set(some) < set(plan_names())
    monkeypatch.setattr(plan, "plan_names", lambda: some)
    found = check(call("port", "--effort", "--json").out)
    names = [each["name"] for each in found["ports"]]
    assert names == ["coarse", "coarse-master", "giant"]
    out = call("port", "--effort", "giant").out
    assert "Places by kind of lock, as in Table 2" in out
    assert "Lines, as in Table 3" in out
    monkeypatch.undo()
    rows = list(csv.DictReader(io.StringIO(call("port", "--effort", "giant", "fine", "--csv").out)))
    giant, fine = rows
    assert [row["port"] for row in rows] == ["giant", "fine"]
    assert int(giant["big kernel lock"]) < int(fine["spin lock"])
    assert int(giant["changed"]) < int(fine["changed"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give one system or method"),
        (["giant", "dput", "iput"], 2, "give one system or method"),
        (["gaint"], 1, "did you mean giant?"),
        (["giant", "dptu"], 1, "unknown function 'dptu': did you mean dput?"),
        (["giant", "--sources"], 2, "lockscape port giant FUNCTION"),
        (["--effort", "--sources"], 2, "without --effort"),
        (["--effort", "gaint"], 1, "did you mean giant?"),
        (["/no/such.toml"], 1, "cannot be read"),
        (["giant", "--json", "--csv"], 2, "exclude each other"),
    ],
)
def test_errors_are_one_line(call: Command, arguments: list[str], code: int, message: str) -> None:
    found = call("port", *arguments)
    assert message in found.err
    assert (found.code, found.out) == (code, "")
    assert found.err.count("\n") == 1


def test_unknown_functions_in_the_library() -> None:
    with pytest.raises(InputError, match="unknown function"):
        compare(pair("giant"), "no_such")


def test_of_very_many_names_only_the_most_similar_are_told() -> None:
    names = [f"name-{number}" for number in range(81)]
    assert unknown("name", "name-7x", names[:80]).endswith(", name-78, name-79")
    told = unknown("name", "name-7x", names)
    assert told.startswith("unknown name 'name-7x': did you mean name-7")
    assert "use one of 81, such as name-7" in told
    assert told.count(",") == 10
