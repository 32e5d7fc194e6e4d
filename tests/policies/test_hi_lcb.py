"""HI-LCB: the arithmetic of its bins, what monotonicity adds, and its place between never and HIL-N."""

from __future__ import annotations

import math

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, View
from offramp.policies.hi_lcb import HILCB, HILCBLite
from offramp.policies.hil_n import HilN
from offramp.policies.replay import replay
from tests.policies.instances import calibrated, price_of_exits

ROWS = 10_000


def test_bins_count_what_went_on() -> None:
    policy = HILCBLite(price=0.2, bins=4)
    for sample, confidence in enumerate((0.0, 0.24, 0.25, 0.99, 1.0)):
        assert policy.decide(View(sample, 0, confidence, label=1)) is Action.GO_ON
        policy.learn(Feedback(sample, 1, labels=(1, sample % 2)))
    assert (policy.counts, policy.agreed) == ([2, 1, 0, 2], [1, 0, 0, 1])
    assert policy.bound(0) == pytest.approx(0.5 - math.sqrt(0.52 * math.log(5) / 2))
    assert policy.bound(2) == -1.0


def test_a_sample_stops_where_its_bound_leaves_less_to_gain_than_the_price() -> None:
    policy = HILCBLite(price=0.3, bins=1)
    policy._count(0, 10_000, 8_000)
    policy.round = 99
    bound = 0.8 - math.sqrt(0.52 * math.log(100) / 10_000)
    assert policy.decide(View(0, 0, 0.5, price=1 - bound - 1e-9)) is Action.GO_ON
    policy.round = 99
    assert policy.decide(View(1, 0, 0.5, price=1 - bound + 1e-9)) is Action.STOP


def test_the_full_version_takes_the_best_bound_up_to_the_bin() -> None:
    full, lite = HILCB(bins=3), HILCBLite(bins=3)
    for policy in (full, lite):
        policy.round = 50
        for at, (count, agreed) in enumerate([(400, 200), (900, 810), (4, 4)]):
            policy._count(at, count, agreed)
    assert full.bound(2) == lite.bound(1) > lite.bound(2)
    assert full.bound(0) == lite.bound(0)


def test_it_beats_hil_n_on_calibrated_streams() -> None:
    cost = {
        kind: np.mean(
            [
                price_of_exits(stream, replay(kind(0.3, seed=seed), stream).exit, 0.3).mean()
                for seed in range(2)
                for stream in [calibrated(np.random.default_rng(seed), ROWS)]
            ]
        )
        for kind in (HILCB, HILCBLite, HilN)
    }
    assert cost[HILCB] <= cost[HILCBLite] < cost[HilN]


def test_its_regret_grows_like_a_logarithm() -> None:
    stream = calibrated(np.random.default_rng(0), 40_000)
    went = replay(HILCB(0.3, bins=5), stream).exit
    wrong = 1 - (np.floor(stream.confidence[0] * 5) / 5 + 0.1)  # of each bin, in expectation
    wrong = np.where(stream.confidence[0] < 0.6, 0.45, wrong)
    regret = np.cumsum(np.where(went > 0, 0.3, wrong) - np.minimum(0.3, wrong))
    assert regret[-1] < 1.6 * regret[9_999]


@pytest.mark.parametrize("wrong", [{"bins": 0}, {"alpha": 0.5}])
def test_bins_and_alpha_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="needs bins and an alpha"):
        HILCB(**wrong)  # type: ignore[arg-type]
