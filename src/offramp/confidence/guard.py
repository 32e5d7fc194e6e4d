"""Guards: where confidence means nothing, because the sample is unlike those it was calibrated on."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offramp.confidence.scores import Energy
from offramp.errors import ConfigError, NotEnoughSamples, SampleError

__all__ = ["EnergyGuard", "Guard", "MahalanobisGuard", "guard_from_json", "keep_limit"]

Floats = NDArray[np.floating]


class Guard(ABC):
    """Says, row by row, whether the confidence at the first exit may be believed.

    Fitted on clean tune rows alone, it turns away about 1 - ``keep`` of clean samples and whatever share of others lies
    as far out. A row that does not pass goes on, whatever its confidence.
    """

    kind: str

    @abstractmethod
    def passes(self, evidence: Floats) -> NDArray[np.bool_]:
        """(n,) True where the row is like those of the fit; a row with NaN does not pass."""

    def to_json(self) -> str:
        """One line of JSON with ``kind`` in it."""
        return json.dumps({"kind": self.kind, **asdict(self)})  # type: ignore[call-overload]  # guards are dataclasses


@dataclass(frozen=True)
class MahalanobisGuard(Guard):
    """Passes rows whose features lie near the mean of the clean ones, in the metric of their covariance.

    Features are those of the *input*, such as `offramp.confidence.spectrum.radial_spectrum`: a network is often as sure
    of its answers on shifted images as on clean ones, so its logits do not tell.

    Parameters
    ----------
    mean : (F,)
    precision : (F, F) inverse of the covariance
    limit : on the squared distance

    Source: Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples" (there on hidden
    features); the limit is a split-conformal quantile.

    Examples
    --------
    >>> clean = np.random.default_rng(0).normal(0, 1, (1000, 2))
    >>> guard = MahalanobisGuard.fit(clean, keep=0.99)
    >>> guard.passes(np.array([[0.0, 0.0], [9.0, 0.0]]))
    array([ True, False])
    >>> guard_from_json(guard.to_json()) == guard
    True
    """

    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    limit: float
    kind = "mahalanobis"

    def __post_init__(self) -> None:
        sides = {len(self.precision), *(len(row) for row in self.precision)}
        if not self.mean or sides != {len(self.mean)}:
            raise ConfigError("a Mahalanobis guard needs a mean (F,) and a precision (F, F)")

    @classmethod
    def fit(cls, features: Floats, keep: float = 0.99) -> MahalanobisGuard:
        """From features (n, F) of clean tune rows; ``keep`` of clean samples pass.

        Raises
        ------
        NotEnoughSamples : fewer rows than a covariance of F features or the quantile needs
        SampleError : features that are not finite, or one that never changes
        """
        x = _checked_features(features)
        if len(x) <= x.shape[1] + 1:
            raise NotEnoughSamples(f"the covariance of {x.shape[1]} features needs more rows than {len(x)}")
        if not x.std(0).all():
            raise SampleError(f"feature {int(np.argmin(x.std(0)))} is the same in every row: leave it out")
        mean, covariance = x.mean(0), np.atleast_2d(np.cov(x.T))
        ridge = 1e-9 * np.diag(np.diag(covariance))  # features that repeat each other
        precision = np.linalg.inv(covariance + ridge)
        precision = (precision + precision.T) / 2
        limit = keep_limit(_squared_distance(x, mean, precision), keep)
        return cls(tuple(mean.tolist()), tuple(map(tuple, precision.tolist())), limit)

    def distance(self, features: Floats) -> NDArray[np.float64]:
        """(n,) squared distance of features (n, F) from the mean.

        Raises
        ------
        SampleError : another number of features
        """
        x = np.asarray(features, np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise SampleError(f"the guard knows {len(self.mean)} features, not rows of shape {x.shape[1:]}")
        return _squared_distance(x, *self._arrays)

    @cached_property
    def _arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.asarray(self.mean), np.asarray(self.precision)

    def passes(self, evidence: Floats) -> NDArray[np.bool_]:
        return np.asarray(self.distance(evidence) <= self.limit)


@dataclass(frozen=True)
class EnergyGuard(Guard):
    """Passes rows whose logits at the first exit have enough energy; asks nothing but the logits.

    Parameters
    ----------
    lowest : the least `Energy` score that passes, in [0, 1]

    Source: Liu et al. 2020, "Energy-based Out-of-distribution Detection".

    Examples
    --------
    >>> guard = EnergyGuard(lowest=0.5)
    >>> guard.passes(np.array([[0.0, 0.0], [9.0, 0.0]]))
    array([False,  True])
    """

    lowest: float
    kind = "energy"

    @classmethod
    def fit(cls, logits: Floats, keep: float = 0.99) -> EnergyGuard:
        """From first-exit logits (n, K) of clean tune rows; ``keep`` of clean samples pass.

        Raises
        ------
        NotEnoughSamples : fewer rows than the quantile needs
        """
        return cls(-keep_limit(-Energy().score(logits), keep))

    def passes(self, evidence: Floats) -> NDArray[np.bool_]:
        return np.asarray(Energy().score(evidence) >= self.lowest)


def keep_limit(values: ArrayLike, keep: float) -> float:
    """Limit that a further value, drawn like these, stays within with probability at least ``keep``.

    The ``ceil((n + 1) keep)``-th smallest of n: the quantile of split conformal prediction. The probability counts the
    draw of these values too, and holds where they fitted nothing else (a few shape parameters change it little).

    Raises
    ------
    ConfigError : ``keep`` outside (0, 1)
    NotEnoughSamples : fewer than ``keep / (1 - keep)`` values

    Examples
    --------
    >>> keep_limit(np.arange(99), 0.9)
    89.0
    """
    if not 0.0 < keep < 1.0:
        raise ConfigError(f"the share of clean samples that pass must lie in (0, 1), not {keep}")
    ordered = np.sort(np.asarray(values, np.float64))
    rank = math.ceil((len(ordered) + 1) * keep - 1e-9)
    if rank > len(ordered):
        needed = math.ceil(keep / (1 - keep) - 1e-9)
        raise NotEnoughSamples(f"keeping {keep:g} of clean samples needs {needed} rows, not {len(ordered)}")
    return float(ordered[rank - 1])


def guard_from_json(text: str) -> Guard:
    """Read a guard back.

    Raises
    ------
    ConfigError : not a guard

    Examples
    --------
    >>> guard_from_json('{"kind": "energy", "lowest": 0.5}')
    EnergyGuard(lowest=0.5)
    """
    try:
        body: dict[str, Any] = json.loads(text)
        kind = body.pop("kind")
        if kind == EnergyGuard.kind:
            return EnergyGuard(float(body["lowest"]))
        if kind == MahalanobisGuard.kind:
            precision = tuple(tuple(map(float, row)) for row in body["precision"])
            return MahalanobisGuard(tuple(map(float, body["mean"])), precision, float(body["limit"]))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"not a guard: {text[:60]!r}") from error
    known = ", ".join((EnergyGuard.kind, MahalanobisGuard.kind))
    raise ConfigError(f"unknown guard kind {kind!r}; known are {known}")


def _checked_features(features: Floats) -> NDArray[np.float64]:
    x = np.asarray(features, np.float64)
    if x.ndim != 2:
        raise SampleError(f"a guard is fitted on features (n, F), not {x.shape}")
    finite = np.isfinite(x).all(1)
    if not finite.all():
        raise SampleError(f"the features of row {int(np.flatnonzero(~finite)[0])} hold NaN or infinity")
    return x


def _squared_distance(
    x: NDArray[np.float64], mean: NDArray[np.float64], precision: NDArray[np.float64]
) -> NDArray[np.float64]:
    away = x - mean
    return np.asarray(((away @ precision) * away).sum(1))
