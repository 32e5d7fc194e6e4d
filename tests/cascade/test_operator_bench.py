"""The bench of single operators: every model runs, and the same seed makes the same ones."""

from __future__ import annotations

import onnxruntime as ort
import pytest

from offramp.cascade.operator_bench import operator_models
from offramp.cascade.segment import session_options


@pytest.mark.parametrize("seed", [0, 1])
def test_every_model_runs_and_repeats(seed: int) -> None:
    models, again = list(operator_models(seed, count=8)), list(operator_models(seed, count=8))
    assert len(models) > 8 * 5
    for (content, feed), (same, _) in zip(models, again, strict=True):
        assert content == same
        session = ort.InferenceSession(content, session_options(), providers=["CPUExecutionProvider"])
        assert [tensor.name for tensor in session.get_inputs()] == list(feed)
        assert session.run(["y"], feed)[0].shape[0] == 1
    assert {content for content, _ in operator_models(seed + 1, count=8)} != {content for content, _ in models}
