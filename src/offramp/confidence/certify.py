"""A set of gate settings that all keep their risks, with one probability that any of them does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.bounds.checks import check_level
from offramp.confidence.candidates import between, directions, pareto_settings, tune_grid
from offramp.confidence.counting import Counter, GridCounter, ListCounter
from offramp.confidence.risks import Evidence, Measured, Risk
from offramp.confidence.testing.family import fixed_sequence
from offramp.errors import ConfigError

__all__ = ["TESTED", "Certified", "SettingOrder", "accept_in_order", "certify_gates", "judge", "order_settings"]

Floats = NDArray[np.float64]

_SETTINGS = 100_000
_BETWEEN = 3
#: settings a certificate tests, about: enough for every placement, few enough for one file
TESTED = 240


@dataclass(frozen=True)
class SettingOrder:
    """Settings in the order they will be tested and the test of each risk, all fixed before the rows are seen.

    ``thresholds`` (m, E - 1), infinity is off; ``tests`` (R, m). ``grid`` and ``cells`` (m,) say where they lie
    if they are the whole of a grid.
    """

    thresholds: Floats
    tests: NDArray[np.str_]
    grid: tuple[NDArray[np.float32], ...] | None = None
    cells: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Certified:
    """Settings in the order they were tested; those before the first failure are certified together.

    ``thresholds`` (m, E - 1), infinity is off; ``p_values`` (m,) of the worst risk; ``accepted`` (m,);
    ``values`` (R, m) every risk on the rows that certify.
    """

    thresholds: Floats
    p_values: Floats
    accepted: NDArray[np.bool_]
    values: Floats


def order_settings(
    tune: Evidence,
    risks: Sequence[Risk],
    delta: float,
    rows: int,
    *,
    weights: Floats | None = None,
    tested: int | None = TESTED,
    max_settings: int = _SETTINGS,
) -> SettingOrder:
    """Which settings to test, in which order and by which test, from the tune rows alone.

    Parameters
    ----------
    tune : rows that choose; never those that certify
    risks : all of them must hold
    delta : the level the tests will have
    rows : how many rows will certify
    weights : (d, E - 1) what going on beyond each early exit may cost; default `directions`
    tested : settings to keep, about; ``None`` keeps the whole grid
    max_settings : of the grid

    Source: Pareto Testing (Laufer-Goldshtein et al. 2023), with tune rows in place of half of the rows that certify.
    """
    if not risks:
        raise ConfigError("a certificate needs at least one risk to speak of")
    check_level(delta)
    grid = tune_grid(tune, max_settings)
    safety, measured = _safety(grid, tune, risks)
    if tested is None:
        order = _safest_first(safety, fallback=len(grid) - 1)  # the last cell has every gate off
        tests = [risk.choose_test(m.at(order), rows, delta) for risk, m in zip(risks, measured, strict=True)]
        return SettingOrder(grid.thresholds_of(order), np.stack(tests), grid.grid, order)
    ways = directions(len(tune.score)) if weights is None else weights
    rough = pareto_settings(_going_on(grid, tune), safety, ways, tested)
    rough = rough[np.argsort(-safety[rough], kind="stable")]
    off = np.full((1, len(tune.score)), np.inf)
    fine = between(np.concatenate([off, grid.thresholds_of(rough)]), tune.score, _BETWEEN)
    listed = ListCounter.of(np.concatenate([fine, off]), tune.score)
    safety, measured = _safety(listed, tune, risks)
    going_on = _going_on(listed, tune)
    kept = pareto_settings(going_on, safety, ways, tested)
    order = _safest_first(safety, fallback=len(fine), among=kept)
    order = np.concatenate([order[:1], _ramp(listed.thresholds, going_on, order[1:2]), order[1:]])
    tests = [risk.choose_test(m.at(order), rows, delta) for risk, m in zip(risks, measured, strict=True)]
    return SettingOrder(listed.thresholds[order], np.stack(tests))


def _safety(counter: Counter, tune: Evidence, risks: Sequence[Risk]) -> tuple[Floats, list[Measured]]:
    """How safe the settings look, and what was measured."""
    measured = [risk.measure(counter, tune) for risk in risks]
    return np.min([risk.safety(m) for risk, m in zip(risks, measured, strict=True)], axis=0), measured


def _ramp(thresholds: Floats, going_on: Floats, safest: NDArray[np.intp]) -> NDArray[np.intp]:
    """Settings that dare less than the safest at every exit: rows too few to see what it loses may still show these."""
    if not len(safest):
        return safest
    less = (thresholds >= thresholds[safest]).all(1) & (going_on[:, -1] < 1)
    less[safest] = False
    found = np.flatnonzero(less)
    return np.asarray(found[np.argsort(-going_on[found, -1], kind="stable")])


def _safest_first(safety: Floats, fallback: int, among: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
    kept = np.arange(len(safety)) if among is None else among
    order = kept[np.argsort(-safety[kept], kind="stable")]
    return np.concatenate([[fallback], order[order != fallback]])


def accept_in_order(order: SettingOrder, calibrate: Evidence, risks: Sequence[Risk], delta: float) -> Certified:
    """Test in order on rows that chose nothing, and stop at the first failure.

    Raises
    ------
    NotEnoughSamples : a group a risk speaks of has no rows
    """
    if order.grid is None or order.cells is None:
        listed = ListCounter.of(order.thresholds, calibrate.score)
        measured = [risk.measure(listed, calibrate) for risk in risks]
    else:
        grid = GridCounter.of(order.grid, calibrate.score)
        measured = [risk.measure(grid, calibrate).at(order.cells) for risk in risks]
    return judge(order, measured, risks, delta)


def judge(order: SettingOrder, measured: Sequence[Measured], risks: Sequence[Risk], delta: float) -> Certified:
    """The result of the tests, from what the settings did to the rows that certify."""
    p = [r.p_values(m, tests, delta) for r, m, tests in zip(risks, measured, order.tests, strict=True)]
    worst = np.max(p, axis=0)
    values = np.stack([risk.value(m) for risk, m in zip(risks, measured, strict=True)])
    return Certified(order.thresholds, worst, fixed_sequence(worst, delta), values)


def certify_gates(tune: Evidence, calibrate: Evidence, risks: Sequence[Risk], delta: float) -> Certified:
    """Order on ``tune``, test on ``calibrate``; the first setting, every gate off, is always certified.

    With probability at least 1 - delta over the calibrate rows, drawn like the rows to come, every accepted setting
    keeps every risk: the order and the tests depend on the tune rows alone, so each test has level delta
    and the first false acceptance is one test. Risks are joined by their largest p-value.

    Raises
    ------
    ConfigError : no risk, or delta outside (0, 1)
    NotEnoughSamples : a group a risk speaks of has no rows

    Examples
    --------
    >>> from offramp.confidence.risks import AccuracyLoss
    >>> draw = np.random.default_rng(0)
    >>> def rows(n):
    ...     score = draw.random((1, n)).astype(np.float32)
    ...     return Evidence(score, np.stack([draw.random(n) < score[0], draw.random(n) < 0.9]))
    >>> certified = certify_gates(rows(2000), rows(2000), [AccuracyLoss(0.02)], delta=0.05)
    >>> bool(certified.accepted[0]), bool(certified.accepted[-1])
    (True, False)
    """
    order = order_settings(tune, risks, delta, calibrate.rows)
    return accept_in_order(order, calibrate, risks, delta)


def _going_on(counter: Counter, tune: Evidence) -> Floats:
    """(m, E - 1) share of the rows that go on beyond each early exit."""
    exits = len(tune.correct)
    beyond = np.arange(exits)[None, :, None] > np.arange(exits - 1)[:, None, None]
    everyone = np.ones((1, 1, tune.rows), bool)
    counts = [counter.count(np.asarray(one & everyone[0])) for one in beyond]
    return np.stack(counts, axis=1) / tune.rows if counts else np.empty((len(counter.thresholds), 0))
