"""Checks of what a simulation is given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.links.network import Network
from offramp.links.trace import Trace, constant

__all__ = ["check_arrivals", "rates_of"]


def rates_of(network: Network, traces: Mapping[str, Trace]) -> list[Trace]:
    """The bandwidth of every link over time: its trace, or its declared rate.

    Raises
    ------
    ConfigError : a trace for a link that is not there
    """
    names = [f"{link.source}-{link.target}" for link in network.links]
    for name in traces:
        if name not in names:
            raise ConfigError(f"{network.name}: no link {name!r}; the links are {', '.join(names) or 'none'}")
    return [traces.get(name, constant(link.bandwidth_bps)) for name, link in zip(names, network.links, strict=True)]


def check_arrivals(arrival_s: NDArray[np.floating], rows: int) -> None:
    """Refuse arrivals that do not fit so many rows.

    Raises
    ------
    ConfigError : another number of them, or times that are not finite, negative or falling
    """
    if arrival_s.shape != (rows,):
        raise ConfigError(f"{rows} rows need {rows} arrivals, not an array of shape {arrival_s.shape}")
    if not np.isfinite(arrival_s).all() or arrival_s.min() < 0 or (np.diff(arrival_s) < 0).any():
        raise ConfigError("arrivals must be finite seconds from 0 on, each not before the one ahead of it")
