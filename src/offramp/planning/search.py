"""The exact search: every placement, every codec, every gate setting of the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.codecs.registry import get_codec
from offramp.confidence.certificate import Certificate
from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.scoring import check_gates, scoring_gates
from offramp.confidence.risks import AccuracyLoss
from offramp.confidence.settings import GateSettings, ListedSettings
from offramp.errors import CertificateError, ConfigError, PlanInfeasible, RecordMismatch
from offramp.links.network import Network
from offramp.planning.base import Planner
from offramp.planning.costs import by_tier, cost_table
from offramp.planning.explain import binding, infeasible
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.result import SearchResult
from offramp.planning.scoring import NONE, Choices, Scores, score
from offramp.planning.writer import Writer
from offramp.profiles.profile import Profile
from offramp.records.certify import certify
from offramp.records.confidences import gate_scores
from offramp.records.fit_gates import choosing_rows
from offramp.records.records import Records

__all__ = ["JointPlanner", "prepare", "search"]


def search(
    records: Records,
    profiles: Mapping[str, Profile] | Sequence[Profile],
    network: Network,
    objective: Objective | None = None,
    *,
    temperatures: Sequence[float] | None = None,
    codecs: Sequence[str] | None = None,
    placements: Sequence[Sequence[str]] | None = None,
    planner: str = "offramp",
    alternatives: int = 5,
    max_settings: int = 100_000,
    certificate: Certificate | None = None,
    gates: Sequence[Gate] | None = None,
) -> SearchResult:
    """The best plan, exactly, on the grid of gate settings.

    With ``objective.confidence``, or a ``certificate``, gates are chosen among certified settings; without, among all
    that lose little enough on the tune rows. The tune rows say which is cheapest. Accuracy, shares and latencies in
    ``predicted`` are replayed on the calibrate rows; without a certificate these choose nothing, so a predicted
    loss may lie a little above the one asked for.

    Parameters
    ----------
    records : with tune and calibrate rows; the plan takes their precision
    profiles : one per tier of the network, by name or as a list
    network : the chain of tiers and links
    objective : default `Objective()`
    temperatures : (E,) of the exits, default 1.0
    codecs : names to choose from, lossless ones only; default those all tiers were measured with
    placements : tier names per segment to choose from; default every placement that goes up the chain
    planner : name written into the plan
    alternatives : how many runners-up to return, each the best plan of another placement or codec
    max_settings : most gate settings; decides how fine the grid of thresholds is
    certificate : made before, from these records; a plan may take any of its settings
    gates : whose scores decide, one per early exit, their thresholds ignored; default those of the certificate, or the
        calibrated confidence. The tune rows that `offramp.records.fit_gates` fits on choose no thresholds

    Raises
    ------
    PlanInfeasible : no plan meets the constraints
    RecordMismatch : records, profiles and network do not belong together
    ConfigError : gates of another cascade
    NotEnoughSamples : there are no tune or no calibrate rows, or too few to certify
    CertificateError : the certificate is not of these records, temperatures and gates
    """
    writer = prepare(
        records,
        profiles,
        network,
        objective,
        temperatures=temperatures,
        codecs=codecs,
        placements=placements,
        planner=planner,
        max_settings=max_settings,
        certificate=certificate,
        gates=gates,
    )
    goal, choices, settings, reach = writer.objective, writer.choices, writer.settings, writer.reach
    cost = choices.cost_s
    accurate = settings.accurate(goal.accuracy_loss)
    scores = score(cost, settings, accurate, goal)
    ranked = scores.ranked(choices)
    ranked = ranked[np.isin(ranked, reach)]
    if not len(ranked):
        raise PlanInfeasible(infeasible(cost[reach], settings, goal))
    best = int(ranked[0])
    others = _other_ways(ranked, choices, scores, settings)
    ends = _one_tier(choices, scores, settings, accurate)
    return SearchResult(
        plan=writer.plan(best, int(scores.setting[best])),
        alternatives=tuple(writer.lost(int(row), scores, best) for row in others[:alternatives]),
        endpoints=tuple(writer.endpoint(tier, row, setting, scores, best) for tier, (row, setting) in ends.items()),
        front=writer.front(),
        binding=_binding(cost[reach], settings, goal, accurate, float(scores.latency_s[best])),
        why=writer.why(best, scores, ends),
    )


def prepare(
    records: Records,
    profiles: Mapping[str, Profile] | Sequence[Profile],
    network: Network,
    objective: Objective | None = None,
    *,
    temperatures: Sequence[float] | None = None,
    codecs: Sequence[str] | None = None,
    placements: Sequence[Sequence[str]] | None = None,
    planner: str = "offramp",
    max_settings: int = 100_000,
    certificate: Certificate | None = None,
    gates: Sequence[Gate] | None = None,
) -> Writer:
    """What there is to choose from, counted and checked; parameters and errors are those of `search`."""
    goal = objective or Objective()
    degrees = _temperatures(records, temperatures)
    chosen = by_tier(profiles, network)
    chosen[0].require(records.provenance.cascade_fingerprint)
    scores_of = _gates(records, gates, certificate)
    tune, held_out = choosing_rows(records, scores_of), records.on("calibrate")
    shown = certificate or _certificate(records, goal, degrees, scores_of)
    settings = _settings(tune, degrees, shown, max_settings, scores_of)
    names = _codecs(chosen, codecs)
    variant = records.provenance.variant
    choices = Choices.of([cost_table(chosen, network, name, records.exits, precision=variant) for name in names])
    reach = _in_reach(choices, placements)
    return Writer(records, held_out, degrees, goal, choices, settings, network, planner, reach, shown, scores_of)


class JointPlanner(Planner):
    """Placement, gates and codec chosen together, exactly: see `search`.

    Examples
    --------
    >>> JointPlanner(temperatures=[1.5, 1.2])
    JointPlanner(temperatures=(1.5, 1.2), codecs=None)
    """

    name = "offramp"

    def plan(
        self,
        records: Records,
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
        objective: Objective,
    ) -> Plan:
        return search(
            records, profiles, network, objective, temperatures=self.temperatures, codecs=self.codecs, alternatives=0
        ).plan


def _gates(records: Records, gates: Sequence[Gate] | None, certificate: Certificate | None) -> tuple[Gate, ...]:
    """The gates whose scores decide, without thresholds; none for the confidence."""
    if gates is None:
        return () if certificate is None else certificate.gates
    check_gates(gates, records.exits - 1)
    chosen = scoring_gates(gates)
    if certificate is not None and certificate.gates != chosen:
        raise CertificateError(
            f"certificate {certificate.certificate_id} was made with other gates; run 'offramp certify' again"
        )
    return chosen


def _certificate(
    records: Records, goal: Objective, temperatures: tuple[float, ...], gates: tuple[Gate, ...]
) -> Certificate | None:
    if goal.confidence is None:
        return None
    delta = round(1.0 - goal.confidence, 12)
    return certify(records, [AccuracyLoss(goal.accuracy_loss)], delta, temperatures=temperatures, gates=gates)


def _settings(
    tune: Records,
    temperatures: tuple[float, ...],
    certificate: Certificate | None,
    most: int,
    gates: tuple[Gate, ...],
) -> GateSettings:
    score = gate_scores(tune, temperatures, gates)
    if certificate is None:
        return GateSettings.build(score, tune.correct, most)
    source = tune.provenance
    if certificate.cascade_fingerprint != source.cascade_fingerprint or certificate.variant != source.variant:
        raise CertificateError(
            f"certificate {certificate.certificate_id} is of another build or precision of {certificate.cascade!r}; "
            "run 'offramp certify' again"
        )
    if certificate.temperatures != temperatures:
        raise CertificateError(
            f"certificate {certificate.certificate_id} was made with other temperatures; run 'offramp certify' again"
        )
    return ListedSettings.of(certificate.thresholds[::-1], score, tune.correct)


def _in_reach(choices: Choices, placements: Sequence[Sequence[str]] | None) -> NDArray[np.intp]:
    """The choices whose placement may be used."""
    if placements is None:
        return np.arange(len(choices))
    wanted = [choices.tables[0].row_of(placement) for placement in placements]
    return np.flatnonzero(np.isin(choices.placement, wanted))


def _one_tier(
    choices: Choices, scores: Scores, settings: GateSettings, accurate: NDArray[np.intp]
) -> dict[str, tuple[int, int]]:
    """For every tier the best choice that runs all segments there, and its setting.

    Where the deadline leaves none, the fastest setting without a deadline.
    """
    result = {}
    for tier, name in enumerate(choices.tables[0].tiers):
        rows = np.flatnonzero((choices.tiers == tier).all(1))
        if (scores.setting[rows] == NONE).all():
            late = score(choices.cost_s[rows], settings, accurate, Objective(accuracy_loss=1.0))
            best = int(late.latency_s.argmin())
            result[name] = (int(rows[best]), int(late.setting[best]))
        else:
            best = int(scores.latency_s[rows].argmin())
            result[name] = (int(rows[best]), int(scores.setting[rows[best]]))
    return result


def _other_ways(ranked: NDArray[np.intp], choices: Choices, scores: Scores, settings: GateSettings) -> list[int]:
    """The runners-up, without those that differ only in segments or codecs no sample meets."""
    seen: dict[tuple[object, ...], int] = {}
    for row in ranked.tolist():
        table, placement = choices.at(row)
        last_exit = int(np.flatnonzero(settings.leaving[scores.setting[row]])[-1])
        reached = tuple(table.placements[placement, : table.exit_segments[last_exit] + 1].tolist())
        seen.setdefault((reached, table.codec if reached[-1] > 0 else ""), row)
    return list(seen.values())[1:]


def _binding(
    cost: NDArray[np.float64], settings: GateSettings, goal: Objective, accurate: NDArray[np.intp], latency_s: float
) -> str:
    free = goal.model_copy(update={"deadline_s": None})
    without_deadline = latency_s
    if goal.deadline_s is not None:
        without_deadline = float(score(cost, settings, accurate, free).latency_s.min())
    # with no accuracy to keep, all rows leave by the first exit of the fastest placement
    return binding(latency_s, without_deadline, float(cost[:, 0].min()))


def _temperatures(records: Records, temperatures: Sequence[float] | None) -> tuple[float, ...]:
    values = (1.0,) * records.exits if temperatures is None else tuple(float(t) for t in temperatures)
    if len(values) != records.exits:
        raise RecordMismatch(
            f"{len(values)} temperatures for the {records.exits} exits of the records; "
            "run 'offramp calibrate' on the cascade of the records"
        )
    return values


def _codecs(profiles: Sequence[Profile], wanted: Sequence[str] | None) -> list[str]:
    if wanted is not None:
        for name in wanted:
            if not get_codec(name).lossless:
                raise ConfigError(
                    f"codec {name!r} changes the tensors, so records made without it do not hold; "
                    "choose a lossless one such as 'raw' or 'zstd'"
                )
        return list(wanted)
    common = [name for name in profiles[0].codecs if all(name in profile.codecs for profile in profiles)]
    lossless = [name for name in common if get_codec(name).lossless]
    if not lossless:
        raise RecordMismatch("the profiles share no lossless codec; run 'offramp profile' again")
    return lossless
