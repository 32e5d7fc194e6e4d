"""Weights at their true bits, unpacked by ONNX Runtime while it loads."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from offramp.cascade.packed import bit_grid, pack_bits, pack_weights, packed_bits_of, unpack_bits
from offramp.cascade.segment import session_options
from offramp.errors import CascadeError


def conv_model(weight: np.ndarray, opset: int = 18) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, weight.shape[1], 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, weight.shape[0], None, None])],
        [numpy_helper.from_array(weight.astype(np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return bytes(model.SerializeToString())


def run(content: bytes, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(content, session_options(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@given(st.sampled_from([1, 2, 4, 8]), st.integers(1, 70))
def test_indices_survive(bits: int, count: int) -> None:
    indices = np.random.default_rng(count).integers(0, 2**bits, count)
    packed = pack_bits(indices, bits)
    assert len(packed) == -(-count * bits // 8)
    np.testing.assert_array_equal(unpack_bits(packed, bits, count), indices)


@pytest.mark.parametrize(
    ("levels", "bits"), [((-1, 1), 1), ((-2, -1, 0, 1), 2), (range(-8, 8), 4), (range(-255, 256, 2), 8)]
)
@pytest.mark.parametrize("shape", [(16, 4, 3, 3), (5, 3, 3, 3)])
def test_a_packed_file_computes_the_same_from_fewer_bytes(
    levels: tuple[int, ...], bits: int, shape: tuple[int, ...]
) -> None:
    random = np.random.default_rng(0)
    weight = random.choice(np.array(levels, np.float32), shape)
    weight.flat[:2] = min(levels), max(levels)
    content = conv_model(weight)
    packed = pack_weights(content)
    assert packed_bits_of(packed) == {"w": bits}
    stored = {t.name: t for t in onnx.load_from_string(packed).graph.initializer}
    assert len(stored[f"w.packed{bits}"].raw_data) == -(-weight.size * bits // 8)
    assert all(tensor.name != "w" for tensor in stored.values())
    x = random.standard_normal((2, shape[1], 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(run(packed, x), run(content, x))


def test_the_runtime_unpacks_once(tmp_path: object) -> None:
    """The optimised model has a convolution and nothing that unpacks."""
    weight = np.random.default_rng(0).choice([-1.0, 1.0], (16, 4, 3, 3))
    options = session_options()
    options.optimized_model_filepath = f"{tmp_path}/optimised.onnx"
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    ort.InferenceSession(pack_weights(conv_model(weight)), options, providers=["CPUExecutionProvider"])
    assert [node.op_type for node in onnx.load(f"{tmp_path}/optimised.onnx").graph.node] == ["Conv"]


def test_real_weights_stay_as_they_are() -> None:
    content = conv_model(np.random.default_rng(0).standard_normal((4, 3, 3, 3)))
    assert pack_weights(content) == content
    assert packed_bits_of(content) == {}
    assert bit_grid(np.array([0.0, 300.0, 301.0])) is None


def test_damaged_and_foreign_files_are_refused() -> None:
    packed = pack_weights(conv_model(np.random.default_rng(0).choice([-1.0, 1.0], (4, 3, 3, 3))))
    with pytest.raises(CascadeError, match="damaged or no ONNX file"):
        packed_bits_of(packed[: len(packed) // 2])
    model = onnx.load_from_string(packed)
    model.metadata_props[0].value = "bits-9"
    with pytest.raises(CascadeError, match="packed in layout 'bits-9', this offramp reads 'bits-1'"):
        packed_bits_of(model.SerializeToString())
    with pytest.raises(CascadeError, match="operator set 13; packing needs 18"):
        pack_weights(conv_model(np.ones((4, 3, 3, 3)), opset=13))
