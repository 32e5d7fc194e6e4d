"""The rows a probe sends fit any cascade."""

from __future__ import annotations

import numpy as np
import pytest

from offramp.cascade.manifest import TensorSpec
from offramp.runtime.probe import _random_row


@pytest.mark.parametrize(("dtype", "high"), [("uint8", 255), ("int64", 1), ("int32", 1)])
def test_indices_stay_within_the_smallest_table(dtype: str, high: int) -> None:
    spec = TensorSpec.model_validate({"name": "ids", "dtype": dtype, "shape": [None, 500]})
    row = _random_row(spec, np.random.default_rng(0))
    assert row.shape == (500,)
    assert str(row.dtype) == dtype
    assert row.max() == high
