"""What mistakes cost, where one is dearer than the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["cost_of_mistakes"]


def cost_of_mistakes(
    said: NDArray[np.integer], truth: NDArray[np.integer], costs: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.float64]:
    """(..., n) 0 where the answer is right, else what that mistake costs.

    Parameters
    ----------
    said : (..., n) answers
    truth : (n,) labels
    costs : of answering 1 where it is 0, and 0 where it is 1; equal ones serve any number of classes

    Examples
    --------
    >>> cost_of_mistakes(np.array([1, 0, 1]), np.array([0, 1, 1]), (0.5, 3.0)).tolist()
    [0.5, 3.0, 0.0]
    """
    return np.asarray((said != truth) * np.where(truth == 0, costs[0], costs[1]), np.float64)
