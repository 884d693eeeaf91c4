"""Section 6 of the paper on locks and on lock-free kernels, as conditions that numbers fulfil or do not.

The rules and their thresholds (`lockscape.experiments.evidence`) were written down before the numbers were
first looked at; known then were the paper's own Tables 2 and 3, the page of the giant port (19 changed lines,
its speedups with `compute`), and nothing of the other methods' curves.
"""

from collections.abc import Callable

from lockscape.experiments.evidence import (
    CLOSE,
    KERNEL_BOUND,
    MORE,
    TWICE,
    Conclusion,
    Evidence,
    Judge,
    Judged,
    NotTestableError,
    Source,
    lines,
    percent,
    places,
    sites,
    times,
)
from lockscape.experiments.scalability_axis import geometric_mean

BY_LOCKS = ("coarse", "fine", "lock-free")
"""What giant locking is simple against."""

GIANT, COARSE, FINE = "linux-2.0", "linux-2.2", ("linux-2.4", "linux-2.6")
"""What Table 1 calls the versions of Linux."""

PREEMPTED = ("fine", "aix", "osf1")
"""Ports whose uniprocessor kernel is taken with preemption and without: the method's, and the paper's two."""

LOCK_BASED = ("giant", "coarse", "fine")
"""Methods of lock-based systems."""

FREE_KINDS = ("rcu", "cas", "version")
"""Kinds of places that are no locks: read-copy update, compare-and-swap, versions."""


def _straightforward(evidence: Evidence) -> Judged:
    own, share = evidence.lines("giant"), evidence.item("giant").effort.share
    others = {name: evidence.lines(name) for name in BY_LOCKS}
    numbers = (
        percent("giant changes", share),
        lines("giant", own),
        *(lines(n, v) for n, v in others.items()),
    )
    return share <= CLOSE and own < min(others.values()), numbers


def _straightforward_linux(source: Source) -> Judge:
    def judge(evidence: Evidence) -> Judged:
        found = evidence.linux(source)
        shares = [each.share for each in found]
        numbers = tuple(percent(f"{each.version} changes", each.share) for each in found)
        return shares[0] <= CLOSE and found[0].changed_lines == min(e.changed_lines for e in found), numbers

    return judge


def _serialises(evidence: Evidence) -> Judged:
    found = {work: evidence.speedup("giant", work) for work in evidence.kernel_bound()}
    return all(v < evidence.bad for v in found.values()), tuple(times(n, v) for n, v in found.items())


def _serialises_given(evidence: Evidence) -> Judged:
    found = evidence.given(GIANT)
    return found < evidence.bad, (times(GIANT, found),)


def _first_step(evidence: Evidence) -> Judged:
    own, coarse = evidence.lines("giant"), evidence.lines("coarse")
    gains = {work: evidence.speedup("giant", work) for work in evidence.others()}
    numbers = (lines("giant", own), lines("coarse", coarse), *(times(n, v) for n, v in gains.items()))
    return own * TWICE <= coarse and max(gains.values()) >= evidence.good, numbers


def _more_complex(less: str, more: str) -> Judge:
    def judge(evidence: Evidence) -> Judged:
        one, two = evidence.item(less).effort, evidence.item(more).effort
        numbers = (
            sites(less, one.added_sites), sites(more, two.added_sites),
            lines(less, one.lines), lines(more, two.lines),
        )  # fmt: skip
        return two.added_sites > MORE * one.added_sites and two.lines > MORE * one.lines, numbers

    return judge


def _more_complex_linux(source: Source, less: str, more: tuple[str, ...]) -> Judge:
    def judge(evidence: Evidence) -> Judged:
        found = {each.system: each for each in evidence.linux(source)}
        one, others = found[less], [found[name] for name in more]
        numbers = (
            *(sites(each.version, each.all_sites) for each in (one, *others)),
            *(lines(each.version, each.changed_lines) for each in (one, *others)),
        )
        holds = all(
            each.all_sites > MORE * one.all_sites and each.changed_lines > MORE * one.changed_lines
            for each in others
        )
        return holds, numbers

    return judge


def _scales_better(evidence: Evidence) -> Judged:
    works = evidence.kernel_bound()
    coarse, fine = (evidence.mean_speedup(name, works) for name in ("coarse", "fine"))
    return fine > MORE * coarse, (times("coarse", coarse), times("fine", fine))


def _scales_better_given(evidence: Evidence) -> Judged:
    coarse, fine = evidence.given(COARSE), evidence.given(FINE[-1])
    return fine > MORE * coarse, (times(COARSE, coarse), times(FINE[-1], fine))


def _preemptible_places(name: str) -> Judge:
    def judge(evidence: Evidence) -> Judged:
        found = evidence.preemption.get(name)
        if found is None:
            raise NotTestableError(f"{name} was not counted with preemption")
        if found.preemptible is None:
            raise NotTestableError(found.why)
        numbers = (
            places(f"{name} takes locks at", found.preemptible.places),
            places("not marked without preemption", found.plain.unmarked),
            places("with preemption", found.preemptible.unmarked),
        )
        return found.preemptible.unmarked * TWICE <= found.plain.unmarked, numbers

    return judge


def _preemptible_lines(name: str) -> Judge:
    def judge(evidence: Evidence) -> Judged:
        found = evidence.preemption.get(name)
        if found is None:
            raise NotTestableError(f"{name} was not counted with preemption")
        if found.preemptible is None:
            raise NotTestableError(found.why)
        numbers = (
            lines(f"{name} without preemption", found.plain.lines),
            lines("with preemption", found.preemptible.lines),
        )
        return found.preemptible.lines * MORE <= found.plain.lines, numbers

    return judge


def _lock_free_effort(evidence: Evidence) -> Judged:
    fine, free = evidence.lines("fine"), evidence.lines("lock-free")
    return free > MORE * fine, (lines("fine", fine), lines("lock-free", free))


def _lock_free_scales(evidence: Evidence) -> Judged:
    found = evidence.mean_speedup("lock-free", evidence.kernel_bound())
    return found >= evidence.good, (times("lock-free", found),)


def _hardware(evidence: Evidence) -> Judged:
    """Compare the lock-free kernel with and without an instruction that swaps two words."""
    double, single = evidence.lines("lock-free"), evidence.lines("lock-free-single")
    slower = geometric_mean(
        _makespan(evidence, "lock-free-single", work) / _makespan(evidence, "lock-free", work)
        for work in evidence.kernel_bound()
    )
    numbers = (
        lines("two words", double), lines("one word", single), times("time on one processor", slower)
    )  # fmt: skip
    return single > MORE * double or slower > MORE, numbers


def _makespan(evidence: Evidence, name: str, work: str) -> float:
    found = evidence.scaling(name, work).points[0].makespan_s
    assert found is not None, name
    return found


def _still_used(evidence: Evidence) -> Judged:
    systems = [e for e in evidence.tradeoff.items if e.kind == "system" and e.method in LOCK_BASED]
    if not systems:
        raise NotTestableError("no lock-based system was run")
    using = [e for e in systems if any(e.effort.sites.get(kind) for kind in FREE_KINDS)]
    share = len(using) / len(systems)
    return share >= 0.5, (percent(f"of {len(systems)} lock-based systems", share),)


def _rcu(source: Source) -> Judge:
    def judge(evidence: Evidence) -> Judged:
        newest = evidence.linux(source)[-1]
        found = newest.sites.get("rcu", 0)
        return found > 0, (sites(f"{newest.version} RCU", found),)

    return judge


def _linux(make: Callable[[Source], Judge]) -> tuple[tuple[Source, Judge], ...]:
    """Return judges of the real kernels' numbers, published and measured."""
    return (("published", make("published")), ("measured", make("measured")))


LOCKS = (
    Conclusion(
        "giant is straightforward",
        "giant locking […] provides a very straightforward way of adding multiprocessor support since most "
        "of the uniprocessor semantics of the kernel can be kept",
        f"the giant port changes at most {CLOSE:.0%} of the kernel's lines, and takes fewer lines than the "
        "coarse, fine and lock-free ports; Linux: the same of 2.0 against the later versions",
        (("simulated", _straightforward), *_linux(_straightforward_linux)),
    ),
    Conclusion(
        "giant serialises",
        "the kernel also becomes a serialization point, which makes scaling very difficult for kernel-bound "
        "benchmarks",
        f"giant's speedup is bad (below a quarter of the processors) with every workload that is more than "
        f"{KERNEL_BOUND:.0%} in the kernel",
        (("simulated", _serialises), ("given", _serialises_given)),
    ),
    Conclusion(
        "giant is a viable first step",
        "As a foundation for further improvements, giant locking still provides a viable first step because "
        "of its relative simplicity",
        f"giant takes at most 1/{TWICE:.0f} of coarse's lines, and its speedup is good (at least half of the "
        "processors) with some workload that is not kernel-bound",
        (("simulated", _first_step),),
    ),
    Conclusion(
        "coarse is more complex than giant",
        "Coarse-grained locking is more complex to introduce than giant locking, as seen in the Linux case "
        "study",
        f"coarse takes more than {MORE:.2f} times giant's sites and lines; Linux: 2.2 than 2.0",
        (
            ("simulated", _more_complex("giant", "coarse")),
            *_linux(lambda source: _more_complex_linux(source, GIANT, (COARSE,))),
        ),
    ),
    Conclusion(
        "fine adds complexity",
        "Fine-grained locking further adds to the complexity",
        f"fine takes more than {MORE:.2f} times coarse's sites and lines; Linux: 2.4 and 2.6 than 2.2",
        (
            ("simulated", _more_complex("coarse", "fine")),
            *_linux(lambda source: _more_complex_linux(source, COARSE, FINE)),
        ),
    ),
    Conclusion(
        "fine scales better",
        "but also enables better scalability",
        f"fine's mean speedup over kernel-bound workloads is more than {MORE:.2f} times coarse's; given "
        "curves: Linux 2.6's than 2.2's",
        (("simulated", _scales_better), ("given", _scales_better_given)),
    ),
    Conclusion(
        "preemptible is simpler: places",
        "The AIX and OSF/1 experiences indicates that a preemptible uniprocessor kernel simplifies "
        "multiprocessor porting with finer granularity locks",
        "of the places where the port takes a lock, at most half as many are not marked in the preemptible "
        "kernel (preemption off, interrupts masked) as in the one that is not",
        tuple(("simulated", _preemptible_places(name)) for name in PREEMPTED),
    ),
    Conclusion(
        "preemptible is simpler: lines",
        "the same",
        f"the port of the preemptible kernel takes at most 1/{MORE:.2f} of the lines",
        tuple(("simulated", _preemptible_lines(name)) for name in PREEMPTED),
    ),
)  # fmt: skip
"""What the paper concludes of giant, coarse-grained and fine-grained locking."""

LOCK_FREE = (
    Conclusion(
        "lock-free takes high effort",
        "completely lock-free operating systems require high effort to provide good scalability for ports of "
        "existing uniprocessor systems",
        f"the lock-free port takes more than {MORE:.2f} times the fine port's lines",
        (("simulated", _lock_free_effort),),
    ),
    Conclusion(
        "lock-free can scale",
        "[…] to provide good scalability",
        "its mean speedup over kernel-bound workloads is good",
        (("simulated", _lock_free_scales),),
    ),
    Conclusion(
        "lock-free wants hardware",
        "Because of complex algorithms and limited hardware support",
        f"without a double compare-and-swap it takes more than {MORE:.2f} times the lines, or the time on "
        "one processor",
        (("simulated", _hardware),),
    ),
    Conclusion(
        "lock-free parts are used",
        "Lock-free algorithms are still used in many lock-based operating systems, e.g., the read-copy "
        "update mechanism in Linux",
        "at least half of the lock-based systems' models have sites of RCU, compare-and-swap or versions; "
        "Linux 2.6 has sites of RCU",
        (("simulated", _still_used), *_linux(_rcu)),
    ),
)  # fmt: skip
"""What it concludes of lock-free kernels."""
