"""Scission: every placement, on any number of tiers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from offramp.confidence.settings import TINY
from offramp.errors import ConfigError
from offramp.links.network import Network
from offramp.planning.costs import all_placements
from offramp.planning.making import whole_request
from offramp.planning.pin import Pin, pinned
from offramp.planning.plan import Plan
from offramp.planning.published.base import PublishedPlanner
from offramp.planning.published.space import Space

__all__ = ["Scission"]

Ints = NDArray[np.int64]


class Scission(PublishedPlanner):
    """The fastest placement of a network that always runs to its end, found by looking at all of them.

    The paper benchmarks layer blocks on every machine, filters by constraints and sorts; blocks are our segments, and
    machines our tiers. It adds ping and bytes over bandwidth for a link; here encoding, protocol and answer as well.
    Its choice among several devices, edges and clouds is a network each.

    Parameters
    ----------
    temperatures, codecs : as for `Planner`
    pins : what must hold besides the objective's pins: ``3=edge`` (segment 3 runs there), ``3!=cloud`` (it does not)

    Raises
    ------
    ConfigError : a pin of another form

    Source: Lockhart et al. 2020, arXiv 2008.03523.

    Examples
    --------
    >>> Scission(pins=["0=device", "3!=cloud"])
    Scission(temperatures=None, codecs=None, pins=('0=device', '3!=cloud'))
    """

    name = "scission"

    def __init__(
        self,
        temperatures: Sequence[float] | None = None,
        codecs: Sequence[str] | None = None,
        *,
        pins: Sequence[str] = (),
    ) -> None:
        super().__init__(temperatures, codecs)
        self.pins = tuple(pins)
        try:
            self._pins = [Pin.model_validate(pin) for pin in self.pins]
        except ValidationError as error:
            raise ConfigError(
                f"planner {self.name!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
            ) from error

    def placements(self, segments: int, network: Network) -> Ints:
        rows = all_placements(segments, len(network.tiers))
        return rows[pinned(rows, network.tier_names, self._pins)]

    def choose(self, space: Space) -> Plan:
        latency = space.cost_s[:, -1]
        best = int(latency.argmin())
        deadline = space.objective.deadline_s
        if deadline is not None and latency[best] > deadline + TINY:
            raise space.infeasible(self.name, latency)
        exits = space.records[0].exits
        return space.plan(best, whole_request(exits, exits - 1), self.name)

    def _options(self) -> dict[str, object]:
        return {"pins": self.pins}
