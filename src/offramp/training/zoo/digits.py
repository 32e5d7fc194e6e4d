"""A residual network for 8 x 8 digits, cheap at the front and heavy at the back."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from offramp.errors import ConfigError
from offramp.training.zoo.resnet import ResidualBlock

__all__ = ["DigitsNet"]


class DigitsNet(nn.Module):
    """A stem and a chain of stages, each twice or more as dear as the one before.

    Modules to attach exits to: ``stem``, ``stages.0``, ``stages.1``, ... and every block inside.

    Parameters
    ----------
    classes : K
    widths : channels of each stage
    blocks : residual blocks of each stage
    strides : of the first block of each stage; the image is 8 x 8
    channels : of the image

    Raises
    ------
    ConfigError : ``widths``, ``blocks`` and ``strides`` differ in length

    Examples
    --------
    >>> import torch
    >>> DigitsNet(widths=(8, 16), blocks=(1, 1), strides=(2, 1))(torch.zeros(1, 1, 8, 8)).shape
    torch.Size([1, 10])
    """

    def __init__(
        self,
        classes: int = 10,
        widths: Sequence[int] = (8, 64, 128, 128),
        blocks: Sequence[int] = (3, 4, 3, 4),
        strides: Sequence[int] = (1, 1, 1, 1),
        channels: int = 1,
    ) -> None:
        super().__init__()
        if not len(widths) == len(blocks) == len(strides):
            raise ConfigError(
                f"DigitsNet: widths, blocks and strides must be equally long, not {len(widths)}, {len(blocks)} "
                f"and {len(strides)}"
            )
        self.stem = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        stages = []
        width_in = widths[0]
        for width, count, stride in zip(widths, blocks, strides, strict=True):
            first = ResidualBlock(width_in, width, stride)
            blocks_here = [first, *(ResidualBlock(width, width) for _ in range(count - 1))]
            for block in blocks_here:  # every block begins as its shortcut: deep stages train at once
                nn.init.zeros_(block.norm2.weight)
            stages.append(nn.Sequential(*blocks_here))
            width_in = width
        self.stages = nn.Sequential(*stages)
        self.linear = nn.Linear(width_in, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(n, C, 8, 8) to logits (n, K)."""
        features = self.stages(self.stem(images))
        return self.linear(features.mean(dim=(2, 3)))  # type: ignore[no-any-return]  # a module call is Any
