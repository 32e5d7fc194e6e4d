"""Routing by value, gates behind it, and following a shift."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from offramp.errors import ConfigError, SampleError
from offramp.policies.base import Feedback, View
from offramp.policies.difficulty.tier_model import TierModel, held_out_values, leaving
from offramp.policies.difficulty.tier_router import TierRouter
from offramp.policies.replay import replay
from offramp.policies.stream import Stream
from tests.policies.difficulty.streams import make_stream

THRESHOLDS = (0.85, 0.85)
#: restarting from the input: what was computed below is lost
RESTART = np.array([[0.1, 0.4, 0.8], [math.nan, 0.3, 0.7], [math.nan, math.nan, 0.5]])


def fit(stream: Stream, routes: bool = True, rate: float = 0.0) -> TierRouter:
    return TierRouter.fit(stream.labelled, THRESHOLDS, (0, 1, 2), RESTART, routes=routes, rate=rate)


def value(router: TierRouter, stream: Stream) -> float:
    found = replay(router, stream)
    return float((found.correct - RESTART[found.begin, found.exit]).mean())


def test_routing_pays_where_restarting_does_not() -> None:
    fitted, stream = make_stream(2000, 1), make_stream(2000, 2)
    router, cascade = fit(fitted), fit(fitted, routes=False)
    assert router.margin < math.inf
    assert cascade.margin == math.inf
    assert value(router, stream) > value(cascade, stream) + 0.01


def test_without_anything_in_the_features_all_begin_at_the_tier_that_is_best_on_the_whole() -> None:
    stream = make_stream(800, 1)
    blind = replace(stream, features=np.random.default_rng(0).normal(size=(800, 2)).astype(np.float32))
    begins = replay(fit(blind), blind).begin
    columns = np.arange(800)
    left = [leaving(blind.confidence, THRESHOLDS, tier) for tier in range(3)]
    means = [(blind.right[each, columns] - RESTART[tier, each]).mean() for tier, each in enumerate(left)]
    assert (begins == int(np.argmax(means))).mean() > 0.95


def test_what_was_sent_too_low_climbs() -> None:
    stream = make_stream(500, 3)
    found = replay(fit(make_stream(1000, 4)), stream)
    climbed = found.exit > found.begin
    assert climbed.any()
    left = [int(leaving(stream.confidence[:, [row]], THRESHOLDS, begin)[0]) for row, begin in enumerate(found.begin)]
    np.testing.assert_array_equal(found.exit, left)


def test_values_are_what_beginning_there_brings() -> None:
    stream = make_stream(4000, 5)
    router = fit(stream)
    columns = np.arange(4000)
    assert stream.features is not None
    for tier, model in enumerate(router.models):
        left = leaving(stream.confidence, THRESHOLDS, tier)
        brought = (stream.right[left, columns] - RESTART[tier, left]).mean()
        said = np.mean([model.value(row) for row in stream.features.tolist()])
        assert said == pytest.approx(brought, abs=0.01)


def test_held_out_values_by_hand() -> None:
    values, realised = np.array([[0.5, 0.5], [0.6, 0.9]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    assert held_out_values(values, realised, 0.2) == 2.5
    assert held_out_values(values, realised, 0.0) == 3.5
    assert held_out_values(values, realised, math.inf) == 1.5


def test_it_follows_a_shift_by_audits() -> None:
    clean = make_stream(4000, 6)
    shifted = replace(clean, predicted=clean.predicted.copy())
    flipped = np.random.default_rng(0).random(4000) < 0.2  # the first exit errs more often, as sure as before
    shifted.predicted[0] = np.where(flipped, 1 - shifted.truth, shifted.predicted[0])
    still, follows = fit(clean, routes=False), fit(clean, routes=False, rate=0.002)
    stopped = [(replay(each, shifted, audit_share=0.2).exit[2000:] == 0).mean() for each in (still, follows)]
    assert stopped[1] < 0.6 * stopped[0]
    before = fit(clean, routes=False, rate=0.002)
    kept = (replay(before, clean, audit_share=0.2).exit == 0).mean()
    assert kept == pytest.approx(stopped[0], abs=0.15)


def test_feedback_counts_once_and_only_of_what_was_stopped() -> None:
    router = fit(make_stream(), rate=0.01)
    told = Feedback(0, 0, labels=(0, None, 1), confidences=(0.9, None, 0.9), propensity=0.5)
    start = router.thresholds[0]
    router.learn(told)
    assert router.thresholds[0] == start
    router.decide(View(0, 0, 0.99))
    router.learn(told)
    moved = router.thresholds[0]
    assert moved == pytest.approx(start + 0.01 * (1 - router.differs[0]) / 0.5)
    router.learn(told)
    assert router.thresholds[0] == moved
    for sample in range(10_000):
        router.decide(View(sample, 0, 0.99))
    assert len(router._stopped) <= 4096


@pytest.mark.parametrize("begins", [(), (1, 2), (0, 2, 1), (0, 3)])
def test_wrong_tiers_are_refused(begins: tuple[int, ...]) -> None:
    model = TierModel((0.0,), (0.0,), 0.1, 0.2)
    with pytest.raises(ConfigError, match="tiers must begin at ascending exits"):
        TierRouter((0.5, 0.5), begins, [model] * len(begins), 0.0, (0.0, 0.0))


def test_bad_features_and_weights_are_refused() -> None:
    stream = make_stream(100)
    bad = replace(stream.labelled, features=np.full((100, 2), np.nan, np.float32))
    with pytest.raises(SampleError, match="NaN or infinity"):
        TierRouter.fit(bad, THRESHOLDS, (0,), RESTART)
    with pytest.raises(ConfigError, match="as many weights"):
        TierModel((0.0, 1.0), (0.0,), 0.1, 0.2)
    with pytest.raises(ConfigError, match="a model for each tier"):
        TierRouter((0.5,), (0,), [], 0.0, (0.0,))
