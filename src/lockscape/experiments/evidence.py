"""What the paper's conclusions are checked against, and the words of the checks as numbers.

The words: what *kernel-bound*, *bad*, *good*, *more*, *close* and *very small* mean stands here, once. The
thresholds of scalability are those of Table 1 (`lockscape.experiments.levels`), scaled to the number of
processors; they were written down before any number that they judge here was looked at.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from lockscape.experiments.effort_axis import SourceEffort
from lockscape.experiments.levels import ALIKE, HALF, PROCESSORS, QUARTER
from lockscape.experiments.preemption import Preemption
from lockscape.experiments.scalability_axis import Scaling, geometric_mean
from lockscape.experiments.statements import NO_GAIN, NO_MORE
from lockscape.experiments.tradeoff import Item, Tradeoff

KERNEL_BOUND = 0.5
"""A workload is kernel-bound if more than half of its busy time on the uniprocessor kernel is in the kernel:
from there on a kernel that is one at a time allows no speedup of 2 (Amdahl), which is *Low* by `levels`."""

MORE = NO_GAIN
"""*More*, *better*: by more than a tenth, as in the statements about Figure 2; less says nothing."""

SAME = NO_MORE
"""*Not more*: at most a twentieth more, as there."""

TWICE = ALIKE
"""*Significantly*, *diverse*: at least twice, from which on `levels` calls two things not alike."""

CLOSE = 0.05
"""*Most kept*, *small changes*, *close*, *limited*: at most a twentieth of the kernel's lines differ."""

VERY_SMALL = 0.1
"""*Very small compared to*: at most a tenth, another order of magnitude."""

LEAST_PROCESSORS = 4
"""Below that *good* and *bad* scalability are too near each other to be told apart."""

STANDARD = (
    "giant", "coarse", "fine", "lock-free", "master-slave", "application-kernel", "dedicated-processor",
    "virtualization-full", "virtualization-para", "reimplementation",
)  # fmt: skip
"""The methods' ports, and the kinds of those that the paper tells apart; variants of these are left out."""

_LINUX = ("linux-2.0", "linux-2.2", "linux-2.4", "linux-2.6")

Source = Literal["published", "measured", "simulated", "given"]
"""Where a check's numbers come from: the paper's tables, real kernels' source, the simulator, or curves that
were booted, run or measured elsewhere and given as files."""

Verdict = Literal["holds", "does not hold", "not testable"]
"""What comes of a conclusion that is held against the evidence."""


class Number(msgspec.Struct, frozen=True):
    """A number behind a verdict: what it is, and its unit: lines, sites, places, % or times."""

    what: str
    value: float
    unit: str


class Check(msgspec.Struct, frozen=True):
    """A statement held against one source. `why`: of one that is not testable.

    `share`: of the samples of all costs in which it holds, if there are any and costs matter to it.
    """

    source: Source
    verdict: Verdict
    numbers: tuple[Number, ...]
    why: str = ""
    share: float | None = None


class NotTestableError(Exception):
    """There is no number that a statement could be held against; the text says why."""


class GivenCurve(msgspec.Struct, frozen=True):
    """A curve of a file: by whose name, which file, and what it says."""

    name: str
    file: str
    scaling: Scaling


class Family(msgspec.Struct, frozen=True):
    """The speedup of processes that share the objects of one kernel, one family of them, on `cpus`."""

    name: str
    cpus: int
    speedup: float


@dataclass(frozen=True)
class Evidence:
    """Everything that conclusions are held against.

    `kernels`: real ones, published and measured. `sizes`: Table 1's, by system. `preemption`: by port;
    `families`: of processes, by port; `curves`: given ones.
    """

    tradeoff: Tradeoff
    kernels: Sequence[SourceEffort] = ()
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    preemption: Mapping[str, Preemption] = field(default_factory=dict)
    families: Sequence[Family] = ()
    curves: Sequence[GivenCurve] = ()

    def item(self, name: str) -> Item:
        """Return a port or system. Raises `NotTestableError` if it is not among those that were run."""
        found = next((each for each in self.tradeoff.items if each.name == name), None)
        if found is None:
            raise NotTestableError(f"{name} was not run")
        return found

    def lines(self, name: str) -> int:
        """Return the lines that a port changes and brings."""
        return self.item(name).effort.lines

    def kernel_bound(self) -> list[str]:
        """Return the kernel-bound workloads. Raises `NotTestableError` if there is none."""
        found = [each.workload for each in self.tradeoff.workloads if each.share > KERNEL_BOUND]
        if not found:
            raise NotTestableError("none of the workloads is kernel-bound")
        return found

    def others(self) -> list[str]:
        """Return the workloads that are not kernel-bound. Raises `NotTestableError` if there is none."""
        found = [each.workload for each in self.tradeoff.workloads if each.share <= KERNEL_BOUND]
        if not found:
            raise NotTestableError("all of the workloads are kernel-bound")
        return found

    def scaling(self, name: str, workload: str) -> Scaling:
        """Return how something scales. Raises `NotTestableError` if that is not known."""
        if workload not in {each.workload for each in self.tradeoff.workloads}:
            raise NotTestableError(f"{workload} was not run")
        found = self.item(name).of(workload)
        if found is None:
            raise NotTestableError(f"{name} has no result with {workload}")
        return found

    def speedup(self, name: str, workload: str) -> float:
        """Return a speedup over one processor on the most, of those that the words are about."""
        if self.tradeoff.cpus < LEAST_PROCESSORS:
            raise NotTestableError(
                f"{self.tradeoff.cpus} processors: scalability is judged from {LEAST_PROCESSORS}"
            )
        return self.scaling(name, workload).at(self.tradeoff.cpus).speedup

    def mean_speedup(self, name: str, workloads: Iterable[str]) -> float:
        """Return the geometric mean of the speedups with several workloads."""
        return geometric_mean(self.speedup(name, workload) for workload in workloads)

    @property
    def bad(self) -> float:
        """Return the speedup below which scalability is bad: *Low* in Table 1, and in any case no gain."""
        return max(NO_GAIN, self.tradeoff.cpus * QUARTER / PROCESSORS)

    @property
    def good(self) -> float:
        """Return the speedup from which scalability is good: *High* in Table 1."""
        return self.tradeoff.cpus * HALF / PROCESSORS

    def linux(self, source: Source) -> list[SourceEffort]:
        """Return Linux 2.0 to 2.6 by a source, in order: simulated ones in the same form as real ones."""
        if source == "simulated":
            return [self._simulated(name) for name in _LINUX]
        found = {each.system: each for each in self.kernels if each.source == source}
        if not found.keys() >= set(_LINUX):
            raise NotTestableError(f"no {source} numbers of the four versions")
        return [found[name] for name in _LINUX]

    def _simulated(self, name: str) -> SourceEffort:
        counted = self.item(name).effort
        change = counted.change
        return SourceEffort(
            name, name, "simulated", counted.sites, change.lines_uniprocessor, change.changed
        )  # fmt: skip

    def size(self, system: str, part: int = 0) -> int:
        """Return a size of Table 1."""
        found = self.sizes.get(system)
        if found is None or len(found) <= part:
            raise NotTestableError(f"Table 1 has no size of {system}")
        return found[part]

    def given(self, name: str) -> float:
        """Return a given curve's speedup on the most processors."""
        found = next((each for each in self.curves if each.name == name), None)
        if found is None:
            raise NotTestableError(f"no curve of {name} was given")
        return found.scaling.at(self.tradeoff.cpus).speedup


Judged = tuple[bool, tuple[Number, ...]]
"""Whether a statement holds, and by which numbers."""

Judge = Callable[[Evidence], Judged]
"""Holds a conclusion against the evidence."""


@dataclass(frozen=True)
class Conclusion:
    """A statement of section 6: `text` in the paper's words, `rule` what is checked, `judges` by source.

    A conclusion that nothing here could test says `untestable` why.
    """

    name: str
    text: str
    rule: str
    judges: tuple[tuple[Source, Judge], ...] = ()
    untestable: str = ""

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """Hold the statement against every source."""
        if self.untestable:
            return (Check("simulated", "not testable", (), self.untestable),)
        return tuple(self._check(source, judge, evidence) for source, judge in self.judges)

    def _check(self, source: Source, judge: Judge, evidence: Evidence) -> Check:
        try:
            holds, numbers = judge(evidence)
        except NotTestableError as error:
            return Check(source, "not testable", (), str(error))
        return Check(source, "holds" if holds else "does not hold", numbers)


def lines(what: str, value: float) -> Number:
    """Return a number of lines."""
    return Number(what, value, "lines")


def sites(what: str, value: float) -> Number:
    """Return a number of sites: places that take or release a lock."""
    return Number(what, value, "sites")


def places(what: str, value: float) -> Number:
    """Return a number of places where a lock is held, from where it is taken to where it is released."""
    return Number(what, value, "places")


def percent(what: str, share: float) -> Number:
    """Return a share as a percentage."""
    return Number(what, 100 * share, "%")


def times(what: str, value: float) -> Number:
    """Return a speedup or a ratio."""
    return Number(what, value, "times")
