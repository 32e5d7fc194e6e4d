"""The radial power spectrum of images: what tells blur and noise from clean images."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError, SampleError

__all__ = ["BANDS", "radial_spectrum"]

#: bands of equal width between frequency 0 and the highest one of the image
BANDS = 8
_ROUNDING = 1 / 12  # variance of rounding to whole grey levels: no band has less


def radial_spectrum(images: NDArray[np.generic], bands: int = BANDS) -> NDArray[np.float64]:
    """(n, bands) natural log of the mean power in rings of the 2-D spectrum, from low to high frequencies.

    Channels are averaged. The power is that of grey levels squared, so white noise of standard deviation s adds the
    same ``s**2`` (over the channels that are averaged) to every band, blur takes away from the upper ones, and natural
    images fall off steadily. The mean grey level is left out.

    Parameters
    ----------
    images : (n, height, width, channels) or (n, height, width), grey levels 0..255
    bands : at least 2

    Raises
    ------
    SampleError : another shape, sides under 4 pixels, or values that are not finite
    ConfigError : fewer than 2 bands, or more than the image has frequencies for

    Source: the detector of Pacheco et al. 2021 (arXiv 2108.09343) looks at the magnitude spectrum with a small CNN.

    Examples
    --------
    >>> white = np.random.default_rng(0).normal(128, 10, (200, 32, 32, 1))
    >>> bool(np.allclose(radial_spectrum(white).mean(0), np.log(100), atol=0.1))
    True
    """
    array = np.asarray(images)
    if array.ndim not in (3, 4) or min(array.shape[1:3], default=0) < 4:
        raise SampleError(f"spectra need images (n, height, width, channels) of 4 pixels or more, not {array.shape}")
    grey = array.astype(np.float64) if array.ndim == 3 else _mean_channel(array)
    if array.dtype.kind == "f" and not np.isfinite(grey).all():
        raise SampleError("spectra need finite grey levels")
    height, width = grey.shape[1:]
    rings = _rings(height, width, bands)
    spectrum = np.fft.rfft2(grey)
    power = (spectrum.real**2 + spectrum.imag**2).reshape(len(grey), -1) / (height * width)
    return np.asarray(np.log(power @ rings + _ROUNDING))


def _mean_channel(images: NDArray[np.generic]) -> NDArray[np.float64]:
    channels = images.shape[-1]
    return np.asarray(images.astype(np.float64) @ np.full(channels, 1.0 / channels))


@lru_cache(maxsize=8)
def _rings(height: int, width: int, bands: int) -> NDArray[np.float64]:
    """(frequencies of the half spectrum, bands) weights that average the power over each ring."""
    if bands < 2:
        raise ConfigError(f"a radial spectrum needs at least 2 bands, not {bands}")
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    radius = np.hypot(down, across)
    ring = np.minimum((radius / radius.max() * bands).astype(int), bands - 1)
    twice = np.full(radius.shape, 2.0)  # the half that is left out mirrors this one, but for the first column
    twice[:, 0] = 1.0
    if width % 2 == 0:
        twice[:, -1] = 1.0
    twice[0, 0] = 0.0  # the mean grey level
    weights = np.zeros((radius.size, bands))
    weights[np.arange(radius.size), ring.ravel()] = twice.ravel()
    total = weights.sum(0)
    if not total.all():
        raise ConfigError(f"an image of {height} x {width} pixels has no frequencies for some of {bands} bands")
    weights /= total
    weights.flags.writeable = False
    return weights
