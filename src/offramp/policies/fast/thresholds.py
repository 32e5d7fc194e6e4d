"""Thresholds over many shuffles: every row's exit is looked up once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.policies.stream import Stream

__all__ = ["exits_by_threshold", "threshold_exits"]


def threshold_exits(stream: Stream, thresholds: Sequence[float | None]) -> NDArray[np.int8]:
    """(n,) the first exit whose confidence reaches its threshold, compared in float32; ``None`` stops nobody.

    Parameters
    ----------
    stream : of E exits
    thresholds : (E - 1,)

    Examples
    --------
    >>> stream = Stream(np.array([[0.9, 0.4], [0.8, 0.7]]), np.array([[1, 0], [1, 1]]), np.array([1, 1]))
    >>> threshold_exits(stream, [0.5]).tolist()
    [0, 1]
    """
    limits = np.array([np.inf if limit is None else limit for limit in thresholds], np.float32)
    stops = np.asarray(stream.confidence[:-1], np.float32) >= limits[:, None]
    last = np.ones((1, len(stream)), bool)
    return np.asarray(np.concatenate([stops, last]).argmax(0), np.int8)


def exits_by_threshold(stream: Stream, thresholds: Sequence[float | None], order: NDArray[np.intp]) -> NDArray[np.int8]:
    """(s, n) exits of the samples of every shuffle in the order asked, as `FixedGates` leaves.

    Parameters
    ----------
    stream, thresholds : as for `threshold_exits`
    order : (s, n) rows
    """
    return np.take(threshold_exits(stream, thresholds), order)
