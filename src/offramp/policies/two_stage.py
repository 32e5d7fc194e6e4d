"""A cascade seen as two stages: one early exit, and the last one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offramp.errors import ConfigError
from offramp.policies.stream import Stream

__all__ = ["two_stage"]


def two_stage(stream: Stream, exit_index: int = 0) -> Stream:
    """The same samples with one early exit and the last, as hierarchical inference has it.

    Parameters
    ----------
    stream : of any number of exits
    exit_index : of the early exit

    Raises
    ------
    ConfigError : there is no such early exit

    Examples
    --------
    >>> stream = Stream(np.full((3, 1), 0.5), np.array([[4], [5], [6]]), np.array([6]))
    >>> two_stage(stream, 1).predicted.tolist()
    [[5], [6]]
    """
    if not 0 <= exit_index < stream.exits - 1:
        raise ConfigError(f"there is no early exit {exit_index}; the early exits are 0 to {stream.exits - 2}")
    both = np.array([exit_index, stream.exits - 1])
    return replace(
        stream,
        confidence=stream.confidence[both],
        predicted=stream.predicted[both],
        runner_up=None if stream.runner_up is None else stream.runner_up[both],
    )
