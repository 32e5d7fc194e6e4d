"""Gate settings with one threshold for all exits that are on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import GateSettings, threshold_grid
from offramp.errors import ConfigError, NotEnoughSamples

__all__ = ["JoinedSettings", "OneThreshold", "exit_subsets", "with_one_threshold"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_MOST_EXITS = 12
_POINTS = 1000
_SETTINGS = 100_000


@dataclass(frozen=True)
class OneThreshold(GateSettings):
    """Every subset of early exits with one threshold for all of its exits, as SPINN and HAPI have it.

    ``listed`` (G, E - 1) thresholds, infinity is off; the last setting has every gate off. ``rising`` (G,) marks the
    settings worth looking at. Thresholds are cuts
    between the scores of all the subset's exits, which one search per exit counts: O(E (rows + settings) log rows).

    Examples
    --------
    >>> score = np.array([[0.2, 0.6, 0.9], [0.5, 0.3, 0.8]], np.float32)
    >>> right = np.array([[False, True, True], [True, False, False], [True, True, True]])
    >>> settings = OneThreshold.of(score, right, subsets=[(True, True)], points=4)
    >>> settings.thresholds.round(2).tolist()
    [[0.0, 0.0], [0.4, 0.4], [0.7, 0.7], [inf, inf]]
    >>> settings.leaving.tolist(), settings.right.tolist()
    ([[3, 0, 0], [2, 1, 0], [1, 0, 2], [0, 0, 3]], [2, 3, 3, 3])
    """

    listed: Floats
    rising: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        score: NDArray[np.float32],
        correct: NDArray[np.bool_],
        subsets: Sequence[Sequence[bool]] | None = None,
        points: int | None = None,
    ) -> OneThreshold:
        """Count every setting.

        Parameters
        ----------
        score : (E - 1, n) of the early exits
        correct : (E, n) whether each exit is right
        subsets : (E - 1,) each, which exits are on; default all of them, one after the other
        points : most thresholds of a subset, "never" among them; default 1,000, fewer where the subsets are many

        Raises
        ------
        NotEnoughSamples : there are no rows
        ConfigError : too many exits to list their subsets
        """
        early, rows = score.shape
        if rows == 0:
            raise NotEnoughSamples("gate settings need at least one row")
        chosen = [subset for subset in (exit_subsets(early) if subsets is None else subsets) if any(subset)]
        most = min(_POINTS, _SETTINGS // max(1, len(chosen))) if points is None else points
        parts = [_of_subset(score, correct, np.array(subset, bool), most) for subset in chosen]
        off = np.zeros((1, early + 1), np.int64)
        off[0, -1] = rows
        return cls(
            (),
            np.concatenate([*(leaving for _, leaving, _ in parts), off]),
            np.concatenate([*(right for _, _, right in parts), [int(correct[-1].sum())]]),
            rows,
            np.concatenate([*(listed for listed, _, _ in parts), np.full((1, early), np.inf)]),
            np.concatenate([*(_rises(right) for _, _, right in parts), [True]]),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """One axis: the list."""
        return (len(self.listed),)

    @cached_property
    def useful(self) -> NDArray[np.intp]:
        """Those that answer more rows rightly than every lower threshold of their subset, which is as fast.

        See `GateSettings.useful`; the setting with every gate off is kept.
        """
        return np.flatnonzero(self.rising)

    def thresholds_of(self, settings: NDArray[np.integer]) -> Floats:
        """(m, E - 1) thresholds of m settings."""
        return np.asarray(self.listed[settings])


@dataclass(frozen=True)
class JoinedSettings(GateSettings):
    """The settings of several lists and grids counted on the same rows, one after the other.

    Examples
    --------
    >>> score = np.array([[0.2, 0.6, 0.9]], np.float32)
    >>> right = np.array([[False, True, True], [True, True, False]])
    >>> one, grid = OneThreshold.of(score, right), GateSettings.build(score, right)
    >>> joined = JoinedSettings.of(one, grid)
    >>> len(joined) == len(one) + len(grid), joined.accuracy_last_exit == grid.accuracy_last_exit
    (True, True)
    """

    parts: tuple[GateSettings, ...]

    @classmethod
    def of(cls, *parts: GateSettings) -> JoinedSettings:
        """Join them; the last setting of the last one has every gate off.

        Raises
        ------
        ConfigError : they were counted on different rows
        """
        if len({(part.rows, part.leaving.shape[1]) for part in parts}) != 1:
            raise ConfigError("gate settings of different rows or exits cannot be joined")
        leaving = np.concatenate([part.leaving for part in parts])
        return cls((), leaving, np.concatenate([part.right for part in parts]), parts[0].rows, parts)

    @property
    def shape(self) -> tuple[int, ...]:
        """One axis: all of them."""
        return (len(self.right),)

    @cached_property
    def useful(self) -> NDArray[np.intp]:
        """Those useful within their own list or grid."""
        starts = self._starts
        return np.concatenate([part.useful + start for part, start in zip(self.parts, starts, strict=True)])

    def thresholds_of(self, settings: NDArray[np.integer]) -> Floats:
        """(m, E - 1) thresholds of m settings."""
        result = np.empty((len(settings), self.leaving.shape[1] - 1))
        for part, start in zip(self.parts, self._starts, strict=True):
            mine = (settings >= start) & (settings < start + len(part))
            result[mine] = part.thresholds_of(np.asarray(settings)[mine] - start)
        return result

    @property
    def _starts(self) -> list[int]:
        return list(itertools.accumulate((len(part) for part in self.parts[:-1]), initial=0))


def with_one_threshold(settings: GateSettings, score: NDArray[np.float32], correct: NDArray[np.bool_]) -> GateSettings:
    """Settings, and all that SPINN and HAPI choose from: a search over them cannot be beaten by either.

    A grid with few thresholds per exit seldom has one threshold for several exits.

    Parameters
    ----------
    settings : counted on the same rows
    score, correct : as for `OneThreshold.of`
    """
    early = len(score)
    if early < 2:
        fine = [OneThreshold.of(score, correct)] if early else []
    else:
        fine = [OneThreshold.of(score, correct, [(True,) * early])]
        if early <= _MOST_EXITS:
            fine.append(OneThreshold.of(score, correct))
    return JoinedSettings.of(*fine, settings) if fine else settings


def exit_subsets(early: int) -> list[tuple[bool, ...]]:
    """Which of so many early exits are on: every possibility, none first.

    Raises
    ------
    ConfigError : there are too many

    Examples
    --------
    >>> exit_subsets(2)
    [(False, False), (False, True), (True, False), (True, True)]
    """
    if early > _MOST_EXITS:
        raise ConfigError(f"{early} early exits have too many subsets to try them all; build at most {_MOST_EXITS}")
    return list(itertools.product((False, True), repeat=early))


def _of_subset(
    score: NDArray[np.float32], correct: NDArray[np.bool_], on: NDArray[np.bool_], points: int
) -> tuple[Floats, Counts, Counts]:
    """Thresholds (m, E - 1), rows leaving (m, E) and right answers (m,) of one subset, "never" left out.

    A row has left by exit e when its highest score so far reaches the threshold.
    """
    thresholds = threshold_grid(score[on].ravel(), max(2, points))[:-1]
    early, rows = score.shape
    listed = np.where(on, thresholds[:, None].astype(np.float64), np.inf)
    leaving = np.zeros((len(thresholds), early + 1), np.int64)
    right = np.zeros(len(thresholds), np.int64)
    highest = np.full(rows, -np.inf, np.float32)
    for index in range(early + 1):
        before = highest
        highest = np.maximum(highest, score[index]) if index < early and on[index] else highest
        if index == early:
            highest = np.full(rows, np.inf, np.float32)
        leaving[:, index] = _reaching(highest, thresholds) - _reaching(before, thresholds)
        hit = correct[index]
        right += _reaching(highest[hit], thresholds) - _reaching(before[hit], thresholds)
    return listed, leaving, right


def _rises(right: Counts) -> NDArray[np.bool_]:
    """(m,) what is above everything before it."""
    return right > np.concatenate([[-1], np.maximum.accumulate(right)[:-1]])


def _reaching(values: NDArray[np.float32], thresholds: NDArray[np.float32]) -> Counts:
    """(m,) how many values are at or above each threshold."""
    return len(values) - np.searchsorted(np.sort(values), thresholds, side="left")
