"""The exact search: every placement, variant and codec, every gate setting on the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from offramp.errors import PlanInfeasible
from offramp.links.network import Network
from offramp.planning.base import Planner
from offramp.planning.binding import binding, infeasible
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.problem import Problem, SearchOptions, prepare
from offramp.planning.result import SearchResult
from offramp.planning.scoring import NONE, Scores, score
from offramp.planning.sensitivity import sensitivity_of
from offramp.planning.writer import Writer
from offramp.profiles.profile import Profile
from offramp.records.records import Records

__all__ = ["JointPlanner", "prepare", "search"]


def search(
    records: Records | Sequence[Records],
    profiles: Mapping[str, Profile] | Sequence[Profile],
    network: Network,
    objective: Objective | None = None,
    *,
    alternatives: int = 5,
    sensitivity: bool = False,
    **options: Unpack[SearchOptions],
) -> SearchResult:
    """The best plan, exactly, on the grid of gate settings.

    With ``objective.confidence``, or a ``certificate``, gates are chosen among certified settings; of several variants
    each has an equal part of the probability that a statement fails, and those of which nothing can be shown are left
    out. Without, gates are chosen among all that lose little enough on the tune rows. The tune rows say which is best.
    Accuracy, shares and latencies in ``predicted`` are replayed on the calibrate rows; without a certificate these
    choose nothing, so a predicted loss may lie a little above the one asked for.

    Parameters
    ----------
    records : with tune and calibrate rows; several are variants of one cascade, in another precision or with tensors
        coded at a cut, of which the first is the reference that losses are counted against
    profiles : one per tier of the network, by name or as a list
    network : the chain of tiers and links
    objective : default `Objective()`
    alternatives : how many runners-up to return, each the best plan of another placement, variant or codec
    sensitivity : whether to say between which bandwidths of every link the plan stays the best
    options : see `SearchOptions`

    Raises
    ------
    PlanInfeasible : no plan meets the constraints
    RecordMismatch : records, profiles and network do not belong together
    ConfigError : gates of another cascade, an unknown pin, or energy asked for without a model
    NotEnoughSamples : there are no tune or no calibrate rows, or too few to certify
    CertificateError : the certificate is not of these records, temperatures and gates
    """
    problem = prepare(records, profiles, network, objective, **options)
    accurate = problem.accurate()
    scores = score(problem.choices, problem.variants, accurate, problem.objective)
    ranked = scores.ranked(problem.choices)
    ranked = ranked[np.isin(ranked, problem.reach)]
    if not len(ranked):
        raise PlanInfeasible(infeasible(problem))
    best = int(ranked[0])
    writer = Writer(problem, scores, best)
    ends = _one_tier(problem, scores, accurate)
    return SearchResult(
        plan=writer.plan(best, int(scores.setting[best])),
        alternatives=tuple(writer.lost(row) for row in _other_ways(ranked, problem, scores, alternatives)),
        endpoints=tuple(writer.endpoint(tier, row, setting) for tier, (row, setting) in ends.items()),
        front=writer.front(),
        binding=binding(problem, scores, best),
        why=writer.why(ends),
        sensitivity=sensitivity_of(problem) if sensitivity else (),
    )


class JointPlanner(Planner):
    """Placement, gates, variant and codec chosen together, exactly: see `search`.

    Examples
    --------
    >>> JointPlanner(temperatures=[1.5, 1.2])
    JointPlanner(temperatures=(1.5, 1.2), codecs=None)
    """

    name = "offramp"

    def plan(
        self,
        records: Records | Sequence[Records],
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
        objective: Objective,
    ) -> Plan:
        return search(
            records,
            profiles,
            network,
            objective,
            temperatures=self.temperatures,
            codecs=self.codecs,
            gates=self.gates,
            alternatives=0,
        ).plan


def _one_tier(problem: Problem, scores: Scores, accurate: Sequence[NDArray[np.intp]]) -> dict[str, tuple[int, int]]:
    """For every tier the best choice that runs all segments there, and its setting.

    Where the constraints leave none, the best setting without them.
    """
    choices, result = problem.choices, {}
    for tier, name in enumerate(problem.network.tier_names):
        rows = np.flatnonzero((choices.tiers == tier).all(1))
        if not len(rows):
            continue
        if (scores.setting[rows] == NONE).all():
            free = problem.objective.model_copy(update={"deadline_s": None, "arrival_hz": None})
            scored = score(choices, problem.variants, accurate, free)
        else:
            scored = scores
        best = int(rows[scored.value[rows].argmin()])
        if scored.setting[best] != NONE:
            result[name] = (best, int(scored.setting[best]))
    return result


def _other_ways(ranked: NDArray[np.intp], problem: Problem, scores: Scores, most: int) -> list[int]:
    """The first runners-up, without those that differ only in segments or codecs no sample meets."""
    seen: dict[tuple[object, ...], int] = {}
    for row in ranked.tolist():
        if len(seen) > most:
            break
        table, place = problem.choices.at(row)
        leaving = problem.variant_of(row).settings.leaving[scores.setting[row]]
        last_exit = int(np.flatnonzero(leaving)[-1])
        reached = tuple(table.placements[place, : table.exit_segments[last_exit] + 1].tolist())
        crosses = (table.codec, str(table.coded)) if reached[-1] > 0 else ("", "")
        seen.setdefault((reached, problem.choices.variant[row], *crosses), row)
    return list(seen.values())[1:]
