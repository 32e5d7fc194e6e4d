"""What sending a sample on costs, from its bytes and the link."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offramp.errors import ConfigError
from offramp.links.network import Link

__all__ = ["MistakeWorth", "prices_over"]


@dataclass(frozen=True)
class MistakeWorth:
    """What one mistake is worth: as many seconds, joules or units of money as one would give to avoid it.

    ``None`` where that does not count.

    Raises
    ------
    ConfigError : a worth that is no positive number, or none at all
    """

    latency_s: float | None = None
    energy_j: float | None = None
    money: float | None = None

    def __post_init__(self) -> None:
        given = [worth for worth in (self.latency_s, self.energy_j, self.money) if worth is not None]
        if not given or not all(0.0 < worth < math.inf for worth in given):
            raise ConfigError("say what a mistake is worth in seconds, joules or money: positive numbers")


def prices_over(link: Link, payload_bytes: ArrayLike, worth: MistakeWorth) -> NDArray[np.float64]:
    """(n,) price of sending each sample over a link, in units of one mistake.

    Time is bytes / rate plus one round trip; energy and money are those of the link per byte.

    Parameters
    ----------
    link : to be crossed
    payload_bytes : (n,) of each sample
    worth : of a mistake

    Raises
    ------
    ConfigError : bytes below 0, or a sample that costs as much as a mistake or more, so that it would never be sent

    Examples
    --------
    >>> link = Link("device", "cloud", bandwidth_bps=8e5, rtt_s=0.02)
    >>> prices_over(link, [1000, 3000], MistakeWorth(latency_s=0.5)).round(3).tolist()
    [0.06, 0.1]
    """
    size = np.asarray(payload_bytes, np.float64)
    if not np.all(size >= 0):  # NaN fails
        raise ConfigError("payload bytes must be numbers not below 0")
    price = np.zeros_like(size)
    if worth.latency_s is not None:
        price += (size * 8.0 / link.bandwidth_bps + link.rtt_s) / worth.latency_s
    if worth.energy_j is not None:
        price += size * link.energy_j_per_byte / worth.energy_j
    if worth.money is not None:
        price += size * link.price_per_byte / worth.money
    if np.any(price >= 1.0):
        raise ConfigError(
            f"sending the largest sample ({size.max():,.0f} bytes) costs {price.max():.3g} mistakes, and must "
            "cost less than one; a mistake is worth more, or the link is too slow to be asked"
        )
    return price
