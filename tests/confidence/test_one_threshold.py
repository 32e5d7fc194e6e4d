"""One threshold for several exits: counted as one by one, and joined with a grid without loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.confidence.one_threshold import JoinedSettings, OneThreshold, exit_subsets, with_one_threshold
from offramp.confidence.settings import GateSettings, evaluate
from offramp.errors import ConfigError, NotEnoughSamples


def rows_of(seed: int, early: int, rows: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    score = rng.random((early, rows))
    if levels:
        score = np.round(score * levels) / levels
    return score.astype(np.float32), rng.random((early + 1, rows)) < 0.7


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    early=st.integers(0, 3),
    rows=st.integers(1, 30),
    levels=st.sampled_from([0, 3]),
    points=st.integers(2, 40),
)
def test_counts_equal_those_of_every_setting(seed: int, early: int, rows: int, levels: int, points: int) -> None:
    score, correct = rows_of(seed, early, rows, levels)
    found = OneThreshold.of(score, correct, points=points)
    share, accuracy = evaluate(score, correct, found.thresholds)
    assert np.allclose(found.share, share)
    assert np.allclose(found.accuracy, accuracy)
    assert np.isinf(found.thresholds[-1]).all()
    for loss in (0.0, 0.1):  # nothing useful is dropped: as fast for costs that rise from exit to exit
        enough = np.flatnonzero(found.accuracy >= found.accuracy_last_exit - loss - 1e-12)
        cost = np.cumsum(np.random.default_rng(seed).random(early + 1))
        assert (found.share[found.accurate(loss)] @ cost).min() <= (found.share[enough] @ cost).min() + 1e-9
    for line in found.thresholds:
        assert len(set(line[np.isfinite(line)].tolist())) <= 1


def test_joined_settings_are_those_of_their_parts() -> None:
    score, correct = rows_of(3, 3, 200, 0)
    one, grid = OneThreshold.of(score, correct, points=50), GateSettings.build(score, correct, 500)
    joined = JoinedSettings.of(one, grid)
    assert np.array_equal(joined.thresholds, np.concatenate([one.thresholds, grid.thresholds]))
    assert joined.shape == (len(joined),)
    loss = 0.05
    assert set(joined.accurate(loss)) == set(one.accurate(loss)) | {i + len(one) for i in grid.accurate(loss)}
    some = np.array([len(joined) - 1, 0, len(one)])
    assert np.array_equal(joined.thresholds_of(some), joined.thresholds[some])


@pytest.mark.parametrize("early", [0, 1, 2, 5, 13])
def test_settings_with_those_of_one_threshold(early: int) -> None:
    score, correct = rows_of(4, early, 300, 0)
    grid = GateSettings.build(score, correct, 100) if early < 13 else OneThreshold.of(score, correct, [(True,) * 13], 2)
    wide = with_one_threshold(grid, score, correct)
    assert wide.accuracy_last_exit == grid.accuracy_last_exit
    cost = np.arange(early + 1.0)
    every = OneThreshold.of(score, correct, [(True,) * early])
    for loss in (0.0, 0.05):
        for fewer in (grid, every):
            assert (wide.share[wide.accurate(loss)] @ cost).min() <= (fewer.share[fewer.accurate(loss)] @ cost).min()


def test_subsets_and_refusals() -> None:
    assert len(exit_subsets(3)) == 8
    with pytest.raises(ConfigError, match="too many subsets"):
        exit_subsets(40)
    with pytest.raises(NotEnoughSamples):
        OneThreshold.of(np.zeros((1, 0), np.float32), np.zeros((2, 0), bool))
    score, correct = rows_of(1, 1, 5, 0)
    with pytest.raises(ConfigError, match="cannot be joined"):
        JoinedSettings.of(OneThreshold.of(score, correct), OneThreshold.of(score[:, :4], correct[:, :4]))
