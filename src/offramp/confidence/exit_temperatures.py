"""One temperature per exit, by the variants of calibration-aided offloading."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.scores import softmax
from offramp.confidence.temperature import fit_temperature
from offramp.errors import ConfigError

__all__ = [
    "TEMPERATURE_METHODS",
    "TemperatureMethod",
    "check_target",
    "fit_temperatures",
    "global_temperature",
    "leaving",
    "survivor_temperatures",
]

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

TemperatureMethod = Literal["temperature", "global", "survivors"]
TEMPERATURE_METHODS: tuple[TemperatureMethod, ...] = get_args(TemperatureMethod)
_CLOSE = 1e-4  # of neighbouring temperatures, relative


def fit_temperatures(
    logits: Floats, labels: Ints, method: TemperatureMethod = "temperature", target: float = 0.8
) -> NDArray[np.float64]:
    """(E,) temperatures by one of the methods.

    Parameters
    ----------
    logits : (E, n, K)
    labels : (n,)
    method : ``temperature`` fits every exit on all rows, ``survivors`` on the rows that reach it,
        ``global`` one for all exits on the rows each decides
    target : the threshold rows leave by; ``temperature`` needs none

    Raises
    ------
    ConfigError : an unknown method, or a target outside [0, 1]
    NotEnoughSamples, SampleError : as `fit_temperature`

    Examples
    --------
    >>> logits = np.array([[[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]]] * 2)
    >>> fit_temperatures(logits, np.array([0, 1, 1])).round(2)
    array([2.89, 2.89])
    """
    if method == "temperature":
        return np.array([fit_temperature(z, labels) for z in logits])
    if method == "survivors":
        return survivor_temperatures(logits, labels, target)
    if method == "global":
        return np.full(len(logits), global_temperature(logits, labels, target))
    raise ConfigError(f"unknown way to fit temperatures {method!r}; there are {', '.join(TEMPERATURE_METHODS)}")


def leaving(confidence: NDArray[np.floating], target: float) -> NDArray[np.int64]:
    """(n,) exit every row leaves by: the first whose confidence (E, n) reaches the target, else the last.

    Examples
    --------
    >>> leaving(np.array([[0.9, 0.6], [0.5, 0.7]]), 0.8)
    array([0, 1])
    """
    reached = np.asarray(confidence) >= target
    reached[-1] = True
    return np.asarray(reached.argmax(0), np.int64)


def global_temperature(logits: Floats, labels: Ints, target: float, rounds: int = 10) -> float:
    """One temperature for all exits, fitted on every row at the exit it leaves by at ``target``.

    Where rows leave depends on the temperature, so the two are found in turn, from 1, until the temperature stands
    still or the rounds are used up (the pair can alternate between two values; either serves).

    Parameters
    ----------
    logits : (E, n, K)
    labels : (n,)
    target : in [0, 1]
    rounds : at most

    Source: Pacheco et al. 2023 (JNCA 217:103679).
    """
    check_target(target)
    temperature = 1.0
    rows = np.arange(np.shape(logits)[1])
    for _ in range(rounds):
        confidence = np.stack([softmax(z, temperature).max(-1) for z in logits])
        found = fit_temperature(np.asarray(logits)[leaving(confidence, target), rows], labels)
        still = abs(found - temperature) <= _CLOSE * temperature
        temperature = found
        if still:
            break
    return temperature


def survivor_temperatures(logits: Floats, labels: Ints, target: float) -> NDArray[np.float64]:
    """(E,) temperatures, every exit's fitted on the rows that no exit before it kept at ``target``.

    An exit that fewer than two rows reach keeps the temperature of all rows.

    Source: Pacheco et al. 2021 (arXiv 2010.16335), per-branch scaling.

    Parameters
    ----------
    logits : (E, n, K)
    labels : (n,)
    target : in [0, 1]
    """
    check_target(target)
    labels = np.asarray(labels)
    here = np.ones(len(labels), bool)
    result = np.empty(len(logits))
    for index, z in enumerate(np.asarray(logits)):
        fit_on = here if here.sum() >= 2 else np.ones_like(here)
        result[index] = fit_temperature(z[fit_on], labels[fit_on])
        here &= softmax(z, result[index]).max(-1) < target
    return result


def check_target(target: float) -> float:
    """``target`` if it is a share.

    Raises
    ------
    ConfigError : it is not
    """
    if not 0.0 <= target <= 1.0:
        raise ConfigError(f"a target accuracy must lie in [0, 1], not {target}")
    return target
