"""What crosses the link behind the last low-bit segment, at its true size."""

from __future__ import annotations

from torch import Tensor, nn

from offramp.training.lowbit.activations import activation_quantiser

__all__ = ["HandOver", "WithHandOver"]


class HandOver(nn.Module):
    """Features (n, C, H, W) as one of ``2^bits`` values each: signs, or levels times their step.

    Trained with the rest, so that the next segment, of full precision, learns to read them. Codec ``palette`` sends
    them as so many bits, and loses nothing.

    Parameters
    ----------
    bits : 1, 2, 4 or 8
    channels : C
    """

    traced_whole = True
    frozen_step: Tensor

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__()
        self.levels = activation_quantiser("learned", bits, channels)

    def forward(self, features: Tensor) -> Tensor:
        """The same shape."""
        integers = self.levels(features)
        if self.levels.bits == 1:
            return integers  # type: ignore[no-any-return]
        return integers * (self.frozen_step if hasattr(self, "frozen_step") else self.levels.step_size())  # type: ignore[no-any-return]

    def freeze(self) -> None:
        """Keep the step as a constant; for export."""
        self.register_buffer("frozen_step", self.levels.step_size().detach(), persistent=False)


class WithHandOver(nn.Module):
    """``module`` with a `HandOver` behind it, in its place.

    Examples
    --------
    >>> import torch
    >>> made = WithHandOver(nn.Identity(), HandOver(1, 3)).eval()
    >>> made(torch.tensor([-1.0, 0.0, 2.0]).reshape(1, 3, 1, 1)).flatten().tolist()
    [-1.0, 1.0, 1.0]
    """

    def __init__(self, module: nn.Module, hand_over: HandOver) -> None:
        super().__init__()
        self.module, self.hand_over = module, hand_over

    def forward(self, features: Tensor) -> Tensor:
        """(n, ...) to (n, C, H, W)."""
        return self.hand_over(self.module(features))  # type: ignore[no-any-return]
