"""Guards: scikit-learn's distances, the share that passes, JSON, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from sklearn.covariance import EmpiricalCovariance

from offramp.confidence.guard import EnergyGuard, Guard, MahalanobisGuard, guard_from_json, keep_limit
from offramp.errors import ConfigError, NotEnoughSamples, SampleError

RNG = np.random.default_rng(0)
MIX = RNG.normal(0, 1, (4, 4))
CLEAN = RNG.normal(0, 1, (2000, 4)) @ MIX + [1.0, 2.0, 3.0, 4.0]


def test_distance_equals_scikit_learn() -> None:
    oracle = EmpiricalCovariance().fit(CLEAN)
    ours = MahalanobisGuard.fit(CLEAN).distance(CLEAN[:50] * 2)
    np.testing.assert_allclose(ours, oracle.mahalanobis(CLEAN[:50] * 2) * 1999 / 2000, rtol=1e-6)


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.99])
def test_limit_on_gaussian_rows_is_that_of_chi_squared(keep: float) -> None:
    guard = MahalanobisGuard.fit(CLEAN, keep)
    assert guard.limit == pytest.approx(chi2.ppf(keep, 4), rel=0.15)
    fresh = np.random.default_rng(1).normal(0, 1, (5000, 4)) @ MIX + [1.0, 2.0, 3.0, 4.0]
    assert guard.passes(fresh).mean() == pytest.approx(keep, abs=0.03)


@settings(deadline=None)
@given(seed=st.integers(0, 2**20))
def test_an_affine_map_of_the_features_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = np.eye(4) + rng.uniform(-0.2, 0.2, (4, 4))
    one = MahalanobisGuard.fit(CLEAN).distance(CLEAN[:20])
    two = MahalanobisGuard.fit(CLEAN @ matrix + 5).distance(CLEAN[:20] @ matrix + 5)
    np.testing.assert_allclose(two, one, rtol=1e-4)


def test_keep_limit_keeps_what_it_says() -> None:
    rng = np.random.default_rng(2)
    draws = rng.random((4000, 50))
    kept = [value <= keep_limit(rest, 0.9) for *rest, value in draws]
    assert np.mean(kept) == pytest.approx(np.ceil(50 * 0.9) / 50, abs=0.02)
    with pytest.raises(NotEnoughSamples, match="99 rows"):
        keep_limit(np.arange(98), 0.99)
    with pytest.raises(ConfigError, match="must lie"):
        keep_limit([1.0], 1.0)


def test_energy_guard_turns_away_flat_logits() -> None:
    logits = RNG.normal(0, 1, (500, 5)) + 6 * np.eye(5)[RNG.integers(0, 5, 500)]
    guard = EnergyGuard.fit(logits, 0.95)
    assert guard.passes(logits).mean() == pytest.approx(0.95, abs=0.01)
    assert not guard.passes(np.zeros((1, 5)))[0]


@pytest.mark.parametrize("guard", [MahalanobisGuard.fit(CLEAN), EnergyGuard(0.25)], ids=lambda g: g.kind)
def test_contract(guard: Guard) -> None:
    again = guard_from_json(guard.to_json())
    assert again == guard
    rows = CLEAN[:30]
    before = rows.copy()
    passed = guard.passes(rows)
    assert passed.dtype == np.bool_
    assert passed.tolist() == [bool(guard.passes(row[None])[0]) for row in rows]
    np.testing.assert_array_equal(rows, before)
    with np.errstate(invalid="ignore"):
        assert not guard.passes(np.full((1, 4), np.nan))[0]
    assert eval(repr(guard), {type(guard).__name__: type(guard)}) == guard


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"kind": "energy"}', '{"kind": "mahalanobis", "mean": [1], "precision": [[1, 2]], "limit": 1}'],
)
def test_not_a_guard(text: str) -> None:
    with pytest.raises(ConfigError, match="not a guard"):
        guard_from_json(text)
    with pytest.raises(ConfigError, match="known are energy, mahalanobis"):
        guard_from_json('{"kind": "dog"}')


def test_bad_input() -> None:
    with pytest.raises(NotEnoughSamples, match="covariance"):
        MahalanobisGuard.fit(CLEAN[:5])
    with pytest.raises(SampleError, match="row 7 "):
        MahalanobisGuard.fit(np.where(np.arange(2000)[:, None] == 7, np.nan, CLEAN))
    with pytest.raises(SampleError, match="feature 2"):
        MahalanobisGuard.fit(np.where(np.arange(4) == 2, 1.0, CLEAN))
    with pytest.raises(SampleError, match=r"\(n, F\)"):
        MahalanobisGuard.fit(CLEAN[0])
    with pytest.raises(SampleError, match="4 features"):
        MahalanobisGuard.fit(CLEAN).passes(np.zeros((1, 3)))
    with pytest.raises(ConfigError, match="precision"):
        MahalanobisGuard((), (), 1.0)
