"""What is known at an exit before anything else runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExitEvidence"]


@dataclass(frozen=True, slots=True)
class ExitEvidence:
    """What is known of n rows at an exit.

    Parameters
    ----------
    exit : index of the exit
    confidence : (n,) calibrated
    probabilities : (n, K) calibrated
    earlier_labels : (e, n) what the exits before this one answered; only some gates ask for it

    Examples
    --------
    >>> ExitEvidence(0, np.array([0.9]), np.array([[0.9, 0.1]])).earlier_labels is None
    True
    """

    exit: int
    confidence: NDArray[np.floating]
    probabilities: NDArray[np.floating]
    earlier_labels: NDArray[np.integer] | None = None
