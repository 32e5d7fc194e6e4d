"""Costs as coefficients of what a network does: load, seconds per bit, round trips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.links.network import Network
from offramp.planning.costs import CostTable

__all__ = ["Conditions", "busy_coefficients", "coefficients", "latency_terms"]

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

    @property
    def columns(self) -> int:
        """C."""
        return 1 + self.tiers + 2 * (self.tiers - 1)

    def load_column(self, tier: int) -> int:
        """The column of the load of a tier."""
        return 1 + tier

    def link_column(self, link: int) -> int:
        """The column of the seconds per bit of a link."""
        return 1 + self.tiers + link

    def rtt_column(self, link: int) -> int:
        """The column of the round trip of a link."""
        return 2 * self.tiers + link

    def at(self, column: int, values: Floats) -> Floats:
        """(..., C) coefficients that are ``values`` (...) in one column."""
        result = np.zeros((*values.shape, self.columns))
        result[..., column] = values
        return result

    def usual(self, network: Network) -> Floats:
        """(C,) the vector of a network, unloaded."""
        links = network.links
        return self.vector([link.bandwidth_bps for link in links], [link.rtt_s for link in links], 1.0)[0]

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


def latency_terms(table: CostTable, network: Network) -> dict[str, Floats]:
    """Every term of the latency by its name: (P, E, C) coefficients of `Conditions`.

    Load multiplies the seconds of segments; encoding, decoding and the hops of the protocol stay as measured.

    Parameters
    ----------
    table : the costs on ``network``
    """
    conditions = Conditions(len(table.tiers))
    columns = {f"compute:{tier}": conditions.load_column(index) for index, tier in enumerate(table.tiers)}
    scale: dict[str, float] = {}
    for index, link in enumerate(network.links):
        pair = f"{link.source}-{link.target}"
        for name in (f"transfer:{pair}", f"return:{pair}"):
            columns[name], scale[name] = conditions.link_column(index), link.bandwidth_bps
    result = {}
    for index, name in enumerate(table.names):
        result[name] = conditions.at(columns.get(name, 0), table.terms_s[:, :, index] * scale.get(name, 1.0))
    reached = table.placements[:, list(table.exit_segments)]
    for index, link in enumerate(network.links):
        crossed = (reached > index).astype(np.float64)
        result[f"rtt:{link.source}-{link.target}"] = conditions.at(conditions.rtt_column(index), crossed)
    return result


def coefficients(table: CostTable, network: Network) -> Floats:
    """(P, E, C) coefficients of the latency of every placement and exit; none is negative. See `latency_terms`."""
    conditions = Conditions(len(table.tiers))
    nothing = np.zeros((*table.cost_s.shape, conditions.columns))
    return sum(latency_terms(table, network).values(), nothing)


def busy_coefficients(table: CostTable, network: Network) -> Floats:
    """(P, E, J, C) coefficients of the seconds a sample keeps each stage busy.

    The J = K + 2 (K - 1) stages are the tiers (segments, encoding, decoding), the links up, and the links down.
    """
    conditions = Conditions(len(table.tiers))
    terms = {name: index for index, name in enumerate(table.names)}
    stages = []
    for index, tier in enumerate(table.tiers):
        compute = conditions.at(conditions.load_column(index), table.terms_s[:, :, terms[f"compute:{tier}"]])
        stages.append(compute + conditions.at(0, table.codec_s[:, :, index]))
    for sizes in (table.up_bytes, table.down_bytes):
        stages += [conditions.at(conditions.link_column(i), 8.0 * sizes[:, :, i]) for i in range(len(network.links))]
    return np.stack(stages, axis=2)


def _numbers(name: str, value: float | Sequence[float], count: int) -> list[float]:
    numbers = [float(one) for one in value] if isinstance(value, Iterable) else [float(value)] * count
    if len(numbers) != count:
        raise ConfigError(f"{name}: {len(numbers)} numbers for {count}; give one for each, or one for all")
    for number in numbers:
        if not 0.0 <= number < np.inf:
            raise ConfigError(f"{name} must be a number of zero or more, not {number}")
    return numbers
