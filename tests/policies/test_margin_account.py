"""The account: its bound holds against adversaries that know everything but the coin to come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError
from offramp.policies.margin_account import MarginAccount

#: what a sample gains by going on, from the excess so far, the round and a draw
Adversary = Callable[[float, int, float], float]
ADVERSARIES: dict[str, Adversary] = {
    "always the worst": lambda excess, t, draw: 1.0,
    "turns after a good start": lambda excess, t, draw: -1.0 if t < 1000 else 1.0,
    "bets on luck": lambda excess, t, draw: 1.0 if draw < 0.6 else -0.9,
    "pushes while it is close": lambda excess, t, draw: 1.0 if excess > 10.0 else float(draw < 0.6),
    "rare and large": lambda excess, t, draw: 1.0 if draw < 0.05 else 0.25,
}


def largest_excess(adversary: Adversary, account: MarginAccount, price: float, seed: int, delay: int = 0) -> float:
    """Of the expected costs over the budget, where the baseline always goes on and the policy would never."""
    rng = np.random.default_rng(seed)
    excess, worst, waiting = 0.0, -np.inf, []
    for t in range(2500):
        account.tick()
        share = account.explore(price)
        gain = adversary(excess, t, float(rng.random()))
        if share:
            explores = bool(rng.random() < share)
            account.tossed(price, share, explores)
            excess += (1.0 - share) * (gain - price)
            if explores:
                waiting.append((share, gain))
        if len(waiting) > delay:
            share, gain = waiting.pop(0)
            account.seen_exploring(price, share, gain)
        worst = max(worst, excess - account.budget)
    return worst


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("name", ADVERSARIES)
def test_stopping_keeps_within_the_margin(name: str, delay: int) -> None:
    broken = [
        largest_excess(ADVERSARIES[name], MarginAccount(0.01, 30.0, 0.1), 0.25, seed, delay) > 0 for seed in range(40)
    ]
    assert np.mean(broken) <= 0.1


def test_stopping_is_allowed_for_ever_where_it_saves() -> None:
    account, rng, allowed = MarginAccount(0.01, 30.0, 0.05), np.random.default_rng(0), 0
    shares = []
    for _ in range(6000):
        account.tick()
        share = account.explore(0.25)
        allowed += share > 0
        if share:
            explores = bool(rng.random() < share)
            account.tossed(0.25, share, explores)
            shares.append(share)
            if explores:
                account.seen_exploring(0.25, share, float(rng.random() < 0.05))
    assert allowed > 5900
    assert shares[-1] < 0.1 < shares[0] < 0.5
    assert account.bound < -500


@given(st.lists(st.tuples(st.floats(0, 0.99), st.sampled_from([-1.0, 0.0, 1.0]), st.booleans()), max_size=200))
def test_going_on_never_costs_more_than_the_budget(rounds: list[tuple[float, float, bool]]) -> None:
    account, spent = MarginAccount(0.0, 5.0, 0.05), 0.0
    for price, gain, told in rounds:
        account.tick()
        if account.may_go(price):
            account.went(price)
            spent += price - gain
            if told:
                account.seen_going(price, gain)
        assert spent <= account.bound + 1e-9
        assert spent <= account.budget + 1e-9


def test_answers_that_never_come_count_as_the_worst() -> None:
    account = MarginAccount(0.0, 3.0, 0.05)
    allowed = 0
    for _ in range(100):
        account.tick()
        if account.may_go(0.5):
            account.went(0.5)
            allowed += 1
    assert allowed == 2


SEEN = st.lists(
    st.tuples(st.floats(0.02, 0.98), st.floats(0, 0.9), st.floats(-1, 1), st.booleans(), st.booleans()), max_size=30
)


@given(before=SEEN, after=SEEN, shift=st.floats(-1, 1), settled=st.booleans())
def test_estimates_that_are_corrected_count_as_if_known_from_the_start(
    before: list[tuple[float, float, float, bool, bool]],
    after: list[tuple[float, float, float, bool, bool]],
    shift: float,
    settled: bool,
) -> None:
    late, early = MarginAccount(), MarginAccount()

    def see(
        account: MarginAccount, seen: list[tuple[float, float, float, bool, bool]], more: float, flag: bool
    ) -> None:
        for share, price, gain, estimated, going in seen:
            known = gain + more * estimated
            if going:
                account.went(price)
                account.seen_going(price, known, estimated and flag)
            else:
                account.tossed(price, share, True)
                account.seen_exploring(price, share, known, estimated and flag)

    see(late, before, 0.0, True)
    see(early, before, 0.0 if settled else shift, False)
    if settled:
        late.settle()
    late.correct(shift / 2)
    late.correct(shift)
    see(late, after, 0.0, True)
    see(early, after, shift, False)
    assert late.bound == pytest.approx(early.bound, rel=1e-6, abs=1e-6)


def test_the_state_survives() -> None:
    one = MarginAccount()
    one.tick()
    one.tossed(0.3, 0.5, True)
    one.seen_exploring(0.3, 0.5, 0.4, estimated=True)
    one.correct(-0.5)
    two = MarginAccount()
    two.take(one.state())
    for account in (one, two):
        account.correct(-1.0)
    assert (two.bound, two.budget, two.explore(0.3)) == (one.bound, one.budget, one.explore(0.3))
    with pytest.raises(ValueError, match="no account"):
        two.take(one.state() | {"stopping": [0.0]})


@pytest.mark.parametrize("wrong", [{"margin": -0.1}, {"slack": 0.0}, {"delta": 1.0}, {"margin": float("nan")}])
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="the margin must not be below 0"):
        MarginAccount(**wrong)
