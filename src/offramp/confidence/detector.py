"""Which distortion an image has, from a handful of features: a multinomial logistic regression."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.scores import softmax
from offramp.errors import ConfigError, NotEnoughSamples, SampleError

__all__ = ["DistortionDetector"]

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class DistortionDetector:
    """Probabilities of kinds of distortion, such as none, blur and noise, from features of the input.

    A stand-in for the small CNN of the paper: with F features and D kinds it has D * (F + 1) numbers.

    Parameters
    ----------
    kinds : D names
    mean, scale : (F,) of the features; they are standardised
    weights : (D, F)
    bias : (D,)

    Source: the detector of Pacheco et al. 2021 (arXiv 2108.09343).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = {"none": rng.normal(0, 1, (100, 2)), "blur": rng.normal([-9, 0], 1, (100, 2))}
    >>> detector = DistortionDetector.fit(features)
    >>> detector.probabilities(np.array([[0.0, 0.0], [-9.0, 0.0]])).round(2)
    array([[1., 0.],
           [0., 1.]])
    >>> DistortionDetector.from_json(detector.to_json()) == detector
    True
    """

    kinds: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]

    def __post_init__(self) -> None:
        shapes = {len(self.mean), len(self.scale), *(len(row) for row in self.weights)}
        if len({len(self.kinds), len(self.weights), len(self.bias)}) != 1 or len(shapes) != 1 or not self.kinds:
            raise ConfigError(
                "a detector of D kinds on F features needs weights (D, F), bias (D,), mean and scale (F,)"
            )

    @classmethod
    def fit(cls, features: Mapping[str, Floats], penalty: float = 1e-3) -> DistortionDetector:
        """From features (n, F) of tune rows of every kind; each kind counts the same.

        Parameters
        ----------
        features : by kind
        penalty : half of it times the sum of the squared weights is added to the mean loss

        Raises
        ------
        ConfigError : fewer than two kinds
        NotEnoughSamples : a kind without rows
        SampleError : features that are not finite or not alike in number
        """
        x, which = _together(features)
        mean, scale = x.mean(0), x.std(0)
        scale[scale == 0] = 1.0
        weights, bias = _logistic((x - mean) / scale, which, len(features), penalty)
        return cls(
            tuple(features),
            tuple(mean.tolist()),
            tuple(scale.tolist()),
            tuple(map(tuple, weights.tolist())),
            tuple(bias.tolist()),
        )

    def probabilities(self, features: Floats) -> NDArray[np.float64]:
        """(n, D) probability of every kind, from features (n, F).

        Raises
        ------
        SampleError : another number of features
        """
        x = np.asarray(features, np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise SampleError(f"the detector knows {len(self.mean)} features, not rows of shape {x.shape[1:]}")
        slopes, constant = self._arrays
        return softmax(x @ slopes + constant)

    @cached_property
    def _arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Slopes (F, D) and constant (D,) on features that are not standardised."""
        slopes = np.asarray(self.weights) / np.asarray(self.scale)
        return np.ascontiguousarray(slopes.T), np.asarray(self.bias) - slopes @ np.asarray(self.mean)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> DistortionDetector:
        """Read a detector back.

        Raises
        ------
        ConfigError : not a detector
        """
        try:
            body = json.loads(text)
            vectors = {key: tuple(map(float, body[key])) for key in ("mean", "scale", "bias")}
            weights = tuple(tuple(map(float, row)) for row in body["weights"])
            return cls(kinds=tuple(map(str, body["kinds"])), weights=weights, **vectors)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"not a detector: {text[:60]!r}") from error


def _together(features: Mapping[str, Floats]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if len(features) < 2:
        raise ConfigError(f"a detector tells two kinds or more apart, not {len(features)}")
    parts = [np.asarray(part, np.float64) for part in features.values()]
    for kind, part in zip(features, parts, strict=True):
        if part.ndim != 2 or part.shape[1] != parts[0].shape[1]:
            raise SampleError(f"the features of {kind!r} have the shape {part.shape}; others have {parts[0].shape}")
        if not len(part):
            raise NotEnoughSamples(f"there are no rows of {kind!r}")
        if not np.isfinite(part).all():
            raise SampleError(f"the features of {kind!r} hold NaN or infinity")
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _logistic(
    x: NDArray[np.float64], which: NDArray[np.int64], kinds: int, penalty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (D, F) and bias (D,) with the least penalised mean log loss; rows weigh so that kinds count alike."""
    from scipy.optimize import minimize

    extended = np.hstack([x, np.ones((len(x), 1))])
    target = np.eye(kinds)[which]
    row_weight = 1.0 / (kinds * np.bincount(which, minlength=kinds))[which]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        table = flat.reshape(kinds, -1)
        p = softmax(extended @ table.T)
        likelihood = row_weight @ np.log(np.maximum(p[np.arange(len(x)), which], 1e-300))
        slope = ((p - target) * row_weight[:, None]).T @ extended
        slope[:, :-1] += penalty * table[:, :-1]
        return float(penalty / 2 * (table[:, :-1] ** 2).sum() - likelihood), slope.ravel()

    found = minimize(loss, np.zeros(kinds * extended.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    table = found.x.reshape(kinds, -1)
    return table[:, :-1], table[:, -1]
