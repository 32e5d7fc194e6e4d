"""Writing a search's choices down: plans with their predictions, and words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from offramp.confidence.gates import ThresholdGate
from offramp.planning.explain import reason, why
from offramp.planning.pareto import thin
from offramp.planning.plan import Evidence, GateSpec, Plan
from offramp.planning.problem import Problem
from offramp.planning.replay import predict
from offramp.planning.result import Candidate, FrontPoint
from offramp.planning.scoring import NONE, Scores, front, left_by

__all__ = ["Writer", "plan_of"]

FRONT_POINTS = 200


def plan_of(problem: Problem, row: int, setting: int, planner: str | None = None) -> Plan:
    """The plan of a choice and a setting of its variant; its prediction comes from held-out rows."""
    table, place = problem.choices.at(row)
    variant, source = problem.variant_of(row), problem.records.provenance
    plan = Plan(
        cascade=source.cascade,
        cascade_fingerprint=source.cascade_fingerprint,
        tiers=problem.network.tier_names,
        placement=table.placement_names(place),
        gates=tuple(_gates(problem, row, setting)),
        temperatures=problem.temperatures,
        codec=table.codec,
        coded=dict(table.coded),
        precision=variant.name.precision,
        planner=planner or problem.planner,
        objective=problem.objective,
        certificate=variant.certificate,
        evidence=Evidence(
            data=source.data,
            data_sha256=source.data_sha256,
            tune_rows=variant.settings.rows,
            calibrate_rows=len(variant.held_out),
            settings=len(variant.settings),
            placements=len(np.unique(problem.choices.placement[problem.reach])),
        ),
    )
    reference = problem.variants[0].held_out
    predicted = predict(plan, variant.held_out, table.only(place), network=problem.network, reference=reference)
    return plan.model_copy(update={"predicted": predicted})


def _gates(problem: Problem, row: int, setting: int) -> Iterator[GateSpec]:
    thresholds = thresholds_of(problem, row, setting)
    for gate, threshold in zip(problem.gates or [ThresholdGate(None)] * len(thresholds), thresholds, strict=True):
        yield GateSpec.of(gate.with_threshold(threshold))


def thresholds_of(problem: Problem, row: int, setting: int) -> tuple[float | None, ...]:
    """One per early exit; ``None`` is off."""
    values = problem.variant_of(row).settings.thresholds_of(np.array([setting]))[0].tolist()
    return tuple(None if value == np.inf else value for value in values)


@dataclass(frozen=True)
class Writer:
    """Turns choices and settings into plans and words that compare them with the ``best`` choice.

    Reasons compare means on the tune rows, which chose.
    """

    problem: Problem
    scores: Scores
    best: int

    def plan(self, row: int, setting: int, planner: str | None = None) -> Plan:
        """The plan of a choice and a setting, with its prediction."""
        return plan_of(self.problem, row, setting, planner)

    def lost(self, row: int) -> Candidate:
        """A runner-up: the best setting of another choice."""
        plan = self.plan(row, int(self.scores.setting[row]))
        return Candidate(name=self._name(plan), plan=plan, reason=self._reason(row, int(self.scores.setting[row])))

    def endpoint(self, tier: str, row: int, setting: int) -> Candidate:
        """The plan that runs everything on one tier."""
        plan = self.plan(row, setting, planner=f"{tier}-only")
        if row == self.best:
            words = "this is the chosen plan"
        elif self.scores.setting[row] == NONE:
            words = f"breaks a constraint: {self._constraints()}"
        elif row not in self.problem.reach:
            words = f"breaks a limit: {', '.join(name for name, kept in self.problem.kept.items() if not kept[row])}"
        else:
            words = self._reason(row, setting)
        return Candidate(name=f"{tier}-only", plan=plan, reason=words)

    def front(self) -> tuple[FrontPoint, ...]:
        """The Pareto front, thinned to about `FRONT_POINTS` points, the optimum among them."""
        problem = self.problem
        value, accuracy, rows, chosen = front(problem.choices, problem.variants, problem.objective, problem.reach)
        fine = [set(settings.tolist()) for settings in problem.accurate()]
        of_variant = problem.choices.variant[rows].tolist()
        enough = [setting in fine[which] for which, setting in zip(of_variant, chosen.tolist(), strict=True)]
        # the first point that is accurate enough is the optimum: thinning must not lose it
        optimum = np.zeros(len(value), bool)
        optimum[np.flatnonzero(enough)[:1]] = True
        points = []
        for index in thin(np.arange(len(value)), FRONT_POINTS, optimum):
            row, setting = int(rows[index]), int(chosen[index])
            table, place = problem.choices.at(row)
            share = problem.variant_of(row).settings.share[setting]
            points.append(
                FrontPoint(
                    mean_latency_s=float(share @ table.cost_s[place]),
                    accuracy=float(accuracy[index]),
                    placement=table.placement_names(place),
                    thresholds=thresholds_of(problem, row, setting),
                    codec=table.codec,
                    value=float(value[index]),
                    variant=str(problem.variant_of(row).name),
                )
            )
        return tuple(points)

    def why(self, ends: Mapping[str, tuple[int, int]]) -> str:
        """Why the best choice beats the one-tier plans."""
        table, place = self.problem.choices.at(self.best)
        at_exit = table.placements[place][list(table.exit_segments)]
        share = np.zeros(len(table.tiers))
        setting = int(self.scores.setting[self.best])
        np.add.at(share, at_exit, self.problem.variant_of(self.best).settings.share[setting])
        alone = {
            tier: None if self.scores.setting[row] == NONE else self._terms(row, setting)
            for tier, (row, setting) in ends.items()
        }
        shares = dict(zip(table.tiers, share.tolist(), strict=True))
        goal = self.problem.objective.minimise
        return why(table.placement_names(place), shares, self._terms(self.best, setting), alone, goal)

    def _name(self, plan: Plan) -> str:
        used = " ".join(f"{tier}:{plan.placement.count(tier)}" for tier in dict.fromkeys(plan.placement))
        words = [used]
        if len({table.codec for table in self.problem.choices.tables}) > 1:
            words.append(" ".join([plan.codec, *(f"{name}@{cut}" for cut, name in plan.coded.items())]))
        if len(self.problem.variants) > 1:
            words.append(plan.variant)
        return " ".join(words)

    def _constraints(self) -> str:
        goal = self.problem.objective
        parts = []
        if goal.deadline_s is not None:
            parts.append(f"the deadline of {goal.deadline_s * 1e3:g} ms")
        if goal.arrival_hz is not None:
            parts.append(f"{goal.arrival_hz:g} samples/s")
        return " and ".join(parts)

    def _reason(self, row: int, setting: int) -> str:
        best = self._terms(self.best, int(self.scores.setting[self.best]))
        return reason(best, self._terms(row, setting), self.problem.objective.minimise)

    def _terms(self, row: int, setting: int) -> dict[str, float]:
        share = self.problem.variant_of(row).settings.share[setting]
        terms = self.problem.choices.terms(row)
        goal = self.problem.objective
        if goal.minimise == "latency_quantile":
            by = int(left_by(share[None], goal.quantile)[0])
            return {name: float(value[by]) for name, value in terms.items()}
        return {name: float(share @ value) for name, value in terms.items()}
