"""Gate settings: every combination of thresholds on a grid, with its shares and its accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.cells import rising_cells
from offramp.confidence.counting import GridCounter, ListCounter, exits_taken
from offramp.errors import ConfigError, NotEnoughSamples

__all__ = ["GateSettings", "ListedSettings", "evaluate", "exits_taken", "threshold_grid"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

#: neighbouring confidences closer than this are not told apart: a runtime may swap them by rounding
MIN_GAP = 1e-6
#: slack for accuracies that are exact multiples of 1/n
TINY = 1e-12
_CELL_LIMIT = 10_000_000


@dataclass(frozen=True)
class GateSettings:
    """All G combinations of one threshold per early exit.

    Setting ``g`` stands for one index per early exit, in C order of ``shape``; the last index of
    every axis is "never" (exit off). ``leaving`` (G, E) counts the rows that leave at each exit,
    ``right`` (G,) those of them answered correctly. Both are exact for all settings at once: a row
    leaves at exit e when its confidence falls below the thresholds of all exits before e and not
    below that of e, so the counts are differences of cumulative joint histograms over
    threshold intervals, in O(rows + cells).

    Examples
    --------
    >>> confidence = np.array([[0.2, 0.6, 0.9]], np.float32)
    >>> correct = np.array([[False, True, True], [True, True, False]])
    >>> settings = GateSettings.build(confidence, correct)
    >>> settings.thresholds.ravel().round(2)
    array([0.  , 0.4 , 0.75,  inf])
    >>> settings.share[1]
    array([0.66666667, 0.33333333])
    >>> settings.right
    array([2, 3, 3, 2])
    """

    grid: tuple[NDArray[np.float32], ...]
    leaving: Counts
    right: Counts
    rows: int

    @classmethod
    def build(
        cls, confidence: NDArray[np.float32], correct: NDArray[np.bool_], max_settings: int = 100_000
    ) -> GateSettings:
        """Count every setting.

        Parameters
        ----------
        confidence : (E - 1, n) of the early exits
        correct : (E, n) whether each exit is right
        max_settings : most combinations; fixes how fine the grid of each exit is

        Raises
        ------
        NotEnoughSamples : there are no rows
        ConfigError : too many exits for any grid
        """
        early, rows = confidence.shape
        if rows == 0:
            raise NotEnoughSamples("gate settings need at least one row")
        points = _points_per_exit(early, max_settings)
        grid = tuple(threshold_grid(values, points) for values in confidence)
        counter = GridCounter.of(grid, confidence)
        everyone = np.eye(early + 1, dtype=bool)[:, :, None] & np.ones((1, 1, rows), bool)
        leaving = np.stack([counter.count(one) for one in everyone], axis=1)
        return cls(grid, leaving, counter.count(correct), rows)

    def __len__(self) -> int:
        return len(self.right)

    @property
    def shape(self) -> tuple[int, ...]:
        """Choices per early exit, "never" among them."""
        return tuple(len(thresholds) for thresholds in self.grid)

    @cached_property
    def share(self) -> Floats:
        """(G, E) share of the rows leaving by each exit."""
        return self.leaving / self.rows

    @cached_property
    def accuracy(self) -> Floats:
        """(G,) share of right answers."""
        return self.right / self.rows

    @cached_property
    def useful(self) -> NDArray[np.intp]:
        """The settings worth looking at, whatever the placement and the network: in index order.

        Lower thresholds let rows leave sooner: if setting b has no threshold above that of a, then at
        every exit at least as many rows have left under b. Costs never fall from exit to exit, so on
        every placement b is as fast as a, and as few rows leave by exits beyond a deadline (they are
        the last ones). If b is as accurate as well, a can be dropped. What is kept answers more rows
        rightly than every setting below it; exact, and independent of the objective.
        """
        return rising_cells(self.right.reshape(self.shape))

    @property
    def accuracy_last_exit(self) -> float:
        """Accuracy of always using the last exit: the setting with every gate off."""
        return float(self.accuracy[-1])

    def accurate(self, loss: float) -> NDArray[np.intp]:
        """The useful settings that lose at most ``loss`` accuracy against the last exit."""
        lost = self.accuracy_last_exit - self.accuracy[self.useful]
        return np.asarray(self.useful[lost <= loss + TINY])

    @property
    def thresholds(self) -> Floats:
        """(G, E - 1) thresholds; infinity is off."""
        return self.thresholds_of(np.arange(len(self)))

    def thresholds_of(self, settings: NDArray[np.integer]) -> Floats:
        """(m, E - 1) thresholds of m settings."""
        return GridCounter(self.grid, (), self.rows).thresholds_of(settings)


@dataclass(frozen=True)
class ListedSettings(GateSettings):
    """Some gate settings, one by one, all of them accurate enough: the members of a certificate.

    ``listed`` (G, E - 1) thresholds, infinity is off; the last has every gate off.

    Examples
    --------
    >>> score = np.array([[0.2, 0.6, 0.9]], np.float32)
    >>> correct = np.array([[False, True, True], [True, True, False]])
    >>> ListedSettings.of(np.array([[0.4], [np.inf]]), score, correct).right
    array([3, 2])
    """

    listed: Floats

    @classmethod
    def of(cls, thresholds: Floats, score: NDArray[np.float32], correct: NDArray[np.bool_]) -> ListedSettings:
        """Count what the settings (G, E - 1) do to the rows of ``score`` (E - 1, n) and ``correct`` (E, n)."""
        counter = ListCounter.of(thresholds, score)
        leaving = np.stack([(counter.taken == index).sum(1) for index in range(len(correct))], axis=1)
        return cls((), leaving.astype(np.int64), counter.count(correct), score.shape[1], thresholds)

    @property
    def shape(self) -> tuple[int, ...]:
        """One axis: the list."""
        return (len(self.listed),)

    @cached_property
    def useful(self) -> NDArray[np.intp]:
        """All of them."""
        return np.arange(len(self.listed))

    def accurate(self, loss: float) -> NDArray[np.intp]:
        """All of them: the certificate vouches for the loss, whatever these rows show."""
        return self.useful

    def thresholds_of(self, settings: NDArray[np.integer]) -> Floats:
        """(m, E - 1) thresholds of m settings."""
        return np.asarray(self.listed[settings])


def threshold_grid(values: NDArray[np.float32], points: int) -> NDArray[np.float32]:
    """At most ``points`` thresholds: 0 (all leave), cuts between the values, infinity (none leaves).

    Cuts lie midway between neighbouring values at least `MIN_GAP` apart. Where there are more
    of them than points, those nearest to equally spaced ranks are kept.

    Examples
    --------
    >>> threshold_grid(np.array([0.5, 0.7, 0.7, 0.9], np.float32), 10).round(2)
    array([0. , 0.6, 0.8, inf], dtype=float32)
    """
    ordered = np.sort(values)
    at = np.flatnonzero(np.diff(ordered.astype(np.float64)) >= MIN_GAP) + 1  # cut below the row of this rank
    if len(at) > points - 2:
        wanted = np.linspace(0, len(ordered), points)[1:-1]
        after = np.clip(np.searchsorted(at, wanted), 1, len(at) - 1)
        nearest = np.where(wanted - at[after - 1] <= at[after] - wanted, after - 1, after)
        at = at[np.unique(nearest)]
    cuts = ((ordered[at - 1].astype(np.float64) + ordered[at]) / 2).astype(np.float32)
    return np.concatenate([np.zeros(1, np.float32), cuts, np.full(1, np.inf, np.float32)])


def evaluate(confidence: NDArray[np.float32], correct: NDArray[np.bool_], thresholds: Floats) -> tuple[Floats, Floats]:
    """Share and accuracy of m given settings on other rows.

    Parameters
    ----------
    confidence : (E - 1, n)
    correct : (E, n)
    thresholds : (m, E - 1)

    Returns
    -------
    share (m, E), accuracy (m,)
    """
    exits, rows = correct.shape
    share = np.empty((len(thresholds), exits))
    accuracy = np.empty(len(thresholds))
    for index, setting in enumerate(thresholds):
        taken = exits_taken(confidence, setting)
        share[index] = np.bincount(taken, minlength=exits) / rows
        accuracy[index] = correct[taken, np.arange(rows)].mean()
    return share, accuracy


def _points_per_exit(early: int, max_settings: int) -> int:
    if early == 0:
        return 1
    points = int(max_settings ** (1.0 / early) + 1e-9)
    if 2**early > _CELL_LIMIT:
        raise ConfigError(f"{early} early exits are too many for a grid of thresholds; build fewer exits")
    return max(2, points)
