"""Exits that learn from a larger network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from offramp.errors import ConfigError
from offramp.training.attach import MultiExit
from offramp.training.recipe import Batch, Recipe
from offramp.training.soft_targets import soft_target_loss
from offramp.training.teacher import Teacher

__all__ = ["Distillation"]


@dataclass(frozen=True)
class Distillation(Recipe):
    """The recipe: every exit learns from the labels and from a teacher that sees the same augmented rows.

    Parameters
    ----------
    teacher : see `offramp.training.teacher.load_teacher`
    temperature : softens both sides
    share : of the teacher in every exit's loss; the rest comes from the labels

    The others are those of `Recipe`.

    Source: Hinton et al. 2015; Beyer et al. 2022 (teacher and student see the same crop).
    """

    name = "distillation"

    _: KW_ONLY
    teacher: Teacher
    temperature: float = 4.0
    share: float = 0.9

    def prepare(self, network: MultiExit) -> list[torch.nn.Parameter]:
        """Everything is trained.

        Raises
        ------
        ConfigError : the teacher knows another number of classes
        """
        if self.teacher.classes != network.classes:
            raise ConfigError(
                f"the teacher {self.teacher.name!r} knows {self.teacher.classes} classes, "
                f"the network {network.classes}; they must be the same"
            )
        return super().prepare(network)

    def losses(self, batch: Batch) -> Sequence[Tensor]:
        """Labels and teacher, for every exit."""
        wanted = self.teacher.logits(*batch.inputs)
        return [
            (1 - self.share) * self.label_loss(logits, batch.labels)
            + self.share * soft_target_loss(logits, wanted, self.temperature)
            for logits in batch.logits
        ]
