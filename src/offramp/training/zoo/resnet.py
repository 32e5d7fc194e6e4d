"""ResNets for 32 x 32 images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from offramp.errors import ConfigError

__all__ = ["CifarResNet", "ResidualBlock"]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; the first may stride."""

    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Conv2d(channels_in, channels, 1, stride)

    def forward(self, features: Tensor) -> Tensor:
        """(n, C_in, H, W) to (n, C, H / stride, W / stride)."""
        value = self.relu(self.norm1(self.conv1(features)))
        value = self.norm2(self.conv2(value))
        return self.relu(value + self.shortcut(features))  # type: ignore[no-any-return]  # a module call is Any


class CifarResNet(nn.Module):
    """ResNet-(6n + 2): a stem and three stacks of n blocks, 16, 32 and 64 channels wide.

    Modules to attach exits to: ``stem``, ``stack1``, ``stack2`` and every block inside (``stack1.0``).
    Depth 8 is the image classifier of MLPerf Tiny.

    Parameters
    ----------
    depth : 8, 20, 32, 56 or any other 6n + 2
    classes : K
    widths : channels of the three stacks
    channels : of the image

    Raises
    ------
    ConfigError : another depth

    Source: He et al. 2016, section 4.2, with 1 x 1 projection shortcuts.

    Examples
    --------
    >>> import torch
    >>> CifarResNet(8)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """

    def __init__(
        self, depth: int = 20, classes: int = 10, widths: Sequence[int] = (16, 32, 64), channels: int = 3
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ConfigError(f"CifarResNet: depth must be 6n + 2 (8, 14, 20, 32, 56), not {depth}")
        first, second, third = widths
        self.stem = nn.Sequential(
            nn.Conv2d(channels, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        self.stack1 = _stack(first, first, blocks, 1)
        self.stack2 = _stack(first, second, blocks, 2)
        self.stack3 = _stack(second, third, blocks, 2)
        self.linear = nn.Linear(third, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(n, C, 32, 32) to logits (n, K)."""
        features = self.stack3(self.stack2(self.stack1(self.stem(images))))
        return self.linear(features.mean(dim=(2, 3)))  # type: ignore[no-any-return]  # a module call is Any


def _stack(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = ResidualBlock(channels_in, channels, stride)
    return nn.Sequential(first, *(ResidualBlock(channels, channels) for _ in range(blocks - 1)))
