"""The greedy path from a giant lock to a fine-grained kernel: which lock to take out of it next.

Step 0 is the kernel with its giant lock from entry to exit, step 1 the same lock around each section only.
From then on each step takes out of the giant lock the one lock whose run, made for real, ends first, of
those that are held longest in the fine-grained kernel. A lock that cannot be out alone, because locks would
be taken in a cycle, takes those along that are taken under it.

Looking one step ahead can stall: of two locks around the same section both must be out before either is worth
anything. When no single lock gains `LEAST`, pairs of locks that nest are tried; when none of these does
either and the fine-grained kernel is still faster, the best of all goes, on a plateau. When nothing is to be
gained any more, all that is left goes at once.

A state enters the path only if the fault detector finds nothing in it (`lockscape.experiments.trials`).
"""

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path as Folder
from typing import Literal

import msgspec

from lockscape.errors import InputError
from lockscape.experiments.curve import Progress, run_all
from lockscape.experiments.pool import each_done
from lockscape.experiments.releases import kernel_port
from lockscape.experiments.result import RunResult, RunSpec
from lockscape.experiments.shown import kernel_for
from lockscape.experiments.trials import run_trial, trials
from lockscape.experiments.unlock_ends import Ends
from lockscape.machine.faults import Detector
from lockscape.ports.effort import added_sites, both, difference, effort
from lockscape.ports.lockorder import Edges, check_order, find_cycle, lock_edges
from lockscape.ports.merge import apart
from lockscape.ports.plan import Plan
from lockscape.ports.port import Port

LEAST = 1.01
"""What a step must gain, as a ratio of makespans, to be worth taking for itself."""

LOCKLESS = ("rcu", "cas")
"""Parts that are no locks, so that a run does not count them."""

CLOSE = 1.005
"""Makespans within this ratio are told as close: their order would change with another seed."""

Locks = tuple[str, ...]
"""Names of locks, in the order in which they left the giant lock."""
Kind = Literal["giant", "sections", "lock", "pair", "plateau", "rest"]
"""What a step of the path does."""

Meter = Callable[[int], AbstractContextManager[Progress | None]]
"""Shows the progress of so many runs."""


class Attempt(msgspec.Struct, frozen=True):
    """Locks that were tried as a step: `makespan_s`, or why they were not run (`refused`) or not taken though
    they were (`fault`)."""

    locks: Locks
    makespan_s: float | None = None
    refused: str = ""
    fault: str = ""


class Step(msgspec.Struct, frozen=True):
    """A state of the path.

    `kind`: ``giant`` and ``sections`` at the beginning; ``lock``, the best single one; ``pair``; ``plateau``,
    the best though it gains nothing; ``rest``, all that is left. `locks` are on their own since this step.
    `alone_s`: makespan on one processor. `giant_share`: of the makespan, how long the giant lock is held;
    `spin_share`: of all processors' time. `sites`: places that take or release a lock, by kind, and `added`
    those besides the uniprocessor kernel's; `lines`: that differ from the uniprocessor kernel's; `edited`:
    from the step's before. `close`: other locks that would have done as well.
    """

    number: int
    kind: Kind
    locks: Locks
    makespan_s: float
    alone_s: float
    giant_share: float
    spin_share: float
    sites: dict[str, int]
    added: int
    lines: int
    edited: int
    close: tuple[Locks, ...]
    tried: tuple[Attempt, ...]


class Walked(msgspec.Struct, frozen=True):
    """A path. `left`: locks that are still in the giant one, if it was not walked to the end; `unused`: those
    that the workload never takes; `fine_s`: the makespan of the fine-grained kernel; `trials`: in how many
    each state was looked at for faults; `runs`: how many there were."""

    system: str
    target: str
    cpus: int
    trials: int
    runs: int
    fine_s: float
    steps: tuple[Step, ...]
    left: Locks
    unused: Locks


@dataclass(frozen=True)
class Setting:
    """How a path is walked: `spec` says on what and with which workload, `most` how many locks are taken out
    one after the other (None: as long as it pays), `wide` how many are tried at each step, `trials` how many
    trials look for faults, the rest where and with what runs are made, as `run_all` has it."""

    spec: RunSpec
    most: int | None
    wide: int
    trials: int
    folder: Folder | None
    workers: int | None
    meter: Meter
    fresh: bool = False

    def run(self, specs: Sequence[RunSpec]) -> list[RunResult]:
        """Make runs."""
        with self.meter(len(specs)) as told:
            points = run_all(specs, self.folder, self.workers, told, self.fresh)
        return [point.result for point in points]


def walk_path(path: Ends, setting: Setting) -> Walked:
    """Walk from the giant lock. Raises `InputError` if an end of the path has a fault itself."""
    return _Walk(path, setting).walk()


@dataclass
class _Walk:
    path: Ends
    setting: Setting
    split: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    runs: int = 0
    last: Port | None = None

    def walk(self) -> Walked:
        path, setting = self.path, self.setting
        self.check_ends()
        self.add("giant", (), path.start)
        self.add("sections", (), path.between(()))
        (fine,) = self.run([path.fine])
        held = {each.lock: each.hold_cycles for each in fine.locks if each.acquisitions}
        used = [part for part in path.parts if part in held or part in LOCKLESS]
        unused = tuple(part for part in path.parts if part not in used)
        used = self.take_out(sorted(used, key=lambda part: -held.get(part, 0)), fine.makespan_s)
        left = tuple(part for part in path.parts if part not in self.split)
        if left and (setting.most is None or not used):
            self.add("rest", left, path.fine)
            left = ()
        return Walked(
            path.system, path.target, setting.spec.cpus, setting.trials, self.runs, fine.makespan_s,
            tuple(self.steps), left, unused,
        )  # fmt: skip

    def check_ends(self) -> None:
        """Refuse a path whose ends are faulty, or one with data that have no lock but are not one access."""
        path = self.path
        for plan, what in ((path.start, ""), (path.fine, ""), (path.between(()), ", one lock around all")):
            fault = self.fault(plan)
            if fault:
                raise InputError(f"{path.system}: {plan.title!r}{what} is faulty itself: {fault}")

    def take_out(self, used: list[str], fine_s: float) -> list[str]:
        """Take locks out as long as it pays, or as many as asked for; return the `used` that are left."""
        begin, most = len(self.steps), self.setting.most
        while used and (most is None or len(self.steps) - begin < most) and self.step(used, fine_s):
            used = [part for part in used if part not in self.split]
        return used

    def step(self, used: Sequence[str], fine_s: float) -> bool:
        """Take the next step, if there is something to be gained."""
        now = self.steps[-1].makespan_s
        worth = now / fine_s >= LEAST
        tried = self.singles(used, now)
        pairs = (
            self.attempts([*self.candidates(self.pairs(used))]) if worth and not _gains(tried, now) else []
        )
        tried += pairs
        chosen = self.choose(tried) if worth or _gains(tried, now) else None
        if chosen is None or not (worth or _gains([chosen], now)):
            return False
        kind: Kind = "plateau" if not _gains([chosen], now) else "pair" if chosen in pairs else "lock"
        plan = self.path.between([*self.split, *chosen.locks])
        self.add(kind, chosen.locks, plan, _close(tried, chosen), tried)
        return True

    def singles(self, used: Sequence[str], now: float) -> list[Attempt]:
        """Try single locks: those that are held longest, and the others too if none of them gains."""
        single, wide = [(part,) for part in used], self.setting.wide
        tried = self.attempts([*self.candidates(single[:wide])])
        if not _gains(tried, now):
            tried += self.attempts([*self.candidates(single[wide:])])
        return tried

    def candidates(self, wanted: Sequence[Locks]) -> Iterator[Attempt]:
        """Yield what can be tried: locks with those that they must take along, or why they cannot be out."""
        alone = self.orders(wanted)
        refused = [locks for locks, why in zip(wanted, alone, strict=True) if why]
        wider = [tuple(dict.fromkeys([*locks, *self.under(locks)])) for locks in refused]
        again = dict(zip(refused, zip(wider, self.orders(wider), strict=True), strict=True))
        seen = set[frozenset[str]]()
        for locks, why in zip(wanted, alone, strict=True):
            with_them, still = again[locks] if why else (locks, "")
            if frozenset(with_them) not in seen:
                seen.add(frozenset(with_them))
                yield Attempt(with_them, refused=still)

    def orders(self, wanted: Sequence[Locks]) -> list[str]:
        """Return for each what is wrong with the order of locks when they are out, too, or nothing."""
        return [self.order({*self.split, *locks}) for locks in wanted]

    def order(self, split: Collection[str]) -> str:
        """Return the cycle in which locks can be taken when some are on their own, or nothing."""
        giant = dict.fromkeys((part for part in self.path.parts if part not in split), self.path.giant.name)
        edges = {(giant.get(a, a), giant.get(b, b)): f for (a, b), f in self.edges.items()}
        if not find_cycle({(a, b): f for (a, b), f in edges.items() if a != b}):
            return ""
        try:  # a place with several of them takes the giant lock once: there may be no cycle
            check_order(kernel_port(self.path.between(split)))
        except InputError as error:
            return str(error)
        return ""

    def under(self, locks: Locks) -> Locks:
        """Return the locks still in the giant one that are taken while some are held, themselves or below."""
        found = list(locks)
        for lock in found:
            found += [b for a, b in self.edges if a == lock and b in self.path.parts and b not in found]
        return tuple(lock for lock in found if lock not in self.split)

    @functools.cached_property
    def edges(self) -> Edges:
        """Which lock of the fine-grained kernel is taken while which is held."""
        return lock_edges(kernel_port(apart(self.path.fine)))

    def pairs(self, used: Sequence[str]) -> list[Locks]:
        """Return pairs of locks of which one is taken while the other is held."""
        return [(a, b) for a, b in combinations(used, 2) if (a, b) in self.edges or (b, a) in self.edges]

    def attempts(self, wanted: Sequence[Attempt]) -> list[Attempt]:
        """Run what was not refused."""
        able = [each for each in wanted if not each.refused]
        results = self.run([self.path.between([*self.split, *each.locks]) for each in able])
        made = {each.locks: result.makespan_s for each, result in zip(able, results, strict=True)}
        return [msgspec.structs.replace(each, makespan_s=made.get(each.locks)) for each in wanted]

    def choose(self, tried: list[Attempt]) -> Attempt | None:
        """Return the fastest that is no fault, and note the faults of those that were faster in `tried`."""
        able = [k for k, each in enumerate(tried) if each.makespan_s is not None]
        for k in sorted(able, key=lambda k: (tried[k].makespan_s, len(tried[k].locks))):
            fault = self.fault(self.path.between([*self.split, *tried[k].locks]))
            if not fault:
                return tried[k]
            tried[k] = msgspec.structs.replace(tried[k], fault=fault)
        return None

    def add(
        self, kind: Kind, locks: Locks, plan: Plan, close: tuple[Locks, ...] = (),
        tried: Sequence[Attempt] = (),
    ) -> None:  # fmt: skip
        """Add a state to the path."""
        self.split += locks
        many, one = self.run([plan, plan], [self.setting.spec.cpus, 1])
        built = kernel_port(plan)
        counted = effort(both(built))
        edited = difference(self.last, built) if self.last else counted.change
        held = sum(each.hold_cycles for each in many.locks if each.lock == self.path.giant.name)
        self.steps.append(Step(
            len(self.steps), kind, locks, many.makespan_s, one.makespan_s, held / many.makespan_cycles,
            many.share("spin"), counted.sites, added_sites(counted), counted.change.changed,
            edited.changed, close, tuple(tried),
        ))  # fmt: skip
        self.last = built

    def run(self, plans: Sequence[Plan], cpus: Collection[int] = ()) -> list[RunResult]:
        """Run plans on as many processors as asked for."""
        spec = self.setting.spec
        numbers = cpus or [spec.cpus] * len(plans)
        self.runs += len(plans)
        return self.setting.run([
            msgspec.structs.replace(spec, plan=plan, cpus=n) for plan, n in zip(plans, numbers, strict=True)
        ])  # fmt: skip

    def fault(self, plan: Plan) -> str:
        """Return the first fault that the trials find in a plan, or nothing."""
        key = msgspec.json.encode(plan, order="deterministic")
        kernel_for(key)  # workers that are forked then have it
        tasks = [(key, number) for number in range(self.setting.trials)]
        found = dict(each_done(_faulty, tasks, self.setting.workers))
        return next((found[number] for number in sorted(found) if found[number]), "")


def _gains(tried: Sequence[Attempt], now_s: float) -> bool:
    return any(each.makespan_s is not None and now_s / each.makespan_s >= LEAST for each in tried)


def _close(tried: Sequence[Attempt], chosen: Attempt) -> tuple[Locks, ...]:
    """Return what would have done as well as what was chosen."""
    assert chosen.makespan_s is not None
    others = (each for each in tried if each is not chosen and not each.fault)
    return tuple(
        each.locks for each in others
        if each.makespan_s is not None and each.makespan_s / chosen.makespan_s < CLOSE
    )  # fmt: skip


def _faulty(task: tuple[bytes, int]) -> str:
    """Return what is wrong with a plan in a trial, or nothing."""
    key, number = task
    trial = trials()[number]
    _, wrong = run_trial(kernel_for(key), trial, Detector)
    return f"{wrong} ({trial.name})" if wrong else ""
