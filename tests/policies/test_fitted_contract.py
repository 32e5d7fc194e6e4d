"""Policies fitted beforehand keep the rules of the seam, at one early exit and with labelled rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from offramp.policies.base import Policy, View
from offramp.policies.gain import GainDecider
from offramp.policies.hindsight import HindsightThreshold
from offramp.policies.logistic import LogisticDecider
from offramp.policies.setting import Setting
from offramp.policies.stream import stream_of
from tests.policies import test_contract as contract
from tests.support.instances import make_records

KINDS: list[type[Policy]] = [GainDecider, HindsightThreshold, LogisticDecider]
STREAM = stream_of(make_records(np.random.default_rng(0), 80, 2))
SETTING = Setting((0.6,), price=0.3, rows=STREAM.labelled)


def views(count: int, seed: int = 0) -> list[View]:
    rng = np.random.default_rng(seed)
    return [View(i, 0, float(np.float32(rng.uniform(0.5, 1))), runner_up=0.1, label=1) for i in range(count)]


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_policy_contract(
    kind: type[Policy], check: Callable[[str, type[Policy]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SETTING", SETTING), ("STREAM", STREAM), ("views", views)):
        monkeypatch.setattr(contract, name, value)
    check(kind.name, kind)
