"""HIL-N: exponential weights over thresholds, told what the last exit says of what goes on."""

from __future__ import annotations

import math
from typing import Any

from offramp.policies.exploring import BITS, Exploring
from offramp.policies.learner import HORIZON
from offramp.policies.threshold_tree import ThresholdTree

__all__ = ["HilN"]


class HilN(Exploring):
    """HIL-F without feedback on what stops: a share eps goes on whatever the weights say, and only that is learned from.

    What the last exit says is taken for the truth. The costs of explored samples count ``1 / eps`` times, which makes
    them unbiased. The expected cost exceeds that of the best threshold by at most
    ``n beta eps + n eta / (2 eps) + L / eta``, L = b ln 2; with the default eps and eta, where eps is below 1, by
    ``3 (beta n^2 L / 2)^(1/3)``.

    Parameters
    ----------
    price : beta, where a view does not carry its own
    horizon : n, samples expected
    bits : b that confidences are rounded down to
    seed : of the draws

    Source: Moothedath, Champati and Gross 2024, arXiv 2304.00891.

    Examples
    --------
    >>> from offramp.policies.base import Feedback, View
    >>> policy = HilN(price=0.2, horizon=1000)
    >>> for sample in range(1000):
    ...     _ = policy.decide(View(sample, 0, 0.9, label=1))
    ...     policy.learn(Feedback(sample, 1, labels=(1, 1)))
    >>> policy.accepts(0.9) > 0.9
    True
    """  # noqa: E501

    name = "hil-n"

    def __init__(self, price: float = 0.0, horizon: int = HORIZON, bits: int = BITS, seed: int = 0) -> None:
        super().__init__(price, horizon, bits, seed)
        self._tree = ThresholdTree(bits)
        #: what the expected cost can exceed that of the best threshold by, over the horizon
        self.regret_bound = (
            horizon * price * self.exploration
            + horizon * self.eta / (2 * self.exploration)
            + bits * math.log(2.0) / self.eta
        )

    def _below(self, at: int) -> float:
        return self._tree.below(at)

    def _charge(self, at: int, wrong: bool, price: float, rate: float) -> None:
        self._tree.scale(at, math.exp(rate * (price - wrong)))

    def _state(self) -> dict[str, Any]:
        return {"odds": self._tree.odds}

    def _take(self, state: dict[str, Any]) -> None:
        self._tree.take(state["odds"])
