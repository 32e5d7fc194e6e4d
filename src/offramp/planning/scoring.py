"""The mean of what is minimised, of every choice under every useful gate setting: one matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY
from offramp.planning.choices import Choices
from offramp.planning.objective import Objective
from offramp.planning.pareto import pareto_front, undominated_rows
from offramp.planning.variants import Variant

__all__ = ["NONE", "Scores", "allowed", "fast_enough", "front", "left_by", "score"]

Floats = NDArray[np.float64]
Index = NDArray[np.intp]
Bools = NDArray[np.bool_]

#: setting of a choice that meets the constraints with none
NONE = -1
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Scores:
    """The best setting of every choice: ``setting`` (R,), `NONE` and an infinite ``value`` without one."""

    value: Floats
    accuracy: Floats
    setting: Index

    def ranked(self, choices: Choices) -> Index:
        """Choices that have a setting, best first.

        Ties go to the more accurate, then to fewer tiers, the earlier variant and codec and the earlier placement.
        """
        value = np.round(self.value / scale_of(self.value), 12)
        keys = (choices.placement, choices.table, choices.tiers[:, -1], -self.accuracy, value)
        order = np.lexsort(keys)
        return order[np.isfinite(value[order])]


def scale_of(values: Floats) -> float:
    """A power of ten that rounding to 12 digits below it means nothing to ``values``; 1 where they are small."""
    finite = values[np.isfinite(values)]
    most = float(finite.max()) if finite.size else 0.0
    return float(10.0 ** max(0.0, np.ceil(np.log10(most)))) if most > 0 else 1.0


def left_by(share: Floats, quantile: float) -> Index:
    """(m,) the exit by which the share ``quantile`` of the samples has left, of shares (m, E) by exit."""
    return np.asarray((np.cumsum(share, axis=1) >= quantile - TINY).argmax(1))


def fast_enough(latency_s: Floats, share: Floats, objective: Objective) -> Bools:
    """(R, m) whether the share of the samples that leave by exits beyond the deadline is small enough.

    Parameters
    ----------
    latency_s : (R, E)
    share : (m, E)
    """
    if objective.deadline_s is None:
        return np.ones((len(latency_s), len(share)), bool)
    late = (latency_s > objective.deadline_s + TINY).astype(np.float64) @ share.T
    return np.asarray(late <= 1.0 - objective.deadline_quantile + TINY)


def allowed(choices: Choices, rows: Index | slice, share: Floats, objective: Objective) -> Bools:
    """(rows, m) which settings meet the deadline and sustain the arrivals on every choice."""
    result = fast_enough(choices.latency_s[rows], share, objective)
    if objective.arrival_hz is not None:
        for stage in range(choices.busy_s.shape[2]):
            result &= choices.busy_s[rows, :, stage] @ share.T <= 1.0 / objective.arrival_hz + TINY
    return result


def score(choices: Choices, variants: Sequence[Variant], candidates: Sequence[Index], objective: Objective) -> Scores:
    """The least value of every choice over the candidate settings of its variant that meet the constraints.

    Parameters
    ----------
    candidates : of every variant, the settings (m,) that are accurate enough
    """
    rows = len(choices)
    result = Scores(np.full(rows, np.inf), np.zeros(rows), np.full(rows, NONE, np.intp))
    for which, (variant, settings) in enumerate(zip(variants, candidates, strict=True)):
        chosen = settings[np.argsort(-variant.settings.right[settings], kind="stable")]  # of equals the first is taken
        mine = np.flatnonzero(choices.variant == which)
        step = max(1, _CHUNK // max(1, len(chosen)))
        for start in range(0, len(mine) if len(chosen) else 0, step):
            _score_part(choices, mine[start : start + step], variant, chosen, objective, result)
    return result


def _score_part(
    choices: Choices, part: Index, variant: Variant, candidates: Index, objective: Objective, result: Scores
) -> None:
    share, accuracy = variant.settings.share[candidates], variant.settings.accuracy[candidates]
    if objective.minimise == "latency_quantile":
        value = choices.value[part][:, left_by(share, objective.quantile)]
    else:
        value = choices.value[part] @ share.T
    if objective.deadline_s is not None or objective.arrival_hz is not None:
        value[~allowed(choices, part, share, objective)] = np.inf
    least = value.min(1)
    slack = TINY / 2 * np.maximum(1.0, np.where(np.isfinite(least), least, 1.0))
    pick = (value <= (least + slack)[:, None]).argmax(1)
    result.value[part] = least
    result.accuracy[part] = accuracy[pick]
    result.setting[part] = np.where(np.isfinite(least), candidates[pick], NONE)


def front(
    choices: Choices, variants: Sequence[Variant], objective: Objective, reach: Index
) -> tuple[Floats, Floats, Index, Index]:
    """Pareto front of value and accuracy over the choices in reach and all settings that meet the constraints.

    Returns
    -------
    value (m,) ascending, accuracy (m,), row of the choice (m,), setting (m,)
    """
    parts = [_front_of(choices, which, variant, objective, reach) for which, variant in enumerate(variants)]
    value, accuracy, rows, settings = (np.concatenate(column) for column in zip(*parts, strict=True))
    points = pareto_front(np.round(value / scale_of(value), 12), accuracy)
    points = points[np.isfinite(value[points])]
    return value[points], accuracy[points], rows[points], settings[points]


def _front_of(
    choices: Choices, which: int, variant: Variant, objective: Objective, reach: Index
) -> tuple[Floats, Floats, Index, Index]:
    """The least value of every useful setting of a variant, and the choice that gives it."""
    useful = variant.settings.useful
    share = variant.settings.share[useful]
    by = left_by(share, objective.quantile)
    least, chosen = np.full(len(useful), np.inf), np.full(len(useful), NONE, np.intp)
    mine = reach[choices.variant[reach] == which]
    for row in mine[undominated_rows(_all_costs(choices, mine, objective))] if len(mine) else ():
        quantile = objective.minimise == "latency_quantile"
        value = choices.value[row][by] if quantile else share @ choices.value[row]
        if objective.deadline_s is not None or objective.arrival_hz is not None:
            value[~allowed(choices, np.array([row]), share, objective)[0]] = np.inf
        better = value < least
        least[better], chosen[better] = value[better], row
    return least, variant.settings.accuracy[useful], chosen, useful


def _all_costs(choices: Choices, rows: Index, objective: Objective) -> Floats:
    """(rows, ...) everything that counts: a row that is no worse in any column can take the place of another."""
    columns = [choices.value[rows]]
    if objective.deadline_s is not None and choices.value is not choices.latency_s:
        columns.append(choices.latency_s[rows])
    if objective.arrival_hz is not None:
        columns.append(choices.busy_s[rows].reshape(len(rows), -1))
    return np.hstack(columns)
