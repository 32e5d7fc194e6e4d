"""Outage and missed deadlines: against loops, and the binomial formula against drawn batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from offramp.confidence.service import expected_outage, inference_outage, missed_deadline, random_batches
from offramp.errors import ConfigError, NotEnoughSamples

SHARES = st.integers(0, 1000).map(lambda mills: mills / 1000)


@given(seed=st.integers(0, 2**20), share=st.floats(0, 1), target=st.sampled_from([0.0, 0.5, 0.7, 0.8, 0.9, 1.0]))
def test_outage_equals_a_loop(seed: int, share: float, target: float) -> None:
    rng = np.random.default_rng(seed)
    decided, right = rng.random((9, 20)) < share, rng.random((9, 20)) < 0.8
    expected = [d.any() and r[d].mean() < target - 1e-9 for d, r in zip(decided, right, strict=True)]
    assert inference_outage(decided, right, target) == pytest.approx(np.mean(expected))


@given(seed=st.integers(0, 2**20), target=st.sampled_from([0.5, 0.8]))
def test_missed_deadlines_equal_a_loop(seed: int, target: float) -> None:
    rng = np.random.default_rng(seed)
    latency_s, right = rng.random((9, 20)), rng.random((9, 20)) < 0.8
    limits = np.array([[0.4, 0.5], [0.6, 2.0]])
    found = missed_deadline(latency_s, right, limits, target)
    for index in np.ndindex(2, 2):
        missed = [t.mean() > limits[index] or r.mean() < target - 1e-9 for t, r in zip(latency_s, right, strict=True)]
        assert found[index] == pytest.approx(np.mean(missed))
    assert (np.diff(found.ravel()) <= 0).all()


def test_exactly_the_target_is_no_outage() -> None:
    decided = np.ones((1, 10), bool)
    for hits in range(1, 11):
        assert inference_outage(decided, np.arange(10)[None] < hits, hits / 10) == 0.0


@settings(deadline=None)
@given(
    share=SHARES, accuracy=SHARES, target=st.sampled_from([0.0, 0.7, 0.8, 0.95, 1.0]),
    batch=st.integers(1, 40),
)  # fmt: skip
def test_expected_outage_equals_the_double_sum(share: float, accuracy: float, target: float, batch: int) -> None:
    total = 0.0
    for m in range(1, batch + 1):
        bad = [k for k in range(m + 1) if k < target * m - 1e-9]
        total += binom.pmf(m, batch, share) * binom.pmf(bad, m, accuracy).sum()
    assert float(expected_outage(share, accuracy, target, batch)) == pytest.approx(total, abs=1e-10)


def test_expected_outage_is_what_batches_show() -> None:
    rng = np.random.default_rng(0)
    decided, right = rng.random((20_000, 256)) < 0.4, rng.random((20_000, 256)) < 0.83
    assert inference_outage(decided, right, 0.8) == pytest.approx(float(expected_outage(0.4, 0.83, 0.8)), abs=0.01)


def test_a_higher_accuracy_has_no_more_outage() -> None:
    outage = expected_outage(np.array([[0.05], [0.5], [1.0]]), np.linspace(0, 1, 101), 0.8)
    assert (np.diff(outage, axis=1) <= 1e-12).all()


def test_batches_hold_every_row_at_most_once_per_repeat() -> None:
    batches = random_batches(1000, 4, np.random.default_rng(0), 256)
    assert batches.shape == (12, 256)
    for repeat in batches.reshape(4, -1):
        assert len(set(repeat.tolist())) == len(repeat)


def test_refusals() -> None:
    with pytest.raises(NotEnoughSamples, match="a batch has 256 rows, but there are only 255"):
        random_batches(255, 1, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="must lie in"):
        expected_outage(1.2, 0.5, 0.8)
