"""What paths cost, and what was lost against the best."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError
from offramp.links.network import Link
from offramp.policies.costs import Costs, Late
from offramp.policies.fixed import FixedGates
from offramp.policies.hindsight import HindsightThreshold, best_threshold
from offramp.policies.pricing import MistakeWorth, prices_over
from offramp.policies.regret import Band, best_fixed, cumulative_regret, oracle
from offramp.policies.replay import PolicyReplay, replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream, stream_of
from offramp.policies.two_stage import two_stage
from tests.support.instances import make_records

LAYERS = (0.01, 0.03, 0.1)


def stream(exits: int = 3, rows: int = 50, seed: int = 0) -> Stream:
    return stream_of(make_records(np.random.default_rng(seed), rows, exits))


def walked(s: Stream, seed: int) -> PolicyReplay:
    """Random paths, some of them audited."""
    draw = np.random.default_rng(seed)
    rows = draw.permutation(len(s))
    begin = draw.integers(0, s.exits, len(s))
    left = np.maximum(begin, draw.integers(0, s.exits, len(s)))
    said = s.predicted[left, rows]
    return PolicyReplay(
        rows, begin, left, said, said == s.truth[rows], (left < s.exits - 1) & (draw.random(len(s)) < 0.3)
    )


@given(
    seed=st.integers(0, 2**16),
    remote_errors=st.booleans(),
    priced=st.booleans(),
    late_price=st.sampled_from([None, 0.4]),
)
def test_accounts_are_the_costs_of_paths_sample_by_sample(
    seed: int, remote_errors: bool, priced: bool, late_price: float | None
) -> None:
    s = stream(seed=seed)
    latency_s = np.random.default_rng(seed).random((3, 50))
    if priced:
        s = replace(s, price=np.linspace(0.0, 0.9, 50))
    costs = Costs(0.2, LAYERS, remote_errors, Late(latency_s, 0.5, late_price))
    found = walked(s, seed)
    account = costs.account(found, s)
    truth = s.truth if remote_errors else s.predicted[-1]
    for i, (row, b, e) in enumerate(zip(found.row, found.begin, found.exit, strict=True)):
        price = (np.linspace(0.0, 0.9, 50)[row]) if priced else 0.2
        wrong, is_late = s.predicted[e, row] != truth[row], latency_s[e, row] > 0.5
        expected = LAYERS[e] - (LAYERS[b - 1] if b else 0.0) + price * (e - b + (b > 0))
        expected += float(wrong or is_late) if late_price is None else wrong + 0.4 * is_late
        assert costs.of_paths(s)[b, e, row] == pytest.approx(expected)
        assert account.each[i] == pytest.approx(expected + price * found.audited[i])
    assert account.mean == pytest.approx(account.total / 50)


@given(st.integers(0, 2**16))
def test_unequal_mistakes_cost_what_they_do(seed: int) -> None:
    s = stream_of(make_records(np.random.default_rng(seed), 60, 2, classes=2))
    setting = Setting((0.6,), price=0.1, rows=s.labelled, mistake_costs=(0.5, 3.0))
    costs = Costs.of_setting(setting)
    for said, truth, each in zip(s.predicted[0], s.truth, costs.of_paths(s)[0, 0], strict=True):
        assert each == (0.0 if said == truth else 0.5 if truth == 0 else 3.0)
    best = costs.account(replay(HindsightThreshold.start(setting), s), s)
    assert best.mean == pytest.approx(best_fixed(s, costs)[1].mean())
    assert best.mistakes.max() in (0.0, 0.5, 3.0)


def test_a_path_cannot_leave_before_it_began() -> None:
    paths = Costs().of_paths(stream())
    assert np.isinf(paths[1, 0]).all()
    assert np.isfinite(paths[0]).all()


def test_no_policy_beats_the_oracle_nor_a_threshold_the_best_one() -> None:
    s = stream(exits=2, rows=200)
    costs = Costs(0.15)
    threshold, best = best_fixed(s, costs)
    least = oracle(s, costs)
    for other in (0.0, 0.3, 0.6, 0.9, None):
        each = costs.account(replay(FixedGates([other]), s), s).each
        assert best.mean() <= each.mean() + 1e-12
        assert (least <= each + 1e-12).all()
    wrong = ~s.right
    assert threshold == best_threshold(s.confidence[0], wrong[0], 0.15 + wrong[1])
    assert (oracle(s, costs, routes=True) <= least).all()
    assert cumulative_regret(best, least)[-1] == pytest.approx(best.sum() - least.sum())


def test_skipping_saves_the_first_compute() -> None:
    s = stream(exits=2)
    costs = Costs(0.1, (0.05, 0.25))
    assert costs.compute(2)[1, 1] == pytest.approx(0.2)
    np.testing.assert_allclose(costs.of_paths(s)[0, 1] - costs.of_paths(s)[1, 1], 0.05)
    assert Costs.of_setting(Setting((None,), price=0.1, layer_costs=(0.05, 0.25))) == costs


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Costs(price=1.0), "must lie in"),
        (lambda: Costs(layer_costs=(0.2, 0.1)), "never fall"),
        (lambda: Costs(layer_costs=(0.1,)).compute(2), "one per exit"),
        (lambda: Late(np.array([np.nan]), 1.0), "latencies"),
        (lambda: Late(np.array([1.0]), 0.0), "deadline"),
        (lambda: Late(np.array([1.0]), 1.0, -1.0), "late answer"),
        (lambda: Costs(late=Late(np.array([1.0]), 1.0)).of_paths(stream()), "of shape"),
        (lambda: best_fixed(stream(), Costs()), "has 2"),
        (lambda: two_stage(stream(), 2), "0 to 1"),
        (lambda: Band.of([]), "at least one"),
        (lambda: MistakeWorth(), "worth"),
        (lambda: prices_over(Link("a", "b", 8e5), [-1], MistakeWorth(1.0)), "bytes"),
        (lambda: prices_over(Link("a", "b", 8.0), [10], MistakeWorth(1.0)), "less than one"),
    ],
)
def test_bad_input(made: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made()


def test_prices_add_up() -> None:
    link = Link("a", "b", 8e6, 0.01, energy_j_per_byte=1e-6, price_per_byte=1e-7)
    price = prices_over(link, [10_000], MistakeWorth(1.0, 0.1, 0.01))
    assert price.tolist() == pytest.approx([0.02 + 0.1 + 0.1])


def test_two_stages_of_three() -> None:
    s = stream()
    two = two_stage(s, 1)
    np.testing.assert_array_equal(two.confidence, s.confidence[[1, 2]])
    assert two.runner_up is not None
    assert two.exits == 2
