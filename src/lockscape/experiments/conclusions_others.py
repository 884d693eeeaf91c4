"""Section 6 of the paper on asymmetric systems, guests and new kernels; see `conclusions_locks`."""

from statistics import median

from lockscape.experiments.evidence import (
    CLOSE,
    STANDARD,
    TWICE,
    VERY_SMALL,
    Conclusion,
    Evidence,
    Judged,
    NotTestableError,
    lines,
    percent,
    times,
)
from lockscape.experiments.scalability_axis import geometric_mean
from lockscape.experiments.statements import NO_GAIN

NETWORK = "netserve"
"""The I/O-intensive workload: every request comes in and is answered through a device."""

GUESTS = ("virtualization-full", "virtualization-para")
"""A guest for each processor."""

XEN, XEN_LINUX, LINUX_2_6 = "xen-2.0.5", 1, "linux-2.6"
"""Table 1 gives two sizes of Xen: that of the hypervisor, and that of the changes to Linux 2.6."""


def _diverse(evidence: Evidence) -> Judged:
    found = [each for each in evidence.tradeoff.items if each.method == "asymmetric"]
    if len(found) < 2:
        raise NotTestableError("fewer than two asymmetric systems were run")
    efforts = [each.effort.lines for each in found]
    widest = 1.0
    for work in evidence.tradeoff.workloads:
        speedups = [evidence.speedup(e.name, work.workload) for e in found if e.of(work.workload)]
        widest = max(widest, max(speedups, default=1.0) / min(speedups, default=1.0))
    ratio = max(efforts) / min(efforts)
    numbers = (times("most lines over fewest", ratio), times("largest speedup over smallest", widest))
    return ratio >= TWICE and widest >= TWICE, numbers


def _application_effort(evidence: Evidence) -> Judged:
    own = evidence.item("application-kernel").effort
    middle = median(evidence.lines(name) for name in STANDARD)
    numbers = (
        lines("application kernel", own.lines), lines("median of the methods", middle),
        percent("of the kernel changed", own.share),
    )  # fmt: skip
    return own.lines < middle and own.share <= CLOSE, numbers


def _application_scales_badly(evidence: Evidence) -> Judged:
    found = {work: evidence.speedup("application-kernel", work) for work in evidence.kernel_bound()}
    return all(v < evidence.bad for v in found.values()), tuple(times(n, v) for n, v in found.items())


def _master_changes(evidence: Evidence) -> Judged:
    master, application = (
        evidence.item(name).effort.change.changed for name in ("master-slave", "application-kernel")
    )
    numbers = (
        lines("master-slave changes of the kernel", master),
        lines("the application kernel", application),
    )
    return master > application, numbers


def _master_faster(evidence: Evidence) -> Judged:
    ratios = []
    for work in evidence.tradeoff.workloads:
        one, two = (
            evidence.scaling(name, work.workload).at(evidence.tradeoff.cpus).makespan_s
            for name in ("application-kernel", "master-slave")
        )
        assert one is not None and two is not None
        ratios.append(one / two)
    found = geometric_mean(ratios)
    each = (times(w.workload, r) for w, r in zip(evidence.tradeoff.workloads, ratios, strict=True))
    return 1.0 < found < TWICE, (times("work done over the application kernel's", found), *each)


def _piglet(evidence: Evidence) -> Judged:
    found = {name: evidence.speedup(name, NETWORK) for name in ("dedicated-processor", "piglet")}
    return max(found.values()) >= evidence.good, tuple(times(n, v) for n, v in found.items())


def _guests_good_and_cheap(evidence: Evidence, *, hypervisor: bool) -> Judged:
    fine = evidence.lines("fine")
    holds, numbers = False, [lines("fine", fine)]
    for name in GUESTS:
        counted = evidence.item(name).effort
        taken = counted.lines if hypervisor else counted.change.changed
        best = max(evidence.speedup(name, work.workload) for work in evidence.tradeoff.workloads)
        numbers += [lines(name, taken), times(f"{name} at best", best)]
        holds |= taken < fine and best >= evidence.good
    return holds, tuple(numbers)


def _full_unchanged(evidence: Evidence) -> Judged:
    """Count what is edited. In functions that the hypervisor replaces the listing shows what the processor
    or the translator does with the kernel as it is: traps, shadows, emulated devices."""
    counted = evidence.item("virtualization-full").effort
    edited = counted.change.changed - counted.replaced_lines
    return edited == 0, (lines("edited", edited), lines("trapped or translated", counted.replaced_lines))


def _para_small(evidence: Evidence) -> Judged:
    found = evidence.item("virtualization-para").effort.share
    return 0 < found <= CLOSE, (percent("changed of the kernel", found),)


def _hypervisor_published(evidence: Evidence) -> Judged:
    share = evidence.size(XEN) / evidence.size(LINUX_2_6)
    return share <= VERY_SMALL, (percent("Xen over Linux 2.6", share),)


def _hypervisor_simulated(evidence: Evidence) -> Judged:
    counted = evidence.item(XEN).effort
    share = counted.new_lines / counted.change.lines_uniprocessor
    return share <= VERY_SMALL, (percent("hypervisor over the kernel", share),)


def _changes_published(evidence: Evidence) -> Judged:
    share = evidence.size(XEN, XEN_LINUX) / evidence.size(LINUX_2_6)
    return share <= CLOSE, (percent("changes over Linux 2.6", share),)


def _changes_simulated(evidence: Evidence) -> Judged:
    share = evidence.item(XEN).effort.share
    return share <= CLOSE, (percent("of the kernel changed", share),)


def _not_balanced(evidence: Evidence) -> Judged:
    found = {each.name: each.speedup for each in evidence.families}
    if not found.keys() >= {"fine", *GUESTS}:
        raise NotTestableError("the chat room was not run")
    if found["fine"] <= NO_GAIN:
        raise NotTestableError("the chat room does not get faster in one kernel either")
    return all(found[name] <= NO_GAIN for name in GUESTS), tuple(times(n, v) for n, v in found.items())


def _highest_scalability(evidence: Evidence) -> Judged:
    works = evidence.kernel_bound()
    found = {name: evidence.mean_speedup(name, works) for name in STANDARD}
    best = max(found, key=lambda name: found[name])
    own = found["reimplementation"]
    numbers = (times("reimplementation", own), times(f"best: {best}", found[best]))
    return own == found[best], numbers


def _highest_effort(evidence: Evidence) -> Judged:
    found = {name: evidence.lines(name) for name in STANDARD}
    most = max(found, key=lambda name: found[name])
    numbers = (lines("reimplementation", found["reimplementation"]), lines(f"most: {most}", found[most]))
    return most == "reimplementation", numbers


FREE_CHOICE = Conclusion(
    "not every method is possible",
    "it is not always possible to freely select the porting approach. For example, employing the Xen "
    "hypervisor is only possible if the uniprocessor kernel is written for one of the architectures which "
    "Xen supports",
    "",
    untestable="the simulated kernel is written for no real architecture",
)
"""That the method is not always free to choose."""

ASYMMETRIC = (
    Conclusion(
        "asymmetric systems vary",
        "Since asymmetric systems are very diverse, both scalability and effort will vary depending on the "
        "approach",
        f"among them the most lines are at least {TWICE:.0f} times the fewest, and with some workload the "
        f"largest speedup is at least {TWICE:.0f} times the smallest",
        (("simulated", _diverse),),
    ),
    Conclusion(
        "application kernel: low effort",
        "the application kernel provides a generic porting method with low effort",
        "it takes fewer lines than the median of the methods' ports, and changes at most "
        f"{CLOSE:.0%} of the kernel's",
        (("simulated", _application_effort),),
    ),
    Conclusion(
        "application kernel: bad scalability",
        "at the cost of bad scalability for kernel-bound applications",
        "its speedup is bad with every kernel-bound workload",
        (("simulated", _application_scales_badly),),
    ),
    Conclusion(
        "master-slave: more modifications",
        "Master-slave systems require more modifications to the original kernel",
        "more of the kernel's lines are changed than for the application kernel; new code does not count",
        (("simulated", _master_changes),),
    ),
    Conclusion(
        "master-slave: slightly faster",
        "but have slightly better performance than the application kernel",
        f"on all processors it does more work in a time than the application kernel, but less than "
        f"{TWICE:.0f} times as much, in the mean over all workloads",
        (("simulated", _master_faster),),
    ),
    Conclusion(
        "Piglet is good at I/O",
        "More complex asymmetric systems, such as Piglet, can have good scalability on I/O-intensive "
        "workloads",
        f"the speedup of Piglet, or of the port with a dedicated processor, is good with {NETWORK}",
        (("simulated", _piglet),),
    ),
)  # fmt: skip
"""What the paper concludes of asymmetric systems."""

GUESTS_AND_NEW_KERNELS = (
    Conclusion(
        "guests scale at low cost",
        "For certain application domains, virtualized systems can provide good scalability at relatively low "
        "engineering costs",
        "one of the ports with a guest for each processor takes fewer lines than the fine port, hypervisor "
        "included, and its speedup is good with some workload",
        (("simulated", lambda evidence: _guests_good_and_cheap(evidence, hypervisor=True)),),
    ),
    Conclusion(
        "guests scale at low cost: hypervisor bought",
        "the same",
        "the same, but only changes to the kernel count, for the hypervisor is there",
        (("simulated", lambda evidence: _guests_good_and_cheap(evidence, hypervisor=False)),),
    ),
    Conclusion(
        "fully virtualized: unchanged",
        "Virtualization allows the uniprocessor kernel to be kept unchanged for fully virtualized "
        "environments",
        "no line of the kernel is edited; lines that trap or are translated are the hypervisor's",
        (("simulated", _full_unchanged),),
    ),
    Conclusion(
        "paravirtualized: small changes",
        "or with small changes in paravirtualized environments",
        f"some lines of the kernel are changed, at most {CLOSE:.0%}",
        (("simulated", _para_small),),
    ),
    Conclusion(
        "the hypervisor is very small",
        "the Xen hypervisor implementation is very small compared to Linux",
        f"it has at most {VERY_SMALL:.0%} of the kernel's lines; published: of whole Linux with all drivers, "
        "simulated: of the kernel's core",
        (("published", _hypervisor_published), ("simulated", _hypervisor_simulated)),
    ),
    Conclusion(
        "the guest changes little",
        "and the changes needed to port an operating system is fairly limited",
        f"at most {CLOSE:.0%} of the kernel's lines",
        (("published", _changes_published), ("simulated", _changes_simulated)),
    ),
    Conclusion(
        "fault tolerance needs hardware",
        "hardware support is needed for fault tolerance",
        "",
        untestable="what fails here is an instance (`lockscape simulate cells --fail`), not hardware",
    ),
    Conclusion(
        "shared memory stays in a guest",
        "shared-memory applications cannot be load-balanced across virtual machines",
        f"one chat room, whose processes need the objects of one kernel, gets at most {NO_GAIN:.2f} times as "
        "fast with a guest for each processor, and faster than that in one kernel with fine-grained locks; "
        "guests of the model share no memory, so this shows what follows from that",
        (("simulated", _not_balanced),),
    ),
    Conclusion(
        "reimplementation scales best",
        "Reimplementation allows the highest scalability improvements",
        "its mean speedup over kernel-bound workloads is the largest of the methods' ports",
        (("simulated", _highest_scalability),),
    ),
    Conclusion(
        "reimplementation costs most",
        "but at the highest effort",
        "it takes the most lines of the methods' ports",
        (("simulated", _highest_effort),),
    ),
    Conclusion(
        "when to reimplement",
        "Reimplementation should mainly be considered if the original operating system would be very hard to "
        "port with good results, or if the target hardware is very different from the current platform",
        "",
        untestable="an advice about kernels and machines other than the one that is simulated",
    ),
)  # fmt: skip
"""What it concludes of virtualization and reimplementation."""
