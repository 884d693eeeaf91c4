"""The ``lockscape`` command: finds the subcommand, imports only that, and turns errors into one line."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from lockscape import __version__
from lockscape.errors import LockscapeError
from lockscape.inputs import noting

COMMANDS = {
    "study": ("study", "The whole study, made again as a report of one page, with your trees beside it."),
    "systems": ("systems", "The 22 systems of Table 1."),
    "methods": ("systems", "The seven ways to make a kernel multiprocessor."),
    "census": ("census", "Count the places that take and release locks (Table 2)."),
    "footprint": ("footprint", "Count the lines that differ between two builds (Table 3)."),
    "simulate": ("simulate", "Run a workload on simulated ports of one kernel: how they scale (Figure 2)."),
    "unlock": ("unlock", "What to unlock next: from a giant lock to a fine-grained kernel, step by step."),
    "sweep": ("sweep", "Run a grid of simulations, on all cores or a Dask cluster, and write Parquet."),
    "figure2": (
        "figure2",
        "The paper's Figure 2, simulated: what holds, how surely, and why.",
    ),
    "whatif": ("whatif", "What if a lock cost nothing, or were split: what each such change would gain."),
    "contention": (
        "contention",
        "Locks of a real machine by the time waited, and what relieving each gains.",
    ),
    "table1": ("table1", "The paper's Table 1 again, with latency and scalability as measured."),
    "calibrate": ("calibrate", "Costs for the simulated kernel, from the calls of a booted one."),
    "compare": ("compare", "Curves side by side: simulated, booted, run here, or your own."),
    "map": ("map", "Scalability against effort (Figure 3), and the paper's conclusions checked one by one."),
    "advise": ("advise", "Which way for your kernel: methods ranked, with effort and reasons."),
    "laws": ("laws", "Fit Amdahl's law and the universal scalability law to any curve."),
    "verify": ("verify", "Published figures of the 22 systems beside simulated ones, good or bad."),
    "port": ("port", "What a port changes in the uniprocessor kernel, line by line, and its effort."),
    "workloads": ("workloads", "Workloads: their mix of system calls, and the kernel's share of the time."),
    "host": ("host", "Run PostMark for real, on this host: how it scales with the processors."),
    "boot": ("boot", "Boot a real kernel on simulated processors: how it scales under the same workload."),
    "rerun": ("rerun", "Repeat a result from its JSON, and say whether it is identical."),
    "fetch": ("fetch", "Download a kernel release, check its SHA-256 and keep it."),
}
"""Command -> module of `lockscape.cli` that defines it, and its line in the help."""


ARGUMENTS = "lockscape.arguments"
"""Under this name the arguments of the command line are kept with click's context."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called: ``--version`` and ``--help`` stay quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of a first visit."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None for a name that is none."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"lockscape.cli.{COMMANDS[cmd_name][0]}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' lines without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, and keep them as they were written: results carry them."""
        ctx.meta[ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a reader that leaves the pipe (`lockscape … | head`) has what it wanted."""
        try:
            with noting(("lockscape", *ctx.meta[ARGUMENTS]), strange=ctx.obj is not None):
                result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to flush
            return 0
        return result

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for an unknown one name the nearest."""
        from difflib import get_close_matches

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f": did you mean {near[0]!r}?" if near else f": it is one of {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)


@click.command(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="lockscape", message="%(prog)s %(version)s")
def main() -> None:
    """A laboratory for multiprocessor ports of operating-system kernels.

    Which way of making a kernel multiprocessor gives how much scalability, for how much work? Start with
    `lockscape study --quick`, then give it a kernel's source: `lockscape study --quick ~/src/linux`.
    """


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 unusable input, 2 a wrong call, 130 interrupted."""
    try:
        code = main.main(None if arguments is None else list(arguments), standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.Abort:
        code = _fail("interrupted", 130)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "lockscape"
        code = _fail(f"{error.format_message()} (try '{where} --help')", 2)
    except click.ClickException as error:
        code = _fail(error.format_message(), 2)
    except LockscapeError as error:
        code = _fail(str(error), 1)
    except KeyboardInterrupt:
        code = _fail("interrupted", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> int:
    from lockscape.report.text import printable

    print(f"lockscape: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code
