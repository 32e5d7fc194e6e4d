"""Which layers become low-bit, and which sentence says why not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from offramp.errors import ConfigError
from offramp.training.attach import ExitPlacement, MultiExit
from offramp.training.lowbit.block import LowBitBlock, PublishedBlock
from offramp.training.lowbit.conv import LowBitConv2d
from offramp.training.lowbit.convert import add_hand_over, edge_modules, freeze, make_low_bit
from offramp.training.lowbit.exact import FixedPointConv2d, PlainNorm
from offramp.training.lowbit.spec import LowBit
from offramp.training.zoo.compact import CompactNet
from offramp.training.zoo.resnet import CifarResNet

EXITS = [ExitPlacement("stack1"), ExitPlacement("stack2.0")]


def resnet() -> CifarResNet:
    torch.manual_seed(0)
    return CifarResNet(14, widths=(4, 6, 8))


@pytest.mark.parametrize(("recipe", "block"), [("learned", LowBitBlock), ("published", PublishedBlock)])
def test_only_the_first_segments_become_low_bit(recipe: str, block: type[nn.Module]) -> None:
    net = resnet()
    made = make_low_bit(net, edge_modules(net, EXITS, 2), LowBit(1, 1, recipe))  # type: ignore[arg-type]
    assert made == tuple(f"{name}.conv{i}" for name in ("stack1.0", "stack1.1", "stack2.0") for i in (1, 2))
    assert isinstance(net.stem[0], FixedPointConv2d)
    assert isinstance(net.stem[1], PlainNorm)
    assert isinstance(net.stack2[0], block)
    assert isinstance(net.stack2[0].shortcut, FixedPointConv2d)
    assert type(net.stack2[1].conv1) is nn.Conv2d
    assert type(net.stack3[0].norm1) is nn.BatchNorm2d
    MultiExit(net, EXITS, torch.zeros(2, 3, 32, 32))


def test_eight_bits_change_little() -> None:
    net = resnet().eval()
    x = torch.randn(16, 3, 32, 32)
    before = net(x)
    make_low_bit(net, ["stem", "stack1", "stack2"], LowBit(8, 8))
    net.train()(x)  # steps from the first batch
    net.load_state_dict(resnet().state_dict(), strict=False)
    after = net.eval()(x)
    assert (after - before).abs().max() < 0.1 * before.abs().max()


def test_plain_convolutions_and_curved_activations() -> None:
    net = CompactNet(widths=(8, 8, 8))
    made = make_low_bit(net, ["whiten", "stage1"], LowBit(4, 4))
    assert made == ("stage1.0", "stage1.4")
    assert isinstance(net.whiten[0], FixedPointConv2d)
    assert not net.whiten[0].weight.requires_grad
    assert isinstance(net.stage1[3], nn.ReLU)
    assert isinstance(net.stage2[3], nn.GELU)
    assert isinstance(net.stage1[0], LowBitConv2d)


@pytest.mark.parametrize("recipe", ["learned", "published"])
@pytest.mark.parametrize("bits", [1, 4])
def test_freezing_changes_no_bit(recipe: str, bits: int) -> None:
    net = resnet()
    make_low_bit(net, ["stem", "stack1", "stack2"], LowBit(bits, bits, recipe))  # type: ignore[arg-type]
    add_hand_over(net, "stack2", bits, 6)
    x = torch.randn(16, 3, 32, 32)
    net.train()(x)
    before = net.eval()(x)
    freeze(net)
    assert torch.equal(net(x), before)


def test_a_hand_over_has_few_values() -> None:
    net = resnet()
    make_low_bit(net, ["stack1"], LowBit(2, 2))
    add_hand_over(net, "stack1", 2, 4)
    x = torch.randn(16, 3, 32, 32)
    net.train()(x)
    assert net.eval().stack1(net.stem(x)).unique().numel() <= 4


@pytest.mark.parametrize(("path", "inside"), [("stack2", "stack2.0"), ("stack2.0", "stack2.0.conv1")])
def test_a_hand_over_leaves_the_paths_of_a_stack_as_they_are(path: str, inside: str) -> None:
    net = resnet()
    x = torch.randn(4, 3, 32, 32)
    features = net.eval().stack1(net.stem(x))
    add_hand_over(net, path, 1, 6)
    net.train()(x)
    kept = inside in dict(net.named_modules())
    assert kept == isinstance(net.get_submodule(path), nn.Sequential)
    assert net.eval().get_submodule(path)(features).unique().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("paths", "bits", "sentence"),
    [
        (["stak1"], 1, r"no module 'stak1'; the nearest is 'stack1'"),
        (["stem"], 1, r"stem has no convolution to make low-bit"),
        (["linear"], 4, r"linear has no convolution"),
    ],
)
def test_what_is_refused(paths: list[str], bits: int, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        make_low_bit(resnet(), paths, LowBit(bits, bits))


def test_layers_that_cannot_be_quantised_are_named() -> None:
    with pytest.raises(ConfigError, match=r"'1' is a ConvTranspose2d, which cannot be quantised"):
        make_low_bit(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 4, 3)), ["0", "1"], LowBit(1, 1))
    with pytest.raises(ConfigError, match=r"'1' is a depthwise convolution"):
        make_low_bit(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4)), ["1"], LowBit(1, 4))
    with pytest.raises(ConfigError, match=r"'0' pads with 'reflect'"):
        make_low_bit(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")), ["0"], LowBit(1, 1))
    with pytest.raises(ConfigError, match=r"weight_bits must be one of 1, 2, 4, 8, not 3"):
        LowBit(3, 1)
    with pytest.raises(ConfigError, match=r"lowbit.segments = 3: the network has 3 segments"):
        edge_modules(resnet(), EXITS, 3)
