"""Pools, centroids and one hop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from offramp.errors import ConfigError, NotEnoughSamples, SampleError
from offramp.policies.difficulty.centroids import Centroids
from offramp.policies.difficulty.dimee import Dimec, Dimee, tier_costs
from offramp.policies.difficulty.pools import confidence_pools, dynamics_pools
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from tests.policies.difficulty.streams import make_stream, setting_of


@given(seed=st.integers(0, 2**16), exits=st.integers(1, 4))
def test_pools_by_confidence_row_by_row(seed: int, exits: int) -> None:
    rng = np.random.default_rng(seed)
    confidence, alphas = rng.random((exits, 20)), rng.random(exits - 1)
    expected = [next((e for e in range(exits - 1) if confidence[e, row] >= alphas[e]), exits - 1) for row in range(20)]
    assert confidence_pools(confidence, alphas).tolist() == expected


def test_pools_need_an_alpha_for_each_early_exit() -> None:
    with pytest.raises(ConfigError, match="2 early exits need as many alphas, not 1"):
        confidence_pools(np.zeros((3, 4)), np.zeros(1))


def test_rows_that_waver_are_moderate_however_high_their_mean() -> None:
    dynamics = np.array([[1.0, 0.9, 0.0, 0.5], [0.6, 0.9, 0.0, 0.5]])
    assert dynamics_pools(dynamics, high=0.75, low=0.25, steady=0.1).tolist() == [1, 0, 2, 1]


@given(seed=st.integers(0, 2**16))
def test_the_nearest_centroid_against_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, pools = rng.normal(size=(40, 3)), np.arange(40) % 3
    scaler = StandardScaler().fit(features)
    other = NearestCentroid().fit(scaler.transform(features), pools)
    np.testing.assert_array_equal(
        Centroids.of(features, pools).nearest(features), other.predict(scaler.transform(features))
    )


def test_an_empty_pool_has_no_centroid_and_ties_go_to_the_cheaper_tier() -> None:
    centroids = Centroids.of(np.array([[-1.0], [1.0]]), np.array([1, 2]))
    assert centroids.pools == (1, 2)
    assert centroids.nearest(np.array([[0.0]])).tolist() == [1]


def test_a_feature_that_never_changes_does_no_harm() -> None:
    centroids = Centroids.of(np.array([[1.0, 0.0], [1.0, 4.0]]), np.array([0, 1]))
    assert centroids.nearest(np.array([[1.0, 3.9]])).tolist() == [1]


def test_bad_features_are_refused() -> None:
    with pytest.raises(NotEnoughSamples, match="there are none"):
        Centroids.of(np.zeros((0, 2)), np.zeros(0, int))
    with pytest.raises(SampleError, match="NaN or infinity"):
        Centroids.of(np.full((2, 2), np.nan), np.zeros(2, int))


def test_dimee_sends_hard_samples_up_at_once_and_stops_there() -> None:
    stream = make_stream()
    found = replay(Dimee.fit(make_stream(600, 99).labelled, (0.0, 0.05, 0.1)), stream)
    np.testing.assert_array_equal(found.begin, found.exit)
    assert stream.features is not None
    hard = stream.features[:, 0]
    assert hard[found.exit == 0].mean() < hard[found.exit == 2].mean()


def test_dimee_stays_where_going_on_costs_too_much() -> None:
    stream = make_stream()
    setting = replace(setting_of(stream), price=0.9)
    assert (replay(Dimee.start(setting), stream).exit == 0).mean() > 0.9


def test_dimec_needs_dynamics_and_three_tiers() -> None:
    stream = make_stream()
    setting = setting_of(stream)
    assert setting.rows is not None
    with pytest.raises(ConfigError, match="needs the training dynamics"):
        Dimec.start(replace(setting, rows=make_stream().labelled))
    with pytest.raises(ConfigError, match="three pools for three tiers; the setting has 2 exits"):
        Dimec.start(Setting((0.5,), rows=setting.rows))
    assert len(set(replay(Dimec.start(setting), stream).exit.tolist())) > 1


def test_tier_costs_count_the_price_of_every_hop() -> None:
    np.testing.assert_allclose(tier_costs(Setting((0.8, 0.8), price=0.1, layer_costs=(0.1, 0.2, 0.3))), [0.1, 0.3, 0.5])
