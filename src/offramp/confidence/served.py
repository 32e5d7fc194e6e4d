"""The confidence and the probabilities a running segment reports, from recorded logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["served_confidence", "served_probabilities"]


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
    powers = _powers(logits, temperature)
    return np.asarray(np.float32(1.0) / powers.sum(-1, dtype=np.float32))


def served_probabilities(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float32]:
    """All probabilities in float32; the highest of each row is `served_confidence`.

    Parameters
    ----------
    logits : (..., K), natural-log units
    temperature : of the exit

    Returns
    -------
    (..., K) float32

    Examples
    --------
    >>> served_probabilities(np.array([2.0, 0.0]), temperature=2.0).round(3)
    array([0.731, 0.269], dtype=float32)
    """
    powers = _powers(logits, temperature)
    powers /= powers.sum(-1, keepdims=True, dtype=np.float32)
    return powers


def _powers(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float32]:
    """(..., K) exp of the logits at the temperature, 1 for the highest."""
    scaled = np.asarray(logits, np.float32) / np.float32(temperature)
    scaled -= scaled.max(-1, keepdims=True)
    return np.asarray(np.exp(scaled, out=scaled))
