"""Tails of a cascade: which there are, and that each is the chain as one model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from offramp.cascade.manifest import Calibration
from offramp.cascade.pairing import import_pair
from offramp.cascade.store import Cascade
from offramp.cascade.tail import require_tail, tail_name, tail_segments, tails
from offramp.cascade.tail_onnx import tail_difference, tail_model
from offramp.errors import CascadeError, ConfigError
from tests.support.tiny import make_tiny_cascade, tiny_rows


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    made = make_tiny_cascade(tmp_path, segments=3)
    return made.with_calibration(Calibration(temperatures=(1.0, 1.5, 2.5)))


@pytest.fixture
def pair(tmp_path: Path) -> Cascade:
    """Two models, each the whole of a tiny cascade; the second starts again from the sample."""
    files = []
    for name, segments, seed in (("small", 1, 1), ("large", 2, 2)):
        made = make_tiny_cascade(tmp_path, name=name, segments=segments, seed=seed)
        file = tmp_path / f"{name}.onnx"
        model = onnx.load_from_string(tail_model(made, 0))
        del model.graph.output[1]
        onnx.save(model, file)
        files.append(file)
    return import_pair(files[0], files[1], tmp_path / "pair.cascade")


def test_every_cut_of_a_chain_has_a_tail(cascade: Cascade) -> None:
    assert tails(cascade.manifest) == (0, 1, 2)
    assert tail_segments(cascade.manifest, 1) == range(1, 3)
    assert tail_name("tiny", 1) == "tiny-from-1"
    with pytest.raises(ConfigError, match=r"has the cuts 0\.\.2, not 3"):
        require_tail(cascade.manifest, 3)
    with pytest.raises(ConfigError, match="not -1"):
        require_tail(cascade.manifest, -1)


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_tail_is_the_chain(cascade: Cascade, cut: int) -> None:
    model = tail_model(cascade, cut)
    assert tail_difference(cascade, cut, model) <= 1e-6
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert [t.name for t in session.get_inputs()] == [t.name for t in cascade.manifest.tensors_at(cut)]
    assert [t.name for t in session.get_outputs()] == ["logits", "probabilities"]
    rows = tiny_rows(5)
    tensors: tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], ...] = (rows,)
    segments = cascade.load_segments()
    for segment in segments[:cut]:
        tensors = segment.run(tensors).hand_over
    at_cut = tensors
    for segment in segments[cut:-1]:
        tensors = segment.run(tensors).hand_over
    logits = segments[-1].run_with_logits(tensors)[1]
    assert logits is not None
    found, probabilities = session.run(["logits", "probabilities"], {session.get_inputs()[0].name: at_cut[0]})
    np.testing.assert_allclose(found, logits, atol=1e-6)
    scaled = np.exp(logits / 2.5)
    np.testing.assert_allclose(probabilities, scaled / scaled.sum(1, keepdims=True), atol=1e-6)


def test_early_exits_are_left_out(cascade: Cascade) -> None:
    model = onnx.load_from_string(tail_model(cascade, 0))
    assert [node.op_type for node in model.graph.node].count("Softmax") == 1
    assert not any(value.name == "temperature" for value in model.graph.input)


def test_a_tail_that_differs_is_refused(cascade: Cascade) -> None:
    with pytest.raises(CascadeError, match="differs from the chain"):
        tail_difference(cascade, 1, _with_other_weights(tail_model(cascade, 1)))
    with pytest.raises(CascadeError, match="cannot be loaded"):
        tail_difference(cascade, 1, b"nothing")


def _with_other_weights(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data) + len(tensor.float_data))
    array = onnx.numpy_helper.to_array(weights) * 1.01
    weights.CopyFrom(onnx.numpy_helper.from_array(array, weights.name))
    return bytes(model.SerializeToString())


def test_the_tail_of_a_pair_is_the_large_model(pair: Cascade) -> None:
    assert tails(pair.manifest) == (0, 1)
    for cut in (0, 1):
        assert tail_segments(pair.manifest, cut) == range(1, 2)
        assert tail_difference(pair, cut, tail_model(pair, cut)) <= 1e-6


def test_a_tail_that_would_need_the_sample_is_refused(cascade: Cascade) -> None:
    segments = list(cascade.manifest.segments)
    segments[1] = segments[1].model_copy(update={"hand_over": "input"})
    segments[2] = segments[2].model_copy(update={"inputs": cascade.manifest.inputs})
    manifest = cascade.manifest.model_copy(update={"segments": tuple(segments)})
    assert tails(manifest) == (0, 2)
    with pytest.raises(ConfigError, match="starts again from the sample"):
        require_tail(manifest, 1)
