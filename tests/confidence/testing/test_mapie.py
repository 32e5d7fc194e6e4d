"""MAPIE as oracle where it does the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from mapie.risk_control.fwer_control import FWERBonferroniHolm, FWERFixedSequenceTesting
from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value, get_r_hat_plus

from offramp.confidence.bounds.betting import betting_upper
from offramp.confidence.bounds.binomial import binomial_p_value
from offramp.confidence.bounds.hoeffding_bentkus import hoeffding_bentkus_p_value
from offramp.confidence.testing.family import fixed_sequence, holm
from offramp.confidence.testing.monotone import conformal_risk_control, risk_controlling

COUNTS = st.lists(st.integers(0, 60), min_size=2, max_size=10)
LEVEL = st.sampled_from([0.05, 0.1])


@given(COUNTS, st.integers(60, 2000), st.sampled_from([0.01, 0.05, 0.2]))
def test_p_values(counts: list[int], rows: int, limit: float) -> None:
    mean = np.array(counts) / rows
    just_below = mean * (1 - 1e-12)  # they round rows * mean up, whatever is lost in the last bit
    theirs = compute_hoeffding_bentkus_p_value(just_below, rows, limit)[:, 0]
    assert np.allclose(hoeffding_bentkus_p_value(mean, rows, limit), np.minimum(theirs, 1.0))
    binary = compute_hoeffding_bentkus_p_value(just_below, rows, limit, binary=True)[:, 0]
    ours = binomial_p_value(counts, rows, limit)
    assert (ours >= binary - 1e-9).all()  # theirs takes the better of Hoeffding's and the exact one
    assert np.allclose(np.minimum(ours, theirs), binary)


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=12), LEVEL)
def test_families(p: list[float], delta: float) -> None:
    values = np.array(p)
    assert np.flatnonzero(holm(values, delta)).tolist() == sorted(FWERBonferroniHolm().run(values, delta).tolist())
    one_start = FWERFixedSequenceTesting(n_starts=1).run(values, delta)
    assert np.flatnonzero(fixed_sequence(values, delta)).tolist() == sorted(one_start.tolist())


def test_conformal_risk_control() -> None:
    draw = np.random.default_rng(0)
    rows, bold = 400, np.linspace(0, 1, 21)
    losses = (draw.random((rows, 1)) < 0.3 * bold).astype(float)  # monotone in every row
    mean, upper = get_r_hat_plus(losses, bold, "crc", None, None, None)
    chosen = conformal_risk_control(mean, rows, 0.1)
    assert chosen == np.flatnonzero(upper <= 0.1)[-1]
    certain = risk_controlling([betting_upper(column, 0.1) for column in losses.T], 0.1)
    assert 0 <= certain <= chosen
