"""Ridge logistic regression against scikit-learn, and its one-step leave-one-out against fitting again."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from offramp.confidence.gates.ridge import fit_ridge, sigmoid
from offramp.errors import NotEnoughSamples, SampleError


def sample(seed: int, rows: int = 300, columns: int = 6) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    x = np.concatenate([np.ones((rows, 1)), rng.normal(0, 1, (rows, columns - 1))], 1)
    return x, rng.random(rows) < sigmoid(x @ rng.normal(0, 1, columns))


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_those_of_scikit_learn(seed: int) -> None:
    x, y = sample(seed)
    ours = fit_ridge(x, y, penalties=(3.0,)).weights
    theirs = LogisticRegression(C=1 / 3, tol=1e-10, max_iter=10_000).fit(x[:, 1:], y)
    np.testing.assert_allclose(ours, [*theirs.intercept_, *theirs.coef_[0]], atol=2e-4)


def test_rows_held_out_are_as_if_never_seen() -> None:
    x, y = sample(7, rows=80)
    fit = fit_ridge(x, y, penalties=(3.0,))
    again = [x[i] @ fit_ridge(np.delete(x, i, 0), np.delete(y, i), penalties=(3.0,)).weights for i in range(80)]
    np.testing.assert_allclose(fit.held_out, again, atol=0.1)


def test_noise_gets_the_highest_penalty_and_signal_a_low_one() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([np.ones((400, 1)), rng.normal(0, 1, (400, 20))], 1)
    assert fit_ridge(x, rng.random(400) < 0.3).penalty >= 100
    assert fit_ridge(x, rng.random(400) < sigmoid(2 * x[:, 1:].sum(1))).penalty == 10


@pytest.mark.parametrize("always", [True, False])
def test_an_event_that_always_or_never_happens(always: bool) -> None:
    x, _ = sample(0)
    fit = fit_ridge(x, np.full(300, always))
    assert (fit.weights[1:] == 0).all()
    assert sigmoid(x @ fit.weights)[0] == pytest.approx(1 - 0.5 / 301 if always else 0.5 / 301)


def test_far_features_do_not_run_away() -> None:
    x, y = sample(3)
    x[0, 1] = 1e4
    assert np.isfinite(fit_ridge(x, y).weights).all()


def test_too_few_rows_are_refused() -> None:
    x, y = sample(0)
    with pytest.raises(NotEnoughSamples, match="at least 20 rows, not 19"):
        fit_ridge(x[:19], y[:19])


def test_nan_is_refused() -> None:
    x, y = sample(0)
    x[5, 2] = np.nan
    with pytest.raises(SampleError, match="row 5"):
        fit_ridge(x, y)
