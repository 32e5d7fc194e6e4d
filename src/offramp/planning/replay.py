"""What a plan would have done on recorded rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import exits_taken
from offramp.errors import RecordMismatch
from offramp.links.network import Network
from offramp.planning.coefficients import Conditions
from offramp.planning.costs import CostTable
from offramp.planning.plan import Plan, Prediction, Term
from offramp.planning.value import energy_terms, price_terms
from offramp.records.confidences import gate_scores
from offramp.records.records import Records

__all__ = ["Replay", "plan_thresholds", "predict", "replay", "replay_exits"]


@dataclass(frozen=True)
class Replay:
    """Per row (n,): the exit it leaves by, whether the answer is right, seconds, bytes leaving the first tier."""

    exit: NDArray[np.intp]
    correct: NDArray[np.bool_]
    latency_s: NDArray[np.float64]
    sent_bytes: NDArray[np.float64]


def plan_thresholds(plan: Plan) -> NDArray[np.float64]:
    """(E - 1,) thresholds of a plan; infinity is off."""
    return np.array([np.inf if gate.threshold is None else gate.threshold for gate in plan.gates])


def replay_exits(plan: Plan, records: Records) -> NDArray[np.intp]:
    """(n,) the exit every row leaves by: the plan's gates on its temperatures, with the scores the tiers compute."""
    return exits_taken(gate_scores(records, plan.temperatures, plan.scores), plan_thresholds(plan))


def replay(plan: Plan, records: Records, costs: CostTable) -> Replay:
    """Send recorded rows through a plan's gates, without queueing.

    Parameters
    ----------
    plan : made for the cascade of the records
    records : the rows, for example ``records.on("test")``
    costs : of the plan's codec

    Raises
    ------
    RecordMismatch : records, costs and plan do not belong together
    """
    plan.require(records.provenance.cascade_fingerprint)
    if len(plan.temperatures) != records.exits or len(costs.exit_segments) != records.exits:
        raise RecordMismatch(
            f"the plan has {len(plan.temperatures)} exits, the records {records.exits} "
            f"and the costs {len(costs.exit_segments)}; make them from one cascade"
        )
    if costs.codec != plan.codec or dict(costs.coded) != plan.coded:
        raise RecordMismatch(
            f"the costs are those of codec {costs.codec!r} {dict(costs.coded) or ''}, but the plan uses "
            f"{plan.codec!r} {plan.coded or ''}"
        )
    row = costs.row_of(plan.placement)
    taken = replay_exits(plan, records)
    correct = records.correct[taken, np.arange(len(records))]
    return Replay(taken, correct, costs.cost_s[row, taken], costs.sent_bytes[row, taken])


def predict(
    plan: Plan,
    records: Records,
    costs: CostTable,
    *,
    network: Network | None = None,
    reference: Records | None = None,
) -> Prediction:
    """Sum a replay up; the terms add up to the mean latency.

    Parameters
    ----------
    plan, records, costs : as for `replay`
    network : of the costs; with it the price, and the energy where the first tier declares a model, are said too
    reference : the same rows of the variant whose last exit losses are counted against; default ``records``

    Raises
    ------
    RecordMismatch : records, costs and plan do not belong together
    """
    rows = replay(plan, records, costs)
    where = costs.row_of(plan.placement)
    share = np.bincount(rows.exit, minlength=records.exits) / len(records)
    terms = share @ costs.terms_s[where]
    accuracy = float(rows.correct.mean())
    last = float((reference or records).correct[-1].mean())
    energy_j = price = None
    if network is not None:
        usual = Conditions(len(costs.tiers)).usual(network)
        price = sum(float(share @ term[where] @ usual) for term in price_terms(costs, network).values())
        if costs.energy is not None:
            energy_j = sum(float(share @ term[where] @ usual) for term in energy_terms(costs, network).values())
    return Prediction(
        rows=len(records),
        accuracy=accuracy,
        accuracy_last_exit=last,
        accuracy_loss=last - accuracy,
        exit_share=tuple(share.tolist()),
        exit_latency_s=tuple(costs.cost_s[where].tolist()),
        mean_latency_s=float(share @ costs.cost_s[where]),
        p50_latency_s=float(np.quantile(rows.latency_s, 0.5)),
        p95_latency_s=float(np.quantile(rows.latency_s, 0.95)),
        bytes_per_sample=float(rows.sent_bytes.mean()),
        terms=tuple(Term(name=n, mean_s=float(s)) for n, s in zip(costs.names, terms, strict=True) if s > 0),
        energy_j=energy_j,
        price=price,
    )
