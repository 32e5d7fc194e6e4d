"""Weights as integers times a scale per filter."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from offramp.training.lowbit.rounding import round_through, scaled_gradient

__all__ = ["LearnedWeights", "PublishedWeights", "WeightQuantiser"]

#: the smallest scale of a filter
_LEAST = 1e-6


class WeightQuantiser(nn.Module, ABC):
    """Latent weights (C_out, C_in, h, w) to integers of the same shape and scales (C_out,), both with gradients.

    Parameters
    ----------
    bits : 1, 2, 4 or 8
    weight : what it begins with
    """

    def __init__(self, bits: int, weight: Tensor) -> None:
        super().__init__()
        self.bits = bits
        self.filter_size = weight[0].numel()

    @abstractmethod
    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The integers and the scales."""


class PublishedWeights(WeightQuantiser):
    """Binary or k-bit weights of conditionally deep hybrid networks.

    Before every training step the latent weights are centred over the input channels and clamped to [-1, 1]. The
    scale of filter f is the mean of its absolute weights. One bit is the sign; k bits are the odd integers up to
    ``2^k - 1`` nearest to ``(2^k - 1) W``. The gradient of the latent weights is

        (scale 1{|W| <= 1} g + sign(W) mean(sign(W) g)) (1 - 1 / C_in) n_f

    with g that of the binary weights and n_f the weights of a filter: the code's rule, whose last factors make up for
    the small scales.

    Source: Rastegari et al. 2016; Long et al. 2020 and their code.
    """

    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        if self.training:
            with torch.no_grad():
                weight.sub_(weight.mean(1, keepdim=True)).clamp_(-1.0, 1.0)
        top = 2**self.bits - 1
        scale = weight.detach().abs().flatten(1).mean(1).clamp_min(_LEAST)
        integers: Tensor = _PublishedLevels.apply(weight, scale, top)  # type: ignore[no-untyped-call]
        return integers, scale / top


class _PublishedLevels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor, top: int) -> Tensor:
        ctx.save_for_backward(weight, scale)
        ctx.top = top
        if top == 1:
            return torch.ones_like(weight).masked_fill_(weight < 0, -1.0)
        return (weight.clamp(-1.0, 1.0).add(1.0).mul(top / 2).round()) * 2 - top

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """``gradient`` is of the integers, so that of the weights is it times ``top / scale``."""
        weight, scale = ctx.saved_tensors
        signs = torch.ones_like(weight).masked_fill_(weight < 0, -1.0)
        of_weights = gradient * (ctx.top / scale)[:, None, None, None]
        share = (signs * of_weights).mean((1, 2, 3), keepdim=True)
        passed = scale[:, None, None, None] * of_weights.masked_fill(weight.abs() > 1, 0.0) + signs * share
        channels, size = weight.shape[1], weight[0].numel()
        return passed * ((1.0 - 1.0 / channels) * size), None, None


class LearnedWeights(WeightQuantiser):
    """Weights whose step size per filter is learned; binary ones are the sign times the mean absolute weight.

    k bits are the integers from ``-2^(k-1)`` to ``2^(k-1) - 1``.

    Source: Esser et al. 2020 (LSQ); for one bit Rastegari et al. 2016, with the plain
    straight-through gradient.
    """

    def __init__(self, bits: int, weight: Tensor) -> None:
        super().__init__(bits, weight)
        if bits > 1:
            magnitude = weight.detach().abs().flatten(1).mean(1).clamp_min(_LEAST)
            self.step = nn.Parameter(2.0 * magnitude / math.sqrt(2 ** (bits - 1) - 1))

    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        if self.bits == 1:
            scale = weight.detach().abs().flatten(1).mean(1).clamp_min(_LEAST)
            inside = weight.clamp(-1.0, 1.0)
            signs = torch.ones_like(weight).masked_fill_(weight.detach() < 0, -1.0)
            through = inside / scale[:, None, None, None]
            return through + (signs - through).detach(), scale
        top = 2 ** (self.bits - 1) - 1
        step = scaled_gradient(self.step, 1.0 / math.sqrt(self.filter_size * top)).clamp_min(_LEAST)
        return round_through((weight / step[:, None, None, None]).clamp(-top - 1, top)), step
