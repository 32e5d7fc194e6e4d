"""Skipping the local model pays where it would rarely be believed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError, SampleError
from offramp.policies.base import Arrival, FeedbackKind
from offramp.policies.costs import Costs
from offramp.policies.fixed import FixedGates
from offramp.policies.hi_lcb import HILCB
from offramp.policies.hindsight import HindsightThreshold
from offramp.policies.replay import replay
from offramp.policies.router import Router, break_even, fit_acceptance
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream
from offramp.policies.thumbnails import thumbnail_features


def telling_stream(rows: int = 3000, seed: int = 0) -> Stream:
    """One feature tells whether the local model is at a loss."""
    draw = np.random.default_rng(seed)
    hard = draw.random(rows) < 0.5
    confidence = np.where(hard, draw.uniform(0.3, 0.6, rows), draw.uniform(0.7, 1.0, rows))
    right = draw.random((2, rows)) < np.stack([confidence, np.full(rows, 0.97)])
    features = np.stack([hard + draw.normal(0, 0.2, rows), draw.normal(size=rows)], 1)
    both = np.stack([confidence, np.full(rows, 0.97)]).astype(np.float32)
    return Stream(both, right.astype(np.intp), np.ones(rows, np.intp), features=features.astype(np.float32))


STREAM = telling_stream()
SETTING = Setting((None,), price=0.2, layer_costs=(0.08, 0.1), rows=STREAM.labelled)


def cost_of(policy: Any, stream: Stream) -> float:
    return Costs.of_setting(SETTING).account(replay(policy, stream), stream).mean


def test_it_costs_less_where_features_tell() -> None:
    other = telling_stream(seed=1)
    without, router = cost_of(HindsightThreshold.start(SETTING), other), Router.start(SETTING)
    assert cost_of(router, other) < without - 0.02
    skipped = replay(router, other).begin == 1
    assert 0.4 < skipped.mean() < 0.6


def test_where_local_compute_is_free_nothing_is_skipped() -> None:
    free = replace(SETTING, layer_costs=(0.0, 0.1))
    router = Router.start(free)
    assert router.limit == 0.0
    assert not replay(router, STREAM).begin.any()


def test_without_features_it_does_what_the_inner_policy_does() -> None:
    router = Router.start(SETTING)
    plain = replace(STREAM, features=None)
    np.testing.assert_array_equal(replay(router, plain).exit, replay(HindsightThreshold.start(SETTING), plain).exit)


def test_a_learner_behind_it_hears_of_what_was_not_skipped() -> None:
    router = Router(HILCB(price=0.2), (0.0, -9.0, 0.0), limit=0.5, last=1)
    assert router.feedback is FeedbackKind.ANSWERS
    found = replay(router, STREAM)
    assert found.begin.any()
    assert isinstance(router.inner, HILCB)
    assert sum(router.inner.counts) == ((found.begin == 0) & (found.exit == 1)).sum()
    again = Router.from_json(router.to_json())
    assert again.to_json() == router.to_json()


@given(local=st.floats(0, 1), remote=st.floats(0.01, 1), a=st.floats(0, 1), spared=st.floats(-0.005, 0.5))
def test_the_break_even_is_where_both_ways_cost_the_same(local: float, remote: float, a: float, spared: float) -> None:
    first = local + (1 - a) * (remote + spared)
    assert (a < break_even(local, remote, spared) - 1e-9) <= (remote + spared < first)
    assert (a > break_even(local, remote, spared) + 1e-9) <= (remote + spared > first)


def test_acceptance_is_estimated() -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(3.0, 2.0, (4000, 2))
    chance = 1 / (1 + np.exp(-(features[:, 0] - 3.0)))
    weights = fit_acceptance(features, draw.random(4000) < chance)
    router = Router(FixedGates([0.5]), weights, 0.5, 1)
    ours = np.array([router.acceptance(row) for row in features])
    assert np.abs(ours - chance).mean() < 0.03


def test_thumbnails_tell_bright_from_dark_and_smooth_from_rough() -> None:
    draw = np.random.default_rng(0)
    images = np.stack([np.full((8, 8, 3), 20), np.full((8, 8, 3), 250), draw.integers(0, 256, (8, 8, 3))])
    features = thumbnail_features(images.astype(np.uint8))
    assert features.shape == (3, 20)
    np.testing.assert_allclose(features[:2, :3].mean(1), [20 / 255, 250 / 255], rtol=1e-5)
    assert (features[2, 6:8] > features[:2, 6:8]).all()
    np.testing.assert_allclose(features[0, 11:], 20 / 255, rtol=1e-5)


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (lambda: Router.start(replace(SETTING, rows=None)), ConfigError, "has none"),
        (lambda: Router.start(replace(SETTING, thresholds=(None, None), layer_costs=())), ConfigError, "has 3 exits"),
        (lambda: Router(FixedGates([0.5]), (math.nan,), 0.1, 1), ConfigError, "finite weights"),
        (lambda: Router(FixedGates([0.5]), (0.0,), 0.1, 0), ConfigError, "later exit"),
        (lambda: break_even(-1.0, 0.1), ConfigError, "below 0"),
        (lambda: thumbnail_features(np.zeros((1, 8, 8), np.uint8)), SampleError, "of shape"),
        (lambda: Router.from_json('{"name": "fixed"}'), ConfigError, "not a state"),
    ],
)
def test_bad_input(made: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        made()


def test_arrivals_without_features_are_not_routed() -> None:
    assert Router(FixedGates([0.5]), (-9.0,), 0.5, 1).route(Arrival(0)) == 0
