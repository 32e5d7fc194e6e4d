"""What a gate is taught: labels made of who was right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["eefp_label", "rescue_and_harm"]

Bools = NDArray[np.bool_]


def eefp_label(right_here: Bools, right_later: Bools) -> Bools:
    """(n,) True where leaving costs nothing: this exit is right, or nothing later helps.

    Parameters
    ----------
    right_here : (n,)
    right_later : (n,), or (later exits, n)

    Source: "Rethinking Calibration for Early-Exit Neural Networks", arXiv 2508.21495.

    Examples
    --------
    >>> eefp_label(np.array([True, False, False]), np.array([[False, False, False], [True, True, False]]))
    array([ True, False,  True])
    """
    later = np.atleast_2d(right_later).any(0)
    return np.asarray(right_here | ~later)


def rescue_and_harm(right_here: Bools, right_later: Bools) -> tuple[Bools, Bools]:
    """The two events the gain is the difference of: only the later exit is right; only this one is.

    Parameters
    ----------
    right_here, right_later : (n,)

    Examples
    --------
    >>> rescue, harm = rescue_and_harm(np.array([True, False, True]), np.array([False, True, True]))
    >>> rescue, harm
    (array([False,  True, False]), array([ True, False, False]))
    """
    return np.asarray(right_later & ~right_here), np.asarray(right_here & ~right_later)
