"""Walking a batch through segments: who is sure leaves, only the survivors go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.segment import Segment, SegmentOutput

__all__ = ["NO_EXIT", "Stop", "Walk", "walk"]

#: exit index of a row for which no exit has been computed yet
NO_EXIT = -1

Array = NDArray[Any]
#: ``stop(exit_index, output) -> (n,) bool``: which rows leave at this exit
Stop = Callable[[int, SegmentOutput], NDArray[np.bool_]]


@dataclass(slots=True)
class Walk:
    """Where n rows stand after a range of segments.

    ``label`` (n,), ``probabilities`` (n, K), ``confidence`` (n,) and ``exit`` (n,) hold the answer of
    the deepest exit computed for each row (``NO_EXIT`` where none was). ``survivors`` (m,) are the
    rows that no exit has let go, and ``tensors`` their hand-over, m rows in the same order.
    ``rows_executed`` counts the rows each segment of the range really ran.
    """

    label: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    confidence: NDArray[np.float32]
    exit: NDArray[np.int64]
    survivors: NDArray[np.intp]
    tensors: tuple[Array, ...]
    rows_executed: list[int]


def walk(
    segments: Sequence[Segment],
    exits: Sequence[int | None],
    temperatures: Sequence[float],
    tensors: Sequence[Array],
    stop: Stop,
    classes: int,
    sample: Sequence[Array] | None = None,
) -> Walk:
    """Run rows through ``segments``, gathering the survivors after each exit.

    Parameters
    ----------
    segments : the segments to run, in order
    exits : for each of them the index of its exit in the cascade, or ``None``
    temperatures : one per exit of the whole cascade
    tensors : input of the first segment, n rows each
    stop : asked at every exit; the caller decides about the last one too
    classes : K
    sample : the raw input rows, needed where a segment hands over the input

    Returns
    -------
    Walk : answers so far and the survivors; row order is the caller's. Results equal those of one
        row at a time (up to the arithmetic of ONNX Runtime).
    """
    rows = len(tensors[0])
    state = Walk(
        label=np.full(rows, -1, np.int64),
        probabilities=np.zeros((rows, classes), np.float32),
        confidence=np.zeros(rows, np.float32),
        exit=np.full(rows, NO_EXIT, np.int64),
        survivors=np.arange(rows, dtype=np.intp),
        tensors=tuple(tensors),
        rows_executed=[0] * len(segments),
    )
    raw = tuple(sample) if sample is not None else None
    for position, (segment, exit_index) in enumerate(zip(segments, exits, strict=True)):
        if not len(state.survivors):
            break
        output = segment.run(state.tensors, 1.0 if exit_index is None else temperatures[exit_index])
        state.rows_executed[position] = len(state.survivors)
        if segment.spec.hand_over == "input":
            if raw is None:
                raise ValueError(f"{segment!r} hands over the input: pass sample=")
            state.tensors = tuple(t[state.survivors] for t in raw)
        else:
            state.tensors = output.hand_over
        if exit_index is not None:
            _leave(state, exit_index, output, stop(exit_index, output))
    return state


def _leave(state: Walk, exit_index: int, output: SegmentOutput, stopped: NDArray[np.bool_]) -> None:
    here = state.survivors
    assert output.label is not None
    assert output.probabilities is not None
    assert output.confidence is not None
    state.label[here] = output.label
    state.probabilities[here] = output.probabilities
    state.confidence[here] = output.confidence
    state.exit[here] = exit_index
    if stopped.any():
        going_on = ~stopped
        state.survivors = here[going_on]
        state.tensors = tuple(t[going_on] for t in state.tensors)
