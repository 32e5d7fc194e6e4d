"""Every temperature variant on a grid of temperatures: a fit is a look-up, so hundreds of re-splits take seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.exit_temperatures import leaving

__all__ = ["GRID", "VARIANTS", "TemperatureGrid"]

#: neighbours differ by 2.5 %
GRID = np.geomspace(0.4, 10.0, 130)
VARIANTS = ("uncalibrated", "global", "per exit", "survivors")
_ONE = int(np.abs(np.log(GRID)).argmin())
_ROUNDS = 10

Floats32 = NDArray[np.float32]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class TemperatureGrid:
    """Likelihood loss and confidence of every exit, row and temperature: both (E, n, G) float32."""

    loss: Floats32
    confidence: Floats32

    @classmethod
    def of(cls, logits: Floats32, labels: NDArray[np.int64]) -> TemperatureGrid:
        """Tabulate logits (E, n, K)."""
        exits, rows, _ = logits.shape
        loss, confidence = (np.empty((exits, rows, len(GRID)), np.float32) for _ in range(2))
        for e, z in enumerate(logits):
            below = z - z.max(-1, keepdims=True)
            named = below[np.arange(rows), labels]
            for g, temperature in enumerate(np.where(np.arange(len(GRID)) == _ONE, 1.0, GRID).astype(np.float32)):
                total = np.exp(below / temperature).sum(-1)
                loss[e, :, g] = np.log(total) - named / temperature
                confidence[e, :, g] = 1.0 / total
        return cls(loss, confidence)

    def fit(self, variant: str, rows: Indices, target: float) -> Indices:
        """(E,) places in `GRID`, fitted on the given rows; as `offramp.confidence.exit_temperatures` does it."""
        exits = len(self.loss)
        if variant == "uncalibrated":
            return np.full(exits, _ONE)
        if variant == "global":
            return self._global(rows, target)
        if variant == "per exit":
            return np.asarray(self.loss[:, rows].mean(1).argmin(-1))
        here = np.ones(len(rows), bool)
        found = np.empty(exits, np.intp)
        for e in range(exits):
            fit_on = rows[here] if here.sum() >= 2 else rows
            found[e] = self.loss[e, fit_on].mean(0).argmin()
            here &= self.confidence[e, rows, found[e]] < target
        return found

    def confidence_at(self, places: Indices, rows: Indices) -> Floats32:
        """(E, len(rows)) confidence at one temperature per exit."""
        return np.stack([c[rows, place] for c, place in zip(self.confidence, places, strict=True)])

    def _global(self, rows: Indices, target: float) -> Indices:
        place = _ONE
        for _ in range(_ROUNDS):
            exits = leaving(self.confidence[:, rows, place], target)
            found = int(self.loss[exits, rows].mean(0).argmin())
            if found == place:
                break
            place = found
        return np.full(len(self.loss), place)
