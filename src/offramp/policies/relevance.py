"""A relevance filter: what is irrelevant is dropped on the device, what may be relevant goes up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.served import served_probabilities
from offramp.errors import ConfigError
from offramp.policies.stream import Stream
from offramp.records.records import Records

__all__ = ["IRRELEVANT", "relevance_stream"]

#: the label of what is irrelevant; relevant classes keep their numbers
IRRELEVANT = -1


def relevance_stream(
    records: Records,
    relevant: Sequence[int],
    *,
    exit_index: int = 0,
    temperatures: Sequence[float] | None = None,
) -> Stream:
    """The rows of ``records`` as a filter meets them, for any policy that decides at one early exit.

    The early exit always says "irrelevant", with the probability it gives all other classes together as its
    confidence: stopping drops the sample, and costs a mistake where the sample was relevant. Going on asks the last
    exit for the class; what it takes for any other class is irrelevant to it too. So its price is that of an upload,
    and its mistakes are relevant samples given another class, and irrelevant ones given a relevant class.

    Parameters
    ----------
    records : the evidence
    relevant : classes that are relevant
    exit_index : of the exit that filters
    temperatures : (E,) of the exits, default 1.0

    Raises
    ------
    ConfigError : no class is relevant, or all are, or one is no class of the records

    Source: Al-Atat et al. 2023 (arXiv 2304.11763), the dog / not-dog use case.
    """
    chosen = sorted(set(relevant))
    if not 0 < len(chosen) < records.classes or not 0 <= chosen[0] <= chosen[-1] < records.classes:
        raise ConfigError(
            f"of {records.classes} classes some must be relevant and some not, by their numbers; not {list(relevant)}"
        )
    degrees = (1.0,) * records.exits if temperatures is None else tuple(temperatures)
    near = served_probabilities(records.logits[exit_index], degrees[exit_index])
    far = served_probabilities(records.logits[-1], degrees[-1])
    dropping = 1.0 - near[:, chosen].sum(-1)
    said = _named(far.argmax(-1), chosen)
    confidence = np.clip(np.stack([dropping, far.max(-1)]), 0.0, 1.0).astype(np.float32)
    predicted = np.stack([np.full(len(said), IRRELEVANT), said])
    runner_up = np.stack([1.0 - confidence[0], np.partition(far, -2, axis=-1)[:, -2]]).astype(np.float32)
    return Stream(confidence, predicted, _named(records.labels, chosen), runner_up)


def _named(labels: NDArray[np.integer], relevant: list[int]) -> NDArray[np.intp]:
    """(n,) the labels, with one for all that is irrelevant."""
    return np.where(np.isin(labels, relevant), labels, IRRELEVANT).astype(np.intp)
