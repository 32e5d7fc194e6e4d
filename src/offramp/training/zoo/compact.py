"""A wide, shallow network for 32 x 32 images that trains within a few epochs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["CompactNet", "opponent_filters"]


def opponent_filters() -> Tensor:
    """Orthonormal filters (12, 3, 2, 2) that nearly decorrelate 2 x 2 patches of natural images.

    The 2 x 2 Haar basis (mean, two edges, diagonal) times three opponent colours (grey, blue against
    yellow, red against green): close to the eigenvectors of the patches, without looking at data.

    Examples
    --------
    >>> basis = opponent_filters().flatten(1)
    >>> bool(torch.allclose(basis @ basis.T, torch.eye(12), atol=1e-6))
    True
    """
    pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    haar = torch.einsum("ai,bj->abij", pair, pair).reshape(4, 2, 2)
    colour = torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, 2.0], [1.0, -1.0, 0.0]])
    filters: Tensor = torch.einsum("hij,cr->hcrij", haar, colour).reshape(12, 3, 2, 2)
    norms: Tensor = filters.flatten(1).norm(dim=1)
    return filters / norms.reshape(12, 1, 1, 1)


class CompactNet(nn.Module):
    """A fixed whitening layer, then three stages of two 3 x 3 convolutions, each behind a halving.

    The first layer applies `opponent_filters` and their negatives and normalises each; the
    convolutions begin as the identity on the channels they can copy. Modules to attach exits to:
    ``whiten``, ``stage1``, ``stage2``, ``stage3``.

    Parameters
    ----------
    classes : K
    widths : channels of the three stages

    Source: the layout of Jordan 2024 (airbench94), with fixed filters in place of fitted ones.

    Examples
    --------
    >>> CompactNet(widths=(8, 16, 16))(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """

    def __init__(self, classes: int = 10, widths: Sequence[int] = (64, 256, 256)) -> None:
        super().__init__()
        filters = opponent_filters()
        white = nn.Conv2d(3, 24, 2, bias=False)
        white.weight = nn.Parameter(torch.cat([filters, -filters]), requires_grad=False)
        self.whiten = nn.Sequential(white, nn.BatchNorm2d(24), nn.GELU())
        first, second, third = widths
        self.stage1 = _stage(24, first)
        self.stage2 = _stage(first, second)
        self.stage3 = _stage(second, third)
        self.pool = nn.MaxPool2d(3)
        self.linear = nn.Linear(third, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, 32, 32) to logits (n, K)."""
        features = self.stage3(self.stage2(self.stage1(self.whiten(images))))
        return self.linear(self.pool(features).flatten(1))  # type: ignore[no-any-return]  # a module call is Any


def _stage(channels_in: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        _identity_conv(channels_in, channels),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(channels),
        nn.GELU(),
        _identity_conv(channels, channels),
        nn.BatchNorm2d(channels),
        nn.GELU(),
    )


def _identity_conv(channels_in: int, channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
    copied = min(channels_in, channels)
    with torch.no_grad():
        nn.init.dirac_(conv.weight[:copied])
    return conv
