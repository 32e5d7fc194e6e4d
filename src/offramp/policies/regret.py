"""What a policy lost against the best that was possible, sample by sample and over shuffles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.policies.costs import Costs
from offramp.policies.hindsight import best_threshold
from offramp.policies.stream import Stream

__all__ = ["Band", "best_fixed", "cumulative_regret", "oracle"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """A number over shuffles: the mean and the 5 and 95 % quantiles.

    Examples
    --------
    >>> Band.of([1.0, 2.0, 3.0])
    Band(mean=2.0, low=1.1, high=2.9)
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float] | Floats) -> Band:
        """Of at least one number.

        Raises
        ------
        ConfigError : there is none
        """
        if not len(values):
            raise ConfigError("a band needs at least one number")
        low, high = np.quantile(values, [0.05, 0.95]).round(12).tolist()
        return cls(float(np.mean(values)), low, high)


def oracle(stream: Stream, costs: Costs, *, routes: bool = False) -> Floats:
    """(n,) what each sample costs on its best path.

    Parameters
    ----------
    stream : the samples
    costs : of the paths
    routes : whether a sample may go to a later exit at once

    Examples
    --------
    >>> stream = Stream(np.array([[0.9, 0.4], [0.8, 0.7]]), np.array([[1, 0], [1, 1]]), np.array([1, 1]))
    >>> oracle(stream, Costs(price=0.25)).tolist()
    [0.0, 0.25]
    """
    paths = costs.of_paths(stream)
    best: Floats = (paths if routes else paths[:1]).min((0, 1))
    return best


def best_fixed(stream: Stream, costs: Costs) -> tuple[float, Floats]:
    """The one threshold on the confidence that is best for these samples, and (n,) what they cost with it.

    Raises
    ------
    ConfigError : the stream has more than one early exit
    """
    if stream.exits != 2:
        raise ConfigError(f"one threshold decides at one early exit; the stream has {stream.exits - 1}")
    stops, goes_on = costs.of_paths(stream)[0]
    threshold = best_threshold(stream.confidence[0], stops, goes_on)
    return threshold, np.where(stream.confidence[0] >= threshold, stops, goes_on)


def cumulative_regret(cost: Floats, against: Floats) -> Floats:
    """(n,) how much more was paid up to and with each sample.

    Parameters
    ----------
    cost, against : (n,) of the same samples in the same order
    """
    return np.cumsum(np.asarray(cost) - np.asarray(against))
