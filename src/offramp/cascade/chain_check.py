"""Does a chain of segments compute what the whole model computes?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from offramp.cascade.anatomy import Anatomy
from offramp.cascade.assembly import SegmentFile
from offramp.cascade.probe import random_rows, with_outputs
from offramp.cascade.segment import LOGITS, session_options
from offramp.errors import CascadeError

__all__ = ["chain_difference"]

Array = NDArray[Any]


def chain_difference(
    anatomy: Anatomy, files: Sequence[SegmentFile], exits: Sequence[str], tolerance: float = 1e-4, rows: int = 8
) -> float:
    """Largest difference between the logits of the chain and those of the whole, on random rows.

    Parameters
    ----------
    anatomy : of the whole model
    files : the segments, in order
    exits : names of the logits in the whole model, one per exit, in order
    tolerance : allowed, relative to the largest logit of the exit
    rows : of random input

    Raises
    ------
    CascadeError : a difference above the tolerance, or a segment that cannot be loaded
    """
    feed = random_rows(anatomy.inputs, rows, seed=1)
    whole = _load(anatomy, with_outputs(anatomy.graph, exits)).run(list(exits), feed)
    chain = _run_chain(anatomy, files, feed)
    worst = 0.0
    for name, ours, theirs in zip(exits, chain, whole, strict=True):
        difference = float(np.abs(ours - theirs.reshape(rows, -1)).max())
        if not difference <= tolerance * max(1.0, float(np.abs(theirs).max())):
            raise CascadeError(
                f"{anatomy.graph.where}: the logits {name!r} of its {len(files)} segments differ by {difference:.3g} "
                "from those of the whole model; cut it elsewhere (quantised models: at an integer tensor)"
            )
        worst = max(worst, difference)
    return worst


def _run_chain(anatomy: Anatomy, files: Sequence[SegmentFile], feed: dict[str, Array]) -> list[Array]:
    logits = []
    tensors = feed
    for file in files:
        carried = [spec.name for spec in file.spec.outputs]
        names = carried if file.spec.exit is None else [*carried, LOGITS]
        values = _load(anatomy, file.content).run(names, tensors)
        tensors = dict(zip(carried, values, strict=False))
        if file.spec.exit is not None:
            logits.append(values[-1])
    return logits


def _load(anatomy: Anatomy, content: bytes) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(content, session_options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own, undocumented classes
        raise CascadeError(
            f"{anatomy.graph.where}: a segment of it cannot be loaded ({str(error).splitlines()[0]}); cut it elsewhere"
        ) from error
