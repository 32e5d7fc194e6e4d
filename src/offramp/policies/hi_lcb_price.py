"""HI-LCB where nobody says what going on costs until it was paid."""

from __future__ import annotations

import math
from typing import Any

from offramp.policies.base import Action, Feedback, View
from offramp.policies.checks import checked_price
from offramp.policies.hi_lcb import ALPHA, BINS, HILCB
from offramp.policies.pending import Pending

__all__ = ["HILCBUnknownPrice"]


class HILCBUnknownPrice(HILCB):
    """HI-LCB against the mean of the prices paid less ``sqrt(alpha ln t / N)``, N samples answered by the last exit.

    The price of a sample, the view's or the setting's, is not looked at before the sample went on and its answer came.
    What is not known well is taken for cheap, as what is not known well is taken for wrong: it goes on more often than
    HI-LCB at first.

    Parameters
    ----------
    price : paid where a view does not carry its own
    bins, alpha : as of `HILCB`

    Source: Chattopadhyay, Sutar, Champati and Moharir 2025, arXiv 2508.08985, as reconstructed in the method's page.

    Examples
    --------
    >>> policy = HILCBUnknownPrice(price=0.3)
    >>> for sample in range(400):
    ...     if policy.decide(View(sample, 0, 0.9, label=1)) is Action.GO_ON:
    ...         policy.learn(Feedback(sample, 1, labels=(1, 1)))
    >>> policy.counts[18], round(policy.price_bound, 3)  # HI-LCB, told the price, sends 35
    (139, 0.15)
    """

    name = "hi-lcb-unknown-price"

    def __init__(self, price: float = 0.0, bins: int = BINS, alpha: float = ALPHA, seed: int = 0) -> None:
        super().__init__(price, bins, alpha, seed)
        #: prices of the samples that the last exit answered, summed up, and how many these are
        self.paid, self.heard = 0.0, 0
        self._prices = Pending()

    @property
    def price_bound(self) -> float:
        """Optimistic price of going on; 0 where none is known."""
        if not self.heard:
            return 0.0
        width = math.sqrt(self.alpha * math.log(max(1, self.round)) / self.heard)
        return max(0.0, self.paid / self.heard - width)

    def decide(self, view: View) -> Action:
        price = checked_price(view, self.price)
        action = super().decide(view._replace(price=self.price_bound))
        if action is Action.GO_ON:
            self._prices.put(view.sample, (price,))
        return action

    def learn(self, feedback: Feedback) -> None:
        super().learn(feedback)
        if self._pending.get(feedback.sample) is not None:  # its answer has not come
            return
        known = self._prices.take(feedback.sample)
        if known is not None:
            self.paid += known[0]
            self.heard += 1

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"paid": self.paid, "heard": self.heard, "prices": self._prices.state()}

    def _take(self, state: dict[str, Any]) -> None:
        super()._take(state)
        self.paid, self.heard = float(state["paid"]), int(state["heard"])
        if not 0.0 <= self.paid <= self.heard:
            raise ValueError(f"{self.heard} prices below 1 do not add up to {self.paid}")
        self._prices = Pending.from_state(state["prices"])
