"""The routing policies keep the rules of the seam, in a setting with features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.policies.base import Arrival, Policy
from offramp.policies.difficulty.dimee import Dimec, Dimee
from offramp.policies.difficulty.tier_router import TierRouter
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from tests.policies import test_contract as contract
from tests.policies.difficulty.streams import make_stream, setting_of

KINDS: list[type[Policy]] = [Dimec, Dimee, TierRouter]
STREAM = make_stream(300)
SETTING = setting_of(STREAM)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_policy_contract(kind: type[Policy], check: Callable[[str, type[Policy]], None]) -> None:
    check(kind.name, kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_routes_go_on_from_json(kind: type[Policy]) -> None:
    whole = kind.start(SETTING)
    again = kind.from_json(whole.to_json())
    one, two = replay(whole, STREAM), replay(again, STREAM)
    np.testing.assert_array_equal(one.begin, two.begin)
    np.testing.assert_array_equal(one.exit, two.exit)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_without_features_they_say_so(kind: type[Policy]) -> None:
    with pytest.raises(ConfigError, match="with features; the setting has none"):
        kind.start(Setting((0.8, 0.8)))
    policy = kind.start(SETTING)
    if isinstance(policy, TierRouter):
        policy.margin = 0.0
    with pytest.raises(ConfigError, match="sample 3 has none"):
        policy.route(Arrival(3))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_other_features_are_refused(kind: type[Policy]) -> None:
    policy = kind.start(SETTING)
    if isinstance(policy, TierRouter):
        policy.margin = 0.0
    for features in (np.zeros(5, np.float32), np.full(2, np.nan, np.float32)):
        with pytest.raises(ValueError, match="2 finite features"):
            policy.route(Arrival(3, features))
