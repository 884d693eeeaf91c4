"""A user's kernel as advice takes it: what is known of it, from where, and what contradicts itself.

Everything may be unknown (None). Shares are of 1; a profile's are of the kernel's time.
"""

from collections.abc import Iterable

import msgspec

from lockscape.errors import InputError, unknown
from lockscape.experiments.advise_subsystems import SUBSYSTEMS

HARDWARE = ("cas", "cas2", "virtualization")
"""What hardware may have: compare-and-swap of a word, of two words that lie apart, and virtualization."""

COMPARED = tuple(name for name in SUBSYSTEMS if name != "entry")
"""Subsystems by which kernels are compared. The way into a kernel and out of it costs what the machine makes
it cost, and says little about what is done in there."""

CLOSE = 0.05
"""Two shares of one thing may differ so much and still agree: one step of `advise_mix`."""

_MOST_CPUS = 1024


class Given(msgspec.Struct, frozen=True):
    """Something that is known of a kernel: what, its value in words, and where it came from."""

    what: str
    value: str
    source: str


class Profile(msgspec.Struct, frozen=True):
    """Where a kernel's time goes.

    `subsystems`: shares of the kernel's time, together at most 1; `other`: what belongs to none of them.
    `kernel`: the kernel's share of the busy time, None if the profile does not tell.
    """

    subsystems: dict[str, float]
    other: float
    kernel: float | None = None


class Kernel(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a kernel, and what is wanted of it.

    `lines` are those of its code without multiprocessor support, `sites` places of locks that it has.
    `hardware`: what there is of `HARDWARE`. `shared_memory`: applications share memory across processors;
    `containment`: a fault may not take everything down. `most_lines`, `most_sites`: the effort that is
    available. `methods`: those that are considered, empty for all.
    """

    cpus: int = 8
    lines: int | None = None
    sites: int | None = None
    kernel_share: float | None = None
    profile: Profile | None = None
    workload: str | None = None
    preemptible: bool | None = None
    hardware: frozenset[str] | None = None
    shared_memory: bool = False
    containment: bool = False
    most_lines: int | None = None
    most_sites: int | None = None
    methods: tuple[str, ...] = ()
    given: tuple[Given, ...] = ()

    @property
    def share(self) -> float | None:
        """Return the kernel's share of the busy time: as given, or as the profile tells it."""
        if self.kernel_share is not None or self.profile is None:
            return self.kernel_share
        return self.profile.kernel


def check(kernel: Kernel) -> None:
    """Raise `InputError` for what cannot be, or contradicts itself."""
    if not 2 <= kernel.cpus <= _MOST_CPUS:
        raise InputError(f"{kernel.cpus} processors: a port is for 2 to {_MOST_CPUS:,}; give --cpus so many")
    if kernel.kernel_share is not None and not 0 <= kernel.kernel_share <= 1:
        raise InputError(f"kernel share {100 * kernel.kernel_share:g} %: give 0 to 100")
    for what, most in (("lines", kernel.most_lines), ("sites", kernel.most_sites), ("lines", kernel.lines)):
        if most is not None and most < 1:
            raise InputError(f"{most} {what}: give 1 or more")
    if kernel.profile is not None:
        _check_profile(kernel.profile, kernel.kernel_share)
    if kernel.hardware is not None:
        check_hardware(kernel.hardware)


def check_hardware(names: Iterable[str]) -> None:
    """Raise `InputError` for hardware that is not known or that cannot be."""
    found = set(names)
    for name in sorted(found - {*HARDWARE}):
        raise InputError(unknown("hardware", name, HARDWARE))
    if "cas2" in found and "cas" not in found:
        raise InputError(
            "hardware cas2 without cas: who compares and swaps two words can do one; give cas,cas2"
        )


def _check_profile(profile: Profile, share: float | None) -> None:
    for name, value in profile.subsystems.items():
        if name not in SUBSYSTEMS:
            raise InputError(unknown("subsystem", name, SUBSYSTEMS))
        if not 0 <= value <= 1:
            raise InputError(f"profile: {name} {100 * value:g} %: give 0 to 100")
    whole = sum(profile.subsystems.values())
    if whole > 1 + 1e-6:
        raise InputError(f"profile: shares of the kernel's time sum to {100 * whole:.4g} %: at most 100")
    if share is not None and profile.kernel is not None and abs(share - profile.kernel) > CLOSE:
        raise InputError(
            f"kernel share {share:.0%}, but the profile spends {profile.kernel:.0%} in the kernel: "
            "drop one of them"
        )
    if share == 0 and whole > 0:
        raise InputError("kernel share 0 %, but the profile is of time in the kernel: drop one of them")
