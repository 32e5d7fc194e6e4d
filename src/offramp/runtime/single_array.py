"""Reading a sample that is one array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import Manifest
from offramp.cascade.sample import check_rows

__all__ = ["SingleArray"]

Array = NDArray[Any]


class SingleArray:
    """Makes a row of a sample, checked; the usual kind in about a microsecond.

    Parameters
    ----------
    manifest : of a cascade that takes one array

    Examples
    --------
    >>> from offramp.cascade.store import open_cascade
    >>> single = SingleArray(open_cascade(getfixture("tiny_cascade")).manifest)
    >>> single.row(np.zeros(4, np.float32)).shape
    (1, 4)
    """

    def __init__(self, manifest: Manifest) -> None:
        spec = manifest.inputs[0]
        self._manifest = manifest
        self._shape = spec.row_shape
        self._dtype = np.dtype(spec.dtype)
        self._is_float = self._dtype.kind == "f"

    def row(self, sample: Array) -> Array:
        """The sample as one row.

        Raises
        ------
        SampleError : wrong dtype or shape, NaN or infinity
        """
        try:
            fits = sample.dtype is self._dtype and sample.shape == self._shape
            if fits and (not self._is_float or np.isfinite(sample).all()):
                return sample[None]
        except AttributeError:
            pass  # no array yet, a list say: the full check below converts it, or says what is wrong
        return check_rows(self._manifest, [np.asarray(sample)[None]])[0]
