"""The rules that turn measurements into Table 1's words, *High*, *Medium* and *Low*: each stands here, once.

The paper defines neither of the two. The definitions and thresholds below come from what the words mean for
kernels, and were written down before the first measurement of latency; no threshold was moved afterwards.
(The speedups of the four Linux versions were known then: `lockscape figure2`.)

**Latency**: how long the kernel keeps something urgent waiting. A process with the highest priority sleeps
until a timer interrupts. The time from when that interrupt is due until the process is back in user mode is
its *response time*: masked interrupts, the handler with its waits for locks, the signal to another processor,
what the kernel does there before it lets go of that processor, and the way out. The kernel is loaded on each
of its 8 processors. What Table 1 calls latency is then the 99th percentile, as a multiple of that of the
uniprocessor kernel, without any lock and with nothing else to do, on the same machine: an average hides what
urgent means, and a maximum is of one event.

**Scalability**: how many times faster than one processor 8 of them do the paper's benchmark, by the makespan.
"""

PROCESSORS = 8
"""What the paper measured with at most."""

NEAR, FAR = 10.0, 100.0
"""Latency is *low* up to ten times the idle uniprocessor's and *high* beyond a hundred times. Response times
of kernels differ by orders of magnitude, from microseconds to milliseconds; three words tell no more."""

QUARTER, HALF = 2.0, 4.0
"""Scalability is *low* below a speedup of 2 on 8 processors, the work of a quarter of them, and *high* from
4, the work of half."""

ALIKE = 2.0
"""*As guest* and *as UP*: less than so many times that guest or kernel alone, either way; beyond that what
was laid over it is the larger part of what is seen."""

LATENCY_RULE = (
    "Latency: 99th percentile of the time from an interrupt until the urgent process that it wakes is back "
    f"in user mode, all {PROCESSORS} processors loaded, over that of the uniprocessor kernel alone: Low up "
    f"to {NEAR:.0f} times, High above {FAR:.0f} times, Medium between."
)
"""How Table 1's words for latency are decided, for readers."""
SCALABILITY_RULE = (
    f"Scalability: speedup of PostMark on {PROCESSORS} processors over one: High from {HALF:.0f}, Low below "
    f"{QUARTER:.0f}, Medium between."
)
"""How its words for scalability are."""
ALIKE_RULE = (
    f"As Guest, As UP, Depends on UP: a ratio to that guest or kernel alone: so if it is less than "
    f"{ALIKE:.0f} times that, either way."
)
"""How words that compare with another kernel are."""


def latency_level(ratio: float) -> str:
    """Return the word for a response time, given as a multiple of the idle uniprocessor kernel's."""
    if ratio > FAR:
        return "High"
    return "Low" if ratio <= NEAR else "Medium"


def scalability_level(speedup: float) -> str:
    """Return the word for a speedup on `PROCESSORS`."""
    if speedup < QUARTER:
        return "Low"
    return "High" if speedup >= HALF else "Medium"


def is_alike(ratio: float) -> bool:
    """Say whether a ratio to another kernel is *as* that one."""
    return 1 / ALIKE < ratio < ALIKE
