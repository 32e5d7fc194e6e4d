"""How regret grows with the horizon that a learner is started for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.policies.base import Policy
from offramp.policies.fast.replay import replay_many
from offramp.policies.hi_lcb import HILCB
from offramp.policies.hil_f import HilF
from offramp.policies.hil_n import HilN
from offramp.policies.hindsight import best_threshold
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream
from studies.online_hi.references import by_bin
from studies.online_hi.runs import PRICES
from studies.online_hi.streams import Problem
from studies.row import StudyRow

__all__ = ["HORIZONS", "growth", "regrets"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
HORIZONS = (2_500, 10_000, 40_000)
#: streams of each horizon
_DRAWS = 20
#: exponents the papers state; 0 is a logarithm
_STATED: dict[type[Policy], float] = {HilF: 1 / 2, HilN: 2 / 3, HILCB: 0.0}
_GRID = 1024  # what HIL-F and HIL-N round confidences down to
_ROOM = 0.05


def growth(
    problem: Problem, horizons: Sequence[int] = HORIZONS, draws: int = _DRAWS, seed: int = 0
) -> Iterator[StudyRow]:
    """By which power of n regret grows where every n has a policy started for it, in the published setting.

    Parameters
    ----------
    problem : its test rows are drawn with replacement
    horizons : n, two or more
    draws : streams of each n
    seed : of the streams and of the policies
    """
    by_kind = regrets(problem.published().pool, horizons, draws, seed)
    size = np.log(horizons)
    for (kind, against), regret in by_kind.items():
        title = f"published setting, {problem.name}: {kind.name}, regret against {against} grows like n to the power"
        means = regret.mean((1, 2))
        ends = ", ".join(f"{mean:.1f}" for mean in means)
        how = (
            f"replayed: n of {', '.join(f'{n:,}' for n in horizons)}, rows drawn with replacement, each n with a "
            f"policy started for it; mean of {draws} draws and {len(PRICES)} prices: {ends} mistakes; least squares of "
            f"log R(n) on log n; holds: at most the published exponent and {_ROOM}"
        )
        stated = _STATED[kind] or _slope(size, np.log(size))
        if means.min() <= 0:
            continue
        power = _slope(size, np.log(means))
        yield StudyRow(title, round(stated, 3), power, "", how, bool(power <= stated + _ROOM))
        if against == "threshold":
            part = float((regret.mean(-1) / _bounds(kind, horizons)).max())
            title = f"published setting, {problem.name}: {kind.name}, regret as a part of its bound"
            yield StudyRow(
                title, 1.0, part, "", "the same; the worst of all n and prices; holds: at most 1", part <= 1.0
            )


def regrets(pool: Stream, horizons: Sequence[int], draws: int, seed: int) -> dict[tuple[type[Policy], str], Floats]:
    """(horizons, prices, draws) mistakes above the comparator named, by kind of policy.

    ``threshold`` is the best for the very rows of each stream, ``its grid`` the best of those that HIL-F and HIL-N
    choose from, ``bins`` the best rule by bin.
    """
    found: dict[tuple[type[Policy], str], list[Floats]] = {}
    for horizon in horizons:
        order = np.random.default_rng([seed, horizon]).integers(0, len(pool), (draws, horizon))
        least = _least(pool, order)
        for kind in _STATED:
            paid = _paid(kind, pool, order)
            for against in ("bins",) if kind is HILCB else ("threshold", "its grid"):
                found.setdefault((kind, against), []).append(paid - least[against])
    return {name: np.stack(each) for name, each in found.items()}


def _bounds(kind: type[Policy], horizons: Sequence[int]) -> Floats:
    """(horizons, prices) mistakes that the regret is proved not to exceed on average."""
    if not issubclass(kind, HilF | HilN):
        raise ConfigError(f"no bound of {kind.name!r} is known here")
    return np.array([[kind(price=price, horizon=horizon).regret_bound for price in PRICES] for horizon in horizons])


def _paid(kind: type[Policy], pool: Stream, order: Rows) -> Floats:
    """(prices, draws) mistakes in all, prices paid included."""
    draws, horizon = order.shape
    settings = [Setting((0.5,), price=price, horizon=horizon) for price in PRICES]
    policies = [kind.start(setting, number) for setting in settings for number in range(draws)]
    seeds = np.tile(np.arange(draws), len(PRICES))
    on = replay_many(policies, pool, np.tile(order, (len(PRICES), 1)), seeds).reshape(len(PRICES), *order.shape) > 0
    stop, last = ~pool.right[0][order], ~pool.right[1][order]
    return np.asarray((on & last).sum(-1) + (~on & stop).sum(-1) + np.array(PRICES)[:, None] * on.sum(-1), np.float64)


def _least(pool: Stream, order: Rows) -> dict[str, Floats]:
    """(prices, draws) of every comparator."""
    wrong, confidence = ~pool.right, pool.confidence[0]
    coarse = (np.floor(confidence.astype(np.float64) * _GRID) / _GRID).astype(np.float32)
    least: dict[str, list[list[float]]] = {"threshold": [], "its grid": [], "bins": []}
    for price in PRICES:
        for each in least.values():
            each.append([])
        for rows in order:
            stop, on = wrong[0][rows].astype(np.float64), price + wrong[1][rows]
            for name, score in (("threshold", confidence[rows]), ("its grid", coarse[rows])):
                least[name][-1].append(float(np.where(score < best_threshold(score, stop, on), on, stop).sum()))
            least["bins"][-1].append(float(by_bin(confidence[rows], stop, on).sum()))
    return {name: np.array(each) for name, each in least.items()}


def _slope(x: Floats, y: Floats) -> float:
    return float(np.polyfit(x, y, 1)[0])
