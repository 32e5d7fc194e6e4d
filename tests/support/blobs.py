"""Labelled rows for the tiny cascade, and a cascade that says it was built on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from offramp.cascade.manifest import DataSpec
from offramp.cascade.store import Cascade, open_cascade, write_text_atomic
from offramp.data.dataset import Dataset
from tests.support.tiny import CLASSES, make_tiny_cascade, tiny_rows

__all__ = ["blobs", "built_on", "cascade_on"]


def blobs(rows: int = 120, seed: int = 5) -> Dataset:
    """``rows`` rows (4,) float32 of 3 classes."""
    labels = np.random.default_rng(seed).integers(0, CLASSES, rows)
    return Dataset("blobs", (tiny_rows(rows, seed),), labels, ("a", "b", "c"), np.zeros(rows, bool))


def cascade_on(dataset: Dataset, folder: Path, segments: int = 3, seed: int = 0) -> Cascade:
    """The tiny cascade with the split of ``dataset`` in its manifest."""
    return built_on(make_tiny_cascade(folder, segments=segments, seed=seed), dataset)


def built_on(cascade: Cascade, dataset: Dataset) -> Cascade:
    """The cascade, saying that it was built on ``dataset`` with a fifth of the rows for each split."""
    data = DataSpec(name=dataset.name, sha256=dataset.sha256, split_seed=7, tune=0.2, calibrate=0.2, test=0.2)
    write_text_atomic(cascade.path / "cascade.json", cascade.manifest.model_copy(update={"data": data}).to_json())
    return open_cascade(cascade.path)
