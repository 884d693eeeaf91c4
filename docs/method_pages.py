"""The regions of the methods' pages: definition, a listing, effort, and where the method wins and loses.

All of them come from the program when the page is made: docstrings, `lockscape port`, `lockscape simulate`.
"""

import functools
import importlib
import inspect
import io
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory

from lockscape.cli.main import run

SMALL = "--cpus 1,2,4,8 --transactions 300 --number 100"
"""PostMark so small that a page is made in seconds; the kernel's share is that of the full size."""


FAILURE = "simulate cells --cpus 8 --transactions 300 --number 100 --fail 2@5"
"""A cell fails in the middle of a run."""

ASYMMETRIC = "master-slave application-kernel dedicated-processor"

NETWORK = "dedicated-processor giant --workload netserve --cpus 1,2,4,8"
"""What the dedicated processor is for."""


@dataclass(frozen=True)
class Page:
    """What a method's page shows.

    `module`: of `lockscape.ports`, whose docstring defines the method; `listing`: a port and a function;
    `plans`: those that effort is counted of; `wins` and `loses`: arguments of `lockscape simulate`.
    """

    module: str
    listing: str
    plans: str
    wins: str
    loses: str


PAGES = {
    "giant": Page("giant", "giant system_call", "giant", "giant --workload compute --cpus 1,2,4,8",
                  f"giant coarse fine {SMALL}"),
    "coarse": Page("coarse", "coarse lookup", "coarse coarse-funnel coarse-master",
                   f"coarse coarse-funnel coarse-master giant {SMALL}", f"coarse coarse-funnel fine {SMALL}"),
    "fine": Page("fine", "fine dput", "fine", f"fine coarse giant {SMALL}",
                 "fine linux-2.6 lock-free --workload dbench --cpus 1,2,4,8"),
    "lockfree": Page("lockfree", "lock-free detach", "lock-free lock-free-single fine",
                      "lock-free lock-free-single fine linux-2.6 --workload dbench --cpus 1,2,4,8",
                      "lock-free lock-free-single fine --workload mailserver --cpus 1,2,4,8"),
    "asymmetric": Page("asymmetric", "master-slave schedule", ASYMMETRIC,
                       f"{ASYMMETRIC} --workload compute --cpus 1,2,4,8", f"{ASYMMETRIC} giant {SMALL}"),
    "virtualization": Page("virtualization", "virtualization-para system_call",
                           "virtualization-full virtualization-para virtualization-full-one "
                           "virtualization-para-one cells",
                           f"virtualization-para virtualization-full cells fine {SMALL}",
                           f"virtualization-full-one virtualization-para-one fine {SMALL}"),
    "reimplementation": Page("reimplementation", "reimplementation find_page",
                             "reimplementation reimplementation-shared fine",
                             f"reimplementation reimplementation-shared fine {SMALL}",
                             "reimplementation fine linux-2.6 --workload mailserver --cpus 1,2,4,8"),
}  # fmt: skip

Region = Callable[[], Iterable[str]]


@functools.cache
def output(command: str) -> str:
    """Return what a lockscape command prints, piped; its finished runs are not kept."""
    out, err = io.StringIO(), io.StringIO()
    with TemporaryDirectory() as folder, redirect_stdout(out), redirect_stderr(err):
        keep = ["--resume", folder] if command.startswith("simulate") else []
        try:
            run([*shlex.split(command), *keep])
        except SystemExit as stop:
            if stop.code:
                raise RuntimeError(f"lockscape {command}: {err.getvalue()}") from stop
    return out.getvalue()


def definition(page: Page) -> Iterator[str]:
    """Yield the method's definition, as its module says it, and its ports."""
    module = importlib.import_module(f"lockscape.ports.{page.module}")
    yield from inspect.cleandoc(module.__doc__ or "").splitlines()
    yield ""
    for name, what in module.PLANS.items():
        yield f"- `{name}`: {what}"


def printed(command: str) -> Iterator[str]:
    """Yield a command with what it prints."""
    yield from ("```text", f"$ lockscape {command}")
    yield from (line.rstrip() for line in output(command).splitlines())
    yield "```"


def curves(arguments: str) -> Iterator[str]:
    """Yield a command, and the speedups that it finds: over one processor of the same system."""
    document = json.loads(output(f"simulate {arguments} --json"))
    numbers = [point["cpus"] for point in document["systems"][0]["points"]]
    yield from ("```text", f"$ lockscape simulate {arguments}", "```", "")
    yield f"| port | s on one | {' | '.join(f'{n} proc.' for n in numbers)} |"
    yield f"| :-- |{' --: |' * (len(numbers) + 1)}"
    for curve in document["systems"]:
        speedups = " | ".join(f"{point['speedup']:.2f}" for point in curve["points"])
        yield f"| {curve['name']} | {curve['points'][0]['makespan_s']:.3f} | {speedups} |"


def simulated() -> Mapping[str, Region]:
    """Return the regions of all pages that are simulated, by name: they take half a minute together."""
    found: dict[str, Region] = {}
    for name, page in PAGES.items():
        found[f"{name}_wins"] = partial(curves, page.wins)
        found[f"{name}_loses"] = partial(curves, page.loses)
    found["dedicated_wins"] = partial(curves, NETWORK)
    return found


def regions() -> Mapping[str, Region]:
    """Return the other regions of all pages by name."""
    found: dict[str, Region] = {}
    for name, page in PAGES.items():
        found[f"{name}_definition"] = partial(definition, page)
        found[f"{name}_listing"] = partial(printed, f"port {page.listing}")
        found[f"{name}_effort"] = partial(printed, f"port {page.plans} --effort")
    found["cell_failure"] = partial(printed, FAILURE)
    return found
