"""The exact test of signed losses: against the multinomial, summed out, and as a promise kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from offramp.confidence.bounds.binomial import clopper_pearson_upper
from offramp.confidence.bounds.signed import NUISANCE, _tail, signed_p_value, signed_upper


def tail_summed(difference: int, rows: int, lose: float, win: float) -> float:
    """P(losses - wins <= difference), by summing over the number of rows that are not even."""
    uneven = np.arange(rows + 1)
    share = lose / (lose + win)
    below = stats.binom.cdf(np.floor((difference + uneven) / 2), uneven, share)
    return float(stats.binom.pmf(uneven, rows, lose + win) @ below)


@given(
    rows=st.integers(5, 60),
    uneven=st.floats(0.02, 0.5),
    tilt=st.floats(0.0, 0.9),
    difference=st.integers(-20, 20),
)
def test_the_tail_is_that_of_the_multinomial(rows: int, uneven: float, tilt: float, difference: int) -> None:
    lose, win = uneven * (1 + tilt) / 2, uneven * (1 - tilt) / 2
    exact = tail_summed(difference, rows, lose, win)
    assert float(_tail(np.array([difference]), rows, lose, win)[0]) == pytest.approx(exact, abs=1e-10)


@given(rows=st.integers(50, 400), worse=st.integers(0, 20), better=st.integers(0, 20))
def test_no_nuisance_below_the_bound_is_worse(rows: int, worse: int, better: int) -> None:
    limit, delta = 0.05, 0.1
    p = float(signed_p_value(worse, better, rows, limit, delta))
    highest = float(clopper_pearson_upper(worse + better, rows, NUISANCE * delta))
    for uneven in np.linspace(limit, max(limit, highest), 12):
        if highest >= limit:
            tail = tail_summed(worse - better, rows, (uneven + limit) / 2, (uneven - limit) / 2)
            assert tail <= p + 1e-9


@pytest.mark.parametrize("uneven", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("delta", [0.05, 0.1])
def test_a_true_null_is_rejected_no_more_often_than_promised(uneven: float, delta: float) -> None:
    rows, limit, repeats = 500, 0.02, 4000
    share = [(uneven + limit) / 2, (uneven - limit) / 2, 1 - uneven]
    drawn = np.random.default_rng(0).multinomial(rows, share, repeats)
    rejected = (signed_p_value(drawn[:, 0], drawn[:, 1], rows, limit, delta) <= delta).mean()
    assert rejected <= delta + 3 * np.sqrt(delta * (1 - delta) / repeats)


def test_more_wins_make_the_case_stronger() -> None:
    p = signed_p_value(np.full(3, 10), np.array([0, 5, 9]), 2000, 0.01)
    assert (np.diff(p) < 0).all()


@given(worse=st.integers(0, 30), better=st.integers(0, 30))
def test_the_upper_bound_inverts_the_test(worse: int, better: int) -> None:
    bound = signed_upper(worse, better, 600, 0.05)
    assert bound >= (worse - better) / 600
    assert float(signed_p_value(worse, better, 600, bound + 1e-6, 0.05)) <= 0.05


def test_many_uneven_rows_fall_back_to_hoeffding() -> None:
    p = float(signed_p_value(250, 300, 1000, 0.1, 0.05))
    assert p == pytest.approx(np.exp(-1000 * 0.15**2 / 2))


def test_none_uneven_needs_about_as_many_rows_as_the_truncated_loss() -> None:
    assert float(signed_p_value(0, 0, 250, 0.01, 0.05)) > 0.05
    assert float(signed_p_value(0, 0, 600, 0.01, 0.05)) <= 0.05
