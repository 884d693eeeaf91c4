"""What a workload is like: its mix of calls and its share of kernel time, in a run on one processor."""

from dataclasses import dataclass

from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import simulate
from lockscape.ports.plan import load_plan
from lockscape.workloads.choose import AnyWorkload


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


def measure_workload(workload: AnyWorkload) -> Measured:
    """Run a workload on one processor. Raises `LockscapeError` if it cannot end, or leaves damage."""
    spec = RunSpec("uniprocessor", load_plan("uniprocessor"), 1, workload.processes, workload=workload)
    result = simulate(spec)
    (spent,) = result.processors
    calls = {each.call: each.count for each in result.calls if each.count}
    return Measured(
        calls, spent.user_cycles, spent.kernel_cycles + spent.interrupt_cycles + spent.spin_cycles
    )
