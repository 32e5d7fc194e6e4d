"""Scission: every placement, on any number of tiers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY
from offramp.errors import ConfigError, PlanInfeasible
from offramp.links.network import Network
from offramp.planning.costs import all_placements
from offramp.planning.making import whole_request
from offramp.planning.plan import Plan
from offramp.planning.published.base import PublishedPlanner
from offramp.planning.published.space import Space

__all__ = ["Scission"]

Ints = NDArray[np.int64]

_PIN = re.compile(r"(\d+)(!?=)(.+)")


class Scission(PublishedPlanner):
    """The fastest placement of a network that always runs to its end, found by looking at all of them.

    The paper benchmarks layer blocks on every machine, filters by constraints and sorts; blocks are our segments, and
    machines our tiers. It adds ping and bytes over bandwidth for a link; here encoding, protocol and answer as well.
    Its choice among several devices, edges and clouds is a network each.

    Parameters
    ----------
    temperatures, codecs : as for `Planner`
    pins : what must hold: ``3=edge`` (segment 3 runs there) or ``3!=cloud`` (it does not)

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
        for pin in self.pins:
            if _PIN.fullmatch(pin) is None:
                raise ConfigError(f"pin {pin!r}: write SEGMENT=TIER or SEGMENT!=TIER, such as 3=device")

    def placements(self, segments: int, network: Network) -> Ints:
        rows = all_placements(segments, len(network.tiers))
        for pin in self.pins:
            segment, relation, tier = _PIN.fullmatch(pin).groups()  # type: ignore[union-attr]  # checked when made
            network.tier(tier)
            if int(segment) >= segments:
                raise ConfigError(f"pin {pin!r}: the segments are numbered 0 to {segments - 1}")
            there = rows[:, int(segment)] == network.tier_names.index(tier)
            rows = rows[there == (relation == "=")]
        if not len(rows):
            raise PlanInfeasible(
                f"no placement going up the tiers {', '.join(network.tier_names)} keeps the pins "
                f"{', '.join(self.pins)}; drop one"
            )
        return rows

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
