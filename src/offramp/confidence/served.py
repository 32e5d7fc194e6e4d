"""The confidence a running segment reports, from recorded logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["served_confidence"]


def served_confidence(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float32]:
    """Highest probability in float32, step by step as the ONNX graph of a segment computes it.

    Gates compare this number, so a threshold chosen from it means the same in replay and live. The
    two may still differ in the last bits: a runtime adds the exponentials in its own order.

    Parameters
    ----------
    logits : (..., K), natural-log units
    temperature : of the exit

    Returns
    -------
    (...,) float32, in [1/K, 1]

    Examples
    --------
    >>> served_confidence(np.array([[1.0, 1.0], [2.0, 0.0]]), temperature=2.0).round(3)
    array([0.5  , 0.731], dtype=float32)
    """
    scaled = np.asarray(logits, np.float32) / np.float32(temperature)
    scaled -= scaled.max(-1, keepdims=True)
    return np.asarray(np.float32(1.0) / np.exp(scaled).sum(-1, dtype=np.float32))
