"""The float32 confidence agrees with a running segment and with float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offramp.cascade.store import open_cascade
from offramp.confidence.scores import softmax
from offramp.confidence.served import served_confidence
from tests.support.tiny import tiny_rows


def test_agrees_with_the_segment_to_the_last_bits(tiny_cascade: Path) -> None:
    segment = open_cascade(tiny_cascade).segment(0)
    rows = tiny_rows(500)
    _, logits = segment.run_with_logits((rows,))
    assert logits is not None
    for temperature in (0.3, 1.0, 1.7):
        live = segment.run((rows,), temperature).confidence
        assert live is not None
        np.testing.assert_allclose(served_confidence(logits, temperature), live, rtol=0, atol=3e-7)


@given(
    seed=st.integers(0, 2**20), scale=st.floats(0, 1e4), temperature=st.floats(0.01, 100), classes=st.integers(2, 20)
)
def test_agrees_with_float64(seed: int, scale: float, temperature: float, classes: int) -> None:
    logits = (np.random.default_rng(seed).normal(0, 1, (5, classes)) * scale).astype(np.float32)
    found = served_confidence(logits, temperature)
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, softmax(logits, float(np.float32(temperature))).max(-1), rtol=1e-5 + 1e-7 * scale / temperature
    )
