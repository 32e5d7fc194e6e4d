"""A trained 1-bit network for the packed kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offramp.cascade.kernels.binary_conv import BinaryConv, GridConv
from offramp.cascade.kernels.trunk import BinaryBlock, BinaryTrunk
from offramp.errors import ConfigError
from offramp.training.lowbit.activations import LearnedSigns
from offramp.training.lowbit.block import LowBitBlock
from offramp.training.lowbit.conv import LowBitConv2d
from offramp.training.lowbit.exact import FixedPointConv2d, PlainNorm

__all__ = ["binary_trunk"]


def binary_trunk(stem: nn.Module, blocks: Sequence[nn.Module]) -> BinaryTrunk:
    """Stem (convolution, norm, ReLU) and blocks of a frozen 1-bit network, see `freeze`.

    Raises
    ------
    ConfigError : other modules, more bits, or no kernels on this machine
    """
    conv, norm = list(stem.children())[:2]
    if not isinstance(conv, FixedPointConv2d) or not isinstance(norm, PlainNorm):
        raise ConfigError("the packed kernels take a stem of a convolution and a norm, as [lowbit] makes it")
    with torch.no_grad():
        return BinaryTrunk(_grid_conv(conv, norm, 0.0), tuple(_block(block) for block in blocks))


def _block(block: nn.Module) -> BinaryBlock:
    if not isinstance(block, LowBitBlock) or not block.every_conv:
        raise ConfigError(
            "the packed kernels take blocks with shortcuts around every binary convolution, "
            f"not a {type(block).__name__}"
        )
    projection = block.shortcut if isinstance(block.shortcut, FixedPointConv2d) else None
    return BinaryBlock(
        _binary_conv(block.conv1, block.norm1, block.activation1),
        _binary_conv(block.conv2, block.norm2, block.activation2),
        None if projection is None else _grid_conv(projection, None, 1.0),
    )


def _binary_conv(conv: LowBitConv2d, norm: PlainNorm, activation: nn.Module) -> BinaryConv:
    if not isinstance(conv.activation, LearnedSigns) or conv.spec.weight_bits != 1:
        raise ConfigError("the packed kernels take weights and activations of 1 bit by the learned recipe")
    assert isinstance(activation, nn.LeakyReLU)
    return BinaryConv(
        weight=_numpy(conv.frozen_weight),
        threshold=_numpy(conv.activation.threshold),
        scale=_numpy(conv.frozen_scale.flatten()),
        factor=_numpy(norm.factor.flatten()),
        shift=_numpy(norm.shift.flatten()),
        leak=activation.negative_slope,
        stride=int(conv.stride[0]),
    )


def _grid_conv(conv: FixedPointConv2d, norm: PlainNorm | None, leak: float) -> GridConv:
    return GridConv(
        weight=_numpy(conv.frozen_weight),
        grid_bits=conv.input_bits,
        bias=None if conv.bias is None else _numpy(conv.bias),
        factor=None if norm is None else _numpy(norm.factor.flatten()),
        shift=None if norm is None else _numpy(norm.shift.flatten()),
        leak=leak,
        stride=int(conv.stride[0]),
    )


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = np.ascontiguousarray(tensor.detach().numpy(), np.float32)
    return array
