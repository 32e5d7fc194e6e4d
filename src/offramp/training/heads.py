"""Classifier heads for early exits, by name."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from torch import Tensor, nn

from offramp.errors import ConfigError
from offramp.training.token_heads import TOKEN_HEADS

__all__ = ["HEADS", "GlobalAverage", "conv_pool_linear", "grid_linear", "make_head", "pool_linear"]

#: makes a head for features of one row's shape (C, ...) and K classes
HeadFactory = Callable[[tuple[int, ...], int], nn.Module]


class GlobalAverage(nn.Module):
    """Mean over height and width, (n, C, H, W) to (n, C, 1, 1); one operator in ONNX."""

    def forward(self, features: Tensor) -> Tensor:
        """Average every channel."""
        return features.mean(dim=(2, 3), keepdim=True)


def pool_linear(features: tuple[int, ...], classes: int) -> nn.Module:
    """Average over the image, then one linear layer: the cheapest head.

    Parameters
    ----------
    features : shape of one row, (C, H, W) or (C,)
    classes : K

    Raises
    ------
    ConfigError : features of another number of dimensions

    Examples
    --------
    >>> import torch
    >>> pool_linear((16, 8, 8), 10)(torch.zeros(2, 16, 8, 8)).shape
    torch.Size([2, 10])
    """
    if len(features) == 1:
        return nn.Linear(features[0], classes)
    _require_image("pool-linear", features)
    return nn.Sequential(GlobalAverage(), nn.Flatten(), nn.Linear(features[0], classes))


def grid_linear(features: tuple[int, ...], classes: int) -> nn.Module:
    """Average over each cell of a 2 x 2 grid, then linear: keeps roughly where things are.

    Parameters
    ----------
    features : shape of one row, (C, H, W), at least 2 x 2
    classes : K

    Raises
    ------
    ConfigError : features of another number of dimensions, or smaller
    """
    _require_image("grid-linear", features)
    channels, height, width = features
    if min(height, width) < 2:
        raise ConfigError(f"head 'grid-linear' needs 2 x 2 features or more, not {height} x {width}; use 'pool-linear'")
    cell = (height // 2, width // 2)
    pool = nn.AvgPool2d(cell, stride=cell)
    cells = (height // cell[0]) * (width // cell[1])
    return nn.Sequential(pool, nn.Flatten(), nn.Linear(channels * cells, classes))


def conv_pool_linear(features: tuple[int, ...], classes: int) -> nn.Module:
    """3 x 3 convolution, batch norm, ReLU, average, linear: sees patterns the trunk has not formed yet.

    The convolution strides by 2 on maps of 8 x 8 and more, which keeps the head cheaper than a layer.

    Parameters
    ----------
    features : shape of one row, (C, H, W)
    classes : K

    Raises
    ------
    ConfigError : features of another number of dimensions
    """
    _require_image("conv-pool-linear", features)
    channels = features[0]
    stride = 2 if min(features[1:]) >= 8 else 1
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        GlobalAverage(),
        nn.Flatten(),
        nn.Linear(channels, classes),
    )


#: every head for images and vectors, by the name used in a config; see also `offramp.training.token_heads`
HEADS: dict[str, HeadFactory] = {
    "conv-pool-linear": conv_pool_linear,
    "grid-linear": grid_linear,
    "pool-linear": pool_linear,
}


def make_head(name: str, features: tuple[int, ...], classes: int) -> nn.Module:
    """The head ``name`` for one row's features and ``classes`` classes.

    Raises
    ------
    ConfigError : unknown name, or the head cannot read features of this shape
    """
    known: dict[str, HeadFactory] = {**HEADS, **TOKEN_HEADS}
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"unknown head {name!r}; {hint}known are {', '.join(sorted(known))}")
    return known[name](features, classes)


def _require_image(name: str, features: tuple[int, ...]) -> None:
    if len(features) != 3:
        raise ConfigError(
            f"head {name!r} reads features (channels, height, width), not {features}; attach the exit elsewhere"
        )
