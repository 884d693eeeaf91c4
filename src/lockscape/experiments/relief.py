"""What relieving a lock would gain, from how long it was waited for: a bound, and a closed queueing network.

Nothing runs here (`lockscape.experiments.whatif` makes runs). The customers are processors, or the processes
where there are fewer, or where waiters sleep; each lock is a server (`lockscape.experiments.mva`), all else
is think time. A customer waits for one lock at a time, so waits never count twice. Times under locks may: who
holds one often waits for, holds, or sleeps under another, and a class of a thousand locks is not one server.
So the time under a lock is not taken from how long it was held (`By` ``holds`` does it all the same), but is
the demand with which customers would wait as they did.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_SERVERS = 40
"""Locks that are servers of a model, the weightiest. Waits for the others stay as they are."""

By = Literal["waits", "holds"]
"""By what locks are ranked."""

Of = Literal["all", "spin", "sleep"]
"""Whose customers: of all locks, of those whose waiters spin (or may), of those whose waiters sleep."""


class Waited(NamedTuple):
    """A lock: how long all together waited and held (None: not known), whether waiters sleep (likewise)."""

    wait_s: float
    hold_s: float | None = None
    sleeps: bool | None = None


class Setting(msgspec.Struct, frozen=True):
    """What was measured: so many processors and, if it is known, processes, for a time.

    `idle`: the share of all processors' time in which they had nothing to do, None if it is not known.
    """

    cpus: int
    elapsed_s: float
    processes: int | None = None
    idle: float | None = None


class Relief(msgspec.Struct, frozen=True):
    """What a change of one lock would gain: the time as it is over that with the change. None: not known.

    `share`: of the customers' time, waited for this lock. `bound`: nobody waits for it, and waits for the
    others stay as they are. `free`: the same, but those waits change (model). `split`: two locks, each with
    half of the work and asked for at random (model); a real split rarely has even halves. `busy`: the share
    of the elapsed time that the model has the lock held. `limited`: gains that idle processors do not suffice
    for were cut to what they suffice for.
    """

    share: float
    bound: float | None = None
    free: float | None = None
    split: float | None = None
    busy: float | None = None
    limited: bool = False


class Model(msgspec.Struct, frozen=True):
    """A network: whose customers, how many, its locks, and the locks whose waits stay as they are.

    `think`: share of the customers' time outside of its locks and of all waits; `matched`: the model's waits
    over the measured ones. `why`: why there is no model, else empty.
    """

    of: Of
    customers: int
    servers: int
    others: int
    think: float = 0.0
    matched: float = 0.0
    why: str = ""


class _Fitted(NamedTuple):
    """A network for a cycle of 1, and of it the waits for locks that are no servers.

    `passing`: the share of a server's waits in which it passes from one to the next, see `mva.Network`.
    """

    customers: int
    think: float
    demands: "Floats"
    rest: float
    matched: float
    passing: float

    def cycle(self, think: float, demands: "Floats") -> float:
        """Return how long a cycle takes with other think time and demands."""
        from lockscape.experiments.mva import solve

        return self.customers / solve(self.customers, think, demands).throughput + self.rest


def relieve(locks: Sequence[Waited], setting: Setting, by: By = "waits") -> tuple[list[Relief], list[Model]]:
    """Return what relieving each lock would gain, in the order of `locks`, and the models behind that."""
    found = [Relief(0.0)] * len(locks)
    models = []
    for of, customers, chosen in _groups(locks, setting):
        reliefs, model = _group(of, customers, [locks[at] for at in chosen], setting, by)
        models.append(model)
        for at, relief in zip(chosen, reliefs, strict=True):
            found[at] = _limited(relief, locks[at], setting)
    return found, models


def _groups(locks: Sequence[Waited], setting: Setting) -> list[tuple[Of, int, list[int]]]:
    """Return customers and locks of each network: one, unless more processes than processors sleep."""
    processes = setting.processes or setting.cpus
    if processes <= setting.cpus:
        return [("all", processes, list(range(len(locks))))]
    spin = [at for at, lock in enumerate(locks) if not lock.sleeps]
    sleep = [at for at, lock in enumerate(locks) if lock.sleeps]
    made: list[tuple[Of, int, list[int]]] = [("spin", setting.cpus, spin), ("sleep", processes, sleep)]
    return [each for each in made if each[2]]


def _group(
    of: Of, customers: int, locks: Sequence[Waited], setting: Setting, by: By
) -> tuple[list[Relief], Model]:
    """Return what relieving each of the locks would gain that the same customers wait for."""
    time = customers * setting.elapsed_s
    shares = [lock.wait_s / time for lock in locks]
    reliefs = [Relief(share, 1 / (1 - share) if share < 1 else None) for share in shares]
    weights = shares if by == "waits" else [(lock.hold_s or 0.0) / time for lock in locks]
    chosen = sorted((at for at, weight in enumerate(weights) if weight > 0), key=lambda at: -weights[at])
    chosen = chosen[:MOST_SERVERS]
    others = sum(share > 0 for share in shares) - sum(shares[at] > 0 for at in chosen)
    model = Model(of, customers, len(chosen), others)
    why = _why(customers, sum(shares))
    if why or not chosen:
        return reliefs, msgspec.structs.replace(model, why=why)
    try:
        fit = _fit(customers, shares, weights, chosen, by)
    except ArithmeticError as error:
        return reliefs, msgspec.structs.replace(model, why=str(error))
    now = fit.cycle(fit.think, fit.demands) if by == "holds" else 1.0
    for place, at in enumerate(chosen):
        reliefs[at] = _modelled(fit, place, reliefs[at], now)
    return reliefs, msgspec.structs.replace(model, think=fit.think, matched=fit.matched)


def _why(customers: int, waited: float) -> str:
    """Return why there can be no network, or nothing."""
    if waited >= 1:
        return (
            f"waits are {waited:.3g} times the time of {customers} customers, so more of them waited, or for "
            "longer"
        )
    return "a single customer has nobody to wait for" if waited and customers == 1 else ""


def _fit(
    customers: int, shares: Sequence[float], weights: Sequence[float], chosen: Sequence[int], by: By
) -> _Fitted:
    """Return the network; `chosen`: its servers. Raises `ArithmeticError` if none is found."""
    import numpy as np

    from lockscape.experiments.mva import network_of, solve

    waits = np.asarray([shares[at] for at in chosen])
    rest = max(0.0, sum(shares) - float(waits.sum()))
    if by == "waits":
        think, demands, matched = network_of(customers, 1 - rest, waits)
        return _Fitted(customers, think, demands, rest, matched, 1 - matched)
    demands = np.asarray([weights[at] for at in chosen])
    think = max(0.0, 1 - sum(shares) - float(demands.sum()))
    waited = float((solve(customers, think, demands).residence - demands).sum())
    seen = float(waits.sum())
    return _Fitted(customers, think, demands, rest, waited / seen if seen else 1.0, 0.0)


def _modelled(fit: _Fitted, place: int, relief: Relief, now: float) -> Relief:
    """Return a relief with the model's figures; `now` is its cycle as it is."""
    import numpy as np

    demand = float(fit.demands[place])
    others = np.delete(fit.demands, place)
    # a lock that nobody waits for does not pass from one to the next
    free = fit.cycle(max(0.0, fit.think + demand - fit.passing * relief.share), others)
    split = fit.cycle(fit.think, np.append(others, [demand / 2, demand / 2]))
    busy = demand * fit.customers / now
    return msgspec.structs.replace(relief, free=now / free, split=now / split, busy=busy)


def _limited(relief: Relief, lock: Waited, setting: Setting) -> Relief:
    """Return a relief with no more than idle processors suffice for: who sleeps no longer needs one."""
    if not lock.sleeps or setting.idle is None or setting.idle >= 1:
        return relief
    most = 1 / (1 - setting.idle)
    gains = {"bound": relief.bound, "free": relief.free, "split": relief.split}
    cut = {name: min(gain, most) for name, gain in gains.items() if gain is not None}
    return msgspec.structs.replace(relief, **cut, limited=any(cut[name] != gains[name] for name in cut))
