"""Samples whose difficulty shows in a feature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offramp.policies.setting import Setting
from offramp.policies.stream import Stream

__all__ = ["make_stream", "setting_of"]


def make_stream(rows: int = 600, seed: int = 0) -> Stream:
    """Three exits, right below a difficulty of 0.4, 0.7 and 0.95; the features know it, but for noise."""
    rng = np.random.default_rng(seed)
    hard = rng.random(rows)
    best = np.array([[0.4], [0.7], [0.95]])
    right = hard < best
    truth = rng.integers(2, size=rows)
    confidence = np.clip(0.75 + 0.6 * (best - hard) + 0.05 * rng.normal(size=right.shape), 0.5, 1.0)
    features = np.stack([hard + 0.1 * rng.normal(size=rows), rng.normal(size=rows)], 1)
    return Stream(
        confidence.astype(np.float32), np.where(right, truth, 1 - truth), truth, features=features.astype(np.float32)
    )


def setting_of(stream: Stream) -> Setting:
    """With labelled rows of another draw, their features and a training history."""
    rows = make_stream(600, 99).labelled
    sure = np.clip(rows.confidence * np.where(rows.right, 1, 0), 0.05, 0.95)
    return Setting((0.8,) * 2, price=0.1, layer_costs=(0.1, 0.2, 0.3), rows=replace(rows, dynamics=sure))
