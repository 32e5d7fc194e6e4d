"""Any ONNX classifier becomes a cascade that computes the same, or is refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from offramp.cascade.importing import cut_points, import_model
from offramp.cascade.preprocess import Preprocess
from offramp.cascade.segment import TEMPERATURE
from offramp.cascade.store import Cascade
from offramp.errors import CascadeError, ConfigError
from tests.support.onnx_models import CLASSES, Net, chain, residual, two_streams, with_exits

Array = NDArray[Any]


def whole(model: Path, outputs: list[str], feed: dict[str, Array]) -> list[Array]:
    """What the user's own file computes."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return cast("list[Array]", session.run(outputs, feed))


def exit_logits(cascade: Cascade, *tensors: Array) -> list[Array]:
    """Logits of every exit, the segments run one after another."""
    found, carried = [], tensors
    for segment in cascade.load_segments():
        carried, logits = segment.run_with_logits(carried)
        if logits is not None:
            found.append(logits)
    return found


def test_chain(tmp_path: Path) -> None:
    model = chain(tmp_path / "chain.onnx")
    cascade = import_model(model, tmp_path / "chain.cascade", labels="abcde")
    manifest = cascade.manifest
    assert manifest.name == "chain"
    assert [s.outputs[0].name for s in manifest.segments[:-1]] == ["h0", "h1", "h2", "h3"]
    assert [s.flops for s in manifest.segments] == [128, 128, 128, 128, 80]
    assert manifest.exit_names == ("final",)
    x = np.random.default_rng(0).normal(size=(7, 8)).astype(np.float32)
    np.testing.assert_allclose(exit_logits(cascade, x)[0], whole(model, ["y"], {"x": x})[0], atol=1e-6)
    assert "the chain equals chain.onnx to" in manifest.provenance.notes


def test_every_segment_is_a_valid_model_with_an_overridable_temperature(tmp_path: Path) -> None:
    cascade = import_model(with_exits(tmp_path / "m.onnx"), tmp_path / "m.cascade", logits="y", exits=["e0", "e1"])
    for spec in cascade.manifest.segments:
        model = onnx.load(cascade.path / spec.file)
        onnx.checker.check_model(model, full_check=True)
        has_temperature = TEMPERATURE in {t.name for t in model.graph.initializer}
        assert has_temperature == (TEMPERATURE in {i.name for i in model.graph.input}) == (spec.exit is not None)
    last = cascade.segment(len(cascade.manifest.segments) - 1)
    rows = np.ones((2, 8), np.float32)
    cold, hot = last.run([rows], 1.0), last.run([rows], 5.0)
    assert cold.confidence is not None
    assert hot.confidence is not None
    assert (hot.confidence < cold.confidence).all()


@pytest.mark.parametrize("opset", [11, 13, 17, 21])
def test_softmax_is_taken_off(tmp_path: Path, opset: int) -> None:
    model = chain(tmp_path / "m.onnx", softmax=True, opset=opset)
    cascade = import_model(model, tmp_path / "m.cascade", segments=2)
    x = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    first, last = cascade.load_segments()
    output = last.run(first.run([x]).hand_over)
    assert output.probabilities is not None
    assert output.confidence is not None
    assert output.label is not None
    np.testing.assert_allclose(output.probabilities, whole(model, ["p"], {"x": x})[0], atol=1e-6)
    np.testing.assert_array_equal(output.label, output.probabilities.argmax(1))
    np.testing.assert_allclose(output.confidence, output.probabilities.max(1))


def test_residual_blocks_are_not_cut_open(tmp_path: Path) -> None:
    names = [cut.name for cut in cut_points(residual(tmp_path / "m.onnx"))]
    assert names == ["stem_conv", "stem", "block0", "block1", "joined", "pooled", "flat"]
    crossing = {cut.name for cut in cut_points(tmp_path / "m.onnx", max_crossing=2)}
    assert {"stem+inner0", "block1+left", "left+right"} <= crossing


def test_useful_cuts_keep_the_activation_and_drop_the_rest(tmp_path: Path) -> None:
    cascade = import_model(residual(tmp_path / "m.onnx"), tmp_path / "m.cascade")
    assert [s.outputs[0].name for s in cascade.manifest.segments[:-1]] == ["stem", "block0", "block1"]


@pytest.mark.parametrize("batch", ["n", 1])
def test_batch_becomes_dynamic(tmp_path: Path, batch: int | str) -> None:
    model = residual(tmp_path / "m.onnx", batch=batch)
    cascade = import_model(model, tmp_path / "m.cascade", segments=3)
    x = np.random.default_rng(0).normal(size=(3, 3, 8, 8)).astype(np.float32)
    expected = np.concatenate([whole(model, ["scores"], {"image": row[None]})[0] for row in x])
    np.testing.assert_allclose(exit_logits(cascade, x)[0], expected, atol=1e-5)


def test_two_streams_need_two_crossing_tensors(tmp_path: Path) -> None:
    model = two_streams(tmp_path / "m.onnx")
    assert [cut.name for cut in cut_points(model)] == ["both"]
    cuts = cut_points(model, max_crossing=2)
    assert "a2+b0" in [cut.name for cut in cuts]
    cascade = import_model(model, tmp_path / "m.cascade", max_crossing=2, cuts=["a2+b0"])
    assert [t.name for t in cascade.manifest.segments[1].inputs] == ["a2", "b0"]
    x = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    np.testing.assert_allclose(exit_logits(cascade, x)[0], whole(model, ["y"], {"x": x})[0], atol=1e-6)


def test_early_exits_end_their_segments(tmp_path: Path) -> None:
    model = with_exits(tmp_path / "m.onnx")
    cascade = import_model(model, tmp_path / "m.cascade", exits=["e0", "e1"], segments=3)
    manifest = cascade.manifest
    assert manifest.exit_names == ("e0", "e1", "final")
    assert manifest.exit_segments == (0, 1, 2)
    assert [s.outputs[0].name for s in manifest.segments[:-1]] == ["h0", "h2"]
    x = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    e0, e1, y = whole(model, ["e0", "e1", "y"], {"x": x})
    ours = exit_logits(cascade, x)
    np.testing.assert_allclose(ours[0], e0, atol=1e-6)
    np.testing.assert_allclose(np.exp(ours[1]) / np.exp(ours[1]).sum(1, keepdims=True), e1, atol=1e-6)
    np.testing.assert_allclose(ours[2], y, atol=1e-6)


def test_an_input_read_later_crosses_too(tmp_path: Path) -> None:
    net = Net()
    net.dense("x", "a", 8, 8)
    net.add("Relu", ["a"], "b")
    net.add("Mul", ["b", "mask"], "c")
    net.dense("c", "y", 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": ["n", 8], "mask": ["n", 8]}, ["y"])
    assert [cut.name for cut in cut_points(model)] == ["c"]
    cascade = import_model(model, tmp_path / "m.cascade", max_crossing=2, cuts=["mask+b", "c"])
    x, mask = np.random.default_rng(0).normal(size=(2, 3, 8)).astype(np.float32)
    expected = whole(model, ["y"], {"x": x, "mask": mask})[0]
    np.testing.assert_allclose(exit_logits(cascade, x, mask)[0], expected, atol=1e-6)


def test_values_called_like_an_exit_are_renamed(tmp_path: Path) -> None:
    net = Net()
    net.dense("x", "label", 8, 8)
    net.add("Relu", ["label"], "confidence")
    net.add("Mul", ["confidence", net.weight("temperature", np.array(2, np.float32))], "probabilities")
    net.dense("probabilities", "logits", 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": ["n", 8]}, ["logits"])
    cascade = import_model(model, tmp_path / "m.cascade", segments=2)
    x = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    np.testing.assert_allclose(exit_logits(cascade, x)[0], whole(model, ["logits"], {"x": x})[0], atol=1e-6)


def test_constants_are_copied_not_sent(tmp_path: Path) -> None:
    net = Net()
    net.weight("one", np.ones(8, np.float32))
    net.add("Add", ["one", "one"], "two")
    net.add("Mul", ["x", "two"], "a")
    net.add("Relu", [net.dense("a", "d", 8, 8)], "b")
    net.add("Mul", ["b", "two"], "c")
    net.dense("c", "y", 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": ["n", 8]}, ["y"])
    assert [cut.name for cut in cut_points(model)] == ["a", "d", "b", "c"]
    cascade = import_model(model, tmp_path / "m.cascade", cuts=["b"])
    x = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    np.testing.assert_allclose(exit_logits(cascade, x)[0], whole(model, ["y"], {"x": x})[0], atol=1e-6)


def test_values_without_a_row_per_row_are_no_cuts(tmp_path: Path) -> None:
    net = Net()
    net.add("Transpose", ["x"], "turned", perm=[1, 0])
    net.add("Relu", ["turned"], "warm")
    net.add("Transpose", ["warm"], "back", perm=[1, 0])
    net.dense("back", "y", 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": ["n", 8]}, ["y"])
    assert [cut.name for cut in cut_points(model)] == ["back"]


def test_weights_beside_the_model(tmp_path: Path) -> None:
    model = onnx.load(chain(tmp_path / "plain.onnx"))
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.weights", size_threshold=0)
    cascade = import_model(tmp_path / "m.onnx", tmp_path / "m.cascade", segments=2)
    x = np.ones((1, 8), np.float32)
    expected = whole(tmp_path / "plain.onnx", ["y"], {"x": x})[0]
    np.testing.assert_allclose(exit_logits(cascade, x)[0], expected, atol=1e-6)
    (tmp_path / "m.weights").unlink()
    with pytest.raises(CascadeError, match=r"lie in 'm\.weights', which is not beside the model"):
        import_model(tmp_path / "m.onnx", tmp_path / "m.cascade", overwrite=True)


def test_old_files_list_their_weights_as_inputs(tmp_path: Path) -> None:
    model = onnx.load(chain(tmp_path / "m.onnx", opset=11))
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims))
    onnx.save(model, tmp_path / "m.onnx")
    cascade = import_model(tmp_path / "m.onnx", tmp_path / "m.cascade")
    assert len(cascade.manifest.segments) == 5
    assert [t.name for t in cascade.manifest.inputs] == ["x"]


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_raw_bytes_go_in(tmp_path: Path, layout: str) -> None:
    model = residual(tmp_path / "m.onnx")
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    preprocess = Preprocess(mean=mean, std=std, layout=layout)  # type: ignore[arg-type]
    cascade = import_model(model, tmp_path / "m.cascade", preprocess=preprocess)
    manifest = cascade.manifest
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    raw = images if layout == "nhwc" else images.transpose(0, 3, 1, 2)
    assert (manifest.inputs[0].dtype, manifest.inputs[0].row_shape) == ("uint8", raw.shape[1:])
    assert manifest.preprocessing == str(preprocess)
    x = ((images / 255 - mean) / std).astype(np.float32).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(exit_logits(cascade, raw)[0], whole(model, ["scores"], {"image": x})[0], atol=1e-5)


def test_dynamic_dimensions_beside_the_batch(tmp_path: Path) -> None:
    net = Net()
    net.conv("image", "a", 3, 4)
    net.conv("a", "b", 4, 4)
    net.add("GlobalAveragePool", ["b"], "pooled")
    net.add("Flatten", ["pooled"], "flat")
    net.dense("flat", "y", 4, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"image": ["n", 3, "height", "width"]}, ["y"])
    cascade = import_model(model, tmp_path / "m.cascade")
    manifest = cascade.manifest
    assert [t.shape for t in manifest.tensors_at(1)] == [(None, 4, None, None)]
    assert [s.flops for s in manifest.segments] == [None] * len(manifest.segments)
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 20)).astype(np.float32)
    np.testing.assert_allclose(exit_logits(cascade, x)[0], whole(model, ["y"], {"image": x})[0], atol=1e-6)


def test_what_a_branch_reads_from_outside_crosses(tmp_path: Path) -> None:
    net = Net()
    net.add("Relu", ["x"], "a")
    net.add("Relu", [net.dense("a", "d", 8, 8)], "b")
    net.weight("yes", np.array(True))
    bodies = [
        helper.make_graph([helper.make_node("Add", ["a", "b"], [name])], name, [], [_float(name)])
        for name in ("then", "else")
    ]
    net.add("If", ["yes"], "c", then_branch=bodies[0], else_branch=bodies[1])
    net.dense("c", "y", 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": ["n", 8]}, ["y"])
    assert [cut.name for cut in cut_points(model)] == ["a", "c"]
    assert "a+b" in [cut.name for cut in cut_points(model, max_crossing=2)]
    cascade = import_model(model, tmp_path / "m.cascade", cuts=["a+b"], max_crossing=2)
    x = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    np.testing.assert_allclose(exit_logits(cascade, x)[0], whole(model, ["y"], {"x": x})[0], atol=1e-6)


def _float(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def test_an_exit_that_reads_several_segments(tmp_path: Path) -> None:
    net, source = Net(), "x"
    for index in range(3):
        source = net.add("Relu", [net.dense(source, f"d{index}", 8, 8)], f"h{index}")
    net.add("Concat", ["h0", "h1"], "both", axis=1)
    net.dense("both", "early", 16, CLASSES)
    net.dense(source, "y", 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": ["n", 8]}, ["early", "y"])
    with pytest.raises(ConfigError, match="exit 'early' reads tensors of several segments"):
        import_model(model, tmp_path / "m.cascade", exits=["early"], cuts=["d1"])
    cascade = import_model(model, tmp_path / "m.cascade", exits=["early"], cuts=["h0"])
    assert [s.outputs[0].name for s in cascade.manifest.segments[:-1]] == ["h0", "h1"]
    assert cascade.manifest.exit_segments == (1, 2)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_graphs_cut_everywhere_compute_the_same(tmp_path: Path, data: st.DataObject) -> None:
    net = Net()
    values = ["x"]
    for index in range(data.draw(st.integers(1, 7))):
        op = data.draw(st.sampled_from(["dense", "Relu", "Add", "Mul"]))
        read = [data.draw(st.sampled_from(values)) for _ in range(2 if op in ("Add", "Mul") else 1)]
        name = f"v{index}"
        values.append(net.dense(read[0], name, 8, 8) if op == "dense" else net.add(op, read, name))
    net.dense(values[-1], "y", 8, CLASSES)
    model = net.save(tmp_path / "m.onnx", {"x": ["n", 8]}, ["y"])
    crossing = data.draw(st.integers(1, 3))
    cuts = cut_points(model, max_crossing=crossing)
    cascade = import_model(model, tmp_path / "m.cascade", max_crossing=crossing, segments=len(cuts) + 1, overwrite=True)
    assert [cascade.manifest.tensors_at(i + 1) for i in range(len(cuts))] == [cut.tensors for cut in cuts]
    x = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    expected = whole(model, ["y"], {"x": x})[0]
    np.testing.assert_allclose(exit_logits(cascade, x)[0], expected, rtol=1e-4, atol=1e-4)
