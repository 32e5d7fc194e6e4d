"""Early exits that learn from the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from offramp.errors import ConfigError
from offramp.training.attach import MultiExit
from offramp.training.recipe import Batch, Recipe
from offramp.training.soft_targets import soft_target_loss

__all__ = ["SelfDistillation"]


@dataclass(frozen=True)
class SelfDistillation(Recipe):
    """The recipe: the last exit learns from the labels, the early ones from the labels and from it.

    Parameters
    ----------
    temperature : softens both sides
    share : of the last exit's teaching in an early exit's loss; the rest comes from the labels

    The others are those of `Recipe`.

    Source: Zhang et al. 2019 (be your own teacher), soft labels alone; Phuong and Lampert 2019.
    """

    name = "self-distillation"

    temperature: float = 3.0
    share: float = 0.5

    def prepare(self, network: MultiExit) -> list[torch.nn.Parameter]:
        """Everything is trained.

        Raises
        ------
        ConfigError : there is no early exit, so nobody would be taught
        """
        if not len(network.heads):
            raise ConfigError("recipe 'self-distillation' teaches early exits, but the config has none; add [[exits]]")
        return super().prepare(network)

    def losses(self, batch: Batch) -> Sequence[Tensor]:
        """Labels and the last exit for the early exits, labels alone for the last."""
        *early, last = batch.logits
        taught = [
            (1 - self.share) * self.label_loss(logits, batch.labels)
            + self.share * soft_target_loss(logits, last, self.temperature)
            for logits in early
        ]
        return [*taught, self.label_loss(last, batch.labels)]
