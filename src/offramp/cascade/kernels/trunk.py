"""A binary residual network on packed bits: stem and blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.kernels.binary_conv import BinaryConv, GridConv

__all__ = ["BinaryBlock", "BinaryTrunk"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class BinaryBlock:
    """Two binary convolutions, each with a shortcut around it; the first may stride behind a projection."""

    first: BinaryConv
    second: BinaryConv
    projection: GridConv | None = None

    def __call__(self, features: Floats) -> Floats:
        """(H, W, C_in) to (H / stride, W / stride, C_out)."""
        direct = features if self.projection is None else self.projection(features)
        value = self.first(features, direct)
        return self.second(value, value)


@dataclass(frozen=True)
class BinaryTrunk:
    """The stem of full precision and binary blocks behind it: the edge part of a 1-bit network without its exits.

    Made by `offramp.training.lowbit.kernel.binary_trunk`.
    """

    stem: GridConv
    blocks: Sequence[BinaryBlock]

    def __call__(self, image: NDArray[Any]) -> Floats:
        """A preprocessed image (H, W, C), float32 in C order, to features (H', W', C')."""
        features = self.stem(image)
        for block in self.blocks:
            features = block(features)
        return features
