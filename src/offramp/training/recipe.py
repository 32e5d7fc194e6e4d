"""What all training recipes share: their settings and the loop."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from offramp.errors import TrainingError
from offramp.training.attach import MultiExit
from offramp.training.augment import Augment
from offramp.training.checkpoint import Checkpoint
from offramp.training.schedule import SCHEDULES, Schedule
from offramp.training.state import EpochResult, RunState
from offramp.training.weights import ExitWeights, exit_weights

__all__ = ["AfterEpoch", "Batch", "Progress", "Recipe", "Rows", "accuracies", "set_memory_format"]

#: ``progress(epoch, epochs, step, steps, metrics)``; ``metrics["eta_s"]`` is the time still to go
Progress = Callable[[int, int, int, int, dict[str, float]], None]

#: ``after_epoch(epoch, network)``, to look at the network, not to change it
AfterEpoch = Callable[[int, MultiExit], None]


@dataclass(frozen=True)
class Rows:
    """Raw inputs (n, ...), labels (n,) int64, and the inputs beside the first where a network takes several."""

    inputs: Tensor
    labels: Tensor
    sides: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor) -> tuple[Tensor, ...]:
        """The chosen rows of every input."""
        return tuple(each[index] for each in (self.inputs, *self.sides))

    def batches(self, order: Tensor, size: int) -> list[Tensor]:
        """Indices ``order`` in batches of ``size``."""
        return list(torch.split(order, size))


@dataclass(frozen=True)
class Batch:
    """One step's raw inputs (n, ...), the first augmented, labels (n,), and float32 logits (n, K) of every exit."""

    inputs: tuple[Tensor, ...]
    labels: Tensor
    logits: list[Tensor]


@dataclass(frozen=True)
class Recipe(ABC):
    """A way to train a network with exits.

    A recipe says what the loss of a step is (`losses`) and, where it is not everything, what is
    trained (`prepare`, `set_mode`). The same seed on one thread gives the same weights, also when a
    run was interrupted and resumed.

    Parameters
    ----------
    epochs, batch_size : passes over the training rows; rows per step
    learning_rate : the peak of the schedule
    optimizer : ``adam`` (with decoupled weight decay) or ``sgd`` (Nesterov momentum 0.9)
    schedule : ``one-cycle`` or ``cosine``
    weight_decay : applied to weights, not to biases and norms
    weights : see `offramp.training.weights.exit_weights`
    label_smoothing : share of the target spread over all classes
    augment : drawn anew for every batch
    seed : of order, augmentation and dropout
    autocast : ``bfloat16`` computes forward and backward in bf16, weights stay float32
    patience : epochs without a better mean accuracy on the tune rows after which to stop and go
        back to the best; 0 trains to the end and keeps that
    """

    #: as in ``training.recipe`` of a config
    name: ClassVar[str]

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: Literal["adam", "sgd"] = "adam"
    schedule: Schedule = "one-cycle"
    weight_decay: float = 0.0
    weights: ExitWeights = ()
    label_smoothing: float = 0.0
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    autocast: Literal["none", "bfloat16"] = "none"
    patience: int = 0

    @abstractmethod
    def losses(self, batch: Batch) -> Sequence[Tensor]:
        """Loss of every exit that learns, first to last, one number each."""

    def prepare(self, network: MultiExit) -> list[torch.nn.Parameter]:
        """Check the network and return what is trained: everything, unless a recipe says otherwise."""
        return [parameter for parameter in network.parameters() if parameter.requires_grad]

    def set_mode(self, network: MultiExit) -> None:
        """Switch the network to training; called before every epoch."""
        network.train()

    def learning_exits(self, network: MultiExit) -> int:
        """How many exits `losses` returns."""
        return len(network.exit_names)

    def fit(
        self,
        network: MultiExit,
        train: Rows,
        tune: Rows,
        *,
        checkpoint: Checkpoint | None = None,
        resume: bool = False,
        progress: Progress | None = None,
        after_epoch: AfterEpoch | None = None,
    ) -> tuple[EpochResult, ...]:
        """Train ``network`` in place on the ``train`` rows; no gradient comes from the ``tune`` rows.

        Parameters
        ----------
        checkpoint : written after every epoch
        resume : go on from the checkpoint if there is one
        after_epoch : called after every epoch, before its checkpoint is written

        Returns
        -------
        One result per epoch, those before an interruption included.

        Raises
        ------
        ConfigError : the recipe does not fit the network
        TrainingError : the loss is no longer finite, or the checkpoint belongs to another run
        """
        weights = torch.tensor(exit_weights(self.weights, self.learning_exits(network)))
        set_memory_format(network, torch.channels_last)
        optimizer = self._optimizer(self.prepare(network))
        generator = torch.Generator().manual_seed(self.seed)
        state = RunState(network, optimizer, generator, self.patience)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if resume and checkpoint is not None and (stored := checkpoint.load()) is not None:
                state.restore(stored)
            run = _Run(self, network, optimizer, generator, weights, train, progress)
            while len(state.history) < self.epochs and not state.exhausted:
                loss = run.epoch(len(state.history))
                state.finish_epoch(EpochResult(loss, accuracies(network, tune)))
                if after_epoch is not None:
                    after_epoch(len(state.history) - 1, network)
                if checkpoint is not None:
                    checkpoint.save(state.to_dict())
            state.take_best()
        network.eval()
        return tuple(state.history)

    def label_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy with this recipe's label smoothing."""
        return cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def _optimizer(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ]
        if self.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=self.learning_rate, momentum=0.9, nesterov=True)
        return torch.optim.AdamW(groups, lr=self.learning_rate, fused=True)


@dataclass
class _Run:
    """One call of `Recipe.fit`."""

    recipe: Recipe
    network: MultiExit
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    weights: Tensor
    rows: Rows
    progress: Progress | None

    def epoch(self, epoch: int) -> float:
        """One pass over the rows in a new order; returns the mean loss."""
        recipe = self.recipe
        recipe.set_mode(self.network)
        order = torch.randperm(len(self.rows), generator=self.generator)
        batches = self.rows.batches(order, recipe.batch_size)
        if len(batches) > 1 and len(batches[-1]) < 2:  # batch norm cannot learn from one row
            batches = batches[:-1]
        begin_s, losses = time.perf_counter(), []
        for step, batch in enumerate(batches):
            done = epoch * len(batches) + step
            for group in self.optimizer.param_groups:
                group["lr"] = SCHEDULES[recipe.schedule](done, recipe.epochs * len(batches), recipe.learning_rate)
            losses.append(self._step(batch, epoch))
            if self.progress is not None:
                spent_s = time.perf_counter() - begin_s
                left = recipe.epochs * len(batches) - done - 1
                metrics = {"loss": losses[-1], "eta_s": spent_s / (step + 1) * left}
                self.progress(epoch, recipe.epochs, step + 1, len(batches), metrics)
        return sum(losses) / len(losses)

    def _step(self, rows: Tensor, epoch: int) -> float:
        recipe = self.recipe
        first, *sides = self.rows.batch(rows)
        inputs = (recipe.augment(first, self.generator), *sides)
        bf16 = recipe.autocast == "bfloat16"
        with torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else nullcontext():
            logits = self.network(*inputs)
        batch = Batch(inputs, self.rows.labels[rows], [each.float() for each in logits])
        loss = (torch.stack(list(recipe.losses(batch))) * self.weights).sum() / self.weights.sum()
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"epoch {epoch + 1}: the loss is {value}; lower training.learning_rate ({recipe.learning_rate}) "
                "or check the data"
            )
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimizer.step()
        return value


def accuracies(network: MultiExit, rows: Rows, batch_size: int = 256) -> tuple[float, ...]:
    """Share of rows each exit gets right; empty where there are no rows."""
    if not len(rows):
        return ()
    network.eval()
    right = torch.zeros(len(network.exit_names))
    with torch.no_grad():
        for index in rows.batches(torch.arange(len(rows)), batch_size):
            labels = rows.labels[index]
            right += torch.stack([(logits.argmax(1) == labels).sum() for logits in network(*rows.batch(index))])
    return tuple(float(value) for value in right / len(rows))


def set_memory_format(network: MultiExit, memory_format: torch.memory_format) -> None:
    """Lay out the weights of convolutions in place; the values stay."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=memory_format)
