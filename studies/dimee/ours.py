"""Ours: gain gates behind every exit, and a router that leaves the mobile out only where that is clearly better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.gain import GainGate
from offramp.confidence.gates.ridge import sigmoid
from offramp.policies.difficulty.tier_model import TierModel
from offramp.policies.difficulty.tier_router import TierRouter
from offramp.policies.setting import LabelledRows
from studies.dimee.evidence import Part
from studies.dimee.tiers import BEGINS, LAYERS, HandOver, Prices

__all__ = ["Ours", "fit_ours"]

Exits = NDArray[np.intp]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ours:
    """Gates in the order of their exits, and the router over their scores."""

    gates: tuple[GainGate, ...]
    router: TierRouter

    def scores(self, part: Part) -> NDArray[np.float32]:
        """(6, n) of the gates; the last exit has none."""
        early = [gate.score(part.evidence(index)) for index, gate in enumerate(self.gates)]
        return np.stack([*early, np.zeros(len(part), np.float32)])

    def paths(self, part: Part) -> tuple[Exits, Exits]:
        """(n,) the tier rows begin at, and the exit they leave by."""
        values = np.stack([_values(model, part.features) for model in self.router.models])
        best = values.argmax(0)
        better = values[best, np.arange(len(part))] > values[0] + self.router.margin
        begin = np.where(better, best, 0)
        score, thresholds = self.scores(part)[:-1], np.array(self.router.thresholds)
        reached = np.vstack([score >= thresholds[:, None], np.ones((1, len(part)), bool)])
        reached &= np.arange(LAYERS)[:, None] >= np.array(BEGINS)[begin]
        return begin, np.asarray(reached.argmax(0))


def _values(model: TierModel, features: NDArray[np.float32]) -> Floats:
    """`TierModel.value` of many rows."""
    rows = np.concatenate([np.ones((len(features), 1)), features], axis=1)
    right, stays = (sigmoid(rows @ np.array(weights)) for weights in (model.right, model.stays))
    return np.asarray(right - stays * model.cost_stays - (1.0 - stays) * model.cost_goes)


def fit_ours(part: Part, prices: Prices, mu: float, hand_over: HandOver, routes: bool = True) -> Ours:
    """From the last early exit to the first, each gate against what the gates behind it make of the row.

    Parameters
    ----------
    part : the rows to fit on
    mu : price of a layer, in mistakes: the one price of layers, links and routing
    routes : ``False`` leaves the router out
    """
    costs = prices.paid(mu, hand_over)
    key = (prices, mu, hand_over)
    if key not in part.gates:
        part.gates[key] = _gates(part, costs)
    gates = part.gates[key]
    return Ours(gates, _router(part, gates, costs, routes))


def _gates(part: Part, costs: Floats) -> tuple[GainGate, ...]:
    rows = np.arange(len(part))
    later = np.full(len(part), LAYERS - 1)
    gates: list[GainGate] = []
    for index in range(LAYERS - 2, -1, -1):
        ahead = float(costs[0][later].mean() - costs[0][index])
        gate = GainGate.fit(part.evidence(index), part.right[index], part.right[later, rows], min(1.0, ahead))
        threshold = math.inf if gate.threshold is None else gate.threshold
        later = np.where(gate.score(part.evidence(index)) >= np.float32(threshold), index, later)
        gates.insert(0, gate)
    return tuple(gates)


def _router(part: Part, gates: Sequence[GainGate], costs: Floats, routes: bool) -> TierRouter:
    scores = np.stack([gate.score(part.evidence(index)) for index, gate in enumerate(gates)])
    rows = part.stream.labelled
    seen = LabelledRows(np.vstack([scores, rows.confidence[-1:]]), rows.predicted, rows.truth, features=part.features)
    thresholds = [math.inf if gate.threshold is None else gate.threshold for gate in gates]
    return TierRouter.fit(seen, thresholds, BEGINS, costs, routes=routes)
