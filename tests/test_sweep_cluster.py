"""A sweep on a real Dask cluster: its workers are processes of their own, and one of them is killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli_tools import Command
from lockscape.errors import InputError, MissingToolError
from lockscape.experiments import cluster as cluster_module
from lockscape.experiments.cluster import _make_there, cluster
from lockscape.experiments.experiment_file import load_experiment
from lockscape.experiments.grid import grid
from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import simulate
from lockscape.experiments.store import sources_digest
from lockscape.experiments.sweep import sweep
from lockscape.ports.plan import load_plan
from lockscape.report.parquet import write_parquet
from lockscape.workloads.replay import _made, load_replay
from simulate_tools import result, spec
from sweep_tools import dask_cluster, written

SMALL = """\
systems = ["giant"]
processors = "1-4"
processes = 2
seeds = "1-4"
postmark = { files = 10, transactions = 20 }
"""
"""16 runs of one kernel, which each worker has to build."""


@pytest.mark.timeout(300)
def test_a_killed_worker_loses_nothing_and_nothing_is_twice(tmp_path: Path) -> None:
    experiment = load_experiment(written(tmp_path, SMALL))
    found = grid(experiment, tmp_path)
    local = sweep(found, workers=1)
    numbers = []
    with dask_cluster(tmp_path) as dask, cluster(dask.address) as makers:

        def killing(specs):
            for number, made in makers(specs):
                numbers.append(number)
                if len(numbers) == len(specs) // 2:
                    dask.workers[0].kill()
                    dask.workers[0].wait()
                yield number, made

        done = sweep(found, tmp_path / "runs", makers=killing)
        assert dask.workers[1].poll() is None
    assert sorted(numbers) == list(range(16))
    assert (done.rows, done.locks) == (local.rows, local.locks)
    assert len(list((tmp_path / "runs").iterdir())) == 16
    for made, name in ((local, "local"), (done, "cluster")):
        write_parquet(experiment, made, tmp_path / f"{name}.parquet")
    assert (tmp_path / "local.parquet").read_bytes() == (tmp_path / "cluster.parquet").read_bytes()


def test_a_worker_needs_no_file_of_the_client(tmp_path: Path) -> None:
    path = tmp_path / "some.strace"
    path.write_text("1 1.000000 getpid() = 1 <0.000010>\n1 1.000100 exit_group(0) = ?\n")
    content, workload = path.read_bytes(), load_replay(path)
    run = RunSpec("giant", load_plan("giant"), 1, 1, workload=workload)
    here = simulate(run)
    path.unlink()
    _made.cache_clear()
    assert _make_there(run, sources_digest(), content).result == here


def test_a_worker_with_other_sources_is_refused() -> None:
    assert _make_there(spec(), sources_digest(), None).result == result()
    with pytest.raises(InputError, match="install the same versions on all workers"):
        _make_there(spec(), "other", None)


def test_a_cluster_that_is_not_there_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_S", 0.5)
    monkeypatch.chdir(tmp_path)
    call = Command(capsys)
    for address in ("tcp://127.0.0.1:1", "nonsense://", "127.0.0.1"):
        code, out, err = call("sweep", str(written(tmp_path)), "--scheduler", address)
        assert err.startswith(f"lockscape: --scheduler {address}: no scheduler answers (")
        assert (code, out, err.count("\n")) == (1, "", 1)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingToolError, match=r"pip install 'lockscape\[sweep\]'"), cluster("tcp://x:1"):
        pass


LARGER = """\
systems = ["giant", "fine"]
workloads = ["postmark", "forkexec"]
processors = "1-4"
cost_samples = "0-1"
seeds = "1-4"

[postmark]
files = 100
transactions = 300
"""
"""128 runs of 8 kernels."""


def command(path: Path, folder: Path, *more: str) -> list[str]:
    runs, rows = str(folder / "runs"), str(folder / "rows.parquet")
    return [sys.executable, "-m", "lockscape", "sweep", str(path), "--resume", runs, "-o", rows, *more]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_command_gives_the_same_file_from_a_cluster_that_loses_a_worker(tmp_path: Path) -> None:
    path = written(tmp_path, LARGER)
    for name in ("local", "cluster", "dask"):
        (tmp_path / name).mkdir()
    with dask_cluster(tmp_path / "dask") as dask:
        process = subprocess.Popen(
            command(path, tmp_path / "cluster", "--scheduler", dask.address), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "80"},
        )  # fmt: skip
        kept = tmp_path / "cluster" / "runs"
        while len(list(kept.glob("*.json"))) < 64 and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, "the worker is killed half-way"
        dask.workers[0].kill()
        out, err = process.communicate(timeout=600)
    assert (process.returncode, err) == (0, "")
    assert "128 simulated runs." in out
    assert len(list(kept.iterdir())) == 128
    subprocess.run(command(path, tmp_path / "local"), check=True, capture_output=True, timeout=600)
    rows = [(tmp_path / name / "rows.parquet").read_bytes() for name in ("local", "cluster")]
    assert rows[0] == rows[1]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_scheduler_that_goes_away_is_one_line_and_what_is_done_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, LARGER)
    for name in ("mine", "dask"):
        (tmp_path / name).mkdir()
    with dask_cluster(tmp_path / "dask") as dask:
        process = subprocess.Popen(
            command(path, tmp_path / "mine", "--scheduler", dask.address),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        kept = tmp_path / "mine" / "runs"
        while len(list(kept.glob("*.json"))) < 4 and process.poll() is None:
            time.sleep(0.05)
    out, err = process.communicate(timeout=200)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("lockscape: the scheduler is gone: ")
    assert err.count("\n") == 1
    assert 4 <= len(list(kept.glob("*.json"))) < 128
