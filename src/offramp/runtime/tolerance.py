"""How a tier bears failing peers: settings."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.errors import ConfigError

__all__ = ["FaultTolerance"]


@dataclass(frozen=True, slots=True)
class FaultTolerance:
    """When to stop asking a peer, how much to ask twice.

    ``breaker_failures``, ``breaker_open_s`` and ``breaker_longest_s`` are those of `Breaker`, one for each
    peer; ``retry_share`` and ``retry_most`` those of `RetryBudget`, one for all. With ``hedge_quantile``
    a request that has waited longer than this quantile of the last answers goes to the next peer too, and
    the first answer counts; that is paid for from the same budget.

    Raises
    ------
    ConfigError : ``hedge_quantile`` lies outside (0, 1)

    Examples
    --------
    >>> FaultTolerance(breaker_failures=3).retry_share
    0.1
    """

    breaker_failures: int = 5
    breaker_open_s: float = 0.1
    breaker_longest_s: float = 5.0
    retry_share: float = 0.1
    retry_most: float = 10.0
    hedge_quantile: float | None = None

    def __post_init__(self) -> None:
        if self.hedge_quantile is not None and not 0 < self.hedge_quantile < 1:
            raise ConfigError(f"hedge_quantile must lie between 0 and 1, not {self.hedge_quantile}")
