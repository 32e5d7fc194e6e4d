"""Steps that pass a gradient: rounding, signs and levels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["levels_of", "round_through", "scaled_gradient", "smooth_sign", "unit_sign"]


def round_through(values: Tensor) -> Tensor:
    """Rounded to even; the gradient passes as it is.

    Examples
    --------
    >>> round_through(torch.tensor([0.5, 1.5, -0.7]))
    tensor([ 0.,  2., -1.])
    """
    return values + (values.round() - values).detach()


def scaled_gradient(values: Tensor, factor: float) -> Tensor:
    """``values``, whose gradient is multiplied by ``factor``."""
    return values * factor + (values * (1.0 - factor)).detach()


def unit_sign(values: Tensor) -> Tensor:
    """-1 below zero, else 1; the gradient passes where the absolute value is below 1.

    Source: Hubara et al. 2016.

    Examples
    --------
    >>> x = torch.tensor([-2.0, -0.5, 0.0], requires_grad=True)
    >>> unit_sign(x).sum().backward()
    >>> unit_sign(x).tolist(), x.grad.tolist()
    ([-1.0, -1.0, 1.0], [0.0, 1.0, 1.0])
    """
    signs: Tensor = _UnitSign.apply(values)  # type: ignore[no-untyped-call]
    return signs


def smooth_sign(values: Tensor, threshold: Tensor, width: float) -> Tensor:
    """-1 below the threshold, else 1; the gradient is that of a piecewise parabola of this half width.

    Parameters
    ----------
    values : (n, C, H, W)
    threshold : (C, 1, 1)
    width : above 0

    Source: Liu et al. 2018 (Bi-Real Net), with a learned threshold as in Liu et al. 2020 (ReActNet).
    """
    signs: Tensor = _SmoothSign.apply(values, threshold, width)  # type: ignore[no-untyped-call]
    return signs


def levels_of(values: Tensor, step: Tensor, offset: Tensor, highest: int) -> Tensor:
    """``round((values - offset) / step)`` within 0 and ``highest``, with gradients for all three.

    Outside the range only step and offset learn.

    Source: Esser et al. 2020 (LSQ); Bhalgat et al. 2020 (LSQ+, the offset).

    Examples
    --------
    >>> levels_of(torch.tensor([-1.0, 0.0, 0.8, 9.0]), torch.tensor(0.5), torch.tensor(0.0), 3).tolist()
    [0.0, 0.0, 2.0, 3.0]
    """
    levels: Tensor = _Levels.apply(values, step, offset, highest)  # type: ignore[no-untyped-call]
    return levels


def _signs(values: Tensor) -> Tensor:
    return torch.copysign(torch.ones((), dtype=values.dtype), values)


def _inside(gradient: Tensor, values: Tensor, low: float, high: float) -> Tensor:
    """The gradient where ``low < values < high``, else 0; one pass."""
    passed: Tensor = torch.ops.aten.hardtanh_backward(gradient, values, low, high)
    return passed


class _UnitSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return _signs(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        return _inside(gradient, values, -1.0, 1.0)


class _SmoothSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, threshold: Tensor, width: float) -> Tensor:
        above = values - threshold.to(values.dtype)
        ctx.save_for_backward(above)
        ctx.width = width
        return _signs(above)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (above,) = ctx.saved_tensors
        top, fall = 2.0 / ctx.width, -2.0 / ctx.width**2
        passed = above.abs().mul_(fall).add_(top).relu_().mul_(gradient)
        return passed, -passed.sum((0, 2, 3), dtype=torch.float32)[:, None, None], None


class _Levels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, step: Tensor, offset: Tensor, highest: int) -> Tensor:
        exact = values.sub(offset).div_(step)
        ctx.save_for_backward(exact, step)
        ctx.highest = highest
        return exact.round().clamp_(0, highest)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        exact, step = ctx.saved_tensors
        passed = _inside(gradient, exact, 0.0, float(ctx.highest)).div_(step)
        by_step = -(passed * exact).sum(dtype=torch.float32)
        return passed, by_step, -passed.sum(dtype=torch.float32), None
