"""What policies are replayed over: recorded samples as a policy would meet them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.base import Gate
from offramp.confidence.served import served_probabilities
from offramp.errors import ConfigError, RecordMismatch
from offramp.policies.setting import LabelledRows
from offramp.records.confidences import gate_scores
from offramp.records.records import Records

__all__ = ["Stream", "stream_of"]


@dataclass(frozen=True)
class Stream:
    """Samples that come one after the other.

    Parameters
    ----------
    confidence : (E, n) in [0, 1] of every exit, the last one too
    predicted : (E, n) what each exit says
    truth : (n,) the labels
    runner_up : (E, n) second largest probabilities
    price : (n,) of going on, in units of one mistake; empty where it is the setting's
    features : (n, d) known before anything is computed; empty where there are none
    context : (n,) the kind of data; empty where there is one kind

    Raises
    ------
    ConfigError : shapes that do not fit, confidences that are no numbers in [0, 1], prices outside [0, 1)

    Examples
    --------
    >>> stream = Stream(np.array([[0.9, 0.4], [0.8, 0.7]]), np.array([[1, 0], [1, 1]]), np.array([1, 1]))
    >>> len(stream), stream.exits, stream.right[0].tolist(), stream.published().right[1].tolist()
    (2, 2, [True, False], [True, True])
    """

    confidence: NDArray[np.float32]
    predicted: NDArray[np.intp]
    truth: NDArray[np.intp]
    runner_up: NDArray[np.float32] | None = None
    price: NDArray[np.float64] | None = None
    features: NDArray[np.float32] | None = None
    context: NDArray[np.intp] | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.confidence)
        if len(shape) != 2 or not shape[0]:
            raise ConfigError(f"confidences of a stream must be of shape (exits, samples), not {shape}")
        if np.shape(self.predicted) != shape or np.shape(self.truth) != shape[1:]:
            raise ConfigError(
                f"for confidences of shape {shape} the predictions must have that shape and the labels {shape[1:]}, "
                f"not {np.shape(self.predicted)} and {np.shape(self.truth)}"
            )
        for name in ("price", "features", "context"):
            given = getattr(self, name)
            if given is not None and len(given) != shape[1]:
                raise ConfigError(f"{len(given)} values of {name!r} for {shape[1]} samples; give one per sample")
        if self.runner_up is not None and np.shape(self.runner_up) != shape:
            raise ConfigError(f"the second probabilities must be of shape {shape}, not {np.shape(self.runner_up)}")
        if not np.all((self.confidence >= 0) & (self.confidence <= 1)):  # NaN fails both
            exit_index, row = np.argwhere(~((self.confidence >= 0) & (self.confidence <= 1)))[0]
            value = self.confidence[exit_index, row]
            raise ConfigError(f"confidences must lie in [0, 1]; exit {exit_index} has {value} at sample {row}")
        if self.price is not None and not np.all((self.price >= 0) & (self.price < 1)):
            raise ConfigError("prices, in units of one mistake, must lie in [0, 1)")

    def __len__(self) -> int:
        return int(np.shape(self.truth)[0])

    @property
    def exits(self) -> int:
        """E, the last one included."""
        return int(np.shape(self.confidence)[0])

    @property
    def right(self) -> NDArray[np.bool_]:
        """(E, n) whether the exit is right."""
        right: NDArray[np.bool_] = self.predicted == self.truth
        return right

    @property
    def labelled(self) -> LabelledRows:
        """The same samples as rows to begin a policy from."""
        extra = {name: value for name in ("runner_up", "features") if (value := getattr(self, name)) is not None}
        return LabelledRows(self.confidence, self.predicted, self.truth, **extra)

    def published(self) -> Stream:
        """The setting of the papers: what the last exit says is taken for the truth."""
        return replace(self, truth=self.predicted[-1])

    def take(self, index: NDArray[np.intp]) -> Stream:
        """The samples ``index`` (m,), in that order."""
        some = {
            name: None if value is None else value[..., index] if name == "runner_up" else value[index]
            for name in ("runner_up", "price", "features", "context")
            for value in [getattr(self, name)]
        }
        return replace(
            self,
            confidence=self.confidence[:, index],
            predicted=self.predicted[:, index],
            truth=self.truth[index],
            **some,
        )


def stream_of(
    records: Records, *, temperatures: Sequence[float] | None = None, gates: Sequence[Gate] | None = None
) -> Stream:
    """The rows of ``records`` as policies meet them, in the order recorded.

    Parameters
    ----------
    records : the evidence
    temperatures : (E,) of the exits, default 1.0
    gates : of a plan; policies see their scores in the place of the confidence of the early exits

    Raises
    ------
    RecordMismatch : the number of temperatures is not that of the exits, or there is one class alone
    """
    if records.classes < 2:
        raise RecordMismatch(
            "the records have one class alone: every exit says the same, so there is nothing to decide"
        )
    degrees = (1.0,) * records.exits if temperatures is None else tuple(temperatures)
    if len(degrees) != records.exits:
        raise RecordMismatch(f"{len(degrees)} temperatures for the {records.exits} exits of the records")
    confidence = np.empty((records.exits, len(records)), np.float32)
    runner_up = np.empty_like(confidence)
    for index, degree in enumerate(degrees):
        highest = np.partition(served_probabilities(records.logits[index], degree), -2, axis=-1)
        confidence[index], runner_up[index] = highest[:, -1], highest[:, -2]
    confidence[:-1] = gate_scores(records, degrees, gates)
    return Stream(confidence, records.predictions.astype(np.intp), records.labels.astype(np.intp), runner_up)
