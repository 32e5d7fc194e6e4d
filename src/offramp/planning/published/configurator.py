"""Edgent's configurator: which plan of a map is in use while the link changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from offramp.errors import ConfigError
from offramp.links.change_point import ChangeDetector
from offramp.planning.plan import Plan
from offramp.planning.published.bandwidth_states import BandwidthState, nearest_state

__all__ = ["Configurator"]


class Configurator:
    """Algorithm 3: on a change of the link, take the plan of the state nearest to what was seen since.

    A change counts while the detector says so, which is for up to its ``recent`` observations, so the state is
    looked up again as more of the new run is seen; otherwise the plan stays. Mean and deviation are those of the
    most likely run. An outage (bandwidth 0) is an observation like others.

    Parameters
    ----------
    states : of the link
    plans : one per state
    start : the state to begin with
    detector : of changes; default `ChangeDetector()`

    Raises
    ------
    ConfigError : not one plan per state, or no such state to start in

    Source: Li et al., IEEE TWC 19(1) 2020, arXiv 1910.05316.
    """

    def __init__(
        self,
        states: Sequence[BandwidthState],
        plans: Sequence[Plan],
        start: int = 0,
        detector: ChangeDetector | None = None,
    ) -> None:
        if len(states) != len(plans) or not 0 <= start < len(states):
            raise ConfigError(f"configurator: {len(states)} states, {len(plans)} plans and start {start} do not fit")
        self.states, self.plans, self._state = tuple(states), tuple(plans), start
        self.detector = ChangeDetector() if detector is None else detector
        self._seen: deque[float] = deque(maxlen=self.detector.max_runs)

    @property
    def state(self) -> BandwidthState:
        """The state the link is taken to be in."""
        return self.states[self._state]

    @property
    def current(self) -> Plan:
        """The plan in use."""
        return self.plans[self._state]

    def observe(self, bandwidth_bps: float) -> bool:
        """Take one bandwidth; whether the plan is another one now.

        Raises
        ------
        SampleError : negative, infinite or NaN
        """
        before = self.current
        self.detector.update(bandwidth_bps)
        self._seen.append(bandwidth_bps)
        if self.detector.changed:
            run = np.array(self._seen)[-self.detector.most_likely_run_length :]
            self._state = nearest_state(self.states, float(run.mean()), float(run.std()))
        return self.current is not before

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.states)} states, {len(set(map(id, self.plans)))} plans, {self.state})"
