"""``lockscape sweep``: the experiment's file, its grid, the rows, and what goes on after an interruption."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from cli_tools import Command
from lockscape.experiments import curve as curve_module
from lockscape.experiments.curve import Made
from lockscape.experiments.experiment_file import BOUNDS, REMEDIES, Experiment, load_experiment
from lockscape.experiments.grid import MOST_CELLS, Axes, Grid, grid
from lockscape.experiments.result import LockStatistics
from lockscape.experiments.run import simulate
from lockscape.experiments.sample import cost_factors
from lockscape.experiments.sweep import Row, sweep
from lockscape.machine.execute import RunError
from lockscape.report.manifest import Stopwatch
from lockscape.report.parquet import write_parquet
from lockscape.report.sweep import print_sweep, sweep_document
from lockscape.workloads.postmark import PAPER, PostmarkOptions
from sweep_tools import GRID, written
from terminal_tools import Terminal, plain_lines
from test_schemas import check

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("LOCKSCAPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return Command(capsys)


def cells(folder: Path, text: str = GRID) -> Grid:
    return grid(load_experiment(written(folder, text)), folder)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all runs of the small grid."""
    folder = tmp_path_factory.mktemp("kept")
    sweep(cells(folder), folder / "runs", workers=1)
    return folder / "runs"


def test_a_file_says_every_axis(tmp_path: Path) -> None:
    found = load_experiment(written(tmp_path))
    assert found.systems == ("giant", "fine")
    assert (found.processors, found.processes, found.seeds, found.cost_samples) == (
        (1, 2),
        (2,),
        (1, 2),
        (0, 3),
    )
    assert found.postmark == msgspec.structs.replace(PAPER, files=10, transactions=20)
    least = load_experiment(written(tmp_path, 'systems = ["fine"]'))
    assert least == Experiment(systems=("fine",))
    assert (least.processors, least.workloads, least.postmark) == (tuple(range(1, 9)), ("postmark",), PAPER)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "systems: missing; write names of systems"),
        ("systems = 3", "systems: Expected `array`, got `int`; write names of systems"),
        ("systems = []", "systems: an empty list; write names"),
        ('systems = ["giant", 4]', "systems: Expected `str`, got `int` - at `systems[1]`; write names"),
        ('systems = ["giant", "giant"]', "systems: 'giant' stands there twice; write"),
        ('systems = ["gaint"]', "unknown system or method 'gaint': did you mean giant?"),
        ('systems = ["./no.toml"]', "no.toml: cannot be read as a plan"),
        ('systems = ["fine"]\ncpus = 4', "unknown key 'cpus': use one of title, systems"),
        ('systems = ["fine"]\nprocessor = 4', "unknown key 'processor': did you mean processors?"),
        ('systems = ["fine"]\nprocessors = "many"', "processors: 'many' is no number of processors: write 4, 1-8 or"),
        ('systems = ["fine"]\nprocessors = 2000', "processors: 2000 is not between 1 and 1024; write numbers from 1"),
        ('systems = ["fine"]\nprocessors = "1-2000"', "'1-2000': give numbers from 1 to 1024, the smaller first"),
        ('systems = ["fine"]\nprocessors = true', "processors: Expected `int`, got `bool`"),
        ('systems = ["fine"]\nprocesses = 0', "processes: 0 is not between 1 and 4096"),
        ('systems = ["fine"]\nseeds = [1, 1]', "seeds: 1 stands there twice"),
        ('systems = ["fine"]\ncost_samples = -1', "cost_samples: -1 is not between 0 and 1000000"),
        ('systems = ["fine"]\nseeding = "all"', "seeding: Invalid enum value 'all'; write \"same\" or \"each\""),
        ('systems = ["fine"]\nlibc = 2005', "libc: Expected `str`, got `int`; write \"2005\""),
        ('systems = ["fine"]\nmachines = ["pentium5"]', "unknown machine 'pentium5': did you mean pentium4?"),
        ('systems = ["fine"]\nworkloads = ["postmrk"]', "unknown workload 'postmrk': did you mean postmark?"),
        ('systems = ["fine"]\nworkloads = ["trace:no"]', "no such file"),
        ('systems = ["fine"]\n[postmark]\nnumber = 3', "unknown field `number`; write a table [postmark] with"),
        ('systems = ["fine"]\n[postmark]\nseed = 3', "seed is an axis of its own: seeds = [3]"),
        ('systems = ["fine"]\n[postmark]\nfiles = 0', "postmark: files 0: "),
        ("systems = [", "not TOML: "),
        ('systems = ["fine"]\ncost_samples = "0-100000"', "a grid of 800,008 cells: at most 100,000; shorten an axis"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_line(call: Command, tmp_path: Path, text: str, message: str) -> None:
    code, out, err = call("sweep", str(written(tmp_path, text)))
    assert message.casefold() in err.casefold()
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert not list(tmp_path.glob("*.parquet"))


def test_files_that_cannot_be_read_or_written_are_told(call: Command, tmp_path: Path) -> None:
    assert "nowhere.toml: no such file or directory" in call("sweep", "nowhere.toml").err
    path = str(written(tmp_path))
    assert "give one that ends in .parquet" in call("sweep", path, "-o", path).err
    assert "name another with -o" in call("sweep", path, "-o", str(tmp_path / "no" / "rows.parquet")).err
    assert written(tmp_path).read_text() == GRID


def test_the_grid_has_every_combination_once(tmp_path: Path) -> None:
    found = cells(tmp_path)
    assert len(found.cells) == len({cell.axes for cell in found.cells}) == 2 * 2 * 2 * 2
    for cell in found.cells:
        spec = cell.spec
        assert spec is not None
        assert (spec.system, spec.cpus, spec.processes) == (
            cell.axes.system,
            cell.axes.cpus,
            cell.axes.processes,
        )
        assert (spec.postmark.seed, spec.cost_sample) == (cell.axes.seed, cell.axes.cost_sample)
        assert spec.cost_factors == cost_factors(spec.cost_sample, spec.machine)
    assert math.prod([22, 9, 8, 20]) <= MOST_CELLS


def test_one_processor_is_always_run(tmp_path: Path) -> None:
    found = cells(tmp_path, 'systems = ["giant"]\nprocessors = 4')
    assert [cell.axes.cpus for cell in found.cells] == [1, 4]


def test_impossible_cells_say_why(tmp_path: Path) -> None:
    text = 'systems = ["uniprocessor"]\nworkloads = ["volano"]\nprocessors = [1, 2]\nprocesses = [1, 9]\nseeds = [1, 2]'
    found = cells(tmp_path, text)
    told = [(cell.axes.processes, cell.axes.cpus, cell.problem) for cell in found.cells]
    assert told == [
        (1, 1, ""), (1, 2, "uniprocessor uses at most 1 processor"),
        (9, 1, "9 chat rooms: from 1 to 8"), (9, 2, "9 chat rooms: from 1 to 8"),
    ]  # fmt: skip
    assert all((cell.spec is None) == bool(cell.problem) and cell.axes.seed is None for cell in found.cells)
    assert found.notes == ("volano: nothing in it is drawn, so it is run once and not with every seed.",)


def test_files_are_looked_for_from_the_experiments_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "giant"\ntitle = "Mine"\n')
    (tmp_path / "some.strace").write_text(
        "1 1.000000 getpid() = 1 <0.000010>\n1 1.000100 exit_group(0) = ?\n"
    )
    text = (
        'systems = ["mine.toml"]\nworkloads = ["trace:some.strace"]\nprocessors = 1\nprocesses = 3\nseeds = 7'
    )
    found = cells(tmp_path, text)
    (cell,) = found.cells
    assert (cell.axes.system, cell.axes.workload, cell.axes.processes) == (
        "mine.toml",
        "trace:some.strace",
        1,
    )
    assert cell.spec is not None
    assert len(found.notes) == 2


def test_rows_have_what_the_runs_gave(tmp_path: Path, kept: Path) -> None:
    found = cells(tmp_path)
    done = sweep(found, kept)
    assert (len(done.rows), done.kept) == (16, 16)
    for cell, row, locks in zip(found.cells, done.rows, done.locks, strict=True):
        assert cell.spec is not None
        assert Axes(**{name: getattr(row, name) for name in Axes.__struct_fields__}) == cell.axes
        assert (row.outcome, row.problem) == ("done", None)
        shares = (row.user, row.kernel, row.interrupt, row.spin, row.idle, row.hypervisor)
        assert sum(share for share in shares if share is not None) == pytest.approx(1)
        assert row.busiest_lock in {lock.lock for lock in locks}
    row, cell, locks = done.rows[-1], found.cells[-1], done.locks[-1]
    assert cell.spec is not None
    result = simulate(cell.spec)
    assert (row.makespan_cycles, row.steps, row.line_transfers) == (
        result.makespan_cycles, result.steps, result.line_transfers
    )  # fmt: skip
    assert locks == result.locks
    assert row.busiest_lock == max(locks, key=lambda lock: lock.wait_cycles).lock
    alone = done.rows[-2]
    assert (alone.cpus, row.cpus, alone.speedup) == (1, 2, 1.0)
    assert alone.makespan_s is not None and row.makespan_s is not None
    assert row.speedup == alone.makespan_s / row.makespan_s


def test_only_what_is_missing_is_made_again(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(curve_module, "simulate", lambda spec, _: made.append(spec) or simulate(spec))
    (first, *_) = kept.iterdir()
    first.unlink()
    done = sweep(cells(tmp_path), kept, workers=1)
    assert (len(made), done.kept, len(list(kept.iterdir()))) == (1, 15, 16)
    twice = sweep(Grid((*cells(tmp_path).cells[:1] * 2,), ()), None, workers=1)
    assert len(made) == 2, "equal runs are made once"
    assert twice.rows[0] == twice.rows[1]


def test_workers_and_interruptions_do_not_matter(tmp_path: Path, kept: Path) -> None:
    found = cells(tmp_path)

    def interrupted(specs):
        for number in (5, 2, 7):
            yield number, Made(simulate(specs[number]), 0.1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(found, tmp_path / "runs", makers=interrupted)
    assert len(list((tmp_path / "runs").iterdir())) == 3
    done = sweep(found, tmp_path / "runs", workers=2)
    whole = sweep(found, kept)
    assert (done.kept, done.rows, done.locks) == (3, whole.rows, whole.locks)


def test_a_run_that_fails_is_a_row_and_the_command_says_so(
    call: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(spec, _):
        if spec.cpus == 2 and spec.postmark.seed == 2:
            raise RunError("it cannot go on")
        return simulate(spec)

    monkeypatch.setattr(curve_module, "simulate", failing)
    code, out, err = call("sweep", str(written(tmp_path)), "--jobs", "1")
    assert code == 1
    assert err == "lockscape: 4 of 16 runs failed: see the column 'problem' of grid.parquet\n"
    assert "failed      4  it cannot go on" in out
    rows = pq.read_table(tmp_path / "grid.parquet").to_pylist()
    assert [row["outcome"] for row in rows].count("failed") == 4
    assert all((row["speedup"] is None) == (row["outcome"] == "failed") for row in rows)
    failed = next(row for row in rows if row["outcome"] == "failed")
    assert (failed["cpus"], failed["seed"], failed["problem"], failed["locks"]) == (
        2,
        2,
        "it cannot go on",
        [],
    )


def test_parquet_has_every_cell_with_its_locks_and_how_it_was_made(tmp_path: Path, kept: Path) -> None:
    experiment = load_experiment(written(tmp_path))
    done = sweep(grid(experiment, tmp_path), kept)
    write_parquet(experiment, done, tmp_path / "rows.parquet")
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.column_names == [*Row.__struct_fields__, "locks"]
    for row, locks, read in zip(done.rows, done.locks, table.to_pylist(), strict=True):
        assert {name: read[name] for name in Row.__struct_fields__} == msgspec.structs.asdict(row)
        assert [LockStatistics(**lock) for lock in read["locks"]] == list(locks)
    made = msgspec.json.decode(table.schema.metadata[b"lockscape"])
    assert msgspec.convert(made["experiment"], Experiment) == experiment
    write_parquet(experiment, replace(done, kept=0), tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "rows.parquet").read_bytes()
    assert not list(tmp_path.glob(".*.part"))


def test_table_json_csv_and_parquet_agree(call: Command, tmp_path: Path, kept: Path) -> None:
    arguments = ("sweep", str(written(tmp_path)), "--resume", str(kept), "-o", "rows.parquet")
    code, out, err = call(*arguments)
    assert (code, err) == (0, "")
    for words in (
        "Two locks: 16 simulated runs, 16 of them kept from before.",
        "- 95%",
        "busiest lock",
        "rows.parquet",
    ):
        assert words in out
    found = call(*arguments, "--json").out
    check("sweep", found)
    document = json.loads(found)
    assert (document["made"], document["kept"], document["problems"]) == (0, 16, [])
    rows = list(csv.DictReader(io.StringIO(call(*arguments, "--csv").out)))
    read = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    for of_csv, of_json, of_parquet in zip(rows, document["rows"], read, strict=True):
        assert {k: str(v) if v is not None else "" for k, v in of_json.items()} == of_csv
        assert of_json == {k: v for k, v in of_parquet.items() if k != "locks"}


def test_curves_of_a_sweep_can_be_fitted(call: Command, tmp_path: Path) -> None:
    path = written(tmp_path, GRID.replace('"1-2"', '"1-4"').replace("[0, 3]", "0").replace("[1, 2]", "1"))
    (tmp_path / "rows.csv").write_text(call("sweep", str(path), "--jobs", "1", "--csv").out)
    assert [line.split(",")[0] for line in call("laws", "rows.csv", "--csv").out.splitlines()[1:]] == [
        "giant",
        "fine",
    ]


@pytest.mark.parametrize("columns", [80, 200])
def test_fits_a_terminal(columns: int, tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    experiment = load_experiment(written(tmp_path))
    out = Terminal()
    print_sweep(
        sweep_document(
            experiment, sweep(grid(experiment, tmp_path), kept), "r.parquet", Stopwatch().manifest()
        ),
        out,
    )
    lines = plain_lines(out.getvalue())
    assert max(map(len, lines)) <= columns
    giant = next(line for line in lines if line.startswith("giant"))
    assert giant.split()[:2] == ["giant", "1.00"]


def test_the_page_names_every_key() -> None:
    text = (DOCS / "laboratory" / "sweeps.md").read_text("utf-8")
    assert set(REMEDIES) == set(Experiment.__struct_fields__) >= set(BOUNDS)
    assert [key for key in REMEDIES if f"`{key}`" not in text] == []
    assert [name for name in Row.__struct_fields__ if f"`{name}`" not in text] == []
    assert PostmarkOptions().seed == 42
