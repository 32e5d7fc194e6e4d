"""Giving a trained network exits without touching it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from offramp.errors import ConfigError
from offramp.training.attach import MultiExit
from offramp.training.recipe import Batch, Recipe

__all__ = ["FrozenBackbone"]


@dataclass(frozen=True)
class FrozenBackbone(Recipe):
    """The recipe: the heads learn, the network stays as its factory made it, to the last bit.

    The network's norms use their stored statistics, and its own output, the last exit, answers as
    before. Load trained weights in the factory. Parameters are those of `Recipe`; ``weights`` are
    one per early exit.

    Source: Kaya et al. 2019 (SDN, the "internal classifier only" training).
    """

    name = "frozen"

    def prepare(self, network: MultiExit) -> list[torch.nn.Parameter]:
        """Freeze all but the heads.

        Raises
        ------
        ConfigError : there is no early exit, so nothing would learn
        """
        if not len(network.heads):
            raise ConfigError("recipe 'frozen' trains the heads of early exits, but the config has none; add [[exits]]")
        network.segments.requires_grad_(False)
        return list(network.heads.parameters())

    def set_mode(self, network: MultiExit) -> None:
        """Heads learn; dropout and norms of the network stand still."""
        network.eval()
        network.heads.train()

    def learning_exits(self, network: MultiExit) -> int:
        """All but the last."""
        return len(network.heads)

    def losses(self, batch: Batch) -> Sequence[Tensor]:
        """Cross-entropy of every early exit."""
        return [self.label_loss(logits, batch.labels) for logits in batch.logits[:-1]]
