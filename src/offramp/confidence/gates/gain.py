"""The gate that decides on gain: what going on is worth, not how sure this exit is."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import mul
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.evidence import ExitEvidence
from offramp.confidence.gates.features import BASE, CLASS_SCALE, GainFeatures, features_of_row, width
from offramp.confidence.gates.labels import rescue_and_harm
from offramp.confidence.gates.ridge import PENALTIES, fit_ridge, require_finite, sigmoid
from offramp.confidence.gates.steps import falling_steps
from offramp.errors import ConfigError

__all__ = ["GainGate"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_STEPS_WEIGHT = 0.25  # chosen on the tune rows of CIFAR-10, SST-2, MRPC and RTE
_SURE = 2.0  # standard errors
_SHRINK = 1 / 3  # towards the confidence alone; chosen on the tune rows of the same and CIFAR-100
_STAYS_OR_LEAVES = tuple(np.broadcast_to(leaves, 1) for leaves in (False, True))  # made once; read-only


@dataclass(frozen=True)
class GainGate(Gate):
    """Leave where the gain, P(later exit right) - P(this exit right), is at most a price.

    The estimate blends two. Three quarters are P(rescue) - P(harm) of two ridge logistic models (rescue: only the
    later exit is right; harm: only this one is), shrunk by a third
    towards models on the confidence alone unless they predict rows left out better than these by two standard errors.
    One quarter is the gain as a falling step function of the confidence
    (isotonic regression), which decides as the best threshold on the rows it was fitted on does, to one row in a
    hundred. The score is (1 - gain) / 2, so with a price b per row that goes on, in units of one error, the Bayes
    rule "go on where gain > b" is the threshold (1 - b) / 2.

    Parameters
    ----------
    threshold : on the score; see `at_price`
    classes : K
    earlier : exits before this one whose answers it compares
    rescue, harm : (f,) weights of the two models on `GainFeatures`
    edges : (s,) confidences at which the step function falls
    steps : (s + 1,) its values

    Raises
    ------
    ConfigError : weights or steps of the wrong number

    Source: the rule is Chow's, with deferral as in Jitkrittum et al. 2023 (arXiv 2307.02764).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p1 = rng.uniform(0.5, 1, 1000)
    >>> evidence = ExitEvidence(0, p1, np.stack([p1, 1 - p1], 1))
    >>> gate = GainGate.fit(evidence, right_here=rng.random(1000) < p1, right_later=rng.random(1000) < 0.9)
    >>> gate.gain(ExitEvidence(0, np.array([0.6, 0.9]), np.array([[0.6, 0.4], [0.9, 0.1]]))).round(1) + 0.0
    array([0.3, 0. ])
    >>> gate.at_price(0.2).threshold
    0.4
    """

    classes: int
    earlier: int
    rescue: tuple[float, ...]
    harm: tuple[float, ...]
    edges: tuple[float, ...]
    steps: tuple[float, ...]
    kind: ClassVar[str] = "gain"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rescue", "harm", "edges", "steps"):
            values = tuple(float(value) for value in getattr(self, name))
            if not all(map(math.isfinite, values)):
                raise ConfigError(f"gain gate: {name} hold NaN or infinity; fit the gate again")
            object.__setattr__(self, name, values)
        expected = width(self.classes, self.earlier)
        if len(self.rescue) != expected or len(self.harm) != expected or len(self.steps) != len(self.edges) + 1:
            raise ConfigError(
                f"a gain gate for {self.classes} classes and {self.earlier} earlier exits has {expected} weights per "
                f"model and one step more than edges, not {len(self.rescue)}, {len(self.harm)}, {len(self.steps)} and "
                f"{len(self.edges)}"
            )

    @classmethod
    def fit(
        cls,
        evidence: ExitEvidence,
        right_here: Bools,
        right_later: Bools,
        price: float | None = None,
        penalties: Sequence[float] = PENALTIES,
    ) -> GainGate:
        """Learn from labelled rows; a few hundred will do, a thousand are better.

        Parameters
        ----------
        evidence : of n rows; with ``earlier_labels`` the gate will ask for them in service too
        right_here, right_later : (n,) whether this exit is right, and the one that answers if the row goes on
        price : of going on, in units of one error; ``None`` leaves the gate off
        penalties : ridge penalties to choose from by leave-one-out likelihood

        Raises
        ------
        NotEnoughSamples : fewer than 20 rows
        SampleError : NaN probabilities
        ConfigError : a price outside [-1, 1]
        """
        return cls.fit_features(GainFeatures.of(evidence), right_here, right_later, price, penalties)

    @classmethod
    def fit_features(
        cls,
        features: GainFeatures,
        right_here: Bools,
        right_later: Bools,
        price: float | None = None,
        penalties: Sequence[float] = PENALTIES,
    ) -> GainGate:
        """As `fit`, from features computed beforehand."""
        require_finite(features.matrix)
        mean, spread = features.scaling()
        scaled = (features.matrix - mean) / spread
        weights: list[tuple[float, ...]] = []
        for event in rescue_and_harm(right_here, right_later):
            fitted = _shrunk(scaled, event, penalties) / spread
            fitted[0] -= fitted @ mean
            weights.append(tuple(fitted.tolist()))
        rescue, harm = weights
        edges, steps = falling_steps(features.confidence, right_later.astype(np.float64) - right_here)
        gate = cls(None, features.classes, features.earlier, rescue, harm, edges, steps)
        return gate if price is None else gate.at_price(price)

    def at_price(self, price: float) -> GainGate:
        """The Bayes rule for a price per row that goes on, in units of one error.

        Raises
        ------
        ConfigError : a price outside [-1, 1]
        """
        if not -1.0 <= price <= 1.0:
            raise ConfigError(f"a price lies in [-1, 1], in units of one error, not {price}")
        return self.with_threshold((1.0 - price) / 2.0)

    @property
    def parameters(self) -> int:
        """How many numbers were fitted."""
        return len(self.rescue) + len(self.harm) + len(self.edges) + len(self.steps)

    def gain(self, evidence: ExitEvidence) -> Floats:
        """(n,) estimated P(later exit right) - P(this exit right).

        Raises
        ------
        ConfigError : another number of classes than it was fitted on, or ``earlier_labels`` are missing
        """
        if len(evidence.probabilities) == 1:
            return np.array([self._gain_of_row(evidence)])
        self._require_classes(evidence.probabilities.shape[1])
        return self.gain_of_features(GainFeatures.of(evidence, self.earlier))

    def gain_of_features(self, features: GainFeatures) -> Floats:
        """As `gain`, from features computed beforehand."""
        chance = sigmoid(features.matrix @ self._weights)
        steps = self._steps[np.searchsorted(self._edges, features.confidence, side="right")]
        return np.asarray((1.0 - _STEPS_WEIGHT) * (chance[:, 0] - chance[:, 1]) + _STEPS_WEIGHT * steps)

    def score(self, evidence: ExitEvidence) -> NDArray[np.float32]:
        """(n,) (1 - gain) / 2."""
        if len(evidence.probabilities) == 1:
            score = 0.5 - 0.5 * self._gain_of_row(evidence)
            return np.array([min(max(score, 0.0), 1.0)], np.float32)
        return np.asarray(np.clip(0.5 - 0.5 * self.gain(evidence), 0.0, 1.0), np.float32)

    def stop(self, evidence: ExitEvidence) -> NDArray[np.bool_]:
        """(n,) True where the row leaves."""
        if self.threshold is None or len(evidence.probabilities) != 1:
            return super().stop(evidence)
        return _STAYS_OR_LEAVES[0.5 - 0.5 * self._gain_of_row(evidence) >= self._least]

    def _gain_of_row(self, evidence: ExitEvidence) -> float:
        row = evidence.probabilities[0].astype(np.float64)
        if len(row) != self.classes:
            self._require_classes(len(row))
        answers: Sequence[int] = ()
        if self.earlier:
            labels = evidence.earlier_labels
            if labels is None or len(labels) != self.earlier:
                GainFeatures.of(evidence, self.earlier)  # raises, with the sentence
            else:
                answers = labels[:, 0].tolist()
        columns, named, p1 = features_of_row(row, answers)
        weights = self._both
        both = sum(map(mul, weights, columns))
        for column in named:
            both += CLASS_SCALE * weights[column]
        model = 0.5 * (math.tanh(0.5 * both.real) - math.tanh(0.5 * both.imag))
        return (1.0 - _STEPS_WEIGHT) * model + _STEPS_WEIGHT * self.steps[bisect_right(self.edges, p1)]

    def _require_classes(self, classes: int) -> None:
        if classes != self.classes:
            raise ConfigError(
                f"the gain gate was fitted on {self.classes} classes, the evidence has {classes}; fit it again"
            )

    @cached_property
    def _least(self) -> float:
        """The least score that leaves: the one whose float32 reaches the threshold's."""
        wanted = np.float32(1.0 if self.threshold is None else self.threshold)
        if wanted == 0.0:
            return -math.inf
        halfway = 0.5 * (float(wanted) + float(np.nextafter(wanted, np.float32(0.0))))
        return halfway if np.float32(halfway) >= wanted else math.nextafter(halfway, 1.0)

    @cached_property
    def _both(self) -> tuple[complex, ...]:
        """Rescue as real part, harm as imaginary: one pass sums for both."""
        return tuple(map(complex, self.rescue, self.harm))

    @cached_property
    def _weights(self) -> Floats:
        return np.array([self.rescue, self.harm]).T

    @cached_property
    def _edges(self) -> Floats:
        return np.array(self.edges)

    @cached_property
    def _steps(self) -> Floats:
        return np.array(self.steps)


def _shrunk(scaled: Floats, event: Bools, penalties: Sequence[float]) -> Floats:
    """(f,) weights of the log-odds of one event."""
    full = fit_ridge(scaled, event, penalties, base=BASE)
    alone = fit_ridge(scaled[:, :BASE], event, penalties[:1], base=BASE)
    better = alone.losses(event) - full.losses(event)
    if better.mean() > _SURE * better.std() / math.sqrt(len(better)):
        return full.weights
    weights = (1.0 - _SHRINK) * full.weights
    weights[:BASE] += _SHRINK * alone.weights
    return weights
