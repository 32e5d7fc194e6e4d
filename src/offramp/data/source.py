"""Where rows come from: what collecting asks of data."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowSource"]


class RowSource(Protocol):
    """Labelled rows, read where they are needed.

    `offramp.data.dataset.Dataset` is one, in memory or memory-mapped. A class that computes or
    decodes its rows on demand is another: then no more than one part of them is in memory.
    """

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) class of every row."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Name of every class."""

    @property
    def fixed_test(self) -> NDArray[np.bool_]:
        """(n,) rows the publisher set aside for testing."""

    @property
    def sha256(self) -> str:
        """Identity of the content, 64 hexadecimal digits."""

    def __len__(self) -> int:
        """n, the number of rows."""

    def rows(self, index: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        """The chosen rows of every input; the same index gives the same rows."""
