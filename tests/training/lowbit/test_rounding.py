"""Gradients through jumps, against the formulas written out."""

from __future__ import annotations

import torch
from torch import Tensor

from offramp.training.lowbit.rounding import levels_of, smooth_sign, unit_sign


def values(*shape: int) -> Tensor:
    return (3.0 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))).requires_grad_()


def test_the_gradient_of_a_sign_passes_within_one() -> None:
    x, g = values(4, 3, 5, 5), torch.randn(4, 3, 5, 5)
    torch.autograd.backward(unit_sign(x), g)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.where(x.abs() < 1, g, 0.0))


def test_a_smooth_sign_has_the_gradient_of_a_parabola() -> None:
    x, g = values(4, 3, 5, 5), torch.randn(4, 3, 5, 5)
    threshold = torch.tensor([-1.0, 0.0, 2.0])[:, None, None].requires_grad_()
    signs = smooth_sign(x, threshold, 1.5)
    assert torch.equal(signs, torch.where(x >= threshold, 1.0, -1.0))
    torch.autograd.backward(signs, g)
    slope = (2.0 - 2.0 * ((x - threshold) / 1.5).abs()).clamp_min(0.0) / 1.5
    assert x.grad is not None
    assert threshold.grad is not None
    torch.testing.assert_close(x.grad, (g * slope).detach())
    torch.testing.assert_close(threshold.grad, -(g * slope).sum((0, 2, 3), keepdim=True)[0].detach())


def test_levels_have_the_gradients_of_learned_step_sizes() -> None:
    """Of ``step * levels + offset``: x within the range passes; the step gets ``level - x / step``."""
    x, g = values(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    step, offset = torch.tensor(0.7, requires_grad=True), torch.tensor(-0.4, requires_grad=True)
    torch.autograd.backward(levels_of(x, step, offset, 15) * step + offset, g)
    exact = ((x - offset) / step).detach()
    inside = (exact > 0) & (exact < 15)
    assert x.grad is not None
    assert step.grad is not None
    assert offset.grad is not None
    torch.testing.assert_close(x.grad, torch.where(inside, g, 0.0))
    wanted = torch.where(inside, exact.round() - exact, exact.round().clamp(0, 15))
    torch.testing.assert_close(step.grad, (g * wanted).sum())
    torch.testing.assert_close(offset.grad, torch.where(inside, 0.0, g).sum())
