"""One part of a recording: some rows in, the bytes of their table out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.sample import check_rows
from offramp.cascade.segment import Segment
from offramp.cascade.store import Cascade
from offramp.records.coded_cut import CodedCut
from offramp.records.file import table_bytes
from offramp.records.table import Form, to_table

__all__ = ["Part", "PartOptions", "PartRunner"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Part:
    """Rows that are computed together: ``inputs`` as the data has them, n rows each; the rest (n,)."""

    number: int
    inputs: tuple[Array, ...]
    labels: NDArray[np.int64]
    split: NDArray[np.str_]
    row: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class PartOptions:
    """How parts are computed: rows per run, a plan's precision, how logits are stored, which cut is coded."""

    batch: int
    precision: str
    form: Form
    coded: CodedCut | None = None

    @property
    def variant(self) -> str:
        """What the records say they are of: ``fp32``, or ``fp32+uint8@1``."""
        return self.precision if self.coded is None else f"{self.precision}+{self.coded}"


class PartRunner:
    """Runs every exit on the rows of a part; each process has one.

    Parameters
    ----------
    cascade : what to run
    options : how
    """

    def __init__(self, cascade: Cascade, options: PartOptions) -> None:
        self._cascade = cascade
        self._options = options
        self._segments = cascade.load_segments(precision=options.precision)
        self._reader = cascade.reader()

    def __call__(self, part: Part, done: Callable[[int], None] | None = None) -> bytes:
        """The table of the part.

        Parameters
        ----------
        part : the rows
        done : called with the number of rows done so far, after every batch

        Raises
        ------
        SampleError : rows that the cascade cannot take
        """
        manifest = self._cascade.manifest
        logits = np.empty((len(manifest.exit_names), len(part), len(manifest.labels)), np.float32)
        for first in range(0, len(part), self._options.batch):
            here = slice(first, first + self._options.batch)
            inputs = check_rows(manifest, self._reader([array[here] for array in part.inputs]))
            _run_batch(self._segments, inputs, logits[:, here], self._options.coded)
            if done is not None:
                done(first + len(inputs[0]))
        return table_bytes(to_table(logits, part.labels, part.split, part.row, self._options.form))


def _run_batch(segments: Sequence[Segment], inputs: tuple[Array, ...], result: Array, coded: CodedCut | None) -> None:
    """Fill (E, n, K) with the logits of every exit; nobody leaves."""
    tensors, found = inputs, 0
    for index, segment in enumerate(segments):
        if coded is not None and coded.cut == index:
            arrived = coded(tensors)
            inputs = arrived if tensors is inputs else inputs
            tensors = arrived
        tensors, logits = segment.run_with_logits(tensors)
        if segment.spec.hand_over == "input":
            tensors = inputs
        if logits is not None:
            result[found] = logits
            found += 1
