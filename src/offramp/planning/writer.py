"""Writing a search's choices down: plans with their predictions, and words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.certificate import Certificate
from offramp.confidence.gates import Gate, ThresholdGate
from offramp.confidence.settings import GateSettings
from offramp.links.network import Network
from offramp.planning.explain import milliseconds, reason, why
from offramp.planning.objective import Objective
from offramp.planning.pareto import thin
from offramp.planning.plan import Evidence, GateSpec, Plan
from offramp.planning.replay import predict
from offramp.planning.result import Candidate, FrontPoint
from offramp.planning.scoring import NONE, Choices, Scores, front
from offramp.records.records import Records

__all__ = ["Writer"]

FRONT_POINTS = 200


@dataclass(frozen=True)
class Writer:
    """Turns a choice (a row of ``choices``) and a gate setting into a plan and its words.

    ``reach`` are the choices searched; ``gates`` give the scores, the confidence where there are none. Predictions
    come from the ``held_out`` rows; reasons compare means on the tune rows, which chose.
    """

    records: Records
    held_out: Records
    temperatures: tuple[float, ...]
    objective: Objective
    choices: Choices
    settings: GateSettings
    network: Network
    planner: str
    reach: NDArray[np.intp]
    certificate: Certificate | None = None
    gates: tuple[Gate, ...] = ()

    def plan(self, row: int, setting: int, planner: str | None = None) -> Plan:
        """The plan of a choice and a setting, with its prediction."""
        table, placement = self.choices.at(row)
        source = self.records.provenance
        plan = Plan(
            cascade=source.cascade,
            cascade_fingerprint=source.cascade_fingerprint,
            tiers=self.network.tier_names,
            placement=table.placement_names(placement),
            gates=tuple(self._gates(setting)),
            temperatures=self.temperatures,
            codec=table.codec,
            precision=source.variant,
            planner=planner or self.planner,
            objective=self.objective,
            certificate=self.certificate,
            evidence=Evidence(
                data=source.data,
                data_sha256=source.data_sha256,
                tune_rows=self.settings.rows,
                calibrate_rows=len(self.held_out),
                settings=len(self.settings),
                placements=len(np.unique(self.choices.placement[self.reach])),
            ),
        )
        return plan.model_copy(update={"predicted": predict(plan, self.held_out, table)})

    def lost(self, row: int, scores: Scores, best: int) -> Candidate:
        """A runner-up: the best setting of another choice."""
        plan = self.plan(row, int(scores.setting[row]))
        used = " ".join(f"{tier}:{plan.placement.count(tier)}" for tier in dict.fromkeys(plan.placement))
        several = len(self.choices.tables) > 1
        words = reason(self._terms(best, scores), self._terms(row, scores))
        return Candidate(name=f"{used} {plan.codec}" if several else used, plan=plan, reason=words)

    def endpoint(self, tier: str, row: int, setting: int, scores: Scores, best: int) -> Candidate:
        """The plan that runs everything on one tier."""
        plan = self.plan(row, setting, planner=f"{tier}-only")
        if row == best:
            words = "this is the chosen plan"
        elif scores.setting[row] == NONE:
            deadline = self.objective.deadline_s
            words = f"misses the deadline of {milliseconds(deadline)}" if deadline else ""
        else:
            words = reason(self._terms(best, scores), self._terms(row, scores))
        return Candidate(name=f"{tier}-only", plan=plan, reason=words)

    def front(self) -> tuple[FrontPoint, ...]:
        """The Pareto front, thinned to about `FRONT_POINTS` points, the optimum among them."""
        latency, rows, chosen = front(self.choices, self.settings, self.objective, self.reach)
        enough = self.settings.accurate(self.objective.accuracy_loss)
        # the fastest point that is accurate enough is the optimum: thinning must not lose it
        optimum = np.zeros(len(latency), bool)
        optimum[np.flatnonzero(np.isin(chosen, enough))[:1]] = True
        points = []
        for index in thin(np.arange(len(latency)), FRONT_POINTS, optimum):
            table, placement = self.choices.at(int(rows[index]))
            points.append(
                FrontPoint(
                    mean_latency_s=float(latency[index]),
                    accuracy=float(self.settings.accuracy[chosen[index]]),
                    placement=table.placement_names(placement),
                    thresholds=self._thresholds(int(chosen[index])),
                    codec=table.codec,
                )
            )
        return tuple(points)

    def why(self, best: int, scores: Scores, ends: Mapping[str, tuple[int, int]]) -> str:
        """Why the best choice beats the one-tier plans."""
        table, placement = self.choices.at(best)
        at_exit = table.placements[placement][list(table.exit_segments)]
        share = np.zeros(len(table.tiers))
        np.add.at(share, at_exit, self.settings.share[scores.setting[best]])
        return why(
            table.placement_names(placement),
            dict(zip(table.tiers, share.tolist(), strict=True)),
            self._terms(best, scores),
            {
                tier: None if scores.setting[row] == NONE else self._terms(row, scores)
                for tier, (row, _) in ends.items()
            },
        )

    def _gates(self, setting: int) -> Iterator[GateSpec]:
        thresholds = self._thresholds(setting)
        for gate, threshold in zip(self.gates or [ThresholdGate(None)] * len(thresholds), thresholds, strict=True):
            yield GateSpec.of(gate.with_threshold(threshold))

    def _thresholds(self, setting: int) -> tuple[float | None, ...]:
        values = self.settings.thresholds_of(np.array([setting]))[0].tolist()
        return tuple(None if value == np.inf else value for value in values)

    def _terms(self, row: int, scores: Scores) -> dict[str, float]:
        table, placement = self.choices.at(row)
        mean = self.settings.share[scores.setting[row]] @ table.terms_s[placement]
        return dict(zip(table.names, mean.tolist(), strict=True))
