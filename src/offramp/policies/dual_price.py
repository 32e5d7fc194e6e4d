"""The price of going on that keeps a mean budget."""

from __future__ import annotations

import math

__all__ = ["DualPrice"]


class DualPrice:
    """A dual variable, moved by projected sub-gradient steps: up while more than the budget is used, down below it.

    After n samples the mean use is above the budget by at most ``(1 + step) / (step n)``: the price never exceeds one
    mistake by more than a step, and at a price of one nothing goes on.

    Parameters
    ----------
    budget : mean use per sample
    start : first price per unit of use, in units of one mistake
    horizon : samples expected; the step is ``1 / sqrt(horizon)``

    Source: projected dual sub-gradient for budgeted online decisions (Zinkevich 2003).

    Examples
    --------
    >>> price = DualPrice(budget=0.5, start=0.2, horizon=100)
    >>> price.used(1.0)
    >>> round(price.value, 3)
    0.25
    """

    __slots__ = ("budget", "step", "value")

    def __init__(self, budget: float, start: float, horizon: int) -> None:
        self.budget, self.value, self.step = budget, start, 1.0 / math.sqrt(horizon)

    def used(self, amount: float) -> None:
        """A sample used so much of it: 0 where it stopped."""
        self.value = max(0.0, self.value + self.step * (amount - self.budget))
