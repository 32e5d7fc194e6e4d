"""Costs as coefficients of what a network does: load, seconds per bit, round trips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.links.network import Network
from offramp.planning.costs import CostTable

__all__ = ["Conditions", "coefficients"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Conditions:
    """The columns of a coefficient row: 1, the load of every tier, seconds per bit and round trip of every link.

    Examples
    --------
    >>> vector, reach = Conditions(tiers=2).vector(bandwidth_bps=4e6, rtt_s=0.02, load=1.5)
    >>> vector.tolist(), reach
    ([1.0, 1.5, 1.5, 2.5e-07, 0.02], 2)
    """

    tiers: int

    def link_column(self, link: int) -> int:
        """The column of the seconds per bit of a link."""
        return 1 + self.tiers + link

    def vector(
        self, bandwidth_bps: float | Sequence[float], rtt_s: float | Sequence[float], load: float | Sequence[float]
    ) -> tuple[Floats, int]:
        """(C,) values of the columns, and how many tiers are within reach.

        A link of bandwidth zero is down: the tiers beyond it are out of reach, and its seconds per bit are 0.

        Raises
        ------
        ConfigError : not one number per link or tier, NaN, infinite, negative, or a load of zero
        """
        links = self.tiers - 1
        rates = _numbers("bandwidth_bps", bandwidth_bps, links)
        down = rates.index(0.0) if 0.0 in rates else links
        per_bit = [1.0 / rate if rate else 0.0 for rate in rates]
        loads = _numbers("load", load, self.tiers)
        if 0.0 in loads:
            raise ConfigError("load must be above zero for every tier: 1 is as profiled, 2 twice as slow")
        return np.array([1.0, *loads, *per_bit, *_numbers("rtt_s", rtt_s, links)]), down + 1


def coefficients(table: CostTable, network: Network) -> Floats:
    """(P, E, C) coefficients of `Conditions` for every placement and exit; none is negative.

    Load multiplies the seconds of segments; encoding, decoding and the hops of the protocol stay as measured.

    Parameters
    ----------
    table : the costs on ``network``
    """
    column = {name: table.terms_s[:, :, index] for index, name in enumerate(table.names)}
    compute = [column.pop(f"compute:{tier}") for tier in table.tiers]
    per_bit, rtt = [], []
    for link, tier in enumerate(table.tiers[1:]):
        pair = f"{table.tiers[link]}-{tier}"
        seconds = column.pop(f"transfer:{pair}") + column.pop(f"return:{pair}")
        per_bit.append(seconds * network.links[link].bandwidth_bps)
        del column[f"rtt:{pair}"]
        reached = table.placements[:, list(table.exit_segments)] > link
        rtt.append(reached.astype(np.float64))
    fixed = sum(column.values(), np.zeros(table.cost_s.shape))
    return np.stack([fixed, *compute, *per_bit, *rtt], axis=-1)


def _numbers(name: str, value: float | Sequence[float], count: int) -> list[float]:
    numbers = [float(one) for one in value] if isinstance(value, Iterable) else [float(value)] * count
    if len(numbers) != count:
        raise ConfigError(f"{name}: {len(numbers)} numbers for {count}; give one for each, or one for all")
    for number in numbers:
        if not 0.0 <= number < np.inf:
            raise ConfigError(f"{name} must be a number of zero or more, not {number}")
    return numbers
