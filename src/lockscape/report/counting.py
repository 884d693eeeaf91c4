"""How each table of the study was counted, in words: under the tables on a terminal and on the page."""

from collections.abc import Mapping

COMPARED = "Behind a measured figure: = as published, else the difference from the published figure above it"
"""What stands behind a measured figure."""

COUNTED_2 = (
    "Measured is the study's counting, found by experiment: lines that match the kind's pattern, as grep "
    "counts them, comments included and #define lines left out (profile paper), in kernel/, mm/, "
    "arch/i386/, include/asm-i386/, fs/ext2/ and fs/*. Mutexes are younger than the study and have no "
    "column here: see the modern counting."
)
"""How Table 2 was counted."""

COUNTED_MODERN = (
    "Calls of the kernel's lock interfaces (acquire, try, release) outside comments and strings, in the "
    "files of Table 2. Not in it: bodies of macros (8 of the 14 places of the big kernel lock in Linux 2.0 "
    "stand in such) and uses of macros that hide an operation, such as task_lock (lockscape census "
    "--wrappers finds those)."
)
"""How the second counting of Table 2 was done."""

COUNTED_3 = (
    "Each file on its own, preprocessed with and without CONFIG_SMP and __SMP__; a file that it includes "
    "by a quoted name counts in both. Lines that are not blank, one statement or brace per line; a "
    "changed line counts once."
)
"""How Table 3 was counted."""

NOT_SEEN = (
    "A file that only the multiprocessor build compiles (obj-$(CONFIG_SMP) += smp.o) counts alike in both "
    "builds, in the study as here: the lines of smp.c and smpboot.c are not among the changed ones. Nor "
    "is what if (IS_ENABLED(CONFIG_SMP)) leaves out."
)
"""What Table 3 leaves out, published and measured."""

CHECKED = (
    "A figure holds if it agrees with the claim: about allows one unit of the last digit quoted, a plain "
    "figure only the rounding to its digits. Measured is counted as in the study: profile paper; cpp, "
    "indent and diff. Where only a measured figure fails, lockscape counts differently, by how much Table "
    "3 says; the conclusion need not be wrong."
)
"""When a figure agrees with a claim."""

OWN_COUNTED = (
    "No Linux, so counted by its own names over all its files; lines over the footprint's files of its "
    "profile, {macros}. Not to be compared with the tables above figure by figure."
)
"""How a tree that is no Linux was counted; `macros` are those of its footprint."""

IDENTITY = (
    "Identity: of a git revision the commit, else the SHA-256 over its files' SHA-256 sums (first 16 "
    "digits here). Unclear: places or files that could not be read or understood, listed with --json."
)
"""What the identity of a tree is."""


def build_name(define: Mapping[str, str], against: Mapping[str, str]) -> str:
    """Return the two builds of a footprint in words, such as ``with CONFIG_SMP, __SMP__ and without``."""
    with_ = ", ".join(_macro(name, value, against) for name, value in define.items()) or "no macro"
    if not against:
        return f"with {with_} and without"
    return f"with {with_} against {', '.join(_macro(name, value, define) for name, value in against.items())}"


def _macro(name: str, value: str, other: Mapping[str, str]) -> str:
    """Return a macro with its value, unless that is the usual 1 and the other build does not define it."""
    return name if value == "1" and name not in other else f"{name}={value}"


def own_counted(define: Mapping[str, str], against: Mapping[str, str]) -> str:
    """Return how a tree that is no Linux was counted; `define` and `against` are its footprint's macros."""
    return OWN_COUNTED.format(macros=build_name(define, against))
