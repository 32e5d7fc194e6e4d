"""Energy and the two highest probabilities."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp

from offramp.confidence.scores import Energy, Margin, MaxProbability, softmax, top_two


@given(seed=st.integers(0, 2**20), classes=st.integers(2, 20), scale=st.floats(0, 100))
def test_energy_is_that_of_the_centred_logits(seed: int, classes: int, scale: float) -> None:
    z = np.random.default_rng(seed).normal(0, 1, (30, classes)) * scale
    x = np.maximum(logsumexp(z - z.mean(1, keepdims=True), axis=1) - np.log(classes), 0)
    np.testing.assert_allclose(Energy().score(z), x / (1 + x), atol=1e-12)


def test_energy_of_log_probabilities_is_that_of_logits() -> None:
    z = np.random.default_rng(0).normal(0, 5, (50, 7))
    np.testing.assert_allclose(Energy().score(log_softmax(z, 1)), Energy().score(z), atol=1e-12)


def test_energy_tells_saturated_rows_apart() -> None:
    z = np.array([[50.0, 0, 0], [100.0, 0, 0], [1e6, 0, 0]])
    assert len(set(MaxProbability().score(z).tolist())) == 1
    assert (np.diff(Energy().score(z)) > 0).all()


def test_top_two_are_sorted_and_give_the_margin() -> None:
    z = np.random.default_rng(1).normal(0, 2, (40, 5))
    two = top_two(z)
    np.testing.assert_array_equal(two, np.sort(softmax(z), 1)[:, :-3:-1])
    np.testing.assert_array_equal(Margin().score(z), two[:, 0] - two[:, 1])
