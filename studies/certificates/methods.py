"""The ways to choose gate settings on n calibrate rows, all along orders fixed by the same tune rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.bounds.betting import betting_p_value
from offramp.confidence.bounds.binomial import binomial_p_value, clopper_pearson_upper
from offramp.confidence.bounds.hoeffding_bentkus import hoeffding_bentkus_p_value
from offramp.confidence.bounds.signed import signed_p_value
from offramp.confidence.certify import SettingOrder
from offramp.confidence.testing.monotone import conformal_risk_control, risk_controlling

__all__ = ["CERTIFIED", "METHODS", "ON_SHARED", "Draws", "decide"]

Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

#: method -> what it promises; "shared" methods have one threshold for all exits, as published
METHODS: Mapping[str, str] = {
    "plug-in": "nothing",
    "CRC": "the mean over all draws",
    "RCPS": "this draw",
    "LTT truncated": "this draw",
    "LTT truncated, vector": "this draw",
    "WSR signed": "this draw",
    "WSR signed, vector": "this draw",
    "Pareto Testing": "this draw",
    "ours": "this draw",
}
CERTIFIED = tuple(name for name, promise in METHODS.items() if promise == "this draw")
ON_SHARED = ("CRC", "RCPS", "LTT truncated", "WSR signed")


@dataclass(frozen=True)
class Draws:
    """What m settings, safest first, did to n rows in each of s draws: ``bad`` and ``good`` (m, s) counts."""

    bad: Counts
    good: Counts
    rows: int

    @property
    def loss(self) -> Floats:
        """(m, s) accuracy lost."""
        return np.asarray((self.bad - self.good) / self.rows)


def decide(method: str, draws: Draws, order: SettingOrder, limit: float, delta: float) -> Bools:
    """(m, s) the settings a method accepts in each draw; the first has every gate off and is always among them.

    Parameters
    ----------
    method : of `METHODS`, but Pareto Testing, which orders for itself
    draws : of the settings in ``order``
    """
    rows, bad = draws.rows, draws.bad
    if method == "plug-in":
        return np.asarray(draws.loss <= limit)
    if method == "CRC":
        return _up_to([conformal_risk_control(column / rows, rows, limit) for column in bad.T], len(bad))
    if method == "RCPS":
        upper = clopper_pearson_upper(bad, rows, delta)
        return _up_to([risk_controlling(column, limit) for column in upper.T], len(bad))
    if method.startswith("LTT truncated"):
        exact = binomial_p_value(bad, rows, limit)
        return _sequence(np.minimum(hoeffding_bentkus_p_value(bad / rows, rows, limit), exact), delta)
    if method.startswith("WSR signed"):
        return _betting(draws, limit, delta)
    signed = (order.tests[0] == "signed")[:, None]
    p = np.where(
        signed,
        signed_p_value(np.where(signed, bad, 0), np.where(signed, draws.good, 0), rows, limit, delta),
        binomial_p_value(bad, rows, limit),
    )
    return _sequence(p, delta)


def _up_to(last: list[int], settings: int) -> Bools:
    return np.arange(settings)[:, None] <= np.maximum(last, 0)


def _sequence(p: Floats, delta: float) -> Bools:
    held = p <= delta
    held[0] = True
    return np.asarray(np.logical_and.accumulate(held, axis=0))


def _betting(draws: Draws, limit: float, delta: float) -> Bools:
    """The fixed sequence, as far as it goes: every test bets on all rows, in a random order."""
    settings, splits = draws.bad.shape
    shuffle, last = np.random.default_rng(0), np.zeros(splits, int)
    for split in range(splits):
        order = shuffle.permutation(draws.rows)
        for setting in range(1, settings):
            losses = np.zeros(draws.rows)
            lost, won = draws.bad[setting, split], draws.good[setting, split]
            losses[order[:lost]], losses[order[lost : lost + won]] = 1.0, -1.0
            if betting_p_value(losses, limit, delta, low=-1.0) > delta:
                break
            last[split] = setting
    return _up_to(last.tolist(), settings)
