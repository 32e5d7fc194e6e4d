"""Training every exit at once: a weighted sum of their losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from offramp.training.recipe import Batch, Recipe

__all__ = ["JointTraining"]


@dataclass(frozen=True)
class JointTraining(Recipe):
    """The recipe: minimise the weighted mean of every exit's cross-entropy, all weights trained.

    Parameters are those of `Recipe`.

    Source: Teerapittayanon et al. 2016 (joint weighted loss).
    """

    name = "joint"

    def losses(self, batch: Batch) -> Sequence[Tensor]:
        """Cross-entropy of every exit."""
        return [self.label_loss(logits, batch.labels) for logits in batch.logits]
