"""The compact form: the gates' scores stay the same to 1e-3 at every temperature of interest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from offramp.confidence.scores import Margin, MaxProbability, NegativeEntropy
from offramp.errors import ConfigError
from offramp.records.compact import TOLERANCE, TOP, pack, unpack
from offramp.records.tail import INVERSE_TEMPERATURES, fit_tail

SCORES = (MaxProbability(), Margin(), NegativeEntropy())


def worst_difference(logits: NDArray[np.floating], stored: NDArray[np.floating], temperature: float) -> float:
    a, b = logits / temperature, stored / temperature
    return max(float(np.abs(score.score(a) - score.score(b)).max()) for score in SCORES)


def drawn(kind: str, rows: int, classes: int, scale: float, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    size = (rows, classes)
    if kind == "gumbel":
        return scale * rng.gumbel(size=size)
    if kind == "heavy":
        return scale * rng.standard_t(3, size=size)
    logits = rng.normal(size=size)
    if kind == "sure":
        logits[:, 3] += 6
    if kind == "two levels":
        logits = 0.2 * logits + 2 * rng.integers(0, 2, size)
    return scale * logits


@pytest.mark.parametrize("classes", [32, 100, 1000])
@pytest.mark.parametrize("kind", ["normal", "gumbel", "heavy", "sure", "two levels"])
def test_scores_and_answers_stay_and_few_rows_are_kept_whole(kind: str, classes: int) -> None:
    kept_whole = 0
    for scale in (0.5, 2.0, 6.0):
        logits = drawn(kind, 150, classes, scale)
        labels = np.random.default_rng(1).integers(0, classes, 150)
        packed = pack(logits, labels)
        stored = unpack(packed, labels, classes)
        for temperature in (0.5, 0.9, 1.0, 1.7, 3.0):
            assert worst_difference(logits, stored, temperature) <= TOLERANCE
        np.testing.assert_array_equal(stored.argmax(1), logits.argmax(1))
        exact = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        rows = np.arange(150)
        np.testing.assert_allclose(stored[rows, labels], exact[rows, labels], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(np.exp(stored).sum(1), 1.0, atol=4e-3)
        kept_whole += len(packed.whole)
    assert kept_whole <= 0.05 * 450


@settings(max_examples=60, deadline=None)
@given(
    logits=hnp.arrays(np.float32, (4, 40), elements=st.floats(-60, 60, width=16)),
    temperature=st.floats(0.5, 3.0),
    label=st.integers(0, 39),
)
def test_any_logits_keep_their_scores(logits: NDArray[np.float32], temperature: float, label: int) -> None:
    labels = np.full(4, label)
    stored = unpack(pack(logits, labels), labels, 40)
    assert worst_difference(logits, stored, temperature) <= TOLERANCE
    np.testing.assert_array_equal(stored.argmax(1), logits.argmax(1))


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(0.01, 30), bump=st.floats(0, 20), seed=st.integers(0, 1000), temperature=st.floats(0.5, 3.0))
def test_smooth_logits_keep_their_scores(scale: float, bump: float, seed: int, temperature: float) -> None:
    logits = drawn("normal", 30, 100, scale, seed)
    logits[:, seed % 100] += bump
    labels = np.full(30, seed % 100)
    stored = unpack(pack(logits, labels), labels, 100)
    assert worst_difference(logits, stored, temperature) <= TOLERANCE


@pytest.mark.parametrize("value", [0.0, 1e5, -1e5])
def test_equal_and_far_logits(value: float) -> None:
    logits = np.zeros((2, 50))
    logits[1, 7] = value
    labels = np.array([0, 7])
    stored = unpack(pack(logits, labels), labels, 50)
    assert np.isfinite(stored).all()
    assert worst_difference(logits, stored, 1.0) <= TOLERANCE
    np.testing.assert_array_equal(stored.argmax(1), logits.argmax(1))


def test_the_groups_hold_every_other_class() -> None:
    logits = drawn("normal", 20, 64, 2.0)
    labels = np.where(np.arange(20) % 2, logits.argmax(1), logits.argmin(1))
    packed = pack(logits, labels)
    np.testing.assert_array_equal(packed.counts.sum(1), np.where(np.arange(20) % 2, 64 - TOP, 64 - TOP - 1))


def test_a_tail_of_few_levels_is_exact() -> None:
    depth = np.repeat([[0.5, 1.0, 4.0, 9.0]], 5, axis=1)
    keep = np.ones(depth.shape, bool)
    total = np.stack([np.log(1 + np.exp(-s * depth).sum(1)) for s in INVERSE_TEMPERATURES], axis=1)
    counts, depths = fit_tail(depth, keep, total)
    np.testing.assert_allclose(np.repeat(depths[0], counts[0]), depth[0], atol=1e-6)
    counts, _ = fit_tail(depth, np.zeros_like(keep), total)
    assert not counts.any()


def test_few_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs at least 32 classes, not 10; float16 is as small"):
        pack(np.zeros((2, 10)), np.zeros(2, np.int64))
