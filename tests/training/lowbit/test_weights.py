"""Weights as integers times scales."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from offramp.training.lowbit.weights import LearnedWeights, PublishedWeights


def weight(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_published_binary_weights_and_their_gradient() -> None:
    latent = weight(4, 3, 3, 3).requires_grad_()
    quantiser = PublishedWeights(1, latent)
    integers, scale = quantiser(latent)
    with torch.no_grad():
        centred = weight(4, 3, 3, 3)
        centred = (centred - centred.mean(1, keepdim=True)).clamp(-1, 1)
    torch.testing.assert_close(latent.detach(), centred)
    torch.testing.assert_close(scale, centred.abs().mean((1, 2, 3)))
    assert set(integers.unique().tolist()) == {-1.0, 1.0}

    g = torch.randn(4, 3, 3, 3)
    (integers * scale[:, None, None, None]).backward(g)
    signs, alpha = centred.sign(), scale[:, None, None, None]
    share = (signs * g).mean((1, 2, 3), keepdim=True)
    wanted = (alpha * (centred.abs() <= 1) * g + signs * share) * (1 - 1 / 3) * 27
    assert latent.grad is not None
    torch.testing.assert_close(latent.grad, wanted)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_published_weights_of_several_bits_are_the_papers_levels(bits: int) -> None:
    latent = weight(4, 3, 3, 3)
    quantiser = PublishedWeights(bits, latent).eval()
    integers, scale = quantiser(latent)
    top, x = 2**bits - 1, latent.clamp(-1, 1)
    levels = 2 * (torch.round(top * (x + 1) / 2) / top - 0.5)
    alpha = latent.abs().mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(integers * scale[:, None, None, None], levels * alpha)
    assert integers.unique().numel() <= 2**bits


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_learned_weights_lie_near_the_latent_ones(bits: int) -> None:
    latent = weight(8, 16, 3, 3) * 0.1
    integers, scale = LearnedWeights(bits, latent)(latent)
    assert torch.equal(integers, integers.round())
    assert integers.unique().numel() <= 2**bits
    error = (integers * scale[:, None, None, None] - latent).square().mean() / latent.square().mean()
    assert error < {1: 0.4, 2: 0.35, 4: 0.05, 8: 0.01}[bits]


def test_learned_steps_learn() -> None:
    latent = weight(4, 3, 3, 3).requires_grad_()
    quantiser = LearnedWeights(4, latent)
    integers, scale = quantiser(latent)
    (integers * scale[:, None, None, None]).square().sum().backward()
    assert quantiser.step.grad is not None
    assert quantiser.step.grad.abs().min() > 0
    assert latent.grad is not None
    assert latent.grad.abs().max() > 0
