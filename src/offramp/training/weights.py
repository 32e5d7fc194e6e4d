"""How much every exit's loss counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from offramp.errors import ConfigError

__all__ = ["ExitWeights", "exit_weights"]

#: one number per exit, or the name of a rule
ExitWeights = tuple[float, ...] | Literal["equal", "branchynet", "depth"]


def exit_weights(weights: Sequence[float] | str, exits: int) -> tuple[float, ...]:
    """One weight per exit, the last included.

    ``equal`` (and an empty sequence) counts all exits alike. ``branchynet`` gives the first 1.0 and
    the last 0.3, straight in between: it keeps the early exits strong. ``depth`` grows with the
    place, 1/E, 2/E, ... 1: it keeps the last exit strong.

    Raises
    ------
    ConfigError : an unknown rule, or another number of weights than exits

    Source: Teerapittayanon et al. 2016 (1.0 and 0.3).

    Examples
    --------
    >>> exit_weights("branchynet", 3), exit_weights("depth", 4)
    ((1.0, 0.65, 0.3), (0.25, 0.5, 0.75, 1.0))
    """
    if weights == "branchynet":
        return tuple(round(1.0 - 0.7 * index / max(1, exits - 1), 6) for index in range(exits))
    if weights == "depth":
        return tuple((index + 1) / exits for index in range(exits))
    if weights == "equal" or not len(weights):
        return (1.0,) * exits
    if isinstance(weights, str):
        raise ConfigError(f"training.weights {weights!r} is no rule; known are branchynet, depth and equal")
    if len(weights) != exits:
        raise ConfigError(f"training.weights has {len(weights)} numbers for {exits} exits (the last one counts too)")
    return tuple(weights)
