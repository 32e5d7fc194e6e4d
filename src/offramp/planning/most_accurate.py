"""The most accurate plan that is in time whatever path a sample takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY
from offramp.errors import ConfigError, PlanInfeasible
from offramp.links.network import Network
from offramp.planning.kept_settings import kept_settings
from offramp.planning.objective import Objective
from offramp.planning.pareto import undominated_rows
from offramp.planning.plan import Plan
from offramp.planning.problem import Problem, prepare
from offramp.planning.writer import plan_of
from offramp.profiles.profile import Profile
from offramp.records.records import Records

__all__ = ["InTime", "MostAccurate"]

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class InTime:
    """A choice of placement, variant and codec (``row``) and gates (``setting``), with the accuracy one may count on,
    the mean latency on the tune rows and the latency of the longest path."""

    row: int
    setting: int
    accuracy: float
    mean_latency_s: float
    longest_s: float


class MostAccurate:
    """Answers any network with the most accurate plan none of whose paths is longer than the deadline.

    A path is in time by its placement and the exit it ends at, so for every exit the gates are chosen that are most
    accurate on the tune rows among those which let no sample beyond it, whatever the sample. What is compared is the
    accuracy one may count on: for one exit of the reference for all samples that of the tune rows; for gates, and for
    other variants, that of the same exit of the reference plus what they gain on the calibrate rows, less 1.645
    standard deviations of this gain. So gates and lossy variants take the place of a plain exit in time only if they
    are better, or lose no more than ``slack``, beyond chance. Of plans within ``slack`` of the best the one of least
    mean latency is taken, then the more accurate, the earlier variant, codec and placement. Edgent's plans, one exit
    for all samples, are among those compared.

    Parameters
    ----------
    records, profiles, network, temperatures, codecs, placements, max_settings : as for
        `offramp.planning.search.search`
    deadline_s : above 0; a call may ask for another
    slack : accuracy (0..1) that may be given up for latency
    guarded : plan for a device that gives a message up early enough to compute an exit itself, as
        `offramp.runtime.device.Device` does: where it hands over before its first exit, the answer must be back by
        then; where that exit would be late anyway, by the deadline

    Raises
    ------
    RecordMismatch, ConfigError, NotEnoughSamples : as `search`
    """

    def __init__(
        self,
        records: Records | Sequence[Records],
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
        deadline_s: float,
        *,
        slack: float = 0.0,
        guarded: bool = False,
        temperatures: Sequence[float] | None = None,
        codecs: Sequence[str] | None = None,
        placements: Sequence[Sequence[str]] | None = None,
        max_settings: int = 100_000,
    ) -> None:
        if not 0 <= slack < 1:
            raise ConfigError(f"slack must lie in [0, 1), not {slack}")
        goal = Objective(accuracy_loss=1.0, deadline_s=deadline_s)
        self.network, self.deadline_s, self.slack = network, deadline_s, slack
        self._problem = prepare(
            records,
            profiles,
            network,
            goal,
            temperatures=temperatures,
            codecs=codecs,
            placements=placements,
            planner="most-accurate",
            max_settings=max_settings,
        )
        choices = self._problem.choices
        self.conditions = choices.conditions
        self._rows = _undominated(self._problem)
        #: (R, E, C) of `offramp.planning.coefficients.Conditions`, and the last tier (R,) of every row
        self.coefficients: Floats = choices.latency_coefficients[self._rows]
        self.last_tier = np.asarray(choices.tiers[self._rows, -1])
        self._rescue_s = _rescue_s(self._problem, self._rows) if guarded else np.zeros(len(self._rows))
        kept = [kept_settings(self._problem, which, slack) for which in range(len(self._problem.variants))]
        variants = self._problem.variants
        self._settings = np.concatenate([each.setting for each in kept])
        self._last_exit = np.concatenate([each.last_exit for each in kept])
        self._accuracy = np.concatenate([each.accuracy for each in kept])
        self._share = np.concatenate([v.settings.share[each.setting] for v, each in zip(variants, kept, strict=True)])
        of = np.repeat(np.arange(len(kept)), [len(each.setting) for each in kept])
        self._fit = choices.variant[self._rows][:, None] == of  # (R, V)
        self._plans: dict[tuple[int, int], Plan] = {}

    def choose(
        self,
        bandwidth_bps: float | Sequence[float] | None = None,
        rtt_s: float | Sequence[float] | None = None,
        load: float | Sequence[float] = 1.0,
        *,
        deadline_s: float | None = None,
    ) -> InTime:
        """The best for a network; parameters as `offramp.planning.replanner.Replanner.replan`.

        Raises
        ------
        PlanInfeasible : even the shortest path is too long
        ConfigError : not numbers as there
        """
        return self.best(self.cost_s(bandwidth_bps, rtt_s, load), deadline_s)

    def best(self, cost_s: Floats, deadline_s: float | None = None) -> InTime:
        """The best for costs (R, E) by row and exit, as `cost_s` gives them.

        Raises
        ------
        PlanInfeasible : even the shortest path is too long
        """
        limit = self.deadline_s if deadline_s is None else deadline_s
        longest = cost_s[:, self._last_exit]
        limits = np.where(self._rescue_s < limit, limit - self._rescue_s, limit)
        allowed = self._fit & (longest <= limits[:, None] + TINY)
        if not allowed.any():
            raise PlanInfeasible(
                f"no plan answers within {1e3 * limit:.4g} ms: the shortest path takes "
                f"{1e3 * longest.min():.4g} ms; allow more time"
            )
        most = self._accuracy[allowed.any(0)].max()
        allowed &= self._accuracy >= most - self.slack - TINY
        mean = np.where(np.isfinite(cost_s), cost_s, 0.0) @ self._share.T
        return self._pick(cost_s, np.where(allowed, mean, np.inf))

    def fastest(self, cost_s: Floats) -> InTime:
        """The plan whose longest path is shortest: what is left where nothing is in time.

        Raises
        ------
        PlanInfeasible : every placement allowed needs a link that is down
        """
        return self._pick(cost_s, np.where(self._fit, cost_s[:, self._last_exit], np.inf))

    def plan_of(self, chosen: InTime) -> Plan:
        """The plan of a choice, with its prediction for the network prepared with; the same object every time."""
        key = (chosen.row, chosen.setting)
        if key not in self._plans:
            self._plans[key] = plan_of(self._problem, *key)
        return self._plans[key]

    def cost_s(
        self,
        bandwidth_bps: float | Sequence[float] | None = None,
        rtt_s: float | Sequence[float] | None = None,
        load: float | Sequence[float] = 1.0,
    ) -> Floats:
        """(R, E) seconds of a sample by row (placement and codec) and exit; infinite where a link is down."""
        rates = [link.bandwidth_bps for link in self.network.links] if bandwidth_bps is None else bandwidth_bps
        delays = [link.rtt_s for link in self.network.links] if rtt_s is None else rtt_s
        vector, tiers = self.conditions.vector(rates, delays, load)
        cost = self.coefficients @ vector
        cost[self.last_tier >= tiers] = np.inf
        return np.asarray(cost)

    def _pick(self, cost: Floats, value: Floats) -> InTime:
        least = value.min()
        if not np.isfinite(least):
            raise PlanInfeasible("a link is down and no placement allowed does without it; allow one that ends earlier")
        tied = np.argwhere(value <= least + TINY)
        row, kept = max(tied.tolist(), key=lambda pair: (self._accuracy[pair[1]], -pair[0]))
        return InTime(
            int(self._rows[row]),
            int(self._settings[kept]),
            float(self._accuracy[kept]),
            float(cost[row] @ self._share[kept]),
            float(cost[row, self._last_exit[kept]]),
        )


def _undominated(problem: Problem) -> Index:
    """The choices in reach that none of the same variant beats in every coefficient."""
    choices, reach = problem.choices, problem.reach
    table = np.column_stack([choices.latency_coefficients[reach].reshape(len(reach), -1), choices.tiers[reach, -1]])
    kept = [
        mine[undominated_rows(table[mine])]
        for mine in (np.flatnonzero(choices.variant[reach] == which) for which in range(len(problem.variants)))
        if len(mine)
    ]
    return np.asarray(reach[np.sort(np.concatenate(kept))])


def _rescue_s(problem: Problem, rows: Index) -> Floats:
    """(R,) seconds the first tier needs for its first exit after it has handed over; 0 where it has one by then."""
    choices = problem.choices
    here = choices.latency_coefficients[:, 0, 1]  # of the first tier, up to the first exit
    whole = np.array([here[choices.variant == which].max() for which in range(len(problem.variants))])
    return np.asarray((whole[choices.variant] - here)[rows])
