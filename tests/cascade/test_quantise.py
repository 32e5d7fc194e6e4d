"""int8 variants: beside the fp32 segments, nearly as accurate, outside the fingerprint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from offramp.cascade.importing import import_model
from offramp.cascade.manifest import Manifest
from offramp.cascade.preprocess import Preprocess
from offramp.cascade.quantise import quantise
from offramp.cascade.segment import TEMPERATURE
from offramp.cascade.store import Cascade, open_cascade
from offramp.data.digits import load
from offramp.errors import CascadeError, ConfigError
from tests.support.onnx_models import Net, chain, digits_net

TUNE = slice(0, 200)
TEST = slice(1000, 1797)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Cascade:
    """A cascade of three segments for raw digits."""
    folder = tmp_path_factory.mktemp("digits")
    model = digits_net(folder / "net.onnx")
    cuts = ["conv1", "pool"]
    cascade = import_model(model, folder / "net.cascade", cuts=cuts, preprocess=Preprocess(scale=1 / 16))
    return quantise(cascade, [load().inputs[0][TUNE]], range(3))


def _logits(cascade: Cascade, precision: str, rows: slice = TEST) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    tensors: tuple[object, ...] = (load().inputs[0][rows],)
    logits = None
    for segment in cascade.load_segments(precision=precision):
        tensors, logits = segment.run_with_logits(tensors)  # type: ignore[arg-type]
    assert logits is not None
    return logits


@pytest.mark.parametrize("precision", ["int8:1", "int8:2", "int8:3"])
def test_accuracy_stays(digits: Cascade, precision: str) -> None:
    fp32, int8 = _logits(digits, "fp32"), _logits(digits, precision)
    labels = load().labels[TEST]
    assert 0 < np.abs(fp32 - int8).max() < 1.0
    assert (fp32.argmax(1) == int8.argmax(1)).mean() > 0.98
    assert abs((fp32.argmax(1) == labels).mean() - (int8.argmax(1) == labels).mean()) < 0.01


def test_weights_are_int8_and_the_classifier_is_not(digits: Cascade) -> None:
    spec = digits.manifest.segments[0].variants[0]
    model = onnx.load(digits.path / spec.file)
    convolution = next(node for node in model.graph.node if node.op_type == "Conv")
    maker = {output: node for node in model.graph.node for output in node.output}
    weights = next(t for t in model.graph.initializer if t.name == maker[convolution.input[1]].input[0])
    assert weights.data_type == onnx.TensorProto.INT8
    last = onnx.load(digits.path / digits.manifest.segments[2].variants[0].file)
    gemm = next(node for node in last.graph.node if node.op_type == "Gemm")
    assert gemm.input[1] in {t.name for t in last.graph.initializer if t.data_type == onnx.TensorProto.FLOAT}


def test_preprocessing_stays_in_fp32(tmp_path: Path) -> None:
    net = Net()
    net.add("Add", ["x", net.weight("shift", np.ones(8, np.float32))], "shifted")
    net.add("Relu", [net.dense("shifted", "d", 8, 8)], "h")
    net.dense("h", "y", 8, 5)
    model = net.save(tmp_path / "m.onnx", {"x": ["n", 8]}, ["y"])
    rows = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    cascade = quantise(import_model(model, tmp_path / "m.cascade", cuts=["h"]), [rows], [0])
    nodes = onnx.load(cascade.path / cascade.manifest.segments[0].variants[0].file).graph.node
    add = next(node for node in nodes if node.op_type == "Add")
    assert add.input[0] == "x"
    assert next(node for node in nodes if node.op_type == "QuantizeLinear").input[0] == add.output[0]


def test_the_temperature_can_still_be_fed(digits: Cascade) -> None:
    segment = digits.segment(2, precision="int8")
    model = onnx.load(segment.path)
    assert TEMPERATURE in {t.name for t in model.graph.initializer} & {i.name for i in model.graph.input}
    rows = np.random.default_rng(0).random((4, *(int(n or 0) for n in segment.spec.inputs[0].row_shape)), np.float32)
    cold, hot = segment.run([rows], 1.0), segment.run([rows], 10.0)
    assert cold.confidence is not None
    assert hot.confidence is not None
    assert (hot.confidence < cold.confidence).all()


def test_variants_survive_reopening_and_keep_the_fingerprint(digits: Cascade) -> None:
    again = open_cascade(digits.path)
    assert again.manifest == digits.manifest
    assert [[v.precision for v in s.variants] for s in again.manifest.segments] == [["int8"]] * 3
    plain = tuple(s.model_copy(update={"variants": ()}) for s in again.manifest.segments)
    assert Manifest.model_validate(again.manifest.model_dump()).fingerprint == digits.manifest.fingerprint
    assert again.manifest.model_copy(update={"segments": plain}).fingerprint == digits.manifest.fingerprint
    assert again.segment(1, precision="int8:1").path.name == "segment-01.onnx"
    assert ".int8-" in again.segment(0, precision="int8:1").path.name


def test_quantising_again_leaves_no_old_file(tmp_path: Path) -> None:
    cascade = import_model(chain(tmp_path / "m.onnx"), tmp_path / "m.cascade", segments=2)
    rows = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    quantise(cascade, [rows], [0])
    second = quantise(cascade, [3 * rows], [0])
    files = sorted(file.name for file in cascade.path.glob("*.onnx"))
    named = [s.file for s in second.manifest.segments] + [v.file for s in second.manifest.segments for v in s.variants]
    assert files == sorted(named)


@pytest.mark.parametrize("damage", ["tamper", "truncate", "remove"])
def test_a_damaged_variant_is_refused(tmp_path: Path, damage: str) -> None:
    cascade = import_model(chain(tmp_path / "m.onnx"), tmp_path / "m.cascade", segments=2)
    rows = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    cascade = quantise(cascade, [rows], [0, 1])
    file = cascade.path / cascade.manifest.segments[1].variants[0].file
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(content if damage == "tamper" else content[:-1])
    told = {"tamper": "does not match its sha256", "truncate": "truncated or replaced", "remove": "is missing"}[damage]
    with pytest.raises(CascadeError, match=f"the int8 variant of segment 1 .*{told}"):
        open_cascade(cascade.path)


def test_old_operator_sets_are_converted(tmp_path: Path) -> None:
    cascade = import_model(chain(tmp_path / "m.onnx", opset=11), tmp_path / "m.cascade", segments=2)
    rows = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    cascade = quantise(cascade, [rows], [0, 1])
    fp32, int8 = cascade.segment(0), cascade.segment(0, precision="int8")
    expected, found = fp32.run([rows]).hand_over[0], int8.run([rows]).hand_over[0]
    np.testing.assert_allclose(found, expected, atol=0.1)


@pytest.mark.parametrize("segments", [[], [1], [0, 2], [0, 1, 2]])
def test_only_the_first_segments(tmp_path: Path, segments: list[int]) -> None:
    cascade = import_model(chain(tmp_path / "m.onnx"), tmp_path / "m.cascade", segments=2)
    with pytest.raises(ConfigError, match="name the first ones without gaps"):
        quantise(cascade, [np.zeros((1, 8), np.float32)], segments)


def test_rows_are_needed(tmp_path: Path) -> None:
    cascade = import_model(chain(tmp_path / "m.onnx"), tmp_path / "m.cascade", segments=2)
    with pytest.raises(ConfigError, match="needs rows to calibrate on"):
        quantise(cascade, [np.zeros((0, 8), np.float32)], [0])


def test_a_missing_variant_is_named(tiny_cascade: Path) -> None:
    cascade = open_cascade(tiny_cascade)
    with pytest.raises(CascadeError, match="segment 0 has no int8 variant; 'offramp quantise"):
        cascade.load_segments(precision="int8:1")
    with pytest.raises(ConfigError, match="names 3 segments, but the cascade has 2"):
        cascade.load_segments(precision="int8:3")
