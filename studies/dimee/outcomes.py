"""What a method loses and saves against sending everything to the cloud."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from studies.dimee.evidence import Part, Task
from studies.dimee.methods import Family, Paths
from studies.dimee.tiers import BEGINS, TIERS, Prices

__all__ = ["LOSS", "Outcome", "choose", "outcome", "traffic_bytes"]

#: accuracy points that may be lost, as published
LOSS = 0.3
_WIDTH = 384
_SLACK = 1e-9


@dataclass(frozen=True)
class Outcome:
    """In percent and points: cost cut and accuracy lost against all cloud; ``loss_error`` is a standard error."""

    cut: float
    loss: float
    loss_error: float


def outcome(part: Part, paths: Paths, prices: Prices) -> Outcome:
    """On the rows of a part."""
    lost = part.right[-1].astype(float) - part.right[paths.exit, np.arange(len(part))]
    cut = 1.0 - paths.cost(prices).mean() / prices.all_cloud
    return Outcome(100 * float(cut), 100 * float(lost.mean()), 100 * float(lost.std() / np.sqrt(len(part))))


def choose(family: Family, task: Task, prices: Prices) -> float:
    """The trade-off that saves most of those that lose at most `LOSS` points on tune rows they were not fitted on.

    Each fifth of the tune rows is judged by a fit on the others. Where all lose more, the one that loses least.
    """
    if len(family.trade_offs) == 1:
        return family.trade_offs[0]
    found = []
    for trade_off in family.trade_offs:
        judged = [
            (outcome(fifth, family.use(rest, fifth, prices, trade_off), prices), len(fifth))
            for rest, fifth in task.tune.folds
        ]
        rows = [count for _, count in judged]
        loss, cut = (float(np.average([getattr(o, name) for o, _ in judged], weights=rows)) for name in ("loss", "cut"))
        found.append((loss, cut, trade_off))
    kept = [each for each in found if each[0] <= LOSS + _SLACK]
    chosen = max(kept, key=lambda each: each[1]) if kept else min(found, key=lambda each: (each[0], -each[1]))
    return float(chosen[2])


def traffic_bytes(part: Part, paths: Paths) -> NDArray[np.float64]:
    """(n,) bytes that cross links on the way up: ids and mask of the input, or hidden states and mask in fp32."""
    inputs = 8.0 * part.tokens * (2 if part.records.provenance.data == "sst2" else 3)
    hidden = part.tokens * (4.0 * _WIDTH + 8.0)
    tier = np.searchsorted(TIERS, paths.exit)
    climbs = tier - paths.begin
    at_once = np.where(np.array(BEGINS)[paths.begin] > 0, inputs, 0.0)
    return np.asarray(at_once + climbs * (hidden if paths.hand_over == "features" else inputs))
