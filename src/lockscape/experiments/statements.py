"""What the paper says of its Figure 2 (section 5.3), as conditions that curves fulfil or do not.

The thresholds turn words into numbers. They were written down before the four systems' curves were first run,
and each statement is judged twice: by the makespan, the paper's measure, and by the steady throughput while
every process is in its transactions, which does not depend on how eight processes divide among processors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

NO_GAIN = 1.10
"""*Does not scale*: on no number of processors more than a tenth faster than on one."""

NO_MORE = 1.05
"""*Not beyond 3*: no number of processors above 3 is more than a twentieth faster than 3."""

LINEAR = 0.85
"""*Practically linear*: on each number of processors at least this share of so many times one."""

Speeds = Mapping[str, Mapping[int, float]]
"""Work done in a unit of time, by system and number of processors: 1 / makespan, or a throughput."""


@dataclass(frozen=True)
class Statement:
    """A statement of the paper: `text` in the paper's words, `rule` what is checked."""

    name: str
    text: str
    rule: str
    systems: tuple[str, ...]
    holds: Callable[[Speeds], bool]


def speedup(speeds: Mapping[int, float], cpus: int) -> float:
    """Return how many times faster a system is on `cpus` processors than on its own one."""
    return speeds[cpus] / speeds[1]


def best(speeds: Mapping[int, float], least: int = 2) -> float:
    """Return the largest speedup on `least` processors or more."""
    return max(speedup(speeds, cpus) for cpus in speeds if cpus >= least)


def _flat(speeds: Speeds) -> bool:
    return all(best(speeds[name]) <= NO_GAIN for name in ("linux-2.0", "linux-2.2"))


def _a_little(speeds: Speeds) -> bool:
    own = speeds["linux-2.4"]
    return best(own) > NO_GAIN and best(own, 4) <= NO_MORE * speedup(own, 3)


def _linear(speeds: Speeds) -> bool:
    own = speeds["linux-2.6"]
    return all(speedup(own, cpus) >= LINEAR * cpus for cpus in own if 2 <= cpus <= 7)


def _fastest(speeds: Speeds) -> bool:
    return all(speeds["linux-2.4"][1] >= own[1] for own in speeds.values())


STATEMENTS = (
    Statement(
        "2.0 and 2.2 flat",
        "Linux 2.0 and 2.2 does not scale at all with this benchmark",
        f"neither is more than {NO_GAIN:.2f} times as fast on 2 to 8 processors as on one",
        ("linux-2.0", "linux-2.2"),
        _flat,
    ),
    Statement(
        "2.4 up to 3",
        "2.4 shows some improvement over uniprocessor mode, although it does not scale beyond 3 processors",
        f"2.4 is somewhere more than {NO_GAIN:.2f} times as fast as on one processor, and nowhere above 3 "
        f"processors more than {NO_MORE:.2f} times as fast as on 3",
        ("linux-2.4",),
        _a_little,
    ),
    Statement(
        "2.6 linear",
        "Linux 2.6 has a very good scalability, practically linear until 7 processors",
        f"on 2 to 7 processors 2.6 is at least {LINEAR:.2f} times so many times as fast as on one",
        ("linux-2.6",),
        _linear,
    ),
    Statement(
        "2.4 fastest",
        "the absolute uniprocessor performance has increased, with 2.4 having the best performance",
        "on one processor none of the four is faster than 2.4",
        ("linux-2.0", "linux-2.2", "linux-2.4", "linux-2.6"),
        _fastest,
    ),
)
"""What the paper says about Figure 2, each with the condition by which it is judged."""

SYSTEMS = ("linux-2.0", "linux-2.2", "linux-2.4", "linux-2.6")
"""The systems of Figure 2."""
