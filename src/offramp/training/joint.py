"""Training every exit at once: a weighted sum of their losses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from offramp.errors import ConfigError, TrainingError
from offramp.training.attach import MultiExit
from offramp.training.augment import Augment
from offramp.training.checkpoint import Checkpoint

__all__ = ["EpochResult", "JointTraining", "Progress", "Rows", "accuracies", "one_cycle", "set_memory_format"]

#: ``progress(epoch, epochs, step, steps, metrics)``; ``metrics["eta_s"]`` is the time still to go
Progress = Callable[[int, int, int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Rows:
    """Raw inputs (n, ...) and labels (n,) int64."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class EpochResult:
    """Mean training loss of an epoch and the accuracy of every exit on the tune rows after it."""

    loss: float
    accuracy: tuple[float, ...]


def one_cycle(step: int, steps: int, peak: float, rising: float = 0.25) -> float:
    """Learning rate at ``step`` of ``steps``: a straight rise from ``peak / 10``, then a cosine to near zero.

    Source: Smith and Topin 2018, with a cosine for the descent.

    Examples
    --------
    >>> [round(one_cycle(step, 100, 1.0), 2) for step in (0, 25, 62, 99)]
    [0.1, 1.0, 0.51, 0.0]
    """
    top = max(1.0, rising * steps)
    if step < top:
        return peak * (0.1 + 0.9 * step / top)
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - top) / max(1.0, steps - top)))


@dataclass(frozen=True)
class JointTraining:
    """The recipe: minimise the weighted sum of every exit's cross-entropy, one-cycle learning rate.

    The same seed on one thread gives the same weights, also when a run was interrupted and resumed.

    Parameters
    ----------
    epochs, batch_size : passes over the training rows; rows per step
    learning_rate : the peak of the cycle
    optimizer : ``adam`` (with decoupled weight decay) or ``sgd`` (Nesterov momentum 0.9)
    weight_decay : applied to weights, not to biases and norms
    weights : one per exit, the last included; all 1 when empty
    label_smoothing : share of the target spread over all classes
    augment : drawn anew for every batch
    seed : of order, augmentation and dropout
    autocast : ``bfloat16`` computes forward and backward in bf16, weights stay float32

    Source: Teerapittayanon et al. 2016 (joint weighted loss).
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: Literal["adam", "sgd"] = "adam"
    weight_decay: float = 0.0
    weights: tuple[float, ...] = ()
    label_smoothing: float = 0.0
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    autocast: Literal["none", "bfloat16"] = "none"

    def fit(
        self,
        network: MultiExit,
        train: Rows,
        tune: Rows,
        *,
        checkpoint: Checkpoint | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> tuple[EpochResult, ...]:
        """Train ``network`` in place on the ``train`` rows; ``tune`` rows are only looked at.

        Parameters
        ----------
        checkpoint : written after every epoch
        resume : go on from the checkpoint if there is one

        Returns
        -------
        One result per epoch, those before an interruption included.

        Raises
        ------
        ConfigError : number of weights differs from the number of exits
        TrainingError : the loss is no longer finite, or the checkpoint belongs to another run
        """
        exits = len(network.exit_names)
        weights = self.weights or (1.0,) * exits
        if len(weights) != exits:
            raise ConfigError(
                f"training.weights has {len(weights)} numbers for {exits} exits (the last one counts too)"
            )
        set_memory_format(network, torch.channels_last)
        optimizer = self._optimizer(network)
        generator = torch.Generator().manual_seed(self.seed)
        history: list[EpochResult] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if resume and checkpoint is not None and (state := checkpoint.load()) is not None:
                history = _restore(state, network, optimizer, generator)
            run = _Run(self, network, optimizer, generator, torch.tensor(weights), train, progress)
            for epoch in range(len(history), self.epochs):
                loss = run.epoch(epoch, len(history))
                history.append(EpochResult(loss, accuracies(network, tune)))
                if checkpoint is not None:
                    checkpoint.save(_state(network, optimizer, generator, history))
        network.eval()
        return tuple(history)

    def _optimizer(self, network: MultiExit) -> torch.optim.Optimizer:
        parameters = list(network.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ]
        if self.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=self.learning_rate, momentum=0.9, nesterov=True)
        return torch.optim.AdamW(groups, lr=self.learning_rate)


@dataclass
class _Run:
    """One call of `JointTraining.fit`."""

    recipe: JointTraining
    network: MultiExit
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    weights: Tensor
    rows: Rows
    progress: Progress | None

    def epoch(self, epoch: int, first: int) -> float:
        """One pass over the rows in a new order; returns the mean loss."""
        recipe = self.recipe
        self.network.train()
        order = torch.randperm(len(self.rows), generator=self.generator)
        batches = torch.split(order, recipe.batch_size)
        if len(batches) > 1 and len(batches[-1]) < 2:  # batch norm cannot learn from one row
            batches = batches[:-1]
        begin_s, losses = time.perf_counter(), []
        for step, batch in enumerate(batches):
            done = epoch * len(batches) + step
            for group in self.optimizer.param_groups:
                group["lr"] = one_cycle(done, recipe.epochs * len(batches), recipe.learning_rate)
            losses.append(self._step(batch, epoch))
            if self.progress is not None:
                spent_s = time.perf_counter() - begin_s
                left = recipe.epochs * len(batches) - done - 1
                metrics = {"loss": losses[-1], "eta_s": spent_s / (step + 1) * left}
                self.progress(epoch, recipe.epochs, step + 1, len(batches), metrics)
        return sum(losses) / len(losses)

    def _step(self, batch: Tensor, epoch: int) -> float:
        recipe = self.recipe
        inputs = recipe.augment(self.rows.inputs[batch], self.generator)
        labels = self.rows.labels[batch]
        bf16 = recipe.autocast == "bfloat16"
        with torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else nullcontext():
            logits = self.network(inputs)
        smoothing = recipe.label_smoothing
        losses = torch.stack([cross_entropy(each.float(), labels, label_smoothing=smoothing) for each in logits])
        loss = (losses * self.weights).sum() / self.weights.sum()
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
        for inputs, labels in zip(
            torch.split(rows.inputs, batch_size), torch.split(rows.labels, batch_size), strict=True
        ):
            right += torch.stack([(logits.argmax(1) == labels).sum() for logits in network(inputs)])
    return tuple(float(value) for value in right / len(rows))


def set_memory_format(network: MultiExit, memory_format: torch.memory_format) -> None:
    """Lay out the weights of convolutions in place; the values stay."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=memory_format)


def _state(
    network: MultiExit, optimizer: torch.optim.Optimizer, generator: torch.Generator, history: list[EpochResult]
) -> dict[str, Any]:
    return {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "torch_rng": torch.get_rng_state(),
        "history": [(result.loss, list(result.accuracy)) for result in history],
    }


def _restore(
    state: dict[str, Any], network: MultiExit, optimizer: torch.optim.Optimizer, generator: torch.Generator
) -> list[EpochResult]:
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["generator"])
    torch.set_rng_state(state["torch_rng"])
    return [EpochResult(loss, tuple(accuracy)) for loss, accuracy in state["history"]]
