"""The configuration map: between its breakpoints nothing is faster."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import ConfigError, PlanInfeasible
from offramp.planning.breakpoints import configuration_map
from offramp.planning.objective import Objective
from tests.planning.test_replanner import CODECS, replanner_of
from tests.support.instances import make_instance

LOW, HIGH = 1e3, 1e9


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    tiers=st.integers(2, 3),
    deadline_s=st.one_of(st.none(), st.floats(1e-4, 0.3)),
    quantile=st.sampled_from([1.0, 0.9, 0.5]),
    load=st.floats(0.5, 20.0),
    data=st.data(),
)
def test_map_equals_replanning_on_a_grid(
    seed: int, tiers: int, deadline_s: float | None, quantile: float, load: float, data: st.DataObject
) -> None:
    case = make_instance(seed, 4, tiers, 3, 60, CODECS)
    replanner = replanner_of(case, Objective(accuracy_loss=0.1, deadline_s=deadline_s, deadline_quantile=quantile))
    link = data.draw(st.integers(0, tiers - 2))
    rates = [one.bandwidth_bps for one in case.network.links]
    found = configuration_map(replanner, link, LOW, HIGH, bandwidth_bps=rates, rtt_s=0.001, load=load)
    if found:
        assert found[-1].high_bps == HIGH
        assert all(a.high_bps == b.low_bps for a, b in itertools.pairwise(found))
        assert all(a.choice.index != b.choice.index for a, b in itertools.pairwise(found))
    if not deadline_s:
        assert found[0].low_bps == LOW
    ends = [one.low_bps for one in found]
    near = [end * (1 + shift) for end in ends for shift in (-1e-6, 1e-6)]
    index, mean, limits = replanner.rows(tiers)
    for rate in [*np.logspace(3, 9, 40).tolist(), *(r for r in near if LOW < r < HIGH)]:
        rates[link] = rate
        holding = [one for one in found if one.low_bps <= rate <= one.high_bps]
        try:
            choice = replanner.replan(rates, 0.001, load)
        except PlanInfeasible:
            assert not holding
            continue
        assert holding
        at = np.flatnonzero(index == holding[0].choice.index)[0]
        vector = replanner.vector(rates, 0.001, load)[0]
        assert mean[at] @ vector == pytest.approx(choice.value, rel=1e-9, abs=1e-11)
        assert (limits[at] @ vector <= replanner.most * (1 + 1e-9)).all()


def test_plans_along_a_link() -> None:
    case = make_instance(6, 4, 2, 3, 200)
    replanner = replanner_of(case, Objective(accuracy_loss=0.02))
    found = configuration_map(replanner, 0, 1e2, 1e12)
    assert len(found) == 4
    assert set(replanner.plan_of(found[0].choice).placement) == {"device"}
    assert replanner.plan_of(found[-1].choice).placement == ("device", "edge", "edge", "edge")
    latency = [one.choice.value for one in found]
    assert latency == sorted(latency, reverse=True)


@pytest.mark.parametrize(
    ("link", "low", "high", "words"),
    [
        (1, 1e3, 1e6, "link 1: the network has 1, numbered from 0"),
        (0, 0.0, 1e6, "above zero, finite and rising"),
        (0, 1e6, 1e6, "above zero, finite and rising"),
        (0, 1e6, float("inf"), "above zero, finite and rising"),
    ],
)
def test_bad_ranges_are_refused(link: int, low: float, high: float, words: str) -> None:
    replanner = replanner_of(make_instance(3, 3, 2, 2, 60))
    with pytest.raises(ConfigError, match=words):
        configuration_map(replanner, link, low, high)
