"""Shifted images: the same rows, blurred or noisy."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from offramp.data.source import RowSource
from offramp.errors import DataError

__all__ = ["Shift", "ShiftedRows", "parse_shift"]

_SHIFT = re.compile(r"(?P<base>.+)\+(?P<kind>[a-z]+)(?P<amount>[0-9]+(\.[0-9]+)?)")


@dataclass(frozen=True)
class Shift:
    """Gaussian blur (sigma in pixels) or Gaussian noise (sigma in grey values, of 255).

    Noise is drawn for every row from ``(seed, row)``, so a row looks the same in every batch.

    Examples
    --------
    >>> str(Shift("blur", 1.5)), str(Shift("noise", 20))
    ('blur1.5', 'noise20')
    """

    kind: Literal["blur", "noise"]
    amount: float
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("blur", "noise"):
            raise DataError(f"unknown shift {self.kind!r}; write blur or noise with its sigma, such as blur1.5")
        if not 0 < self.amount < 256:
            raise DataError(f"the sigma of a shift must be above 0 and below 256, not {self.amount:g}")

    def __str__(self) -> str:
        return f"{self.kind}{self.amount:g}"

    def apply(self, images: NDArray[np.uint8], index: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Shifted copies of images (n, height, width, channels), the rows ``index`` (n,) of their data set."""
        if self.kind == "blur":
            return _blur(images, self.amount)
        drawn = [
            np.random.default_rng((self.seed, int(row))).normal(0.0, self.amount, images.shape[1:]) for row in index
        ]
        noisy = images + np.asarray(drawn).reshape(images.shape)
        return np.asarray(np.rint(noisy).clip(0, 255), np.uint8)


def parse_shift(name: str) -> tuple[str, Shift | None]:
    """The name of a data set without its shift, and the shift.

    Raises
    ------
    DataError : an unknown shift or a sigma out of range

    Examples
    --------
    >>> parse_shift("cifar10-jpeg+blur1.5")
    ('cifar10-jpeg', Shift(kind='blur', amount=1.5, seed=0))
    >>> parse_shift("digits")
    ('digits', None)
    """
    match = _SHIFT.fullmatch(name)
    if match is None:
        return name, None
    kind = cast("Literal['blur', 'noise']", match["kind"])
    return match["base"], Shift(kind, float(match["amount"]))


@dataclass(frozen=True)
class ShiftedRows:
    """A row source whose images are shifted as they are read; labels and split are those of ``base``.

    Raises
    ------
    DataError : the base does not consist of one input of uint8 images (n, height, width, channels)
    """

    base: RowSource
    shift: Shift

    def __post_init__(self) -> None:
        first = self.base.rows(np.arange(min(1, len(self.base)), dtype=np.intp))
        if len(first) != 1 or first[0].dtype != np.uint8 or first[0].ndim != 4:
            found = ", ".join(f"{array.dtype} {array.shape[1:]}" for array in first)
            raise DataError(
                f"{self.base.name}: only uint8 images (height, width, channels) can be shifted, not rows of {found}"
            )

    @property
    def name(self) -> str:
        """The base's name with the shift, such as ``cifar10-jpeg+blur1.5``."""
        return f"{self.base.name}+{self.shift}"

    @property
    def labels(self) -> NDArray[np.int64]:
        """Those of the base."""
        return self.base.labels

    @property
    def label_names(self) -> tuple[str, ...]:
        """Those of the base."""
        return self.base.label_names

    @property
    def fixed_test(self) -> NDArray[np.bool_]:
        """Those of the base."""
        return self.base.fixed_test

    @property
    def sha256(self) -> str:
        """Of the base's content and the shift."""
        return hashlib.sha256(f"{self.base.sha256}+{self.shift} seed {self.shift.seed}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.base)

    def rows(self, index: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        """The chosen rows, shifted."""
        return (self.shift.apply(self.base.rows(index)[0], index),)


def _blur(images: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    try:
        from scipy.ndimage import gaussian_filter
    except ImportError as error:
        raise DataError("blurred images need SciPy; pip install 'offramp[data]'") from error
    blurred = gaussian_filter(images.astype(np.float32), sigma=(0, sigma, sigma, 0), mode="reflect")
    return np.asarray(np.rint(blurred).clip(0, 255), np.uint8)
