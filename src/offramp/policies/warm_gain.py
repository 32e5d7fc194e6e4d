"""What going on is worth, and what disagreement means, from a few hundred labelled rows."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.labels import rescue_and_harm
from offramp.confidence.gates.ridge import fit_ridge
from offramp.confidence.gates.steps import falling_steps
from offramp.errors import ConfigError
from offramp.policies.setting import LabelledRows

__all__ = ["WarmGain"]

Floats = NDArray[np.float64]
_TINY = 1e-6
_STEPS_WEIGHT = 0.25  # as in `GainGate`
_NAMED = 32  # classes at most that have weights of their own
_NAMED_SCALE = 0.5
_BINS = 8  # of the early confidence, equal in rows
_LATE_BINS = 5  # of the last exit's confidence where both differ, equal in rows
_PRIOR = 5.0  # rows


@dataclass(frozen=True)
class WarmGain:
    """Gain of going on at the first of two exits, P(last right) - P(first right), as labelled rows show it.

    Three quarters are two ridge logistic models (only the last is right; only the first is) on the two highest
    probabilities and the class, one quarter a falling step function of the confidence, as in `GainGate`. Besides: what
    a disagreement is worth given how confident the last exit is, so that a gain can be estimated without labels; and
    by bin of the first exit's confidence how often both differ, how often it is right, and by how much the estimate
    without labels is off there.

    Parameters
    ----------
    rescue, harm : (f,) weights on one, log-odds, p1, p1 squared, p2, ln(p1 / p2)
    rescue_named, harm_named : (K,) by class of the first exit; empty where there are more than 32
    edges, steps : of the step function
    bins : (b,) edges of the bins of confidence
    differ, right, off : (b + 1,) shares of rows where both differ and the first is right; estimate less gain
    late : edges of the last exit's confidence where both differ
    worth : gain in these bins

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p1, truth = rng.uniform(0.5, 1, 1000), rng.integers(0, 2, 1000)
    >>> first = np.where(rng.random(1000) < p1, truth, 1 - truth)
    >>> rows = LabelledRows(np.stack([p1, 0.9 + 0 * p1]), np.stack([first, truth]), truth, np.stack([1 - p1, 0 * p1]))
    >>> warm = WarmGain.fit(rows, classes=2)
    >>> round(warm.gain(0.6, 0.4, 1), 1), warm.estimate(False, 0.9), round(warm.estimate(True, 0.9), 2)
    (0.4, 0.0, 1.0)
    """

    rescue: tuple[float, ...]
    harm: tuple[float, ...]
    rescue_named: tuple[float, ...]
    harm_named: tuple[float, ...]
    edges: tuple[float, ...]
    steps: tuple[float, ...]
    bins: tuple[float, ...]
    differ: tuple[float, ...]
    right: tuple[float, ...]
    off: tuple[float, ...]
    late: tuple[float, ...]
    worth: tuple[float, ...]

    @classmethod
    def fit(cls, rows: LabelledRows, classes: int) -> WarmGain:
        """Learn from labelled rows of two exits.

        Raises
        ------
        NotEnoughSamples : fewer than 20 rows
        """
        first = np.clip(rows.confidence[0].astype(np.float64), _TINY, 1 - _TINY)
        second = rows.runner_up[0].astype(np.float64) if rows.runner_up.size else np.zeros_like(first)
        labels, right = rows.predicted[0], rows.right
        weights = [_logistic(first, second, labels, event, classes) for event in rescue_and_harm(right[0], right[-1])]
        worth = right[-1].astype(np.float64) - right[0]
        edges, steps = falling_steps(first, worth)
        differ = labels != rows.predicted[-1]
        late, table = _worth_of_disagreement(rows.confidence[-1].astype(np.float64), differ, worth)
        bins = np.unique(np.quantile(first, np.arange(1, _BINS) / _BINS))
        (rescue, rescue_named), (harm, harm_named) = weights
        made = cls(rescue, harm, rescue_named, harm_named, edges, steps, (), (0.0,), (0.0,), (0.0,), late, table)
        guessed = np.where(differ, np.take(table, np.searchsorted(late, rows.confidence[-1], side="right")), 0.0)
        modelled = np.array([made.gain(*row) for row in zip(first.tolist(), second.tolist(), labels.tolist())])  # noqa: B905
        per_bin = [_means(np.searchsorted(bins, first, side="right"), len(bins) + 1, value)
                   for value in (differ, right[0], guessed - modelled)]  # fmt: skip
        body = {f.name: getattr(made, f.name) for f in fields(cls)}
        return cls(
            **body | {"bins": tuple(bins.tolist()), "differ": per_bin[0], "right": per_bin[1], "off": per_bin[2]}
        )

    def gain(self, confidence: float, runner_up: float, label: int | None) -> float:
        """Estimated P(last right) - P(first right)."""
        p1 = min(max(confidence, _TINY), 1.0 - _TINY)
        log_p1 = math.log(p1)
        odds, square = log_p1 - math.log(1.0 - p1), p1 * p1
        ratio = log_p1 - math.log(runner_up) if runner_up > _TINY else log_p1 - _LOG_TINY
        a0, a1, a2, a3, a4, a5 = self.rescue
        b0, b1, b2, b3, b4, b5 = self.harm
        rescue = a0 + a1 * odds + a2 * p1 + a3 * square + a4 * runner_up + a5 * ratio
        harm = b0 + b1 * odds + b2 * p1 + b3 * square + b4 * runner_up + b5 * ratio
        if label is not None and 0 <= label < len(self.rescue_named):
            rescue += self.rescue_named[label]
            harm += self.harm_named[label]
        model = 0.5 * (math.tanh(0.5 * rescue) - math.tanh(0.5 * harm))
        return (1.0 - _STEPS_WEIGHT) * model + _STEPS_WEIGHT * self.steps[bisect_right(self.edges, p1)]

    def bin_of(self, confidence: float) -> int:
        """Which bin of the first exit's confidence."""
        return bisect_right(self.bins, confidence)

    def estimate(self, differs: bool, confidence: float | None) -> float:
        """Expected gain of a sample that both exits answered, without its label.

        Parameters
        ----------
        differs : whether they say otherwise; nothing is gained where they agree
        confidence : of the last exit; ``None`` where it is not told
        """
        if not differs:
            return 0.0
        if confidence is None:
            return sum(self.worth) / len(self.worth)
        return self.worth[bisect_right(self.late, confidence)]

    def plain(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return asdict(self)

    @classmethod
    def from_plain(cls, body: dict[str, Any]) -> WarmGain:
        """What `plain` wrote.

        Raises
        ------
        ConfigError : not such a model
        """
        try:
            made = cls(**{name: tuple(float(one) for one in values) for name, values in body.items()})
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"not a model of the gain: {error}") from error
        per_bin = {len(one) for one in (made.differ, made.right, made.off)}
        whole = len(made.rescue) == len(made.harm) == 6 and per_bin == {len(made.bins) + 1}
        steps = len(made.steps) == len(made.edges) + 1 and len(made.worth) == len(made.late) + 1
        if not (whole and steps and len(made.rescue_named) == len(made.harm_named)):
            raise ConfigError("not a model of the gain: its parts do not fit each other")
        return made


_LOG_TINY = math.log(_TINY)


def _logistic(
    first: Floats, second: Floats, labels: NDArray[np.intp], event: NDArray[np.bool_], classes: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Weights of the numbers, and of the classes."""
    ratio = np.log(first) - np.log(np.maximum(second, _TINY))
    columns = np.stack([np.log(first / (1 - first)), first, first**2, second, ratio], 1)
    mean, spread = columns.mean(0), columns.std(0)
    spread[spread < 1e-9] = np.inf  # a column that never changes weighs nothing
    scaled = (columns - mean) / spread
    named = np.zeros((len(first), classes if classes <= _NAMED else 0))
    if named.size:
        named[np.arange(len(first)), labels] = _NAMED_SCALE
    fitted = fit_ridge(np.concatenate([np.ones((len(first), 1)), scaled, named], 1), event, base=4).weights
    weights = fitted[1:6] / spread
    return (float(fitted[0] - weights @ mean), *weights.tolist()), tuple((_NAMED_SCALE * fitted[6:]).tolist())


def _worth_of_disagreement(
    late: Floats, differ: NDArray[np.bool_], worth: Floats
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Edges of the last exit's confidence, and the gain between them where both differ."""
    if not differ.any():
        return (), (0.0,)
    seen, gained = late[differ], worth[differ]
    edges = np.unique(np.quantile(seen, np.arange(1, _LATE_BINS) / _LATE_BINS))
    where = np.searchsorted(edges, seen, side="right")
    rows = np.bincount(where, minlength=len(edges) + 1)
    mean = (np.bincount(where, gained, minlength=len(edges) + 1) + _PRIOR * gained.mean()) / (rows + _PRIOR)
    return tuple(edges.tolist()), tuple(mean.tolist())


def _means(where: NDArray[np.intp], bins: int, value: NDArray[Any]) -> tuple[float, ...]:
    """Of each bin, and of all rows where it has none."""
    rows = np.bincount(where, minlength=bins)
    total = np.bincount(where, value.astype(np.float64), minlength=bins)
    return tuple(np.where(rows > 0, total / np.maximum(rows, 1), value.mean()).tolist())
