"""One knob whose risk only grows: conformal risk control, and risk-controlling prediction sets."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from offramp.errors import ConfigError

__all__ = ["conformal_risk_control", "risk_controlling"]


def conformal_risk_control(mean_loss: ArrayLike, rows: int, limit: float, most: float = 1.0) -> int:
    """Boldest setting whose *expected* loss on the next row is at most ``limit``; -1 if there is none.

    A statement about the mean over all calibration draws, not about this one: a single deployment may exceed it.

    Parameters
    ----------
    mean_loss : (m,) on the calibrate rows, of settings from safe to bold; the loss of every row must be monotone
    rows : how many
    most : the largest loss a row can have

    Source: Angelopoulos et al. 2024 (Conformal Risk Control).

    Examples
    --------
    >>> conformal_risk_control([0.0, 0.005, 0.03], rows=1000, limit=0.01)
    1
    """
    loss = np.asarray(mean_loss, np.float64)
    return _last((rows * loss + most) / (rows + 1) <= limit)


def risk_controlling(upper: ArrayLike, limit: float) -> int:
    """Boldest setting such that it and all safer ones have an upper bound below ``limit``; -1 if there is none.

    With probability at least 1 - delta its risk is at most ``limit``, where each bound holds with that probability.

    Parameters
    ----------
    upper : (m,) bounds at level delta, of settings from safe to bold

    Source: Bates et al. 2021 (RCPS).

    Examples
    --------
    >>> risk_controlling([0.002, 0.008, 0.02, 0.009], limit=0.01)
    1
    """
    return _last(np.asarray(upper, np.float64) < limit)


def _last(holds: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    if holds.ndim != 1:
        raise ConfigError(f"settings must lie on one line from safe to bold, found shape {holds.shape}")
    return int(np.logical_and.accumulate(holds).sum()) - 1
