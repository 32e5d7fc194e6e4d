"""1-bit segments on the packed kernels: the same bits as the trained network, in the place of ONNX Runtime."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.synthetic import plan_for
from offramp.cascade.kernels import compiling
from offramp.cascade.kernels.compiling import why_not
from offramp.cascade.kernels.program import Program
from offramp.cascade.kernels.segment import KernelSegment
from offramp.cascade.store import Cascade, open_cascade
from offramp.errors import CascadeError, ConfigError
from offramp.runtime.device import Device
from offramp.training.attach import ExitPlacement, MultiExit
from offramp.training.config import LowBitConfig
from offramp.training.export import Origin, export_cascade
from offramp.training.inputs import ImageInput
from offramp.training.lowbit.apply import apply_low_bit
from offramp.training.lowbit.convert import freeze
from offramp.training.lowbit.kernel import kernel_program
from offramp.training.onnx_file import ExitSegment
from offramp.training.zoo.resnet import CifarResNet

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "kernels are there")
PLACES = [ExitPlacement("stack1"), ExitPlacement("stack2", "conv-pool-linear")]
IMAGES = torch.randint(0, 256, (20, 32, 32, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def network(bits: int, recipe: str = "learned", widths: tuple[int, int, int] = (16, 24, 32)) -> MultiExit:
    torch.manual_seed(0)
    net, inputs = CifarResNet(14, widths=widths), ImageInput((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    settings = LowBitConfig(segments=2, weight_bits=bits, activation_bits=bits, hand_over_bits=bits, recipe=recipe)
    apply_low_bit(net, settings, PLACES, inputs(IMAGES[:2]))
    made = MultiExit(net, PLACES, IMAGES[:2], inputs)
    with torch.no_grad():
        for _ in range(3):
            made.train()(IMAGES)
    return made


def close(found: np.ndarray | None, wanted: np.ndarray | None) -> None:
    assert found is not None
    assert wanted is not None
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> Cascade:
    path = tmp_path_factory.mktemp("kernel") / "net.cascade"
    return export_cascade(network(bits=1), IMAGES, path, Origin("net", tuple("0123456789")))[0]


def test_kernels_hand_over_the_same_bits(cascade: Cascade) -> None:
    packed, plain = cascade.load_segments(), cascade.load_segments(kernels=False)
    assert [isinstance(segment, KernelSegment) for segment in packed] == [True, True, False]
    assert not any(isinstance(segment, KernelSegment) for segment in plain)
    tensors: tuple[np.ndarray, ...] = (IMAGES.numpy(),)
    for one, other in zip(packed[:2], plain[:2], strict=True):
        found, wanted = one.run(tensors, 1.5), other.run(tensors, 1.5)
        np.testing.assert_array_equal(found.hand_over[0], wanted.hand_over[0])
        np.testing.assert_array_equal(found.label, wanted.label)
        close(found.probabilities, wanted.probabilities)
        close(found.confidence, wanted.confidence)
        close(one.run_with_logits(tensors)[1], other.run_with_logits(tensors)[1])
        empty = one.run(tuple(each[:0] for each in tensors))
        assert empty.hand_over[0].shape == (0, *wanted.hand_over[0].shape[1:])
        tensors = wanted.hand_over


@pytest.mark.parametrize("threshold", [0.0, None])
def test_a_device_runs_on_them(cascade: Cascade, threshold: float | None) -> None:
    plan = plan_for(cascade, ("device",), ("device",) * 3, threshold=threshold)
    image = IMAGES[0].numpy()
    with Device(cascade, plan) as device:
        answer = device.infer(image)
    probabilities = None
    tensors: tuple[np.ndarray, ...] = (image[None],)
    for segment in cascade.load_segments(kernels=False)[: 1 if threshold == 0.0 else 3]:
        output = segment.run(tensors)
        tensors, probabilities = output.hand_over, output.probabilities
    assert probabilities is not None
    np.testing.assert_allclose(answer.probabilities, probabilities[0], atol=1e-5)


def test_the_file_is_small_and_survives(cascade: Cascade) -> None:
    low_bit = cascade.manifest.segments[1].low_bit
    assert low_bit is not None
    assert low_bit.kernel is not None
    content = (cascade.path / low_bit.kernel.file).read_bytes()
    program = Program.from_bytes(content)
    assert program.to_bytes() == content
    weights = sum(step.arrays["weight"].size for step in program.steps if step.kind == "binary")
    assert weights == low_bit.weights
    assert len(content) - len(program.head) < weights / 8 + 8 * 1024


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data[:-1], "truncated or damaged"),
        (lambda data: data[:60], "truncated or damaged"),
        (lambda data: b"offramp-kernel-9" + data[16:], "layout 'offramp-kernel-9' is not 'offramp-kernel-1'"),
        (lambda data: data.replace(b'"bits":1,', b'"bits":3,', 1), "truncated or damaged"),
    ],
)
def test_other_files_are_refused(cascade: Cascade, change: object, sentence: str) -> None:
    content = (cascade.path / "segment-00.kernel").read_bytes()
    changed = change(content)  # type: ignore[operator]
    assert changed != content
    with pytest.raises(CascadeError, match=sentence):
        Program.from_bytes(changed)


def test_a_missing_or_foreign_file_is_found_on_opening(cascade: Cascade, tmp_path: Path) -> None:
    path = tmp_path / "net.cascade"
    shutil.copytree(cascade.path, path)
    file = path / "segment-00.kernel"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CascadeError, match="the kernel file of segment 0 does not match its sha256"):
        open_cascade(path)
    file.unlink()
    with pytest.raises(CascadeError, match="the kernel file of segment 0 is missing"):
        open_cascade(path)


def test_without_kernels_onnx_runtime_computes_and_a_line_says_so(
    cascade: Cascade, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none() -> None:
        raise ConfigError("no C compiler (made up)")

    monkeypatch.setattr(compiling, "kernels", none)
    with caplog.at_level(logging.WARNING):
        segments = cascade.load_segments()
    assert not any(isinstance(segment, KernelSegment) for segment in segments)
    assert caplog.messages == ["no C compiler (made up)"]


@pytest.mark.parametrize(
    "settings", [{"bits": 4}, {"bits": 1, "recipe": "published"}, {"bits": 1, "widths": (4, 6, 8)}], ids=str
)
def test_other_segments_have_no_kernel_file(settings: dict[str, object]) -> None:
    made = network(**settings).eval()  # type: ignore[arg-type]
    freeze(made)
    tensors: tuple[torch.Tensor, ...] = (IMAGES[:2],)
    for index in range(3):
        segment = ExitSegment(made, index).eval()
        with torch.no_grad():
            features = segment.features(*tensors)
        assert kernel_program(segment, features) is None
        tensors = features
