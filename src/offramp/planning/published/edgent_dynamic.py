"""Edgent on a moving link: a map from states of the bandwidth to plans, and a detector of changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from offramp.confidence.settings import TINY
from offramp.errors import ConfigError
from offramp.links.change_point import ChangeDetector
from offramp.links.network import Network
from offramp.planning.coefficients import Conditions, coefficients
from offramp.planning.making import whole_request
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.published.bandwidth_states import BandwidthState, nearest_state, usual_states
from offramp.planning.published.base import TwoTierPlanner
from offramp.planning.published.configurator import Configurator
from offramp.planning.published.space import Space
from offramp.profiles.profile import Profile
from offramp.records.records import Records

__all__ = ["EdgentDynamic"]


class EdgentDynamic(TwoTierPlanner):
    """Algorithms 2 and 3: for every state of the link the exit and cut of the highest reward, looked up while running.

    The reward is exp(accuracy) + 1 / t where the deadline is met, else 0, with t in units of ``reward_unit_s``: the
    paper does not fix that unit, and with another the map is another (in seconds 1 / t is a throughput, as the paper
    calls it). Where no exit and cut is in time the paper's rewards are all 0; then the fastest is taken, so that there
    is a plan. Exits that lose more accuracy than the objective allows are left out, which the paper does not.

    States of the paper come from synthetic traces; here they are a grid of means and deviations, and the latency in a
    state is that of a log-normal bandwidth with these. ``plan`` gives the entry for the network as it is, which must
    meet the deadline; ``configurator`` starts Algorithm 3.

    Parameters
    ----------
    temperatures, codecs, pair : as for `TwoTierPlanner`
    states : of the link; default `usual_states`
    link : index of the link that moves; default the first
    reward_unit_s : seconds per unit of t

    Raises
    ------
    ConfigError : no states, or a unit that is no duration

    Source: Li et al., IEEE TWC 19(1) 2020, arXiv 1910.05316.
    """

    name = "edgent-dynamic"
    exits = True

    def __init__(
        self,
        temperatures: Sequence[float] | None = None,
        codecs: Sequence[str] | None = None,
        *,
        pair: tuple[str, str] | None = None,
        states: Sequence[BandwidthState] | None = None,
        link: int = 0,
        reward_unit_s: float = 1.0,
    ) -> None:
        super().__init__(temperatures, codecs, pair=pair)
        self.states = usual_states() if states is None else tuple(states)
        self.link, self.reward_unit_s = link, float(reward_unit_s)
        self._given = None if states is None else self.states
        if not self.states or not (math.isfinite(self.reward_unit_s) and self.reward_unit_s > 0):
            raise ConfigError(f"planner {self.name!r} needs states of the link, and a reward_unit_s above zero")

    def choose(self, space: Space) -> Plan:
        links = space.network.links
        bandwidth_bps = links[self._moving(space.network)].bandwidth_bps if links else self.states[0].mean_bps
        state = self.states[nearest_state(self.states, bandwidth_bps, 0.0)]
        row, chosen = self.map(space, [state])[0]
        latency, deadline = space.cost_s, space.objective.deadline_s
        if deadline is not None and latency[row, chosen] > deadline + TINY:
            raise space.infeasible(self.name, latency[:, space.exit_accuracy[0] >= space.least_accuracy])
        return self._plan(space, row, chosen)

    def map(self, space: Space, states: Sequence[BandwidthState]) -> list[tuple[int, int]]:
        """Algorithm 2: for every state the row of ``space`` and the exit with the highest reward."""
        tiers = len(space.network.tiers)
        order = np.argsort(space.placements[:, -1], kind="stable")  # of ties the one that needs fewer tiers
        lines = space.gather(lambda table: coefficients(table, space.network))[order]  # (R, E, C)
        accuracy, deadline = space.exit_accuracy[0], space.objective.deadline_s
        bandwidths = [link.bandwidth_bps for link in space.network.links]
        rtts = [link.rtt_s for link in space.network.links]
        found = []
        for state in states:
            if bandwidths:
                bandwidths[self._moving(space.network)] = state.effective_bps
            t = lines @ Conditions(tiers).vector(bandwidths, rtts, 1.0)[0]
            t[:, accuracy < space.least_accuracy] = np.inf
            in_time = t <= (np.inf if deadline is None else deadline + TINY)
            reward = np.where(in_time & np.isfinite(t), np.exp(accuracy) + self.reward_unit_s / t, 0.0)
            best = reward.argmax() if reward.any() else t.argmin()
            row, chosen = np.unravel_index(best, t.shape)
            found.append((int(order[row]), int(chosen)))
        return found

    def configurator(
        self,
        records: Records | Sequence[Records],
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
        objective: Objective,
        detector: ChangeDetector | None = None,
    ) -> Configurator:
        """Algorithm 3 over the map of Algorithm 2; it starts in the state nearest the network's bandwidth.

        What its plans predict is for ``network`` as it is.

        Parameters
        ----------
        detector : of changes of the link, default `ChangeDetector()`

        Raises
        ------
        RecordMismatch, ConfigError, NotEnoughSamples : as ``plan``
        """
        space = self.space(records, profiles, network, objective)
        chosen = self.map(space, self.states)
        plans = {pair: self._plan(space, *pair) for pair in set(chosen)}
        start = nearest_state(self.states, network.links[self._moving(network)].bandwidth_bps, 0.0)
        return Configurator(self.states, [plans[pair] for pair in chosen], start, detector)

    def _plan(self, space: Space, row: int, chosen: int) -> Plan:
        exits = space.records[0].exits
        return space.plan(row, whole_request(exits, chosen), self.name, settings=exits)

    def _moving(self, network: Network) -> int:
        if not 0 <= self.link < len(network.links):
            raise ConfigError(f"link {self.link}: {network.name} has {len(network.links)}, numbered from 0")
        return self.link

    def _options(self) -> dict[str, object]:
        more = {"states": self._given, "link": self.link, "reward_unit_s": self.reward_unit_s}
        return {**super()._options(), **more}
