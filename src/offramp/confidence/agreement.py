"""Agreement across exits: what the exits so far say of the answer of this one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["agreement", "support"]

Floats = NDArray[np.floating]


def agreement(answers: NDArray[np.integer]) -> NDArray[np.float64]:
    """(E, n) share of the exits up to and with this one that give its answer; 1 at the first exit.

    Parameters
    ----------
    answers : (E, n) class every exit answers

    Source: the vote behind patience gates (Zhou et al. 2020, PABEE), as a share in (0, 1].

    Examples
    --------
    >>> agreement(np.array([[3], [5], [5]])).ravel().round(2)
    array([1.  , 0.5 , 0.67])
    """
    answers = np.asarray(answers)
    exits = len(answers)
    same = answers[:, None] == answers[None, :]
    so_far = np.tri(exits, dtype=bool)[..., None]
    return np.asarray((same & so_far).sum(1) / np.arange(1, exits + 1)[:, None])


def support(probabilities: Floats) -> NDArray[np.float64]:
    """(E, n) mean probability that the exits up to and with this one give to its answer.

    Parameters
    ----------
    probabilities : (E, n, K)

    Examples
    --------
    >>> support(np.array([[[0.6, 0.4]], [[0.1, 0.9]]])).ravel().round(2)
    array([0.6 , 0.65])
    """
    p = np.asarray(probabilities, np.float64)
    answers = p.argmax(-1)
    result = np.empty(answers.shape)
    rows = np.arange(answers.shape[1])
    for exit_, named in enumerate(answers):
        result[exit_] = p[: exit_ + 1, rows, named].mean(0)
    return result
