"""Policies over shuffles of the same samples."""

from __future__ import annotations

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.policies.base import FeedbackKind
from offramp.policies.costs import Costs
from offramp.policies.fixed import FixedGates
from offramp.policies.hindsight import HindsightThreshold
from offramp.policies.registry import policy_named
from offramp.policies.setting import Setting
from offramp.policies.shuffled import Telling, over_shuffles, references
from offramp.policies.stream import stream_of
from tests.policies.test_replay import Hearer
from tests.support.instances import make_records

STREAM = stream_of(make_records(np.random.default_rng(0), 120, 2))
SETTING = Setting((0.7,), price=0.2, rows=STREAM.labelled)
COSTS = Costs.of_setting(SETTING)


def test_with_hindsight_there_is_no_regret_against_the_best_threshold() -> None:
    outcome = over_shuffles(HindsightThreshold, SETTING, STREAM, COSTS, 3, seed=1)
    known = {one.name: one for one in references(STREAM, COSTS)}
    band = outcome.regret(known["fixed"].cost)
    np.testing.assert_allclose([band.mean, band.low, band.high], 0.0, atol=1e-12)
    np.testing.assert_allclose(outcome.accuracy, known["fixed"].accuracy)
    np.testing.assert_allclose(outcome.went_on, known["fixed"].went_on)


def test_the_same_seed_gives_the_same_numbers_and_another_other_ones() -> None:
    telling = Telling(FeedbackKind.AUDITS, audit_share=0.5)
    one, two, other = (over_shuffles(Hearer, SETTING, STREAM, COSTS, 4, seed=s, telling=telling) for s in (7, 7, 8))
    np.testing.assert_array_equal(one.cost, two.cost)
    np.testing.assert_array_equal(one.audited, two.audited)
    assert (one.cost != other.cost).any()
    assert len(np.unique(one.cost)) > 1
    assert (one.audited > 0).all()


def test_labels_are_told_of_a_share_of_what_the_last_exit_answered() -> None:
    told = [Telling(FeedbackKind.AUDITS, audit_share=0.5, label_share=share) for share in (0.0, 0.5, 1.0)]
    none, some, every = (over_shuffles(Hearer, SETTING, STREAM, COSTS, 4, telling=one) for one in told)
    np.testing.assert_array_equal(none.labelled, 0.0)
    np.testing.assert_allclose(every.labelled, every.went_on + every.audited)
    assert (some.labelled < every.labelled).all()
    assert (some.labelled > 0.0).all()
    np.testing.assert_array_equal(over_shuffles(FixedGates, SETTING, STREAM, COSTS, 2, telling=told[2]).labelled, 0.0)
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="the share of labels must lie in"):
            Telling(label_share=wrong)


def test_published_charges_as_if_the_last_exit_were_right_but_counts_what_is_right() -> None:
    real, published = (over_shuffles(FixedGates, SETTING, STREAM, COSTS, 1, published=p) for p in (False, True))
    wrong = STREAM.predicted[0] != STREAM.predicted[1]
    stops = STREAM.confidence[0] >= np.float32(0.7)
    assert published.cost[0] == pytest.approx(np.where(stops, wrong, 0.2).mean())
    assert published.accuracy[0] == real.accuracy[0]
    always = next(one for one in references(STREAM, COSTS, published=True) if one.name == "always")
    assert always.cost == pytest.approx(0.2)
    assert always.accuracy == pytest.approx(STREAM.right[1].mean())


def test_with_more_early_exits_there_is_no_one_best_threshold() -> None:
    stream = stream_of(make_records(np.random.default_rng(0), 120, 3))
    assert [one.name for one in references(stream, COSTS)] == ["never", "always", "oracle"]


def test_progress_and_refusals() -> None:
    seen: list[tuple[int, int]] = []
    over_shuffles(Hearer, SETTING, STREAM, COSTS, 2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    with pytest.raises(ConfigError, match="at least one shuffle"):
        over_shuffles(FixedGates, SETTING, STREAM, COSTS, 0)
    with pytest.raises(ConfigError, match="before its sample"):
        Telling(delay=-1)
    with pytest.raises(ConfigError, match="did you mean 'fixed'"):
        policy_named("fixde")
