"""Samples as callers give them, read and checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.pace import Pace
from offramp.cascade.sample import check_rows
from offramp.cascade.store import Cascade
from offramp.runtime.single_array import SingleArray

__all__ = ["Sample", "SampleReader"]

Array = NDArray[Any]
#: one sample: an array, or several; a text or two where the cascade reads text
Sample = Array | Sequence[Array] | str | Sequence[str]


class SampleReader:
    """Makes the rows a cascade takes of what it is given.

    Parameters
    ----------
    cascade : what its inputs must look like, and its tokenizer if it reads text
    pace : of the device; only tokenising takes a slow one longer, reading an array is no work of the network

    Examples
    --------
    >>> from offramp.cascade.store import open_cascade
    >>> reader = SampleReader(open_cascade(getfixture("tiny_cascade")), Pace())
    >>> [rows.shape for rows in reader.rows(np.zeros((3, 4), np.float32))]
    [(3, 4)]
    """

    def __init__(self, cascade: Cascade, pace: Pace) -> None:
        self._manifest = cascade.manifest
        self._reader = cascade.reader()
        is_text = self._reader.tokenizer is not None
        self._pace = pace if is_text else Pace()
        self._single = None if is_text or len(self._manifest.inputs) > 1 else SingleArray(self._manifest)

    def one(self, sample: Sample) -> tuple[Array, ...]:
        """One sample as one row of every input.

        Raises
        ------
        SampleError : wrong dtype or shape, NaN or infinity
        """
        if self._single is not None and isinstance(sample, np.ndarray):
            return (self._single.row(sample),)
        return check_rows(self._manifest, self._pace.run(self._reader.row, sample))

    def rows(self, samples: Array | Sequence[Array]) -> tuple[Array, ...]:
        """Several samples: one array (n, ...), or one for each input.

        Raises
        ------
        SampleError : wrong dtype or shape, no row, NaN or infinity
        """
        inputs = (samples,) if isinstance(samples, np.ndarray) else tuple(samples)
        return check_rows(self._manifest, self._pace.run(self._reader, inputs))
