"""Activations as a few integers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from offramp.training.lowbit.exact import PlainNorm
from offramp.training.lowbit.rounding import levels_of, round_through, scaled_gradient, smooth_sign, unit_sign

__all__ = ["ActivationQuantiser", "LearnedLevels", "LearnedSigns", "PublishedLevels", "activation_quantiser"]

_LEAST = 1e-6


class ActivationQuantiser(nn.Module, ABC):
    """Features (n, C, H, W) to integers of the same shape: -1 and 1, or ``2^bits`` levels.

    Parameters
    ----------
    bits : 1, 2, 4 or 8
    channels : C
    """

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__()
        self.bits, self.channels = bits, channels

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """The integers, as floats."""

    def step_size(self) -> Tensor:
        """Scalar: what a step of the integers is worth."""
        return torch.tensor(1.0)

    def extra_repr(self) -> str:
        """The bits."""
        return f"bits={self.bits}"


class PublishedLevels(ActivationQuantiser):
    """A norm, then signs, or the odd integers nearest to ``(2^k - 1) x`` with x within [-1, 1].

    The gradient passes where the normed value lies within (-1, 1).

    Source: Long et al. 2020 (block order norm, sign, convolution).
    """

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__(bits, channels)
        self.norm = PlainNorm(channels)

    def forward(self, features: Tensor) -> Tensor:
        normed: Tensor = self.norm(features)
        top = (1 << self.bits) - 1
        if self.bits == 1:
            return unit_sign(normed) if self.training else _signs(normed, 0.0)
        half: Tensor = round_through((normed.clamp(-1.0, 1.0) + 1.0) * (top / 2))
        return 2.0 * half - top

    def step_size(self) -> Tensor:
        return torch.tensor(1.0 / (2**self.bits - 1))


class _FromFirstBatch(ActivationQuantiser):
    """What starts from the first batch it sees in training."""

    ready: Tensor

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__(bits, channels)
        self.register_buffer("ready", torch.tensor(False))

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return self.integers(features)
        if not bool(self.ready):
            with torch.no_grad():
                self.begin(features.detach().float())
                self.ready.fill_(True)
        return self.learning(features)

    @abstractmethod
    def begin(self, features: Tensor) -> None:
        """Take the first values from a batch."""

    @abstractmethod
    def learning(self, features: Tensor) -> Tensor:
        """The integers, with gradients."""

    @abstractmethod
    def integers(self, features: Tensor) -> Tensor:
        """The integers, of a trained network."""


class LearnedSigns(_FromFirstBatch):
    """1 where a value reaches the learned threshold of its channel, else -1.

    Thresholds start at the channels' means, which is the most a sign can tell.

    Source: Liu et al. 2020 (ReActNet); the gradient of Liu et al. 2018 (Bi-Real Net).
    """

    width: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)
        self.threshold = nn.Parameter(torch.zeros(channels))
        self.register_buffer("width", torch.tensor(1.0))

    def begin(self, features: Tensor) -> None:
        self.threshold.copy_(features.mean((0, 2, 3)))
        self.width.copy_((1.5 * (features - self.threshold[:, None, None]).std()).clamp_min(1e-3))

    def learning(self, features: Tensor) -> Tensor:
        return smooth_sign(features, self.threshold[:, None, None], float(self.width))

    def integers(self, features: Tensor) -> Tensor:
        return _signs(features, self.threshold[:, None, None])


class LearnedLevels(_FromFirstBatch):
    """Levels 0 to ``2^k - 1`` with a learned step and offset for the whole tensor.

    The offset's share of a convolution is a constant per filter, which the norm behind takes up.

    Source: Esser et al. 2020 (LSQ); Bhalgat et al. 2020 (LSQ+).
    """

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__(bits, channels)
        self.step = nn.Parameter(torch.ones(()))
        self.offset = nn.Parameter(torch.zeros(()))
        self._factor = 1.0

    def begin(self, features: Tensor) -> None:
        low = features.min().clamp_max(0.0)
        low = torch.maximum(low, features.mean() - 3.0 * features.std()).clamp_max(0.0)
        self.offset.copy_(low)
        self.step.copy_((2.0 * (features - low).abs().mean() / math.sqrt(self.highest)).clamp_min(_LEAST))

    @property
    def highest(self) -> int:
        """The largest integer."""
        return (1 << self.bits) - 1

    def learning(self, features: Tensor) -> Tensor:
        self._factor = 1.0 / math.sqrt(features[0].numel() * self.highest)
        offset = scaled_gradient(self.offset, self._factor)
        return levels_of(features, self.step_size(), offset, self.highest)

    def integers(self, features: Tensor) -> Tensor:
        return ((features - self.offset) / self.step_size()).round().clamp(0.0, float(self.highest))

    def step_size(self) -> Tensor:
        step = scaled_gradient(self.step, self._factor) if self.training else self.step
        return step.clamp_min(_LEAST)


def activation_quantiser(recipe: str, bits: int, channels: int) -> ActivationQuantiser:
    """The quantiser of a recipe.

    Examples
    --------
    >>> activation_quantiser("learned", 1, 8)
    LearnedSigns(bits=1)
    """
    if recipe == "published":
        return PublishedLevels(bits, channels)
    return LearnedSigns(channels) if bits == 1 else LearnedLevels(bits, channels)


def _signs(features: Tensor, threshold: Tensor | float) -> Tensor:
    return torch.where(features >= threshold, 1.0, -1.0)
