"""Heads, preprocessing and augmentation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import ConfigError
from offramp.training.augment import Augment
from offramp.training.heads import HEADS, make_head
from offramp.training.inputs import ImageInput


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("shape", [(3, 8, 8), (5, 4, 7), (16, 2, 2)])
def test_head_contract(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    head = make_head(name, shape, 7).eval()
    features = torch.randn(6, *shape)
    logits = head(features)
    assert logits.shape == (6, 7)
    torch.testing.assert_close(head(features[2:3]), logits[2:3], atol=1e-5, rtol=1e-5)
    logits.sum().backward()
    assert all(p.grad is not None for p in head.parameters())


@pytest.mark.parametrize("name", ["conv-pool-linear", "grid-linear"])
def test_heads_for_images_refuse_vectors(name: str) -> None:
    with pytest.raises(ConfigError, match="attach the exit elsewhere"):
        make_head(name, (8,), 3)


def test_pool_linear_reads_vectors() -> None:
    assert make_head("pool-linear", (8,), 3)(torch.zeros(2, 8)).shape == (2, 3)


def test_unknown_head_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'pool-linear'"):
        make_head("pool-liner", (8, 4, 4), 3)


def test_grid_linear_refuses_single_pixels() -> None:
    with pytest.raises(ConfigError, match="2 x 2 features or more"):
        make_head("grid-linear", (8, 1, 4), 3)


def test_image_input_normalises_per_channel() -> None:
    images = torch.randint(0, 256, (2, 3, 4, 3), dtype=torch.uint8)
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 1.0, 2.0])
    expected = ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)
    torch.testing.assert_close(ImageInput(mean.tolist(), std.tolist())(images), expected)


@pytest.mark.parametrize(("mean", "std", "scale"), [([0.0], [0.0], 1.0), ([0.0], [1.0], 0.0), ([0.0], [1.0, 1.0], 1.0)])
def test_image_input_refuses(mean: list[float], std: list[float], scale: float) -> None:
    with pytest.raises(ConfigError, match="input: "):
        ImageInput(mean, std, scale)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), st.booleans(), st.integers(0, 100))
def test_augmented_images_are_shifted_and_mirrored_copies(crop: int, flip: bool, seed: int) -> None:
    image = torch.arange(1, 26, dtype=torch.uint8).reshape(1, 5, 5, 1)
    done = Augment(crop, flip)(image, torch.Generator().manual_seed(seed))
    padded = torch.nn.functional.pad(image, (0, 0, crop, crop, crop, crop))
    wanted = [padded[:, y : y + 5, x : x + 5] for y in range(2 * crop + 1) for x in range(2 * crop + 1)]
    wanted += [window.flip(2) for window in wanted] if flip else []
    assert any(torch.equal(done, window) for window in wanted)
    assert done.dtype == torch.uint8


def test_augmentation_differs_between_rows_and_repeats_with_the_seed() -> None:
    images = torch.arange(64, dtype=torch.uint8).reshape(1, 8, 8, 1).repeat(32, 1, 1, 1)
    once = Augment(2, True)(images, torch.Generator().manual_seed(3))
    again = Augment(2, True)(images, torch.Generator().manual_seed(3))
    assert torch.equal(once, again)
    assert len({row.numpy().tobytes() for row in once}) > 5


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 100))
def test_cutout_blanks_one_square_inside_the_image(side: int, seed: int) -> None:
    images = torch.full((4, 6, 7, 2), 9, dtype=torch.uint8)
    done = Augment(cutout=side)(images, torch.Generator().manual_seed(seed))
    for image in done:
        blank = (image == 0).all(-1)
        rows, columns = blank.any(1).nonzero().flatten(), blank.any(0).nonzero().flatten()
        assert 1 <= len(rows) <= side
        assert 1 <= len(columns) <= side
        assert blank.sum() == len(rows) * len(columns)
        assert ((image == 9) | blank[..., None]).all()
