"""How many requests may be sent a second time."""

from __future__ import annotations

from offramp.errors import ConfigError

__all__ = ["RetryBudget"]


class RetryBudget:
    """Retries as a share of requests, so that a failing peer is not asked several times as much as a sound one.

    Each request pays ``share`` in, each retry takes one out; ``most`` is how much can be saved up, and
    what there is at the start. So n requests bring at most ``most + share * n`` retries.

    Parameters
    ----------
    share : retries for each request, in [0, 1]
    most : retries saved up at most

    Raises
    ------
    ConfigError : a setting is out of range

    Source: the retry budgets of Finagle; Site Reliability Engineering, 2016, chapter 22.

    Examples
    --------
    >>> budget = RetryBudget(share=0.5, most=1)
    >>> budget.take(), budget.take()
    (True, False)
    >>> budget.pay(); budget.pay()
    >>> budget.take()
    True
    """

    def __init__(self, share: float = 0.1, most: float = 10.0) -> None:
        if not 0 <= share <= 1:
            raise ConfigError(f"a retry budget's share must lie in [0, 1], not {share}")
        if not most >= 0:
            raise ConfigError(f"a retry budget must hold zero or more retries, not {most}")
        self.share = share
        self.most = most
        self._left = most

    @property
    def left(self) -> float:
        """Retries there are now."""
        return self._left

    def pay(self) -> None:
        """A request is made."""
        self._left = min(self.most, self._left + self.share)

    def take(self) -> bool:
        """Whether one may be made again now; if so, it is taken out."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def __repr__(self) -> str:
        return f"RetryBudget(share={self.share}, most={self.most})"
