"""A convolution of integers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from offramp.training.lowbit.activations import activation_quantiser
from offramp.training.lowbit.exact import barrier
from offramp.training.lowbit.spec import LowBit
from offramp.training.lowbit.weights import LearnedWeights, PublishedWeights, WeightQuantiser

__all__ = ["LowBitConv2d"]


class LowBitConv2d(nn.Module):
    """A convolution whose inputs and weights are a few integers, times a scale per filter.

    The latent weights keep the name ``weight``. In a trained network the sums are integers, exact in float32.

    Parameters
    ----------
    conv : to take over, with its weights
    spec : bits and recipe

    Examples
    --------
    >>> conv = LowBitConv2d(nn.Conv2d(4, 2, 3, padding=1), LowBit(1, 1)).eval()
    >>> conv.freeze()
    >>> sorted(conv.frozen_weight.unique().tolist()), tuple(conv(torch.randn(1, 4, 5, 5)).shape)
    ([-1.0, 1.0], (1, 2, 5, 5))
    """

    traced_whole = True
    frozen_weight: Tensor
    frozen_scale: Tensor

    def __init__(self, conv: nn.Conv2d, spec: LowBit) -> None:
        super().__init__()
        self.spec = spec
        self.weight = nn.Parameter(conv.weight.detach().clone())
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach().clone())
        self.stride, self.padding, self.dilation, self.groups = conv.stride, conv.padding, conv.dilation, conv.groups
        kind: type[WeightQuantiser] = PublishedWeights if spec.recipe == "published" else LearnedWeights
        self.activation = activation_quantiser(spec.recipe, spec.activation_bits, conv.in_channels)
        self.quantiser = kind(spec.weight_bits, self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """(n, C_in, H, W) to (n, C_out, H', W')."""
        integers = self.activation(features)
        if hasattr(self, "frozen_weight"):
            weight, scale = self.frozen_weight, self.frozen_scale
        else:
            weight, scale = self._weight_and_scale()
        sums = conv2d(integers, weight, None, self.stride, self.padding, self.dilation, self.groups)
        values = sums * scale.to(sums.dtype) if self.training else barrier(sums) * scale
        return values if self.bias is None else values + self.bias[:, None, None]

    def _weight_and_scale(self) -> tuple[Tensor, Tensor]:
        weight, scale = self.quantiser(self.weight)
        return weight, (scale * self.activation.step_size())[:, None, None]

    def freeze(self) -> None:
        """Keep the integers and scales as constants; for export."""
        with torch.no_grad():
            weight, scale = self._weight_and_scale()
        self.register_buffer("frozen_weight", weight.round(), persistent=False)
        self.register_buffer("frozen_scale", scale, persistent=False)

    def extra_repr(self) -> str:
        """What it takes and gives."""
        out, into = self.weight.shape[:2]
        return f"{into * self.groups}, {out}, weight_bits={self.spec.weight_bits}, stride={self.stride}"
