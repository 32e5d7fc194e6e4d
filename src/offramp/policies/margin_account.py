"""How much more than its baseline a policy may have cost, and whether it may deviate once more."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

from offramp.errors import ConfigError

__all__ = ["DELTA", "MARGIN", "SLACK", "MarginAccount"]

#: mistakes per sample, and mistakes besides, that deviating may cost, and how sure that is not to be exceeded
MARGIN, SLACK, DELTA = 0.01, 30.0, 0.05

#: per wager: by how much smaller its stake is than the first
_STAKES = (1.0, 1 / 3, 1 / 9)
#: largest part of the capital that one explored sample can lose
_PART = 0.4


class MarginAccount:
    """An anytime-valid upper bound on what deviating from a baseline has cost, held below ``margin * t + slack``.

    Deviations come in two kinds. *Going on* where the baseline stops is seen: what it cost, price - gain, is known once
    the last exit has answered, and counts as price + 1 until then. *Stopping* where the baseline goes on is not seen;
    so with a known probability q the baseline is followed after all, and what such a sample shows counts (1 - q) / q
    times.

    **Proposition.** Let e_t be what the policy costs at sample t less what its baseline costs, on average over the coin
    with probability q. Let samples, answers, prices and delays be chosen by anybody who knows all that happened before,
    but not the coins to come. With probability at least ``1 - delta``, at all times t together,
    ``e_1 + ... + e_t <= margin * t + slack``.

    *Proof.* Let d_s in [-1 - p, 1 - p] be gain - price where it may stop though the baseline goes on, and
    x_s = (1 - q) / q d_s if the coin says to explore, else 0: its mean is e_s = (1 - q) d_s, and x_s is at most
    b_s = (1 - q) / q (1 - p). For a stake h with h b_s < 1 let psi_s = (-ln(1 - h b_s) - h b_s) (x_s / b_s)^2. Then
    ``exp(-h x_s - psi_s) <= 1 - h x_s``, so the product of ``exp(h e_s - h x_s - psi_s)`` is a nonnegative
    supermartingale that begins at 1, and by Ville's inequality the sum of e_s ever exceeds
    ``sum (x_s + psi_s / h) + ln(3 / delta) / h`` with probability at most delta / 3. Samples with h b_s above 0.4 are
    charged (1 - q)(1 - p) outright, which is never too little, and explored ones that still wait the most they can
    add. A deviation is allowed only where the least of three such bounds, plus what is known, or at most possible, of
    the samples that went on, leaves room below ``margin * t + slack`` for the most this deviation can cost.

    Costs are those the policy can estimate; they are the true ones as far as its estimates of the gain are right on
    average, and exactly where the truth is told. Where truths told of some samples show the estimates to be off,
    `correct` values those since the last `settle` anew, and later ones alike.

    Parameters
    ----------
    margin : tolerated mean excess per sample, in mistakes, not below 0
    slack : tolerated besides, in mistakes, above 0
    delta : in (0, 1)

    Raises
    ------
    ConfigError : one of these rules is broken

    Source: Wu et al. 2016 for conservative bandits; Fan, Grama and Liu 2015 and Howard et al. 2021 for the bound.

    Examples
    --------
    >>> account = MarginAccount(margin=0.0, slack=2.0, delta=0.05)
    >>> account.tick()
    >>> account.may_go(price=0.5)
    True
    >>> account.went(price=0.5)
    >>> account.may_go(price=0.5)  # 1.5 of 2 may be lost
    False
    >>> account.seen_going(price=0.5, gain=1.0)
    >>> account.may_go(price=0.5), account.bound
    (True, -0.5)
    """

    __slots__ = (
        "_known",
        "_log",
        "_open",
        "_open_going",
        "_shift",
        "_stakes",
        "_stopping",
        "_ticked",
        "budget",
        "delta",
        "margin",
        "slack",
    )

    def __init__(self, margin: float = MARGIN, slack: float = SLACK, delta: float = DELTA) -> None:
        if not (0.0 <= margin < math.inf and 0.0 < slack < math.inf and 0.0 < delta < 1.0):
            raise ConfigError(
                f"the margin must not be below 0, the slack above 0 and delta in (0, 1), not {margin}, {slack}, {delta}"
            )
        self.margin, self.slack, self.delta = margin, slack, delta
        #: what may have been lost by now
        self.budget = slack
        self._log = math.log(len(_STAKES) / delta)
        first = 1.5 * self._log / slack
        self._stakes = [first * one for one in _STAKES]
        self._known = 0.0  # of samples that went on, at worst
        self._stopping = [0.0] * len(_STAKES)  # bounds less ln(3 / delta) / h
        self._ticked = False  # whether it ever stopped where the baseline goes on
        self._start()

    def _start(self) -> None:
        """No estimate is open: what it says of the past stays."""
        self._shift = 0.0
        self._open_going = 0
        #: per wager, of explored samples: weights, and what a shift changes of the square in its bound
        self._open = [[0.0, 0.0, 0.0] for _ in _STAKES]

    @property
    def bound(self) -> float:
        """What was lost is at most this."""
        return self._known + self._of_stops()

    def _of_stops(self) -> float:
        if not self._ticked:
            return 0.0
        log = self._log
        return min(bound + log / stake for bound, stake in zip(self._stopping, self._stakes, strict=True))

    def tick(self) -> None:
        """One more sample."""
        self.budget += self.margin

    def may_go(self, price: float) -> bool:
        """Whether going on where the baseline stops is allowed."""
        return self._known + self._of_stops() + price + 1.0 <= self.budget

    def went(self, price: float) -> None:
        """It went on where the baseline stops."""
        self._known += price + 1.0

    def seen_going(self, price: float, gain: float, estimated: bool = False) -> None:
        """What such a sample gained; ``estimated`` gains are open to `correct`."""
        self._open_going += estimated
        self._known -= 1.0 + gain + self._shift * estimated

    def explore(self, price: float) -> float:
        """Share of samples to follow the baseline with, if it may stop where that goes on; 0 where it may not."""
        room = self.budget - self._known - (1.0 - price)
        for stake, bound in zip(reversed(self._stakes), reversed(self._stopping), strict=True):
            if bound + self._log / stake <= room:
                most = _PART / stake / (1.0 - price)  # (1 - q) / q
                return 1.0 / (1.0 + most)
        return 0.0

    def tossed(self, price: float, share: float, explores: bool) -> None:
        """The coin was tossed where it may stop though the baseline goes on."""
        self._ticked = True
        weight = (1.0 - share) / share
        largest = weight * (1.0 - price)
        for index, stake in enumerate(self._stakes):
            if stake * largest > _PART + 1e-9:
                self._stopping[index] += (1.0 - share) * (1.0 - price)
            elif explores:
                self._stopping[index] += _worst(stake, weight, price)

    def correct(self, shift: float) -> None:
        """Value all open estimates of the gain so much higher, those to come as well."""
        more = shift - self._shift
        if not more:
            return
        both = shift + self._shift
        self._known -= more * self._open_going
        for index, (weight, mixed, square) in enumerate(self._open):
            self._stopping[index] += more * (weight + 2.0 * mixed + both * square)
        self._shift = shift

    def settle(self) -> None:
        """What was estimated so far is open no more; later estimates are taken as they are."""
        self._start()

    def seen_exploring(self, price: float, share: float, gain: float, estimated: bool = False) -> None:
        """What an explored sample gained by going on; ``estimated`` gains are open to `correct`."""
        weight = (1.0 - share) / share
        largest, shown = weight * (1.0 - price), weight * (gain - price)
        now = shown + weight * self._shift if estimated else shown
        for index, stake in enumerate(self._stakes):
            if stake * largest <= _PART + 1e-9:
                self._stopping[index] += _counts(stake, largest, now) - _worst(stake, weight, price)
                if estimated:
                    scale = weight * _curve(stake, largest)
                    sums = self._open[index]
                    sums[0] += weight
                    sums[1] += scale * shown
                    sums[2] += scale * weight

    def state(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        body = {"budget": self.budget, "known": self._known, "stopping": self._stopping, "ticked": self._ticked}
        return body | {"shift": self._shift, "open": self._open, "open_going": self._open_going}

    def take(self, state: dict[str, Any]) -> None:
        """Take back what `state` wrote.

        Raises
        ------
        ValueError, KeyError, TypeError : not such a state
        """
        stopping = [float(one) for one in state["stopping"]]
        still = [[float(one) for one in sums] for sums in state["open"]]
        numbers = [float(state["budget"]), float(state["known"]), *stopping, float(state["shift"])]
        whole = len(stopping) == len(still) == len(_STAKES) and {len(sums) for sums in still} == {3}
        if not whole or not all(map(math.isfinite, chain(numbers, *still))):
            raise ValueError("its account is no account")
        self.budget, self._known, self._stopping = numbers[0], numbers[1], stopping
        self._ticked = bool(state["ticked"])
        self._shift, self._open, self._open_going = float(state["shift"]), still, int(state["open_going"])


def _counts(stake: float, largest: float, shown: float) -> float:
    """What an explored sample adds to a bound."""
    return shown + _curve(stake, largest) * shown**2


def _curve(stake: float, largest: float) -> float:
    part = stake * largest
    return (-math.log1p(-part) - part) / (largest**2 * stake)


def _worst(stake: float, weight: float, price: float) -> float:
    """The most it can add, whatever it will show: convex, so at a gain of 1 or of -1."""
    largest = weight * (1.0 - price)
    return max(_counts(stake, largest, largest), _counts(stake, largest, -weight * (1.0 + price)))
