"""Preprocessing that becomes part of segment 0."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offramp.errors import ConfigError

__all__ = ["ImageInput"]


class ImageInput(nn.Module):
    """Raw images to what a network wants: ``(x / scale - mean) / std``, channels first.

    Takes (n, H, W, C) of any number type, gives (n, C, H, W) float32.

    Parameters
    ----------
    mean, std : one number per channel, or one for all, after scaling
    scale : the raw value that becomes 1.0

    Raises
    ------
    ConfigError : ``std`` or ``scale`` not above zero, or ``mean`` and ``std`` of different length

    Examples
    --------
    >>> ImageInput([0.5], [0.5], 255.0)(torch.full((1, 2, 2, 1), 255, dtype=torch.uint8)).flatten()
    tensor([1., 1., 1., 1.])
    """

    factor: Tensor
    offset: Tensor

    def __init__(self, mean: Sequence[float] = (0.0,), std: Sequence[float] = (1.0,), scale: float = 255.0) -> None:
        super().__init__()
        if len(mean) != len(std):
            raise ConfigError(f"input: mean has {len(mean)} channels, std has {len(std)}; give one number per channel")
        if not (scale > 0 and all(value > 0 for value in std)):
            raise ConfigError(f"input: scale and std must be above zero, not {scale} and {list(std)}")
        self.mean, self.std, self.scale = tuple(mean), tuple(std), float(scale)
        means, stds = torch.tensor(self.mean), torch.tensor(self.std)
        self.register_buffer("factor", (1.0 / (stds * scale)).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("offset", (-means / stds).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(n, H, W, C) to (n, C, H, W) float32."""
        return images.permute(0, 3, 1, 2).to(torch.float32) * self.factor + self.offset

    def extra_repr(self) -> str:
        """What went into the constructor."""
        return f"mean={self.mean}, std={self.std}, scale={self.scale}"
