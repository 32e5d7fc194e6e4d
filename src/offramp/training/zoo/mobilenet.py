"""MobileNetV2 for 32 x 32 images."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import conv2d

__all__ = ["CifarMobileNetV2", "InvertedResidual", "StridedDepthwise"]

#: expansion, channels, blocks, stride of the first block
STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """Widen 1 x 1, filter each channel 3 x 3, narrow 1 x 1; a shortcut where the shape stays."""

    def __init__(self, channels_in: int, channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        widen = _convolution(channels_in, hidden, 1) if expansion != 1 else ()
        self.layers = nn.Sequential(
            *widen,
            *_convolution(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.same_shape = stride == 1 and channels_in == channels

    def forward(self, features: Tensor) -> Tensor:
        """(n, C_in, H, W) to (n, C, H / stride, W / stride)."""
        value: Tensor = self.layers(features)
        return features + value if self.same_shape else value


class CifarMobileNetV2(nn.Module):
    """MobileNetV2 with the two first halvings left out: three remain, as suits 32 x 32 pixels.

    Modules to attach exits to: ``stem``, ``stages.0`` to ``stages.6`` and every block inside
    (``stages.2.0``).

    Parameters
    ----------
    classes : K
    width : factor on all channel counts, which are rounded to multiples of 8
    dropout : before the linear layer

    Source: Sandler et al. 2018.

    Examples
    --------
    >>> import torch
    >>> CifarMobileNetV2(width=0.5).eval()(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """

    def __init__(self, classes: int = 10, width: float = 1.0, dropout: float = 0.0) -> None:
        super().__init__()
        channels_in = _scaled(32, width)
        self.stem = nn.Sequential(*_convolution(3, channels_in, 3))
        stages = []
        for expansion, channels, blocks, stride in STAGES:
            wide = _scaled(channels, width)
            first = InvertedResidual(channels_in, wide, expansion, stride)
            rest = (InvertedResidual(wide, wide, expansion, 1) for _ in range(blocks - 1))
            stages.append(nn.Sequential(first, *rest))
            channels_in = wide
        self.stages = nn.Sequential(*stages)
        last = max(1280, _scaled(1280, width))
        self.top = nn.Sequential(*_convolution(channels_in, last, 1))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(last, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, 32, 32) to logits (n, K)."""
        features = self.top(self.stages(self.stem(images)))
        pooled = self.dropout(features.mean(dim=(2, 3)))
        return self.linear(pooled)  # type: ignore[no-any-return]  # a module call is Any


class StridedDepthwise(nn.Conv2d):
    """A depthwise convolution of stride above 1 that learns as one of stride 1, of which it keeps every so many.

    The same numbers and gradients; on a CPU the gradient of a strided depthwise convolution takes five to ten times
    as long as that of four times the positions.
    """

    def forward(self, features: Tensor) -> Tensor:
        """(n, C, H, W) to (n, C, H / stride, W / stride)."""
        if not self.training:
            return super().forward(features)
        everywhere = conv2d(features, self.weight, None, 1, self.padding, self.dilation, self.groups)
        return everywhere[:, :, :: self.stride[0], :: self.stride[1]]


def _scaled(channels: int, width: float) -> int:
    return max(8, round(channels * width / 8) * 8)


def _convolution(channels_in: int, channels: int, size: int, stride: int = 1, groups: int = 1) -> tuple[nn.Module, ...]:
    kind = StridedDepthwise if groups > 1 and stride > 1 else nn.Conv2d
    conv = kind(channels_in, channels, size, stride, padding=size // 2, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(channels), nn.ReLU6()
