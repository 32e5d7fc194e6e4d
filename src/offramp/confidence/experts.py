"""Distortion-aware experts: one set of temperatures for every kind of distortion, mixed by a detector."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.detector import DistortionDetector
from offramp.confidence.guard import MahalanobisGuard, guard_from_json
from offramp.confidence.served import served_confidence
from offramp.confidence.temperature import fit_temperature
from offramp.errors import ConfigError, SampleError

__all__ = ["DistortionExperts"]

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


@dataclass(frozen=True)
class DistortionExperts:
    """Confidence that knows what blur and noise do to it.

    A detector looks at features of the input (its run time is charged to every sample). Each kind has its own
    temperature at every exit; their confidences are mixed by the detector's probabilities, so an unsure detector gives
    an unsure answer instead of a wrong expert. A sample unlike every kind of the fit is *none of these*: its confidence
    is 0 at every exit, and it goes on.

    Parameters
    ----------
    detector : of D kinds
    temperatures : (D, E)
    known : a guard for each kind; empty leaves *none of these* out

    Source: Pacheco et al. 2021 (arXiv 2108.09343), who pick the likeliest expert and have no *none of these*.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = {"none": rng.normal(0, 1, (200, 2)), "blur": rng.normal([-9, 0], 1, (200, 2))}
    >>> labels = {kind: np.repeat([0, 1], 100) for kind in features}
    >>> spread = {"none": 2, "blur": 8}
    >>> logits = {kind: (4 * np.eye(2)[labels[kind]] + rng.normal(0, spread[kind], (1, 200, 2))) for kind in features}
    >>> experts = DistortionExperts.fit(features, logits, labels)
    >>> seen = np.array([[0.0, 0.0], [-9.0, 0.0], [9.0, 9.0]])
    >>> experts.confidence(seen, np.full((1, 3, 2), [4.0, 0.0])).round(1)
    array([[1. , 0.5, 0. ]])
    >>> DistortionExperts.from_json(experts.to_json()) == experts
    True
    """

    detector: DistortionDetector
    temperatures: tuple[tuple[float, ...], ...]
    known: tuple[MahalanobisGuard, ...] = ()

    def __post_init__(self) -> None:
        kinds = len(self.detector.kinds)
        if len(self.temperatures) != kinds or len({len(row) for row in self.temperatures}) != 1:
            raise ConfigError(f"{kinds} kinds need {kinds} rows of temperatures, one number per exit")
        if not all(t > 0 for row in self.temperatures for t in row):
            raise ConfigError("a temperature must be positive")
        if len(self.known) not in (0, kinds):
            raise ConfigError(f"{kinds} kinds need {kinds} guards, or none at all")

    @classmethod
    def fit(
        cls,
        features: Mapping[str, Floats],
        logits: Mapping[str, Floats],
        labels: Mapping[str, Ints],
        keep: float | None = 0.99,
    ) -> DistortionExperts:
        """From tune rows of every kind.

        Parameters
        ----------
        features : by kind (n, F)
        logits : by kind (E, n, K)
        labels : by kind (n,)
        keep : share of each kind that counts as known; ``None`` leaves *none of these* out

        Raises
        ------
        ConfigError : fewer than two kinds, or not the same kinds in all three
        NotEnoughSamples, SampleError : as `DistortionDetector.fit`, `MahalanobisGuard.fit` and `fit_temperature`
        """
        if not set(features) == set(logits) == set(labels):
            raise ConfigError("experts need features, logits and labels of the same kinds")
        temperatures = tuple(tuple(fit_temperature(z, labels[kind]) for z in logits[kind]) for kind in features)
        known = () if keep is None else tuple(MahalanobisGuard.fit(rows, keep) for rows in features.values())
        return cls(DistortionDetector.fit(features), temperatures, known)

    def is_known(self, features: Floats) -> NDArray[np.bool_]:
        """(n,) whether a row looks like some kind of the fit; always True without guards."""
        if not self.known:
            return np.ones(len(features), bool)
        return np.asarray(np.any([guard.passes(features) for guard in self.known], axis=0))

    def confidence(self, features: Floats, logits: Floats) -> NDArray[np.float64]:
        """(E, n) probability that each exit is right; 0 where the distortion is none of these.

        The highest class is the same at every temperature, so the mixture's highest probability is the mixture of the
        highest probabilities.

        Parameters
        ----------
        features : (n, F)
        logits : (E, n, K)

        Raises
        ------
        SampleError : another number of features, exits or rows
        """
        z = np.asarray(logits)
        exits = len(self.temperatures[0])
        if z.ndim != 3 or z.shape[:2] != (exits, len(features)):
            raise SampleError(f"logits of {exits} exits and {len(features)} rows are needed, found shape {z.shape}")
        weight = self.detector.probabilities(features) * self.is_known(features)[:, None]
        mixed = np.zeros(z.shape[:2])
        for kind, temperatures in enumerate(self.temperatures):
            calibrated = z.astype(np.float32) / np.array(temperatures, np.float32)[:, None, None]
            mixed += weight[:, kind] * served_confidence(calibrated)
        return mixed

    def to_json(self) -> str:
        """One line of JSON."""
        body = {
            "detector": json.loads(self.detector.to_json()),
            "temperatures": self.temperatures,
            "known": [json.loads(guard.to_json()) for guard in self.known],
        }
        return json.dumps(body)

    @classmethod
    def from_json(cls, text: str) -> DistortionExperts:
        """Read experts back.

        Raises
        ------
        ConfigError : not experts
        """
        try:
            body = json.loads(text)
            detector = DistortionDetector.from_json(json.dumps(body["detector"]))
            temperatures = tuple(tuple(map(float, row)) for row in body["temperatures"])
            known = [guard_from_json(json.dumps(guard)) for guard in body["known"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"not experts: {text[:60]!r}") from error
        guards = tuple(guard for guard in known if isinstance(guard, MahalanobisGuard))
        return cls(detector, temperatures, guards)
