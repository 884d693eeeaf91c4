"""A run in which an instance fails: what goes down with it, and whether the others end as if nothing were."""

from dataclasses import dataclass

from lockscape.errors import InputError
from lockscape.experiments.collect import collect
from lockscape.experiments.result import FailedProcess, Failure, RunResult, RunSpec
from lockscape.experiments.run import ConservationError, load_run, run_to_end, settle, simulate
from lockscape.machine import layout as at
from lockscape.machine.execute import execute
from lockscape.machine.failing import fail
from lockscape.workloads import fsck


@dataclass(frozen=True)
class Failed:
    """A run with a failure at the time `at_cycles`.

    `lost`: numbers of the processes that it took down, from 1; `instances`: those of the instances; `result`:
    what the others did.
    """

    at_cycles: int
    instances: tuple[int, ...]
    lost: tuple[int, ...]
    result: RunResult


def simulate_failure(spec: RunSpec, instance: int, at_cycles: int) -> Failed:
    """Run until a time, let an instance fail then, and run on until the processes of the others have ended.

    Raises `InputError` for a time after the end and for an instance that has no processors, `RunError` if the
    others cannot go on, and `ConservationError` if one of them has not done all its work or is damaged.
    """
    loaded = load_run(spec)
    machine, state = loaded.machine, loaded.machine.state
    stopped = execute(state, at_cycles)
    if stopped.reason != at.REASON_TIME:
        raise InputError(f"the run ends before {at_cycles:,} cycles: give an earlier time of the failure")
    gone = fail(state, instance, machine.homes)
    taken = {owner for number in gone for owner in machine.kernels.get(number, [])}
    lost = [k for k, owner in enumerate(machine.owners) if owner in taken]
    contexts = [state.get(machine.processes[k], "context") for k in lost]
    state.m[at.H_LIVE] -= sum(1 for context in contexts if not state.m[context + at.C_DONE])
    steady = run_to_end(loaded) if state.m[at.H_LIVE] else None
    result = collect(machine, loaded.costs.clock_mhz, loaded.firsts, loaded.transactions, steady)
    if len(lost) < len(machine.owners):
        settle(state)
    wrong = fsck.check(machine, failed=frozenset(gone))
    for k, (process, stream) in enumerate(zip(result.processes, loaded.streams, strict=True)):
        if k not in lost and process.operations != len(stream.rows):
            wrong.append(f"process {k + 1} did {process.operations:,} operations of {len(stream.rows):,}")
    if wrong:
        raise ConservationError(f"{spec.system}: instance {instance} failed, and {wrong[0]}")
    return Failed(at_cycles, tuple(sorted(gone)), tuple(k + 1 for k in lost), result)


def failure(spec: RunSpec, instance: int, at_ms: float) -> Failure:
    """Return what the failure of an instance does to each process, beside the same run without it.

    Raises what `simulate_failure` raises.
    """
    whole = simulate(spec)
    where = f"{spec.system} on {spec.cpus} processor{'s' * (spec.cpus > 1)}"
    if at_ms >= whole.makespan_s * 1000:
        raise InputError(
            f"{where}: the run ends after {whole.makespan_s * 1000:,.3f} ms, before {at_ms:,} ms"
        )
    try:
        failed = simulate_failure(spec, instance, round(at_ms * 1000 * whole.clock_mhz))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    ms = 1 / (1000 * whole.clock_mhz)
    processes = tuple(
        FailedProcess(number, number in failed.lost, now.operations, before.operations,
                      now.end_cycles * ms if now.end_cycles else None, before.end_cycles * ms)
        for number, (now, before) in enumerate(zip(failed.result.processes, whole.processes, strict=True), 1)
    )  # fmt: skip
    return Failure(spec.system, spec.cpus, instance, at_ms, failed.instances, processes)
