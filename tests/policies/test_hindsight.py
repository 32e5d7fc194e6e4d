"""The best threshold, against all thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError
from offramp.policies.hindsight import HindsightThreshold, best_threshold
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import stream_of
from tests.support.instances import make_records

ROWS = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.4]), st.booleans(), st.booleans()), min_size=1, max_size=12)


@given(rows=ROWS, beta=st.sampled_from([0.0, 0.05, 0.25, 0.5, 0.9]))
def test_against_all_thresholds(rows: list[tuple[float, bool, bool]], beta: float) -> None:
    score, local, remote = (np.array(column) for column in zip(*rows, strict=True))

    def cost(threshold: float) -> float:
        return float(np.where(score >= threshold, local, beta + remote).sum())

    found = cost(best_threshold(score, local, beta + remote))
    assert found == pytest.approx(min(cost(t) for t in (-np.inf, 0.15, 0.2, 0.25, 0.35, np.inf)))
    assert found <= min(cost(-np.inf), cost(np.inf)) + 1e-9


@given(rows=ROWS)
def test_for_free_and_with_a_perfect_remote_every_mistake_is_sent(rows: list[tuple[float, bool, bool]]) -> None:
    score, local, _ = (np.array(column) for column in zip(*rows, strict=True))
    threshold = best_threshold(score, local, 0.0)
    assert not local[score >= threshold].any()
    last_mistake = score[local].max(initial=-np.inf)
    assert (score < threshold).sum() == (score <= last_mistake).sum()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 0.0, 0.0), "at least one row"),
        (([0.5, np.nan], 0.0, 0.0), "confidence of row 1 is NaN"),
        (([0.5, 0.6], [np.nan, 0.0], 0.0), "cost of stopping of row 0 is NaN"),
    ],
)
def test_what_cannot_be_fitted_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        best_threshold(*arguments)


def test_as_a_policy_it_has_hindsight_on_its_own_rows() -> None:
    stream = stream_of(make_records(np.random.default_rng(0), 200, 2, levels=4))
    setting = Setting((None,), price=0.2, rows=stream.labelled)
    policy = HindsightThreshold.start(setting)
    found = replay(policy, stream)
    cost = (0.2 * found.exit + ~found.correct).mean()
    wrong = ~stream.right
    for threshold in (-1.0, *np.unique(stream.confidence[0]).tolist(), 2.0):
        other = np.where(stream.confidence[0] >= threshold, wrong[0], 0.2 + wrong[1]).mean()
        assert cost <= other + 1e-12
    assert repr(HindsightThreshold.from_json(policy.to_json())) == repr(policy)


def test_layer_costs_are_part_of_going_on() -> None:
    stream = stream_of(make_records(np.random.default_rng(0), 200, 2))
    rows = stream.labelled
    cheap = HindsightThreshold.start(Setting((None,), price=0.2, rows=rows, layer_costs=(0.1, 0.2)))
    dear = HindsightThreshold.start(Setting((None,), price=0.3, rows=rows))
    assert cheap.thresholds == dear.thresholds


@pytest.mark.parametrize(("exits", "message"), [(2, "no|none"), (3, "one early exit, but here are 2")])
def test_settings_it_cannot_do(exits: int, message: str) -> None:
    rows = None if exits == 2 else stream_of(make_records(np.random.default_rng(0), 20, 3)).labelled
    with pytest.raises(ConfigError, match=message):
        HindsightThreshold.start(Setting((None,) * (exits - 1), rows=rows))
