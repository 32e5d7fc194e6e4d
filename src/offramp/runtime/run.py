"""Streaming labelled rows through a device, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.errors import DataError
from offramp.runtime.answer import Answer
from offramp.runtime.device import Device
from offramp.runtime.run_result import RunResult

__all__ = ["run"]

Array = NDArray[Any]


def run(
    device: Device,
    inputs: Array | Sequence[Array],
    labels: NDArray[np.int64],
    *,
    name: str = "run",
    before_row: Callable[[int], None] | None = None,
    on_answer: Callable[[Answer, int], None] | None = None,
    tier_counters: Callable[[], dict[str, float]] | None = None,
    in_flight: int = 1,
) -> RunResult:
    """Ask for row after row, each when the one before is answered, or with several under way.

    Parameters
    ----------
    device : follows its plan
    inputs : one array (n, ...), or one for each input of the cascade
    labels : (n,) the right answers
    name : of the run, in reports
    before_row : called with the row's index before it is asked, for example to kill a tier half way
    on_answer : called with every answer and its label, for a live table
    tier_counters : reads what the other tiers have counted, as `LocalCluster.counters`
    in_flight : rows under way; more than 1 overlaps the device's compute with waiting, as far as the device lets

    Returns
    -------
    RunResult : what every row was answered, and what was counted during the run

    Raises
    ------
    DataError : no rows, or another number of labels
    SampleError : a row the cascade cannot take
    """
    arrays = (inputs,) if isinstance(inputs, np.ndarray) else tuple(inputs)
    if not len(labels) or any(len(array) != len(labels) for array in arrays):
        sizes = ", ".join(str(len(array)) for array in arrays)
        raise DataError(
            f"run {name!r}: {len(labels)} labels for {sizes} rows; give one label for each row, at least one"
        )
    before = _counts(device, tier_counters)
    answers: list[Answer] = []
    samples = _samples(arrays, before_row)
    for answer in map(device.infer, samples) if in_flight == 1 else device.infer_many(samples):
        answers.append(answer)
        if on_answer is not None:
            on_answer(answer, int(labels[len(answers) - 1]))
    after = _counts(device, tier_counters)
    return _result(name, device, answers, labels, {key: value - before.get(key, 0) for key, value in after.items()})


def _samples(arrays: tuple[Array, ...], before_row: Callable[[int], None] | None) -> Iterator[Array | list[Array]]:
    for row in range(len(arrays[0])):
        if before_row is not None:
            before_row(row)
        yield arrays[0][row] if len(arrays) == 1 else [array[row] for array in arrays]


def _counts(device: Device, tier_counters: Callable[[], dict[str, float]] | None) -> dict[str, float]:
    return {**device.counters.to_dict(), **(tier_counters() if tier_counters is not None else {})}


def _result(
    name: str, device: Device, answers: list[Answer], labels: NDArray[np.int64], counters: dict[str, float]
) -> RunResult:
    tiers = list(device.plan.tiers)
    return RunResult(
        name=name,
        plan=device.plan,
        labels=[int(label) for label in labels],
        answers=[answer.label for answer in answers],
        exits=[answer.exit for answer in answers],
        tier=[tiers.index(answer.tier) for answer in answers],
        tiers=tiers,
        latency_s=[answer.latency_s for answer in answers],
        sent_bytes=[answer.sent_bytes for answer in answers],
        degraded=[answer.degraded or "" for answer in answers],
        counters=counters,
    )
