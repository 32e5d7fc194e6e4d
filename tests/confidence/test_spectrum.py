"""The radial spectrum: against a loop, and what blur and noise do to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from offramp.confidence.spectrum import radial_spectrum
from offramp.errors import ConfigError, SampleError


@given(seed=st.integers(0, 2**20), height=st.integers(8, 13), width=st.integers(8, 13), bands=st.integers(2, 4))
def test_equals_a_loop_over_the_full_spectrum(seed: int, height: int, width: int, bands: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3)).astype(np.uint8)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    ring = np.minimum(radius / radius.max() * bands, bands - 1).astype(int)
    for image, found in zip(images, radial_spectrum(images, bands), strict=True):
        power = np.abs(np.fft.fft2(image.mean(-1))) ** 2 / (height * width)
        power[0, 0] = 0.0
        away = np.ones_like(radius, bool)
        away[0, 0] = False
        expected = [np.log(power[(ring == band) & away].mean() + 1 / 12) for band in range(bands)]
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_blur_lowers_and_noise_raises_the_upper_bands() -> None:
    rng = np.random.default_rng(0)
    clean = np.cumsum(np.cumsum(rng.normal(0, 5, (20, 32, 32, 3)), 1), 2)
    clean = (clean - clean.mean()) / clean.std() * 40 + 128 + rng.normal(0, 3, clean.shape)
    before = radial_spectrum(clean)[:, -3:]
    assert (radial_spectrum(gaussian_filter(clean, (0, 1, 1, 0)))[:, -3:] < before).all()
    assert (radial_spectrum(clean + rng.normal(0, 20, clean.shape))[:, -3:] > before).all()


def test_a_row_looks_the_same_in_every_batch_and_a_flat_image_is_finite() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1)).astype(np.uint8)
    np.testing.assert_allclose(radial_spectrum(images)[2:3], radial_spectrum(images[2:3]), rtol=1e-12)
    np.testing.assert_array_equal(radial_spectrum(images[..., 0]), radial_spectrum(images))
    np.testing.assert_allclose(radial_spectrum(np.full((1, 16, 16), 255, np.uint8)), np.log(1 / 12))


def test_bad_input() -> None:
    for shape in [(16, 16), (1, 3, 16), (1, 2, 2, 3)]:
        with pytest.raises(SampleError, match="4 pixels"):
            radial_spectrum(np.zeros(shape))
    with pytest.raises(SampleError, match="finite"):
        radial_spectrum(np.full((1, 8, 8), np.nan))
    with pytest.raises(ConfigError, match="at least 2 bands"):
        radial_spectrum(np.zeros((1, 8, 8)), 1)
    with pytest.raises(ConfigError, match="no frequencies"):
        radial_spectrum(np.zeros((1, 8, 8)), 60)
