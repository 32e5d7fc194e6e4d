"""The one threshold that would have been best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from offramp.errors import ConfigError
from offramp.policies.fixed import FixedGates
from offramp.policies.mistakes import cost_of_mistakes
from offramp.policies.setting import Setting

__all__ = ["HindsightThreshold", "best_threshold"]


def best_threshold(confidence: ArrayLike, stop_cost: ArrayLike, go_on_cost: ArrayLike) -> float:
    """The threshold of least cost on these rows: a row stops when its confidence reaches it. O(n log n).

    Equal confidences are never parted; of several best thresholds the lowest is taken, which sends the fewest on.

    Parameters
    ----------
    confidence : (n,) scores, the surest highest
    stop_cost : (n,) of stopping, or a number
    go_on_cost : (n,) of going on, or a number

    Returns
    -------
    float : one of the confidences, or -inf (all stop), or inf (all go on)

    Raises
    ------
    ConfigError : no rows, or NaN among them

    Source: Al-Atat et al. 2023 (arXiv 2304.11763), the offline threshold; prefix sums over the sorted rows.

    Examples
    --------
    >>> best_threshold([0.2, 0.6, 0.9], stop_cost=[1, 0, 0], go_on_cost=0.3)
    0.6
    >>> best_threshold([0.2, 0.6, 0.9], stop_cost=0, go_on_cost=0.3)
    -inf
    """
    score = np.asarray(confidence)
    if score.ndim != 1 or not len(score):
        raise ConfigError(f"a threshold needs confidences of shape (n,) with at least one row, not {score.shape}")
    stops, goes_on = (np.broadcast_to(np.asarray(c, np.float64), score.shape) for c in (stop_cost, go_on_cost))
    for name, values in (("confidence", score), ("cost of stopping", stops), ("cost of going on", goes_on)):
        if np.isnan(values).any():
            raise ConfigError(f"the {name} of row {int(np.isnan(values).argmax())} is NaN; leave the row out")
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    cost = np.concatenate([[0.0], np.cumsum(goes_on[order] - stops[order])])
    cost[1:-1][ordered[1:] == ordered[:-1]] = np.inf
    best = int(cost.argmin())
    if best == 0:
        return -np.inf
    return float(np.inf) if best == len(score) else float(ordered[best])


class HindsightThreshold(FixedGates):
    """The threshold of least cost on labelled rows. On the very rows it is replayed over it has hindsight.

    Mistakes of the last exit are charged as the rows' truth has them; for the published setting take the truth of the
    rows from what the last exit says.

    Examples
    --------
    >>> from offramp.policies.setting import LabelledRows
    >>> rows = LabelledRows(np.array([[0.2, 0.6, 0.9], [0.8] * 3]), np.array([[1, 0, 0], [0, 0, 0]]), np.zeros(3))
    >>> HindsightThreshold.start(Setting((None,), price=0.3, rows=rows))
    HindsightThreshold([0.6])
    """

    name = "hindsight"

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> HindsightThreshold:
        if setting.rows is None:
            raise ConfigError(f"policy {cls.name!r} fits its threshold on labelled rows, but the setting has none")
        if setting.exits != 2:
            raise ConfigError(
                f"policy {cls.name!r} decides at one early exit, but here are {setting.exits - 1}; choose one of them"
            )
        wrong = cost_of_mistakes(setting.rows.predicted, setting.rows.truth, setting.mistake_costs)
        extra = setting.layer_costs[1] - setting.layer_costs[0] if setting.layer_costs else 0.0
        found = best_threshold(setting.rows.confidence[0], wrong[0], setting.price + extra + wrong[1])
        return cls(_in_range([found]))

    def __repr__(self) -> str:
        return f"HindsightThreshold({list(self.thresholds)!r})"


def _in_range(thresholds: Sequence[float]) -> list[float | None]:
    """0 stops every confidence, ``None`` stops none."""
    return [None if t == np.inf else max(0.0, t) for t in thresholds]
