"""The nearest of a few centroids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError, NotEnoughSamples, SampleError

__all__ = ["Centroids"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Centroids:
    """Centroids of pools in standardised features; an empty pool has none, ties go to the first.

    Parameters
    ----------
    mean, scale : (d,) of the features
    pools : (c,) which pool each centroid stands for, ascending
    places : c times (d,) standardised

    Raises
    ------
    ConfigError : no centroids, or numbers that do not fit each other

    Examples
    --------
    >>> features = np.array([[0.0, 1.0], [0.2, 1.0], [4.0, -1.0]])
    >>> centroids = Centroids.of(features, np.array([0, 0, 2]))
    >>> centroids.nearest(np.array([[3.0, 0.0], [0.0, 0.0]])).tolist()
    [2, 0]
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    pools: tuple[int, ...]
    places: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        widths = {len(self.mean), len(self.scale), *map(len, self.places)}
        if not self.places or len(self.places) != len(self.pools) or len(widths) != 1:
            raise ConfigError("centroids need one place for each pool, and as many numbers as there are features")

    @classmethod
    def of(cls, features: NDArray[np.floating], pools: NDArray[np.intp]) -> Centroids:
        """The means of the rows of each pool.

        Parameters
        ----------
        features : (n, d)
        pools : (n,)

        Raises
        ------
        NotEnoughSamples : there are no rows
        SampleError : NaN or infinite features
        """
        rows = np.asarray(features, np.float64)
        if not len(rows):
            raise NotEnoughSamples("centroids need rows; there are none")
        if not np.isfinite(rows).all():
            raise SampleError("routing features hold NaN or infinity")
        mean, scale = rows.mean(0), rows.std(0)
        scale = np.where(scale > 0, scale, 1.0)
        known = np.unique(pools)
        places = np.stack([((rows[pools == pool] - mean) / scale).mean(0) for pool in known])
        return cls(
            tuple(mean.tolist()), tuple(scale.tolist()), tuple(known.tolist()), tuple(map(tuple, places.tolist()))
        )

    def nearest(self, features: NDArray[np.floating]) -> NDArray[np.intp]:
        """(n,) pool of the nearest centroid.

        Raises
        ------
        SampleError : another number of features, or NaN
        """
        rows = np.asarray(features, np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.mean) or not np.isfinite(rows).all():
            raise SampleError(f"routing needs rows of {len(self.mean)} finite features, not shape {rows.shape}")
        standard = (rows - self.mean) / self.scale
        places = np.array(self.places)
        distance = np.square(places).sum(1) - 2.0 * standard @ places.T  # less the row's own square
        return np.asarray(np.array(self.pools)[distance.argmin(1)], np.intp)
