"""Exported segments compute what the torch model computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offramp.cascade.segment import Segment, SegmentOutput, session_options
from offramp.cascade.store import Cascade, open_cascade
from offramp.cascade.walk import walk
from offramp.errors import TrainingError
from offramp.training import export
from offramp.training.attach import ExitPlacement, MultiExit
from offramp.training.export import Origin, export_cascade, max_logit_difference
from offramp.training.inputs import ImageInput
from offramp.training.zoo.resnet import CifarResNet

LABELS = tuple("abcde")


def make_rows(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 32, 32, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture(scope="module")
def network() -> MultiExit:
    torch.manual_seed(0)
    net = CifarResNet(8, classes=5, widths=(4, 6, 8))
    exits = [ExitPlacement("stack1", "conv-pool-linear", "early"), ExitPlacement("stack2", "grid-linear", "middle")]
    made = MultiExit(net, exits, make_rows(2), ImageInput((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))
    made(make_rows(16))  # batch norm sees data
    return made.eval()


@pytest.fixture(scope="module")
def cascade(network: MultiExit, tmp_path_factory: pytest.TempPathFactory) -> Cascade:
    path = tmp_path_factory.mktemp("export") / "net.cascade"
    made, difference = export_cascade(network, make_rows(40), path, Origin("net", LABELS, command="tests", seed=3))
    assert difference <= 1e-4
    return made


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_chained_segments_equal_the_model(network: MultiExit, cascade: Cascade, count: int) -> None:
    assert max_logit_difference(network, cascade.load_segments(), make_rows(count)) <= 1e-4


@pytest.mark.parametrize("count", [2, 7, 64])
def test_a_batch_equals_single_rows(cascade: Cascade, count: int) -> None:
    segments = cascade.load_segments()
    x = make_rows(count).numpy()
    confidence = segments[0].run((x,)).confidence
    assert confidence is not None
    median = float(np.median(confidence))

    def stop(index: int, output: SegmentOutput) -> NDArray[np.bool_]:
        assert output.confidence is not None
        return np.asarray(output.confidence > (median if index == 0 else 0.0))

    def one_walk(rows: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        done = walk(segments, (0, 1, 2), (1.0, 1.0, 1.0), (rows,), stop, len(LABELS))
        return done.exit, done.label, done.confidence

    together = one_walk(x)
    singly = [np.concatenate(parts) for parts in zip(*(one_walk(x[i : i + 1]) for i in range(count)), strict=True)]
    clear = np.abs(confidence - median) > 1e-5
    np.testing.assert_array_equal(together[0][clear], singly[0][clear])
    np.testing.assert_array_equal(together[1][clear], singly[1][clear])
    np.testing.assert_allclose(together[2][clear], singly[2][clear], atol=1e-5)
    assert set(together[0]) == {0, 1}


def test_the_manifest_tells_where_it_comes_from(cascade: Cascade) -> None:
    manifest = open_cascade(cascade.path).manifest
    assert manifest.exit_names == ("early", "middle", "final")
    assert [s.exit.module for s in manifest.segments if s.exit] == ["stack1", "stack2", "output"]
    assert manifest.inputs[0].shape == (None, 32, 32, 3)
    assert [[t.name for t in manifest.tensors_at(cut)] for cut in range(3)] == [["input"], ["cut1"], ["cut2"]]
    assert manifest.tensors_at(2)[0].shape == (None, 6, 16, 16)
    assert manifest.preprocessing.startswith("ImageInput(mean=(0.4, 0.5, 0.6)")
    assert manifest.provenance.seed == 3
    assert "equal the torch model" in manifest.provenance.notes
    assert manifest.provenance.versions["torch"] == torch.__version__


def test_flops_count_two_per_multiply_add() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.Flatten(), nn.Linear(8, 3))
    _, specs = export.export_segments(MultiExit(net, [], torch.zeros(2, 1, 4, 4)), torch.zeros(2, 1, 4, 4))
    assert specs[0].flops == 2 * (4 * 2 * 9 + 8 * 3)


def test_temperature_is_an_input_with_a_default(cascade: Cascade) -> None:
    file = cascade.path / cascade.manifest.segments[0].file
    session = ort.InferenceSession(str(file), session_options(), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["input"]
    assert [i.name for i in session.get_overridable_initializers()] == ["temperature"]
    x = make_rows(3).numpy()
    logits, plain = session.run(["logits", "probabilities"], {"input": x})
    np.testing.assert_allclose(plain, np.asarray(torch.tensor(logits).softmax(1)), atol=1e-6)
    (warm, confidence, label) = session.run(
        ["probabilities", "confidence", "label"], {"input": x, "temperature": np.asarray(2.5, np.float32)}
    )
    np.testing.assert_allclose(warm, np.asarray((torch.tensor(logits) / 2.5).softmax(1)), atol=1e-6)
    np.testing.assert_array_equal(confidence, warm.max(1))
    np.testing.assert_array_equal(label, warm.argmax(1))
    assert label.dtype == np.int64


def test_files_name_no_folder_of_this_machine(cascade: Cascade) -> None:
    for segment in cascade.manifest.segments:
        model = onnx.load(cascade.path / segment.file)
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
        assert b".py" not in (cascade.path / segment.file).read_bytes()


def test_an_export_that_differs_leaves_no_folder(
    network: MultiExit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_run = Segment.run_with_logits

    def off_by_a_little(self: Segment, tensors: object) -> object:
        carried, logits = true_run(self, tensors)  # type: ignore[arg-type]
        return carried, None if logits is None else logits + np.float32(1e-3)

    monkeypatch.setattr(Segment, "run_with_logits", off_by_a_little)
    with pytest.raises(TrainingError, match=r"differ from the torch model by 1\.0e-03"):
        export_cascade(network, make_rows(4), tmp_path / "net.cascade", Origin("net", LABELS))
    assert not list(tmp_path.iterdir())


def test_what_torch_cannot_export_is_named() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            values: Tensor = torch.linalg.eigvals(x.reshape(-1, 2, 2))
            return values.abs()

    network = MultiExit(Odd(), [], torch.ones(2, 2, 2))
    with pytest.raises(TrainingError, match="takes 'input' cannot be exported to ONNX"):
        export.export_segments(network, torch.ones(2, 2, 2))
