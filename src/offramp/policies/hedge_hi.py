"""Hedge-HI: one expert between any two confidences seen."""

from __future__ import annotations

from typing import Any

from offramp.policies.exploring import BITS, Exploring
from offramp.policies.learner import HORIZON
from offramp.policies.pieces import Pieces

__all__ = ["HedgeHI"]


class HedgeHI(Exploring):
    """Hedge over the intervals between the distinct confidences seen, learning from an explored share.

    A confidence not seen before splits an interval, and both halves inherit its weight, so an expert weighs the same
    however short its interval is: what the regret depends on is the number of distinct confidences,
    ``O(T^(2/3) N^(1/3))``, not the smallest gap between two. They are rounded to b bits, which bounds their number.
    What the last exit says is taken for the truth.

    Parameters
    ----------
    price : beta, where a view does not carry its own
    horizon : T, samples expected
    bits : b
    seed : of the draws

    Source: Al-Atat, Datta, Moharir and Champati 2024; exploration and rate are those of HIL-N with L = b ln 2.

    Examples
    --------
    >>> from offramp.policies.base import Feedback, View
    >>> policy = HedgeHI(price=0.2, horizon=1000)
    >>> for sample in range(1000):
    ...     _ = policy.decide(View(sample, 0, 0.9, label=1))
    ...     policy.learn(Feedback(sample, 1, labels=(1, 1)))
    >>> policy.experts, policy.accepts(0.9) > 0.9
    (2, True)
    """

    name = "hedge-hi"

    def __init__(self, price: float = 0.0, horizon: int = HORIZON, bits: int = BITS, seed: int = 0) -> None:
        super().__init__(price, horizon, bits, seed)
        self._pieces = Pieces(by_length=False)

    @property
    def experts(self) -> int:
        """Intervals between the confidences seen."""
        return len(self._pieces)

    def _meets(self, at: int) -> None:
        self._pieces.split(at / self._levels)

    def _below(self, at: int) -> float:
        return self._pieces.below(at / self._levels)

    def _charge(self, at: int, wrong: bool, price: float, rate: float) -> None:
        self._pieces.add(at / self._levels, -rate * wrong, -rate * price)

    def _state(self) -> dict[str, Any]:
        return self._pieces.state()

    def _take(self, state: dict[str, Any]) -> None:
        self._pieces.take(state)
