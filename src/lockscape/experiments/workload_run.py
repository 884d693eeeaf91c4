"""What a workload is like: its mix of calls and its share of kernel time, in a run on one processor."""

from dataclasses import dataclass

from lockscape.errors import LockscapeError
from lockscape.experiments.run import settle
from lockscape.experiments.sample import kernel_steps
from lockscape.kernel.entry import CALLS
from lockscape.machine import layout as at
from lockscape.machine.costs import CostTable, preset
from lockscape.machine.execute import execute
from lockscape.ports.plan import load_plan
from lockscape.ports.port import port
from lockscape.workloads import fsck, stress, user
from lockscape.workloads.load import Machine, load
from lockscape.workloads.workload_file import Workload


@dataclass(frozen=True)
class Measured:
    """A workload's run on the uniprocessor kernel: `calls` by name; `kernel_cycles` with interrupts."""

    calls: dict[str, int]
    user_cycles: int
    kernel_cycles: int

    @property
    def kernel_share(self) -> float:
        """Return the kernel's share of the time that is not idle."""
        return self.kernel_cycles / (self.user_cycles + self.kernel_cycles)


def measure_workload(workload: Workload, machine: str = "pentium4", system: str = "uniprocessor") -> Measured:
    """Run a workload on one processor. Raises `LockscapeError` if it cannot end, or leaves damage."""
    plan = load_plan(system)
    costs = CostTable(preset(machine), kernel_steps(), plan.costs)
    kernel = port(plan, [user, stress], disk_cycles=costs.machine["disk_request"])
    loaded = load(
        kernel, costs, 1, workload.streams(), together=workload.shared, program=stress.PROGRAM,
        files=workload.files,
    )  # fmt: skip
    stopped = execute(loaded.state)
    if stopped.reason != at.REASON_DONE:
        raise LockscapeError(f"the workload {workload.title!r} cannot go on: {stopped.text}")
    measured = _measured(loaded)
    settle(loaded.state)
    live = fsck.reach(loaded.state, loaded.owners)
    for wrong in [*fsck.held(live), *fsck.problems(live, loaded.owners, False)]:
        raise LockscapeError(f"the workload {workload.title!r} leaves damage: {wrong}")
    return measured


def _measured(machine: Machine) -> Measured:
    state = machine.state
    contexts = [state.get(process, "context") for process in machine.processes]
    counts = {
        name: sum(int(state.m[c + at.C_CALLS + number * at.CALL_COLUMNS]) for c in contexts)
        for number, name in enumerate(CALLS)
    }
    spent = [sum(int(state.m[v + at.V_CYCLES + mode]) for v in state.virtuals) for mode in range(at.MODES)]
    return Measured(
        {name: count for name, count in counts.items() if count},
        spent[at.USER], spent[at.KERNEL] + spent[at.INTERRUPT] + spent[at.SPIN],
    )  # fmt: skip
