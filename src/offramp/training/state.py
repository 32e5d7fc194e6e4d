"""Where a training run stands: all that is needed to go on exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from offramp.training.attach import MultiExit

__all__ = ["EpochResult", "RunState"]


@dataclass(frozen=True)
class EpochResult:
    """Mean training loss of an epoch and the accuracy of every exit on the tune rows after it."""

    loss: float
    accuracy: tuple[float, ...]

    @property
    def score(self) -> float:
        """Mean accuracy over the exits, by which the best epoch is chosen."""
        return sum(self.accuracy) / max(1, len(self.accuracy))


@dataclass
class RunState:
    """Network, optimizer, random generators and history of a run.

    ``patience`` is the number of epochs without a better score after which to stop; 0 never stops
    early and keeps the last epoch's weights, above 0 the best epoch's weights are kept as well.
    """

    network: MultiExit
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    patience: int = 0
    history: list[EpochResult] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def best_epoch(self) -> int:
        """Index of the first epoch with the highest score; -1 before the first."""
        scores = [result.score for result in self.history]
        return scores.index(max(scores)) if scores else -1

    @property
    def exhausted(self) -> bool:
        """Whether the last ``patience`` epochs brought nothing better."""
        return bool(self.patience) and len(self.history) - 1 - self.best_epoch >= self.patience

    def finish_epoch(self, result: EpochResult) -> None:
        """Note the result, and the weights if they are the best so far."""
        self.history.append(result)
        if self.patience and self.best_epoch == len(self.history) - 1:
            self.best = {name: value.clone() for name, value in self.network.state_dict().items()}

    def take_best(self) -> None:
        """Give the network the weights of its best epoch, where these are kept."""
        if self.best:
            self.network.load_state_dict(self.best)

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint: tensors, numbers, lists and dicts."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "torch_rng": torch.get_rng_state(),
            "history": [(result.loss, list(result.accuracy)) for result in self.history],
            "best": self.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken; sets torch's global generator too."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_rng"])
        self.history = [EpochResult(loss, tuple(accuracy)) for loss, accuracy in state["history"]]
        self.best = state.get("best", {})
