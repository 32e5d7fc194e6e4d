"""A residual block of low-bit convolutions."""

from __future__ import annotations

from torch import Tensor, nn

from offramp.training.lowbit.conv import LowBitConv2d
from offramp.training.lowbit.exact import FixedPointConv2d, PlainNorm
from offramp.training.lowbit.spec import LowBit
from offramp.training.zoo.resnet import ResidualBlock

__all__ = ["SHORTCUT_GRID", "LowBitBlock", "PublishedBlock"]

#: bits behind the binary point of a shortcut's inputs and weights
SHORTCUT_GRID = (7, 11)

#: of the leaky activations below zero
_SLOPE = 0.25


class LowBitBlock(nn.Module):
    """A `ResidualBlock` of two low-bit convolutions, its residual path in full precision.

    With shortcuts around every convolution the sign's loss is made up for twice as often, and the activations are
    leaky: they let negative values through to the next sign.

    Parameters
    ----------
    block : to take over, with its weights
    spec : bits, recipe and shortcuts

    Source: He et al. 2016; Liu et al. 2018 (Bi-Real Net).
    """

    traced_whole = True

    def __init__(self, block: ResidualBlock, spec: LowBit) -> None:
        super().__init__()
        self.every_conv = spec.shortcuts_around == "conv"
        self.conv1, self.norm1 = LowBitConv2d(block.conv1, spec), PlainNorm.of(block.norm1)
        self.conv2, self.norm2 = LowBitConv2d(block.conv2, spec), PlainNorm.of(block.norm2)
        self.activation1, self.activation2 = (nn.LeakyReLU(_SLOPE) if self.every_conv else nn.ReLU() for _ in range(2))
        self.shortcut = _shortcut(block)

    def forward(self, features: Tensor) -> Tensor:
        """(n, C_in, H, W) to (n, C, H / stride, W / stride)."""
        direct = self.shortcut(features)
        value = self.norm1(self.conv1(features))
        if self.every_conv:
            value = value + direct
            direct = value = self.activation1(value)
        else:
            value = self.activation1(value)
        return self.activation2(self.norm2(self.conv2(value)) + direct)  # type: ignore[no-any-return]


class PublishedBlock(nn.Module):
    """A `ResidualBlock` in the published order: norm, quantiser, convolution, twice, and the shortcut around both.

    Parameters
    ----------
    block : to take over; its second norm is dropped
    spec : bits

    Source: Long et al. 2020; the order is that of pre-activation, He et al. 2016 (identity mappings).
    """

    def __init__(self, block: ResidualBlock, spec: LowBit) -> None:
        super().__init__()
        self.conv1, self.conv2 = LowBitConv2d(block.conv1, spec), LowBitConv2d(block.conv2, spec)
        self.shortcut = _shortcut(block)

    def forward(self, features: Tensor) -> Tensor:
        """(n, C_in, H, W) to (n, C, H / stride, W / stride)."""
        return self.conv2(self.conv1(features)) + self.shortcut(features)  # type: ignore[no-any-return]


def _shortcut(block: ResidualBlock) -> nn.Module:
    if isinstance(block.shortcut, nn.Conv2d):
        return FixedPointConv2d(block.shortcut, *SHORTCUT_GRID)
    return nn.Identity()
