"""The tree finds what a product over all rows finds, also where limits close whole groups."""

from __future__ import annotations

import numpy as np
import pytest

from offramp.planning.bound_tree import BoundTree


@pytest.mark.parametrize("most", [0.05, 0.2, 0.5, 2.0])
def test_a_deep_tree_with_limits(most: float) -> None:
    rng = np.random.default_rng(0)
    rows, limits = rng.uniform(0, 1, (40_000, 3)), rng.uniform(0, 1, (40_000, 2, 3)) ** 2
    tree = BoundTree.of(rows, np.arange(len(rows)), np.ones(3), limits, np.full(2, most))
    assert len(tree.levels) > 2
    for vector in rng.uniform(0, 1, (100, 3)):
        value = np.where((limits @ vector <= most + 1e-12).all(1), rows @ vector, np.inf)
        index, least = tree.least(vector)
        if np.isinf(value.min()):
            assert index == -1
        else:
            assert least == pytest.approx(value.min(), rel=1e-12)
            assert value[index] == pytest.approx(least, rel=1e-12)
