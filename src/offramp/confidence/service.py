"""Service levels over batches: inference outage and missed deadlines."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offramp.errors import ConfigError, NotEnoughSamples

__all__ = ["BATCH", "expected_outage", "inference_outage", "missed_deadline", "random_batches"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: rows per batch in the papers
BATCH = 256
_SLACK = 1e-9  # an accuracy of exactly the target meets it


def random_batches(rows: int, repeats: int, rng: np.random.Generator, batch: int = BATCH) -> NDArray[np.int64]:
    """(B, batch) rows of random whole batches: every repeat shuffles the rows and cuts them; what is left over is out.

    Raises
    ------
    NotEnoughSamples : fewer rows than one batch

    Examples
    --------
    >>> random_batches(5, 3, np.random.default_rng(0), batch=2).shape
    (6, 2)
    """
    whole = rows // batch
    if not whole:
        raise NotEnoughSamples(f"a batch has {batch} rows, but there are only {rows}")
    shuffled = [rng.permutation(rows)[: whole * batch].reshape(whole, batch) for _ in range(repeats)]
    return np.concatenate(shuffled)


def inference_outage(decided: Bools, right: Bools, target: float) -> float:
    """Share of batches whose accuracy on the rows decided on the device is below the target.

    A batch without any such row is no outage.

    Parameters
    ----------
    decided, right : (B, batch) whether the device decides a row, and whether that decision is right
    target : in [0, 1]

    Source: Pacheco et al. 2021 (arXiv 2010.16335).

    Examples
    --------
    >>> decided = np.array([[True, True], [False, False], [True, False]])
    >>> right = np.array([[True, False], [False, False], [True, False]])
    >>> inference_outage(decided, right, 0.8).__round__(3)
    0.333
    """
    kept = decided.sum(1)
    return float(((decided & right).sum(1) < target * kept - _SLACK).mean())


def missed_deadline(latency_s: Floats, right: Bools, deadline_s: ArrayLike, target: float) -> Floats:
    """Share of batches whose mean latency is above the deadline or whose accuracy is below the target.

    Parameters
    ----------
    latency_s : (B, batch) seconds of every row
    right : (B, batch) whether it was answered rightly, wherever
    deadline_s : seconds, any shape
    target : in [0, 1]

    Returns
    -------
    the shape of ``deadline_s``

    Source: Pacheco et al. 2023 (JNCA 217:103679).

    Examples
    --------
    >>> latency_s = np.array([[0.1, 0.3], [0.4, 0.6]])
    >>> missed_deadline(latency_s, np.ones((2, 2), bool), [0.1, 0.3, 0.5], 0.8)
    array([1. , 0.5, 0. ])
    """
    wrong = right.mean(1) < target - _SLACK
    late = latency_s.mean(1) > np.asarray(deadline_s, np.float64)[..., None] + 1e-12
    return np.asarray((late | wrong).mean(-1))


def expected_outage(share: ArrayLike, accuracy: ArrayLike, target: float, batch: int = BATCH) -> Floats:
    """Inference outage when every row is decided with probability ``share`` and then right with ``accuracy``.

    The number m decided in a batch is Binomial(batch, share) and the number right Binomial(m, accuracy), rows being
    independent, so the outage is sum over m of P(m) P(right < target m). It falls as the accuracy rises, so a lower
    bound on the accuracy gives an upper bound on the outage at a given share.

    Parameters
    ----------
    share, accuracy : in [0, 1], broadcast against each other
    target : in [0, 1]
    batch : rows

    Raises
    ------
    ConfigError : a share or accuracy outside [0, 1]

    Examples
    --------
    >>> expected_outage(0.5, np.array([0.8, 0.85, 0.9]), 0.8).round(3)
    array([0.482, 0.059, 0.   ])
    """
    from scipy.special import bdtr, gammaln, xlog1py, xlogy

    s, a = (np.asarray(v, np.float64)[..., None] for v in np.broadcast_arrays(share, accuracy))
    if not (((s >= 0) & (s <= 1)).all() and ((a >= 0) & (a <= 1)).all()):
        raise ConfigError("shares and accuracies must lie in [0, 1]")
    m = np.arange(1, batch + 1, dtype=np.float64)
    ways = gammaln(batch + 1) - gammaln(m + 1) - gammaln(batch - m + 1)
    kept = np.exp(ways + xlogy(m, s) + xlog1py(batch - m, -s))
    most_wrong = np.ceil(target * m - _SLACK) - 1  # the most right answers that are too few
    below = np.where(most_wrong >= 0, bdtr(np.maximum(most_wrong, 0), m.astype(np.int64), a), 0.0)
    return np.asarray((kept * below).sum(-1))
