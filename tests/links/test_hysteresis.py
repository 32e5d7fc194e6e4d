"""Switching: worth it by its sum, not too often, at once when nothing works."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError, SampleError
from offramp.links.hysteresis import Hysteresis, worth

NAN, INF = float("nan"), float("inf")
COSTS = st.floats(0, 1e6)
STREAMS = st.lists(st.tuples(COSTS, COSTS, st.floats(0, 3)), min_size=1, max_size=60)


def answers(hysteresis: Hysteresis, stream: list[tuple[float, float, float]]) -> list[float]:
    """Times of the switches."""
    now_s = hysteresis.last_s or 0.0
    switched = []
    for current, best, wait_s in stream:
        now_s += wait_s
        if hysteresis.decide(current, best, now_s):
            switched.append(now_s)
    return switched


@given(current=COSTS, best=COSTS, switching=st.floats(0, 1e6), horizon=st.floats(0, 1e6))
def test_worth_is_gain_above_cost(current: float, best: float, switching: float, horizon: float) -> None:
    assert worth(current, best, switching, horizon) == ((current - best) * horizon > switching)
    assert not worth(best, best, switching, horizon)
    assert not (worth(current, best, switching, horizon) and worth(best, current, switching, horizon))


@given(current=COSTS, best=COSTS, switching=st.floats(0, 100), horizon=st.floats(0, 100), more=st.floats(0, 100))
def test_worth_is_monotone(current: float, best: float, switching: float, horizon: float, more: float) -> None:
    if worth(current, best, switching + more, horizon):
        assert worth(current, best, switching, horizon)
    if worth(current, best, switching, horizon):
        assert worth(current + more, best, switching, horizon)
        assert worth(current, best, switching, horizon + more)


@given(best=COSTS, switching=COSTS, horizon=COSTS)
def test_what_cannot_work_is_left_for_what_can(best: float, switching: float, horizon: float) -> None:
    assert worth(INF, best, switching, horizon)
    assert not worth(best, INF, switching, horizon)
    assert not worth(INF, INF, switching, horizon)


@given(stream=STREAMS, dwell_s=st.floats(0, 10), switching=st.floats(0, 1e5))
def test_switches_keep_their_distance(
    stream: list[tuple[float, float, float]], dwell_s: float, switching: float
) -> None:
    switched = answers(Hysteresis(switching, 10.0, dwell_s), stream)
    assert all(later - before >= dwell_s for before, later in itertools.pairwise(switched))


@given(stream=STREAMS)
def test_without_dwell_it_is_the_function(stream: list[tuple[float, float, float]]) -> None:
    hysteresis = Hysteresis(5.0, 10.0)
    for at, (current, best, _) in enumerate(stream):
        assert hysteresis.decide(current, best, float(at)) == worth(current, best, 5.0, 10.0)


@given(before=STREAMS, after=STREAMS)
def test_json_goes_on_where_it_was(
    before: list[tuple[float, float, float]], after: list[tuple[float, float, float]]
) -> None:
    hysteresis = Hysteresis(3.0, 10.0, 2.5)
    answers(hysteresis, before)
    again = Hysteresis.from_json(hysteresis.to_json())
    assert again == hysteresis
    assert answers(again, after) == answers(hysteresis, after)


def test_an_outage_does_not_wait() -> None:
    hysteresis = Hysteresis(switching_cost=1.0, horizon=10.0, dwell_s=60.0)
    assert hysteresis.decide(1.0, 0.5, 0.0)
    assert not hysteresis.decide(1.0, 0.5, 1.0)
    assert hysteresis.decide(INF, 0.9, 1.0)
    assert hysteresis.switched_s == 1.0


def test_repr_reproduces() -> None:
    hysteresis = Hysteresis(1.0, 10.0, 60.0)
    assert eval(repr(hysteresis)) == hysteresis


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ((NAN, 1.0, 5.0), "current_cost must be zero or more, not nan"),
        ((1.0, NAN, 5.0), "best_cost must be zero or more, not nan"),
        ((-1.0, 1.0, 5.0), "current_cost must be zero or more, not -1.0"),
        ((1.0, 0.5, 3.0), "now_s must not go back, but 3.0 follows 4.0"),
        ((1.0, 0.5, NAN), "now_s must not go back, but nan"),
    ],
)
def test_bad_questions_are_refused(question: tuple[float, float, float], words: str) -> None:
    hysteresis = Hysteresis()
    hysteresis.decide(1.0, 1.0, 4.0)
    before = hysteresis.to_json()
    with pytest.raises(SampleError, match=words):
        hysteresis.decide(*question)
    assert hysteresis.to_json() == before


@pytest.mark.parametrize("value", [-1.0, NAN, INF])
@pytest.mark.parametrize("name", ["switching_cost", "horizon", "dwell_s"])
def test_settings_are_checked(name: str, value: float) -> None:
    setting: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError, match=f"hysteresis: {name} must be zero or more"):
        Hysteresis(**setting)


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"horizon": -1.0}, {"extra": 1}, {"last_s": NAN}, {"switched_s": "now"}]
)
def test_damaged_json_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="not a hysteresis"):
        Hysteresis.from_json(json.dumps({**json.loads(Hysteresis().to_json()), **change}))


@pytest.mark.parametrize("text", ["", "[]", "3", "{}"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a hysteresis"):
        Hysteresis.from_json(text)
