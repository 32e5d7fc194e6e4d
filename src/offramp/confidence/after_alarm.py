"""After an alarm: what the gate does then."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import assert_never

import numpy as np
from numpy.typing import ArrayLike

from offramp.confidence.bounds.binomial import binomial_p_value, rows_needed
from offramp.confidence.bounds.checks import check_level, check_losses
from offramp.errors import ConfigError, NotEnoughSamples, SampleError

__all__ = ["AfterAlarm", "recertified_threshold", "threshold_after"]


class AfterAlarm(StrEnum):
    """What follows an alarm.

    ``SEND_ON`` closes the gate: every sample goes on until someone decides otherwise. ``RECERTIFY`` closes it too, but
    then every sample sent on is an audited one. When as many are there as was decided beforehand (looking again and
    again until it fits would void the statement), the gate opens at the threshold they show, if they show any.
    """

    SEND_ON = "send_on"
    RECERTIFY = "recertify"


def threshold_after(
    policy: AfterAlarm,
    confidence: ArrayLike,
    losses: ArrayLike,
    limit: float,
    delta: float,
    candidates: Sequence[float],
) -> float | None:
    """The threshold of the gate after an alarm; ``None`` is closed.

    Parameters
    ----------
    policy : what was decided beforehand
    confidence, losses, limit, delta, candidates : as `recertified_threshold`

    Raises
    ------
    ConfigError, SampleError, NotEnoughSamples : as `recertified_threshold`

    Examples
    --------
    >>> threshold_after(AfterAlarm.SEND_ON, [0.9], [0], 0.1, 0.05, [0.8]) is None
    True
    """
    match policy:
        case AfterAlarm.SEND_ON:
            return None
        case AfterAlarm.RECERTIFY:
            return recertified_threshold(confidence, losses, limit, delta, candidates)
        case _:
            assert_never(policy)


def recertified_threshold(
    confidence: ArrayLike, losses: ArrayLike, limit: float, delta: float, candidates: Sequence[float]
) -> float | None:
    """The lowest threshold whose answers lose at most ``limit`` on average, shown on audited rows.

    With probability at least ``1 - delta`` over the audited rows the mean loss of the answers at or above the threshold
    is at most ``limit``. Candidates are tested from the highest down, each by an exact binomial test at level
    ``delta``, and the first failure ends the walk (fixed-sequence testing, so nothing is corrected for). Candidates
    with too few rows to pass without a single loss are stepped over: that looks at confidence alone.

    Parameters
    ----------
    confidence : (n,) of audited rows drawn *after* the alarm: the rows that raised it are bad ones by selection
    losses : (n,) of {0, 1}: the early answer is wrong, or differs from the full network's
    limit : tolerated mean loss, in (0, 1)
    delta : in (0, 1)
    candidates : thresholds chosen beforehand

    Returns
    -------
    float or None : one of the candidates; ``None`` where none can be shown

    Raises
    ------
    ConfigError : a limit or delta outside (0, 1)
    SampleError : a loss that is neither 0 nor 1
    NotEnoughSamples : no rows, or not one loss per confidence

    Source: Angelopoulos et al. 2021 (Learn then Test), fixed sequence.

    Examples
    --------
    >>> confidence = np.repeat([0.95, 0.85, 0.55], 100)
    >>> losses = np.repeat([0, 0, 1], 100)
    >>> recertified_threshold(confidence, losses, 0.1, 0.05, [0.5, 0.8, 0.9])
    0.8
    """
    if not 0.0 < limit < 1.0:
        raise ConfigError(f"the tolerated mean loss must lie in (0, 1), not {limit}")
    needed = rows_needed(limit, check_level(delta))
    lost = check_losses(losses, 0.0, 1.0)
    if not np.isin(lost, (0.0, 1.0)).all():
        raise SampleError("recertifying needs losses of 0 or 1: an answer is wrong or it is not")
    sure = np.asarray(confidence, np.float64)
    if sure.shape != lost.shape:
        raise NotEnoughSamples(f"each audited row has one confidence and one loss, not {sure.shape} and {lost.shape}")
    found = None
    for threshold in sorted(set(candidates), reverse=True):
        stops = sure >= threshold
        rows = int(stops.sum())
        if rows < needed:
            continue
        if binomial_p_value(lost[stops].sum(), rows, limit) > delta:
            break
        found = float(threshold)
    return found
