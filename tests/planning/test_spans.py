"""Sums over the segments of a tier equal the masked sums."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offramp.planning.costs import all_placements
from offramp.planning.spans import sums_to_exits


@given(segments=st.integers(1, 7), tiers=st.integers(1, 4), seed=st.integers(0, 2**20))
def test_they_are_the_masked_sums_to_the_last_bit(segments: int, tiers: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 1, (tiers, segments))
    exits = sorted(rng.choice(segments, rng.integers(1, segments + 1), replace=False).tolist())
    placements = all_placements(segments, tiers)
    here = placements[:, :, None] == np.arange(tiers)
    expected = np.cumsum(here * values.T[None], axis=1)[:, exits]
    np.testing.assert_array_equal(sums_to_exits(values, placements, exits), expected)
