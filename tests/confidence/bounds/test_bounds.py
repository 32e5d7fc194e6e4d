"""Bounds: known answers, scipy as oracle, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from offramp.confidence.bounds.betting import betting_p_value, betting_upper
from offramp.confidence.bounds.binomial import (
    binomial_p_value,
    clopper_pearson_lower,
    clopper_pearson_upper,
    rows_needed,
)
from offramp.confidence.bounds.hoeffding_bentkus import hoeffding_bentkus_p_value, hoeffding_bentkus_upper
from offramp.errors import ConfigError, NotEnoughSamples, SampleError


@given(st.integers(1, 500), st.data(), st.floats(0.005, 0.5))
def test_clopper_pearson_is_that_of_scipy(rows: int, data: st.DataObject, delta: float) -> None:
    count = data.draw(st.integers(0, rows))
    test = stats.binomtest(count, rows)
    interval = test.proportion_ci(1 - 2 * delta, method="exact") if delta < 0.5 else None
    if interval is not None:
        assert float(clopper_pearson_upper(count, rows, delta)) == pytest.approx(interval.high, abs=1e-9)
        assert float(clopper_pearson_lower(count, rows, delta)) == pytest.approx(interval.low, abs=1e-9)


@given(st.integers(1, 500), st.data(), st.floats(0.001, 0.9))
def test_the_binomial_test_is_that_of_scipy(rows: int, data: st.DataObject, limit: float) -> None:
    count = data.draw(st.integers(0, rows))
    expected = stats.binomtest(count, rows, limit, alternative="less").pvalue
    assert float(binomial_p_value(count, rows, limit)) == pytest.approx(expected, abs=1e-9)


def test_no_rows_prove_nothing() -> None:
    assert float(binomial_p_value(0, 0, 0.1)) == 1.0


@given(st.floats(0.001, 0.3), st.floats(0.01, 0.3))
def test_rows_needed_is_the_first_number_that_can_do(limit: float, delta: float) -> None:
    needed = rows_needed(limit, delta)
    assert float(binomial_p_value(0, needed, limit)) <= delta + 1e-9
    assert needed == 1 or float(binomial_p_value(0, needed - 1, limit)) > delta - 1e-9


def test_known_answers() -> None:
    every_fiftieth = np.zeros(1000)
    every_fiftieth[::50] = 1
    assert betting_upper(np.zeros(1000), 0.1) == pytest.approx(0.00237, abs=5e-6)
    assert betting_upper(np.full(1000, 0.02), 0.1) == pytest.approx(0.02237, abs=5e-6)
    assert betting_upper(every_fiftieth, 0.1) == pytest.approx(0.03213, abs=5e-6)
    assert float(hoeffding_bentkus_p_value(0.02, 1000, 0.03)) == pytest.approx(0.0905, abs=5e-5)
    assert float(hoeffding_bentkus_p_value(0.02, 1000, 0.04)) == pytest.approx(8.07e-4, abs=5e-7)
    assert float(hoeffding_bentkus_p_value(0.0, 100, 0.05)) == pytest.approx(0.95**100, rel=1e-6)
    assert float(binomial_p_value(20, 1000, 0.03)) == pytest.approx(0.0333, abs=5e-5)


@pytest.mark.parametrize("mean", [0.01, 0.05, 0.3])
def test_the_betting_bound_covers_as_promised(mean: float) -> None:
    rows, delta, repeats = 500, 0.1, 1000
    losses = np.random.default_rng(1).random((repeats, rows)) < mean
    missed = np.mean([betting_p_value(row, mean, delta) <= delta for row in losses])
    assert missed <= delta + 3 * np.sqrt(delta * (1 - delta) / repeats)


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=80), st.floats(0.02, 0.4))
def test_the_betting_bound_and_its_test_agree(losses: list[float], delta: float) -> None:
    bound = betting_upper(losses, delta, low=-1.0)
    assert -1.0 <= bound <= 1.0
    if bound < 0.999:
        assert betting_p_value(losses, bound + 1e-3, delta, low=-1.0) <= delta + 1e-9


@given(st.floats(0, 1), st.integers(1, 300), st.floats(0.01, 0.4))
def test_hoeffding_bentkus_bound_inverts_its_test(mean: float, rows: int, delta: float) -> None:
    bound = hoeffding_bentkus_upper(mean, rows, delta)
    assert bound >= mean - 1e-9
    if bound < 0.999:
        assert float(hoeffding_bentkus_p_value(mean, rows, bound + 1e-6)) <= delta + 1e-9


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"delta.*must lie in"):
        clopper_pearson_upper(1, 10, 1.5)
    with pytest.raises(NotEnoughSamples, match="at least one loss"):
        betting_upper([], 0.1)
    with pytest.raises(SampleError, match="row 1 is nan"):
        betting_upper([0.0, float("nan")], 0.1)
    with pytest.raises(SampleError, match=r"outside \[0, 1\]"):
        betting_upper([-1.0], 0.1)
