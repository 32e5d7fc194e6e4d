"""Layers whose sums have no rounding, so that every runtime computes the same bits.

A sign or a level is a jump: a sum that two runtimes round differently flips it now and then. A convolution of
integers, or of values on a fixed-point grid, is exact in float32 in any order of summation as long as its sums stay
below ``2^24`` steps; what remains are single multiplications and additions, which IEEE 754 fixes.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import conv2d

from offramp.training.lowbit.rounding import round_through

__all__ = ["EXACT", "FixedPointConv2d", "PlainNorm", "barrier"]

#: float32 holds every integer up to here
EXACT = 2.0**24


def barrier(sums: Tensor) -> Tensor:
    """``sums`` as they are; keeps runtimes from merging what follows into the convolution's weights."""
    return sums.clamp(-EXACT, EXACT)


class PlainNorm(nn.BatchNorm2d):
    """Batch norm that a trained network computes as one multiplication and one addition.

    Examples
    --------
    >>> import torch
    >>> norm = PlainNorm(2).eval()
    >>> bool(torch.allclose(norm(torch.ones(1, 2, 3, 3)), torch.tensor(1.0), atol=1e-4))
    True
    """

    traced_whole = True
    factor: Tensor
    shift: Tensor

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> PlainNorm:
        """The same norm with the same state."""
        made = cls(norm.num_features, norm.eps, norm.momentum)
        made.load_state_dict(norm.state_dict())
        return made

    def forward(self, features: Tensor) -> Tensor:
        if self.training:
            return super().forward(features)
        factor, shift = (self.factor, self.shift) if hasattr(self, "factor") else self._constants()
        return features * factor + shift

    def freeze(self) -> None:
        """Keep factor and shift as constants; for export."""
        factor, shift = self._constants()
        self.register_buffer("factor", factor, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def _constants(self) -> tuple[Tensor, Tensor]:
        assert self.running_mean is not None and self.running_var is not None  # noqa: PT018
        factor = (self.weight / (self.running_var + self.eps).sqrt()).detach()
        shift = (self.bias - self.running_mean * factor).detach()
        return factor[:, None, None], shift[:, None, None]


class FixedPointConv2d(nn.Conv2d):
    """A convolution of full precision whose inputs and weights lie on fixed-point grids.

    Parameters
    ----------
    conv : to take over
    input_bits, weight_bits : behind the binary point

    Examples
    --------
    >>> conv = FixedPointConv2d(nn.Conv2d(3, 8, 1), input_bits=6, weight_bits=12)
    >>> float(conv.grid_weight().detach().mul(2**12).frac().abs().max())
    0.0
    """

    traced_whole = True
    frozen_weight: Tensor

    def __init__(self, conv: nn.Conv2d, input_bits: int, weight_bits: int) -> None:
        kernel, stride, dilation = conv.kernel_size, conv.stride, conv.dilation
        padding, bias = conv.padding, conv.bias is not None
        super().__init__(conv.in_channels, conv.out_channels, kernel, stride, padding, dilation, conv.groups, bias)  # type: ignore[arg-type]
        self.load_state_dict(conv.state_dict())
        self.weight.requires_grad_(conv.weight.requires_grad)
        self.input_bits, self.weight_bits = input_bits, weight_bits

    def forward(self, features: Tensor) -> Tensor:
        on_grid = _on_grid(features, self.input_bits, self.training)
        weight = self.frozen_weight if hasattr(self, "frozen_weight") else self.grid_weight()
        sums = conv2d(on_grid, weight, None, self.stride, self.padding, self.dilation, self.groups)
        if not self.training:
            sums = barrier(sums)
        return sums if self.bias is None else sums + self.bias[:, None, None]

    def grid_weight(self) -> Tensor:
        """The weights on their grid."""
        return _on_grid(self.weight, self.weight_bits, self.training)

    def freeze(self) -> None:
        """Keep the weights on their grid as a constant; for export."""
        self.register_buffer("frozen_weight", self.grid_weight().detach(), persistent=False)


def _on_grid(values: Tensor, bits: int, learning: bool) -> Tensor:
    scale = 2.0**bits
    return round_through(values * scale) / scale if learning else (values * scale).round() / scale
