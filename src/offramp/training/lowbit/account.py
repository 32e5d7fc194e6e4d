"""How much of a segment is low-bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from offramp.cascade.manifest import LowBitSpec
from offramp.training.lowbit.conv import LowBitConv2d
from offramp.training.lowbit.hand_over import HandOver

__all__ = ["low_bit_part"]

_Bits = Literal[1, 2, 4, 8]


def low_bit_part(segment: nn.Module, row: Sequence[Tensor]) -> LowBitSpec | None:
    """Bits, multiply-accumulates of one row and weights of a segment's low-bit convolutions; ``None`` without any.

    Parameters
    ----------
    segment : as it is exported, takes ``temperature`` beside its inputs
    row : one row of every input
    """
    convs = [module for module in segment.modules() if isinstance(module, LowBitConv2d)]
    if not convs:
        return None
    macs = 0

    def count(conv: nn.Module, _inputs: Any, output: Tensor) -> None:
        nonlocal macs
        assert isinstance(conv, LowBitConv2d)
        macs += conv.weight[0].numel() * output[0].numel()

    hooks = [conv.register_forward_hook(count) for conv in convs]
    try:
        with torch.no_grad():
            segment(*row, temperature=torch.tensor(1.0))
    finally:
        for hook in hooks:
            hook.remove()
    handed = next((module.levels.bits for module in segment.modules() if isinstance(module, HandOver)), None)
    return LowBitSpec(
        weight_bits=cast("_Bits", max(conv.spec.weight_bits for conv in convs)),
        activation_bits=cast("_Bits", max(conv.spec.activation_bits for conv in convs)),
        macs=macs,
        weights=sum(conv.weight.numel() for conv in convs),
        hand_over_bits=cast("_Bits | None", handed),
    )
