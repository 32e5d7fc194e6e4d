"""Rows made up as they are read, and a cascade of any number of classes that takes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import DataSpec
from offramp.cascade.store import Cascade, open_cascade, write_text_atomic
from tests.support import tiny

__all__ = ["GeneratedRows", "wide_cascade"]


@dataclass(frozen=True)
class GeneratedRows:
    """n rows (4,) float32 that are nowhere in memory; every row is a test row."""

    count: int
    classes: int

    name = "generated"
    sha256 = "0" * 64

    def __len__(self) -> int:
        return self.count

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.arange(self.count) % self.classes

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(str(index) for index in range(self.classes))

    @property
    def fixed_test(self) -> NDArray[np.bool_]:
        return np.ones(self.count, bool)

    def rows(self, index: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        return (np.sin(index[:, None] * np.array([0.1, 0.7, 1.3, 2.9])).astype(np.float32),)


def wide_cascade(folder: Path, exits: int, classes: int) -> Cascade:
    """The tiny cascade with that many exits and classes, built on `GeneratedRows`."""
    cascade = tiny.make_tiny_cascade(folder, segments=exits, classes=classes)
    data = DataSpec(name="generated", sha256=GeneratedRows.sha256, split_seed=0, tune=0, calibrate=0, test=0)
    write_text_atomic(cascade.path / "cascade.json", cascade.manifest.model_copy(update={"data": data}).to_json())
    return open_cascade(cascade.path)
