"""Which constraint binds: what keeps a plan from being better, or any plan from existing."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY
from offramp.planning.explain import listed, milliseconds
from offramp.planning.objective import Objective
from offramp.planning.pareto import undominated_rows
from offramp.planning.problem import Problem
from offramp.planning.reach import LIMITS, within_limits
from offramp.planning.scoring import Scores, fast_enough, left_by, score

__all__ = ["binding", "infeasible"]

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


def binding(problem: Problem, scores: Scores, best: int) -> str:
    """The first constraint without which a better plan is possible, or ``none``.

    They are asked in the order ``deadline``, ``arrival_hz``, ``pins``, ``memory``, ``input_stays``, ``placements``,
    ``accuracy_loss``.
    """
    goal, choices = problem.objective, problem.choices
    value = float(scores.value[best])
    better = value - TINY * max(1.0, value)
    for name, field in (("deadline", "deadline_s"), ("arrival_hz", "arrival_hz")):
        if getattr(goal, field) is not None:
            free = goal.model_copy(update={field: None})
            without = score(choices, problem.variants, problem.accurate(), free)
            if without.value[problem.reach].min() < better:
                return name
    for name in LIMITS:
        if name in problem.kept:
            kept = within_limits(problem.kept, len(choices), without=name)
            if scores.value[kept].min() < better:
                return name
    # with no accuracy to keep, all samples leave by the first exit
    return "accuracy_loss" if float(choices.value[problem.reach, 0].min()) < better else "none"


def infeasible(problem: Problem) -> str:
    """Which constraint rules out every plan, and the nearest values that would do.

    The accuracy loss alone never does for the reference: with every gate off it is zero.
    """
    goal = problem.objective
    told = []
    if goal.deadline_s is not None:
        told.append(_least_deadline(problem))
    if goal.arrival_hz is not None:
        told.append(_most_arrivals(problem))
    told = [words for words in told if words]
    if not told and goal.deadline_s is None and goal.arrival_hz is None:
        return (
            f"no plan that keeps {' and '.join(problem.kept)} loses at most {goal.accuracy_loss:g} of the accuracy: "
            f"the least loss is {_least_loss(problem):g}"
        )
    would_do = listed(told or ["giving up one of them alone is not enough"])
    least, wanted = _least_loss(problem), " and ".join(_wanted(goal))
    if least is None:
        return f"no plan {wanted}: {' with '.join(_asked(goal))} binds, whatever the accuracy; {would_do}"
    within = "within this deadline" if goal.arrival_hz is None else "within these constraints"
    return f"no plan {wanted} and within the accuracy loss: {would_do}, and {within} the least loss is {least:g}"


def _asked(goal: Objective) -> Iterator[str]:
    if goal.deadline_s is not None:
        yield "the deadline"
    if goal.arrival_hz is not None:
        yield "the arrival rate"


def _wanted(goal: Objective) -> Iterator[str]:
    if goal.deadline_s is not None:
        who = "" if goal.deadline_quantile == 1.0 else f" for {goal.deadline_quantile:.4g} of the samples"
        yield f"answers within {milliseconds(goal.deadline_s)}{who}"
    if goal.arrival_hz is not None:
        yield f"sustains {goal.arrival_hz:g} samples/s"


def _pairs(problem: Problem, settings: list[Index]) -> Iterator[tuple[int, int, Index, Floats, Floats]]:
    """Per variant and choice worth having: row, variant, settings (m,), their share (m, E) and busiest stage (m,)."""
    choices, reach = problem.choices, problem.reach
    rates = problem.objective.arrival_hz is not None
    for which, variant in enumerate(problem.variants):
        mine = reach[choices.variant[reach] == which]
        if not len(mine) or not len(settings[which]):
            continue
        costs = choices.latency_s[mine]
        if rates:
            costs = np.hstack([costs, choices.busy_s[mine].reshape(len(mine), -1)])
        share = variant.settings.share[settings[which]]
        for row in mine[undominated_rows(costs)].tolist():
            busiest = (share @ choices.busy_s[row]).max(1) if rates else np.zeros(len(share))
            yield row, which, settings[which], share, busiest


def _sustained(goal: Objective, busiest: Floats) -> NDArray[np.bool_]:
    if goal.arrival_hz is None:
        return np.ones(len(busiest), bool)
    return np.asarray(busiest <= 1.0 / goal.arrival_hz + TINY)


def _least_deadline(problem: Problem) -> str:
    """The least deadline within the other constraints; empty if there is none."""
    goal, least = problem.objective, math.inf
    for row, _, _, share, busiest in _pairs(problem, problem.accurate()):
        needed = problem.choices.latency_s[row][left_by(share, goal.deadline_quantile)]
        least = min(least, float(needed[_sustained(goal, busiest)].min(initial=math.inf)))
    if least == math.inf:
        return ""
    rounded = f"{math.ceil(least * 1e5 - 1e-6) / 1e2:g} ms"
    return f"at an accuracy loss of {goal.accuracy_loss:g} the least deadline is {rounded}"


def _most_arrivals(problem: Problem) -> str:
    """The most arrivals within the other constraints; empty if there is none."""
    goal, least = problem.objective, math.inf
    for row, _, _, share, busiest in _pairs(problem, problem.accurate()):
        in_time = fast_enough(problem.choices.latency_s[row][None], share, goal)[0]
        least = min(least, float(busiest[in_time].min(initial=math.inf)))
    if least == math.inf:
        return ""
    return f"the highest rate any plan sustains is {math.floor(1e3 / least) / 1e3:g} samples/s"


def _least_loss(problem: Problem) -> float | None:
    """Of the plans that meet the other constraints, rounded up; ``None`` without one."""
    goal, least = problem.objective, math.inf
    for row, which, settings, share, busiest in _pairs(problem, [v.settings.useful for v in problem.variants]):
        fine = fast_enough(problem.choices.latency_s[row][None], share, goal)[0] & _sustained(goal, busiest)
        losses = problem.variants[which].losses(settings[fine])
        least = min(least, float(losses.min(initial=math.inf)))
    return None if least == math.inf else math.ceil(least * 1e5) / 1e5
