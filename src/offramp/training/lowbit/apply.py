"""``[lowbit]`` of a config, applied to a network before its exits are attached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from offramp.errors import ConfigError
from offramp.training.attach import ExitPlacement
from offramp.training.cut import cut_after
from offramp.training.lowbit.convert import add_hand_over, edge_modules, make_low_bit
from offramp.training.lowbit.warm_start import load_warm_start

if TYPE_CHECKING:
    from offramp.training.config import LowBitConfig

__all__ = ["apply_low_bit"]


def apply_low_bit(module: nn.Module, config: LowBitConfig, exits: Sequence[ExitPlacement], example: Tensor) -> None:
    """Load the weights to begin with, make the chosen part low-bit, quantise what it hands over; all in place.

    Parameters
    ----------
    module : of full precision
    exits : that will be attached
    example : a few preprocessed rows

    Raises
    ------
    ConfigError : the config does not fit the network, or the checkpoint is of another
    """
    if config.warm_start is not None:
        load_warm_start(module, config.warm_start)
    paths = config.modules if config.segments is None else edge_modules(module, exits, config.segments)
    channels = _channels(module, exits, config, example)
    make_low_bit(module, paths, config.spec())
    if config.hand_over_bits is not None and config.segments is not None:
        add_hand_over(module, exits[config.segments - 1].after, config.hand_over_bits, channels)


def _channels(module: nn.Module, exits: Sequence[ExitPlacement], config: LowBitConfig, example: Tensor) -> int:
    """Channels that the last low-bit segment hands over; 0 where nobody asks."""
    if config.hand_over_bits is None or config.segments is None:
        return 0
    training = module.training
    module.eval()
    features = example
    with torch.no_grad():
        for part in cut_after(module, [place.after for place in exits])[: config.segments]:
            features = part(features)
    module.train(training)
    if features.dim() != 4:
        raise ConfigError(f"lowbit.hand_over_bits: the segment hands over {tuple(features.shape[1:])}, no feature maps")
    return int(features.shape[1])
