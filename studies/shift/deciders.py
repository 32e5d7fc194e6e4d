"""What may decide on the device: a threshold on plain confidence, on that of experts, and behind a guard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.experts import DistortionExperts
from offramp.confidence.guard import EnergyGuard, MahalanobisGuard
from offramp.confidence.served import served_confidence
from offramp.confidence.temperature import fit_temperature
from studies.shift.evidence import Fitted, Judged

__all__ = ["DECIDERS", "KEEP", "TARGET", "Outcome", "fit_deciders", "kind_of", "outcome"]

TARGET = 0.8  # the papers' p_tar
#: share of clean rows the guards let pass, and of each kind of rows that experts count as known
KEEP = 0.95
DECIDERS = (
    "plain",
    "energy guard",
    "spectrum guard",
    "experts per kind",
    "experts per level + none of these",
    "the same, kind unseen",
)

Confidence = Callable[[Fitted], NDArray[np.floating]]


@dataclass(frozen=True)
class Outcome:
    """In shares of all rows: decided on the device, all answers right, confident and wrong."""

    decided: float
    accuracy: float
    wrong: float

    @property
    def device_accuracy(self) -> float | None:
        """Of the answers the device decides; ``None`` where it decides nothing."""
        return 1.0 - self.wrong / self.decided if self.decided else None


def outcome(confidence: NDArray[np.floating], rows: Judged, target: float = TARGET) -> Outcome:
    """Each row leaves by the first device exit whose confidence (D, n) reaches the target, else it goes on."""
    reached = confidence >= target
    decided = reached.any(0)
    right = rows.right[reached.argmax(0), np.arange(len(rows.labels))]
    answers = np.where(decided, right, rows.final == rows.labels)
    return Outcome(float(decided.mean()), float(answers.mean()), float((decided & ~right).mean()))


def fit_deciders(tune: Mapping[str, Fitted], unseen: str = "none") -> dict[str, Confidence]:
    """By name, fitted on tune rows; ``unseen`` is the kind that the last one never sees."""
    clean = tune["none"]
    temperatures = [fit_temperature(z, clean.labels) for z in clean.logits]
    spectrum = MahalanobisGuard.fit(clean.spectra, KEEP)
    energy = EnergyGuard.fit(clean.logits[0], KEEP)
    kinds = _experts(_by_kind(tune), None)
    levels = _experts(tune, KEEP)

    def plain(rows: Fitted) -> NDArray[np.floating]:
        pairs = zip(rows.logits, temperatures, strict=True)
        return np.stack([served_confidence(z, temperature) for z, temperature in pairs])

    found: dict[str, Confidence] = {
        "plain": plain,
        "energy guard": lambda rows: plain(rows) * energy.passes(rows.logits[0]),
        "spectrum guard": lambda rows: plain(rows) * spectrum.passes(rows.spectra),
        "experts per kind": lambda rows: kinds.confidence(rows.spectra, rows.logits),
        "experts per level + none of these": lambda rows: levels.confidence(rows.spectra, rows.logits),
    }
    if unseen != "none":
        blind = _experts({level: rows for level, rows in tune.items() if kind_of(level) != unseen}, KEEP)
        found["the same, kind unseen"] = lambda rows: blind.confidence(rows.spectra, rows.logits)
    return found


def kind_of(level: str) -> str:
    """The kind of a level.

    Examples
    --------
    >>> kind_of("blur1.5"), kind_of("none")
    ('blur', 'none')
    """
    return level.rstrip("0123456789.")


def _by_kind(tune: Mapping[str, Fitted]) -> dict[str, Fitted]:
    """The levels of a kind together."""
    kinds: dict[str, list[Fitted]] = {}
    for level, rows in tune.items():
        kinds.setdefault(kind_of(level), []).append(rows)
    return {
        kind: Fitted(
            np.concatenate([part.logits for part in parts], 1),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.spectra for part in parts]),
        )
        for kind, parts in kinds.items()
    }


def _experts(tune: Mapping[str, Fitted], keep: float | None) -> DistortionExperts:
    return DistortionExperts.fit(
        {name: rows.spectra for name, rows in tune.items()},
        {name: rows.logits for name, rows in tune.items()},
        {name: rows.labels for name, rows in tune.items()},
        keep,
    )
