"""All of what the paper concludes (section 6), each statement checked: holds, does not hold, not testable.

What it says of its Linux case study stands here, the rest in `conclusions_locks` and `conclusions_others`.
Each is held against every source that can tell, and sources are never mixed: the paper's tables, the source
of real kernels, simulated kernels, and given curves.
"""

from collections.abc import Sequence

import msgspec

from lockscape.experiments.conclusions_locks import LOCK_FREE, LOCKS
from lockscape.experiments.conclusions_others import (
    ASYMMETRIC,
    FREE_CHOICE,
    GUESTS_AND_NEW_KERNELS,
)
from lockscape.experiments.evidence import (
    CLOSE,
    MORE,
    SAME,
    TWICE,
    Check,
    Conclusion,
    Evidence,
    Judge,
    Judged,
    Source,
    percent,
    sites,
)

_SOURCES: tuple[Source, ...] = ("published", "measured", "simulated")


def _close(source: Source) -> Judge:
    def judge(evidence: Evidence) -> Judged:
        found = evidence.linux(source)
        shares = [each.share for each in found]
        numbers = tuple(percent(each.version, each.share) for each in found)
        return shares[0] <= CLOSE and shares[0] == min(shares), numbers

    return judge


def _significantly_complex(source: Source) -> Judge:
    def judge(evidence: Evidence) -> Judged:
        first, second, *_ = evidence.linux(source)
        numbers = (sites(first.version, first.all_sites), sites(second.version, second.all_sites))
        return second.all_sites >= TWICE * first.all_sites, numbers

    return judge


def _diverged(source: Source) -> Judge:
    def judge(evidence: Evidence) -> Judged:
        first, second, *_ = evidence.linux(source)
        numbers = (percent(first.version, first.share), percent(second.version, second.share))
        return second.share > MORE * first.share, numbers

    return judge


def _no_more_by_share(source: Source) -> Judge:
    def judge(evidence: Evidence) -> Judged:
        _, second, *later = evidence.linux(source)
        numbers = tuple(percent(each.version, each.share) for each in (second, *later))
        return all(each.share <= SAME * second.share for each in later), numbers

    return judge


def _no_more_by_sites(source: Source) -> Judge:
    def judge(evidence: Evidence) -> Judged:
        _, second, *later = evidence.linux(source)
        numbers = tuple(sites(each.version, each.all_sites) for each in (second, *later))
        return all(each.all_sites <= SAME * second.all_sites for each in later), numbers

    return judge


def _converges(source: Source) -> Judge:
    def judge(evidence: Evidence) -> Judged:
        _, second, third, fourth = evidence.linux(source)
        numbers = tuple(percent(each.version, each.share) for each in (second, third, fourth))
        falls = third.share <= SAME * second.share and fourth.share <= SAME * third.share
        return falls and fourth.share * SAME <= second.share, numbers

    return judge


_CASE_STUDY = (
    Conclusion(
        "Linux 2.0 kept close",
        "The 2.0 giant lock implementation was kept close to the uniprocessor",
        f"2.0 changes the smallest share of its lines of the four versions, and at most {CLOSE:.0%}",
        tuple((source, _close(source)) for source in _SOURCES),
    ),
    Conclusion(
        "Linux 2.2 became complex",
        "a more coarse-grained locking approach, which became significantly more complex",
        f"2.2 has at least {TWICE:.0f} times the sites of 2.0, semaphores included",
        tuple((source, _significantly_complex(source)) for source in _SOURCES),
    ),
    Conclusion(
        "Linux 2.2 diverged",
        "and also diverged more from the uniprocessor kernel",
        f"2.2 changes more than {MORE:.2f} times the share of its lines that 2.0 does",
        tuple((source, _diverged(source)) for source in _SOURCES),
    ),
    Conclusion(
        "2.4 and 2.6 no more complex: lines",
        "The more fine-grained approaches in 2.4 and 2.6 do not increase the complexity as compared to 2.2",
        f"each changes at most {SAME:.2f} times the share of its lines that 2.2 does",
        tuple((source, _no_more_by_share(source)) for source in _SOURCES),
    ),
    Conclusion(
        "2.4 and 2.6 no more complex: sites",
        "the same",
        f"each has at most {SAME:.2f} times the sites of 2.2: the measure of Table 2, by which 2.2 became "
        "complex",
        tuple((source, _no_more_by_sites(source)) for source in _SOURCES),
    ),
    Conclusion(
        "Linux converges again",
        "which suggests that the implementation converges again as it matures",
        f"the share of changed lines does not grow by more than {SAME:.2f} from 2.2 to 2.4, nor to 2.6, and "
        f"2.6's is at most 1/{SAME:.2f} of 2.2's",
        tuple((source, _converges(source)) for source in _SOURCES),
    ),
)  # fmt: skip

CONCLUSIONS = (FREE_CHOICE, *LOCKS, *ASYMMETRIC, *LOCK_FREE, *GUESTS_AND_NEW_KERNELS, *_CASE_STUDY)
"""In the paper's order."""


class Checked(msgspec.Struct, frozen=True):
    """A statement of the paper with its rule and what came of it, by source."""

    name: str
    text: str
    rule: str
    checks: tuple[Check, ...]


def checked(evidence: Evidence, samples: Sequence[Evidence] = ()) -> tuple[Checked, ...]:
    """Hold every statement against the evidence, and simulated ones against that of samples of all costs."""
    found = []
    for each in CONCLUSIONS:
        drawn = [each.checks(sample) for sample in samples]
        checks = (_with_share(check, [d[n] for d in drawn]) for n, check in enumerate(each.checks(evidence)))
        found.append(Checked(each.name, each.text, each.rule, tuple(checks)))
    return tuple(found)


def _with_share(check: Check, samples: Sequence[Check]) -> Check:
    if check.source != "simulated" or check.verdict == "not testable" or not samples:
        return check
    holds = sum(sample.verdict == "holds" for sample in samples)
    return msgspec.structs.replace(check, share=holds / len(samples))
