"""Samples whose exits are right as often as their confidence says."""

from __future__ import annotations

import numpy as np

from offramp.policies.setting import Setting
from offramp.policies.stream import Stream

__all__ = ["make_stream", "setting_of"]


def make_stream(exits: int = 4, rows: int = 3000, seed: int = 0, classes: int = 2, gain: float = 0.12) -> Stream:
    """Later exits are right on more samples; an exit that is right leaves the later ones right (strong dominance)."""
    rng = np.random.default_rng(seed)
    hard = rng.random(rows)
    best = 0.6 + gain * np.arange(exits)[:, None]
    right = hard < best
    truth = rng.integers(classes, size=rows)
    predicted = np.where(right, truth, (truth + 1) % classes)
    confidence = np.clip(0.5 + 0.8 * (best - hard) + 0.05 * rng.normal(size=right.shape), 0.0, 1.0)
    return Stream(confidence.astype(np.float32), predicted, truth)


def setting_of(stream: Stream, price: float = 0.1, layer: float = 0.05, threshold: float = 0.7) -> Setting:
    """Of a stream: layers that cost the same each, labelled rows of another draw."""
    rows = make_stream(stream.exits, 1000, 99).labelled
    layers = tuple(layer * (index + 1) for index in range(stream.exits))
    return Setting((threshold,) * (stream.exits - 1), price=price, layer_costs=layers, rows=rows)
