"""Agreement and support against loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offramp.confidence.agreement import agreement, support


@given(seed=st.integers(0, 2**20), exits=st.integers(1, 5), rows=st.integers(1, 20))
def test_equal_loops(seed: int, exits: int, rows: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.ones(3), (exits, rows))
    answers = p.argmax(-1)
    shares, supports = agreement(answers), support(p)
    assert shares.shape == supports.shape == (exits, rows)
    for e in range(exits):
        for i in range(rows):
            so_far = answers[: e + 1, i]
            assert abs(shares[e, i] - (so_far == answers[e, i]).mean()) < 1e-12
            assert abs(supports[e, i] - p[: e + 1, i, answers[e, i]].mean()) < 1e-12
    assert (shares[0] == 1).all()
    np.testing.assert_array_equal(supports[0], p[0].max(-1))
