"""Certificates: the promise over many draws, the order independent of what certifies, several risks at once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from offramp.confidence.candidates import between, directions, pareto_settings
from offramp.confidence.certify import accept_in_order, certify_gates, order_settings
from offramp.confidence.counting import ListCounter
from offramp.confidence.risks import AccuracyLoss, EarlyAccuracy, Evidence, Risk
from offramp.errors import ConfigError, NotEnoughSamples


def population(rows: int, seed: int) -> Evidence:
    """Three exits, better one by one; the scores say how likely an exit is right."""
    draw = np.random.default_rng(seed)
    hard = draw.random(rows)
    chance = np.stack([1 - hard, 1 - 0.7 * hard, np.full(rows, 0.85) - 0.3 * hard])
    score = np.clip(chance[:2] + draw.normal(0, 0.05, (2, rows)), 0, 1).astype(np.float32)
    return Evidence(score, draw.random((3, rows)) < chance, np.where(draw.random(rows) < 0.5, "a", "b"))


def sample(whole: Evidence, rows: NDArray[np.intp]) -> Evidence:
    return Evidence(whole.score[:, rows], whole.correct[:, rows], whole.group[rows])


@pytest.mark.parametrize(
    "risks",
    [
        [AccuracyLoss(0.02)],
        [EarlyAccuracy(0.8, exits=2)],
        [AccuracyLoss(0.05, group="a"), AccuracyLoss(0.05, group="b"), EarlyAccuracy(0.8, exits=1)],
    ],
)
@pytest.mark.parametrize("delta", [0.1, 0.2])
def test_any_certified_setting_breaks_a_limit_no_more_often_than_promised(risks: list[Risk], delta: float) -> None:
    whole, tune, rows, repeats = population(30_000, 0), population(1500, 1), 800, 150
    order = order_settings(tune, risks, delta, rows)
    listed = ListCounter.of(order.thresholds, whole.score)
    broken = np.zeros(len(order.thresholds), bool)
    for risk in risks:
        measured = risk.measure(listed, whole)
        value = risk.value(measured)
        worse = value > risk.limit if isinstance(risk, AccuracyLoss) else value < risk.target  # type: ignore[attr-defined]
        broken |= worse & ~measured.exact
    draw = np.random.default_rng(2)
    wrong = saved = 0
    for _ in range(repeats):
        certified = accept_in_order(order, sample(whole, draw.integers(0, whole.rows, rows)), risks, delta)
        wrong += bool((certified.accepted & broken).any())
        saved += int(certified.accepted.sum() > 1)
    assert wrong / repeats <= delta + 3 * np.sqrt(delta * (1 - delta) / repeats)
    assert saved > repeats / 2


def test_never_leaving_early_is_always_certified_and_first() -> None:
    certified = certify_gates(population(300, 0), population(100, 1), [AccuracyLoss(0.001)], 0.05)
    assert np.isinf(certified.thresholds[0]).all()
    assert certified.accepted[0]


def test_the_whole_grid_can_be_tested() -> None:
    tune, calibrate, risks = population(1500, 0), population(1500, 1), [AccuracyLoss(0.03)]
    order = order_settings(tune, risks, 0.1, calibrate.rows, tested=None, max_settings=2500)
    assert len(order.thresholds) > 1000
    certified = accept_in_order(order, calibrate, risks, 0.1)
    one_by_one = ListCounter.of(order.thresholds, calibrate.score)
    assert np.allclose(certified.values[0], risks[0].value(risks[0].measure(one_by_one, calibrate)))
    assert 1 < certified.accepted.sum() < len(order.thresholds)


def test_all_rows_leaving_at_one_exit_is_no_trouble() -> None:
    whole = population(600, 0)
    flat = Evidence(np.ones_like(whole.score), whole.correct)
    certified = certify_gates(flat, flat, [AccuracyLoss(0.9)], 0.1)
    assert certified.accepted.any()


def test_a_group_without_rows_is_named() -> None:
    with pytest.raises(NotEnoughSamples, match=r"group 'c'.*the groups are a, b"):
        certify_gates(population(100, 0), population(100, 1), [AccuracyLoss(0.1, group="c")], 0.1)


@pytest.mark.parametrize("limit", [0.0, 1.0, -0.1])
def test_limits_outside_the_unit_interval_are_refused(limit: float) -> None:
    with pytest.raises(ConfigError, match="must lie in"):
        AccuracyLoss(limit)


def test_no_risk_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one risk"):
        certify_gates(population(100, 0), population(100, 1), [], 0.1)


def test_early_accuracy_of_the_last_exit_is_refused() -> None:
    with pytest.raises(ConfigError, match="only 2 of the 3 exits are early"):
        certify_gates(population(100, 0), population(100, 1), [EarlyAccuracy(0.9, exits=3)], 0.1)


def test_the_front_has_no_setting_that_another_beats() -> None:
    draw = np.random.default_rng(0)
    going_on, safety = draw.random((200, 1)), draw.normal(size=200)
    kept = pareto_settings(going_on, safety, directions(1), 1000)
    for one in kept:
        assert not ((going_on[:, 0] < going_on[one, 0]) & (safety > safety[one])).any()


def test_the_way_between_settings_keeps_its_ends() -> None:
    score = np.random.default_rng(0).random((2, 50)).astype(np.float32)
    ends = np.array([[0.0, np.inf], [np.inf, 0.0]])
    way = between(ends, score, 4)
    assert {(0.0, np.inf), (np.inf, 0.0)} <= {tuple(setting) for setting in way.tolist()}
    assert len(way) == 5
