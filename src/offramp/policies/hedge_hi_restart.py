"""Hedge-HI-Restart: the experts change at the beginning of an epoch alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from offramp.policies.exploring import BITS
from offramp.policies.hedge_hi import HedgeHI
from offramp.policies.learner import HORIZON, tuned_exploration

__all__ = ["FIRST", "HedgeHIRestart"]

#: samples of the first epoch
FIRST = 64


class HedgeHIRestart(HedgeHI):
    """Hedge-HI whose experts are fixed within an epoch; each epoch is twice as long as the one before.

    At a restart there is one expert per interval between the confidences seen so far, all weigh the same, and the share
    explored and the rate are tuned to the length of the epoch and the number of experts. A confidence not seen before
    changes nothing until the next restart. Regret ``O(T^(2/3) (log N)^(1/3))`` with high probability.

    Parameters
    ----------
    price, horizon, bits, seed : as of `HedgeHI`; the horizon is not needed

    Source: Al-Atat, Datta, Moharir and Champati 2024; the length of the epochs is ours.

    Examples
    --------
    >>> from offramp.policies.base import View
    >>> policy = HedgeHIRestart(price=0.2)
    >>> for sample in range(65):
    ...     _ = policy.decide(View(sample, 0, sample % 2 / 2))
    >>> policy.epoch, policy.experts
    (1, 2)
    """

    name = "hedge-hi-restart"

    def __init__(self, price: float = 0.0, horizon: int = HORIZON, bits: int = BITS, seed: int = 0) -> None:
        super().__init__(price, horizon, bits, seed)
        #: restarts so far
        self.epoch = 0
        self._left = FIRST
        self._seen: set[float] = {1.0}
        self.exploration, self.eta = tuned_exploration(FIRST, price, math.log(2.0))

    def _meets(self, at: int) -> None:
        if not self._left:
            self._restart()
        self._left -= 1
        if at > 0:
            self._seen.add(at / self._levels)

    def _restart(self) -> None:
        self.epoch += 1
        self._left = FIRST << self.epoch
        edges = sorted(self._seen)
        self._pieces.take({"edges": edges, "log_weights": np.zeros(len(edges)).tolist()})
        self.exploration, self.eta = tuned_exploration(self._left, self.price, math.log(max(2, len(edges))))

    def _state(self) -> dict[str, Any]:
        rest = {"epoch": self.epoch, "left": self._left, "seen": sorted(self._seen)}
        return super()._state() | rest | {"exploration": self.exploration, "eta": self.eta}

    def _take(self, state: dict[str, Any]) -> None:
        super()._take(state)
        self.epoch, self._left = int(state["epoch"]), int(state["left"])
        self._seen = {float(one) for one in state["seen"]}
        self.exploration, self.eta = float(state["exploration"]), float(state["eta"])
