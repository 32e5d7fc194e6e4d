"""What a plan was asked to make small, as an axis and a number."""

from __future__ import annotations

import numpy as np

from offramp.planning.plan import Plan
from offramp.planning.scoring import left_by

__all__ = ["AXES", "goal_value"]

#: title of the axis, and what to multiply with
AXES = {
    "latency": ("mean latency (ms)", 1e3),
    "latency_quantile": ("latency at the quantile (ms)", 1e3),
    "energy": ("energy of the first tier (mJ, modelled)", 1e3),
    "bytes": ("sent (kB)", 1e-3),
    "price": ("price of a sample", 1.0),
    "weighted": ("weighted sum", 1.0),
}


def goal_value(plan: Plan) -> float | None:
    """What is minimised, as the plan predicts it; ``None`` where it does not."""
    predicted, goal = plan.predicted, plan.objective
    if predicted is None:
        return None
    if goal.minimise == "latency_quantile":
        by = int(left_by(np.array([predicted.exit_share]), goal.quantile)[0])
        return predicted.exit_latency_s[by]
    numbers = {
        "latency": predicted.mean_latency_s,
        "energy": predicted.energy_j,
        "bytes": predicted.bytes_per_sample,
        "price": predicted.price,
    }
    if goal.weights is None:
        return numbers[goal.minimise]
    weights = {
        "latency": goal.weights.latency_s,
        "energy": goal.weights.energy_j,
        "bytes": goal.weights.bytes,
        "price": goal.weights.price,
    }
    return sum(weight * (numbers[name] or 0.0) for name, weight in weights.items())
