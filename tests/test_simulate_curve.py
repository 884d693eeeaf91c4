"""Many runs: workers do not matter, finished ones are kept, an interrupted experiment goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from lockscape.errors import InputError
from lockscape.experiments import store as store_module
from lockscape.experiments.curve import Point, expected_work, run_all
from lockscape.experiments.store import Store, key_of
from simulate_tools import WORK, result, spec

SPECS = [spec(system, cpus) for system in ("giant", "fine") for cpus in (1, 3)]


def results(points: list[Point]) -> list[object]:
    return [point.result for point in points]


def test_workers_do_not_matter(tmp_path: Path) -> None:
    alone = run_all(SPECS, None, workers=1)
    assert results(alone) == [result("giant", 1), result("giant", 3), result("fine", 1), result("fine", 3)]
    together = run_all(SPECS, tmp_path, workers=2)
    assert results(together) == results(alone)
    assert [point.spec for point in together] == SPECS
    assert all(point.host_s > 0 and not point.kept for point in together)


def test_finished_runs_are_kept_and_found_again(tmp_path: Path) -> None:
    first = run_all(SPECS[:2], tmp_path, workers=1)
    seen: list[tuple[float, int]] = []
    again = run_all(SPECS[:3], tmp_path, workers=1, progress=lambda share, done: seen.append((share, done)))
    assert [point.kept for point in again] == [True, True, False]
    assert results(again)[:2] == results(first)
    assert seen[-1] == (1.0, 3)
    assert not any(point.kept for point in run_all(SPECS[:1], tmp_path, workers=1, fresh=True))
    assert len(list(tmp_path.iterdir())) == 3


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    run_all(SPECS[:1], tmp_path, workers=1)
    (path,) = tmp_path.iterdir()
    for content in (
        b"",
        b'{"key": "x"}',
        path.read_bytes()[:-9],
        path.read_bytes().replace(path.stem.encode(), b"0" * 64),
    ):
        path.write_bytes(content)
        (point,) = run_all(SPECS[:1], tmp_path, workers=1)
        assert not point.kept
        assert point.result == result("giant", 1)


def test_a_key_names_everything_but_the_systems_name(monkeypatch: pytest.MonkeyPatch) -> None:
    base = spec("giant", 1)
    assert key_of(msgspec.structs.replace(base, system="mine")) == key_of(base)
    others = [
        spec("giant", 2), spec("fine", 1), spec("giant", 1, processes=4), spec("giant", 1, libc="modern"),
        spec("giant", 1, seeding="same"), spec("giant", 1, machine="modern"), spec("giant", 1, cost_factors={"a": 2.0}),
        spec("giant", 1, postmark=msgspec.structs.replace(WORK, seed=1)),
        msgspec.structs.replace(base, plan=msgspec.structs.replace(base.plan, rule=base.plan.rule[1:])),
    ]  # fmt: skip
    keys = {key_of(each) for each in (base, *others)}
    assert len(keys) == len(others) + 1
    monkeypatch.setattr(store_module, "sources_digest", lambda: "other sources")
    assert key_of(base) not in keys


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="name a folder with --resume"):
        Store(tmp_path / "file" / "below")
    with pytest.raises(InputError, match="cannot be kept"):
        Store(tmp_path / "file")


def test_long_runs_are_begun_first() -> None:
    work = [
        expected_work(each) for each in (spec("giant", 1), spec("giant", 3), spec("giant", 3, processes=9))
    ]
    assert work == sorted(work)


def test_what_fails_in_a_worker_is_told(tmp_path: Path) -> None:
    bad = msgspec.structs.replace(spec("giant", 2), machine="pentium5")
    with pytest.raises(InputError, match="did you mean pentium4"):
        run_all([bad, SPECS[0]], tmp_path, workers=2)


def test_an_interrupted_experiment_goes_on(tmp_path: Path) -> None:
    arguments = [
        sys.executable, "-m", "lockscape", "simulate", "giant", "--cpus", "1-8", "--transactions", "500", "--number",
        "80", "--jobs", "2", "--resume", str(tmp_path), "--csv",
    ]  # fmt: skip
    environment = {**os.environ, "COLUMNS": "80"}
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    if process.returncode == 0:
        pytest.skip("the machine was quicker than the interrupt")
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "lockscape: interrupted"
    assert "Traceback" not in err
    assert 1 <= len(before) < 8
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=100, env=environment, check=True)
    assert len(done.stdout.splitlines()) == 9
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert len(list(tmp_path.glob("*.json"))) == 8
