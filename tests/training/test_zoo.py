"""Networks to start from: shapes, exits, published weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from offramp.data.registry import data_folder, load_dataset
from offramp.errors import DataError
from offramp.training.attach import ExitPlacement, MultiExit
from offramp.training.export import export_segments
from offramp.training.inputs import ImageInput
from offramp.training.zoo.alexnet import BAlexNet
from offramp.training.zoo.compact import CompactNet
from offramp.training.zoo.mobilenet import CifarMobileNetV2, StridedDepthwise
from offramp.training.zoo.published import PadShortcut, akamaster_resnet, mlperf_resnet8
from offramp.training.zoo.resnet import CifarResNet

IMAGES = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
NETS = {
    "alexnet": (BAlexNet(7), ("block1", "block2", "block3", "block4")),
    "compact": (CompactNet(7, widths=(8, 16, 16)), ("stage1", "stage2")),
    "mobilenet": (CifarMobileNetV2(7, width=0.25), ("stages.2", "stages.3", "stages.4")),
    "resnet32": (CifarResNet(32, 7), ("stack1", "stack2.1", "stack2")),
}


@pytest.mark.parametrize("name", NETS)
def test_exits_sit_where_the_docstring_says(name: str) -> None:
    module, paths = NETS[name]
    network = MultiExit(module, [ExitPlacement(path, "conv-pool-linear") for path in paths], IMAGES, ImageInput())
    assert [tuple(logits.shape) for logits in network(IMAGES)] == [(2, 7)] * (len(paths) + 1)
    torch.autograd.backward(torch.stack([logits.square().sum() for logits in network(IMAGES)]).sum())
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", ["alexnet", "mobilenet"])
def test_nets_export(name: str) -> None:
    module, _ = NETS[name]
    files, _ = export_segments(MultiExit(module, [], IMAGES, ImageInput()).eval(), IMAGES)
    assert len(files) == 1


def test_the_compact_net_begins_as_the_identity_on_whitened_colours() -> None:
    net = CompactNet(widths=(32, 64, 64))
    conv = net.stage1[0]
    assert isinstance(conv, nn.Conv2d)
    features = torch.randn(1, 24, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(conv(features)[:, :24], features)
    assert not net.whiten[0].weight.requires_grad


def test_whitening_decorrelates_natural_images() -> None:
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_sample_image

    image = torch.tensor(load_sample_image("china.jpg")[:160:2, :160:2]).permute(2, 0, 1)[None].float() / 255
    net = CompactNet(widths=(8, 8, 8)).train()
    white = net.whiten[1](net.whiten[0](image))[0, :12].flatten(1)
    correlation = torch.corrcoef(white).abs() - torch.eye(12)
    pixels = torch.corrcoef(nn.functional.unfold(image, 2)[0]).abs() - torch.eye(12)
    assert correlation.mean() < pixels.mean() / 3


def test_a_pad_shortcut_keeps_values_in_the_middle() -> None:
    features = torch.arange(2 * 4 * 4, dtype=torch.float32).reshape(1, 2, 4, 4)
    padded = PadShortcut(2, 4)(features)
    assert torch.equal(padded[:, 1:3], features[:, :, ::2, ::2])
    assert not padded[:, [0, 3]].any()


@pytest.mark.parametrize("make", [lambda file: akamaster_resnet(20, file), mlperf_resnet8])
def test_other_weights_are_refused(tmp_path: Path, make: object) -> None:
    file = tmp_path / "other.npz"
    np.savez(file, something=np.zeros(3))
    with pytest.raises(DataError, match="weights"):
        make(str(file))  # type: ignore[operator]


def test_weights_of_another_depth_are_refused(tmp_path: Path) -> None:
    net = akamaster_like(20)
    np.savez(tmp_path / "twenty.npz", **net)  # type: ignore[arg-type]  # names are keyword arguments here
    assert isinstance(akamaster_resnet(20, str(tmp_path / "twenty.npz")), CifarResNet)
    with pytest.raises(DataError, match="another network"):
        akamaster_resnet(56, str(tmp_path / "twenty.npz"))
    net["linear.weight"] = np.zeros((3, 64), np.float32)
    np.savez(tmp_path / "wide.npz", **net)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="another size"):
        akamaster_resnet(20, str(tmp_path / "wide.npz"))


def akamaster_like(depth: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Random weights under the names of akamaster's state dict."""
    names = {}
    for name, value in CifarResNet(depth).state_dict().items():
        if "shortcut" in name or name.endswith("num_batches_tracked"):
            continue
        theirs = name.replace("stem.0", "conv1").replace("stem.1", "bn1").replace("stack", "layer")
        names[f"module.{theirs.replace('.norm', '.bn')}"] = value.numpy()
    return {name.removeprefix("module."): value for name, value in names.items()}


PUBLISHED = [
    (mlperf_resnet8, ImageInput(scale=1.0), 88.0),
    (lambda: akamaster_resnet(20), ImageInput((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), 91.6),
]


@pytest.mark.parametrize(("make", "inputs", "expected"), PUBLISHED, ids=["mlperf-resnet8", "akamaster-resnet20"])
def test_published_weights_reach_their_known_accuracy(make: object, inputs: nn.Module, expected: float) -> None:
    folder = data_folder()
    if folder is None or not (folder / "cifar10_lossless_subset_webp.npz").is_file():
        pytest.skip("needs OFFRAMP_DATA with the exact CIFAR-10 images and the weights")
    dataset = load_dataset("cifar10-exact-subset")
    images = torch.from_numpy(dataset.inputs[0][dataset.fixed_test])
    net = make().eval()  # type: ignore[operator]
    with torch.no_grad():
        right = net(inputs(images)).argmax(1).numpy() == dataset.labels[dataset.fixed_test]
    assert 100 * right.mean() == pytest.approx(expected, abs=0.1)


def test_a_strided_depthwise_convolution_learns_what_the_plain_one_does() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 4, 3, 2, padding=1, groups=4, bias=False)
    ours = StridedDepthwise(4, 4, 3, 2, padding=1, groups=4, bias=False)
    ours.load_state_dict(plain.state_dict())
    results = []
    for conv in (plain.train(), ours.train()):
        features = torch.arange(2 * 4 * 8 * 8, dtype=torch.float32).reshape(2, 4, 8, 8).sin().requires_grad_()
        out = conv(features)
        out.square().sum().backward()
        results.append((out.detach(), features.grad, conv.weight.grad))
    for wanted, found in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(ours.eval()(features), results[0][0])
