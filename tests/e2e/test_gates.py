"""Gain gates on real processes: the exits of the replay, the answers of earlier exits carried over two links."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.links.network import Link, Network, Tier
from offramp.planning.replay import replay_exits
from offramp.runtime.device import Device
from offramp.runtime.local import LocalCluster
from offramp.runtime.run import run
from tests.support.gated import TIERS, make_gated

pytestmark = pytest.mark.e2e

NETWORK = Network(
    tuple(Tier(name) for name in TIERS), (Link("device", "edge", 50e6, 0.001), Link("edge", "cloud", 50e6, 0.001))
)


@pytest.mark.parametrize("placement", [TIERS, ("cloud",) * 3, ("device", "cloud", "cloud")])
def test_processes_leave_where_the_replay_does(tmp_path: Path, placement: tuple[str, ...]) -> None:
    gated = make_gated(tmp_path)
    plan = gated.plan(placement)
    plan.save(tmp_path / "plan.json")
    expected = replay_exits(plan, gated.records)
    rows, labels = gated.inputs[:150], gated.records.labels[:150]
    with (
        LocalCluster(gated.cascade.path, [tmp_path / "plan.json"], NETWORK, shaped=False) as cluster,
        Device(gated.cascade, plan, cluster.upstream_address, deadline_s=10.0) as device,
    ):
        one_by_one = run(device, rows, labels, tier_counters=cluster.counters)
        together = device.infer_batch(gated.inputs)
    assert one_by_one.degraded_rows == 0
    assert one_by_one.exits == expected[:150].tolist()
    assert [answer.exit for answer in together] == expected.tolist()
    assert [answer.label for answer in together] == gated.records.predictions[expected, np.arange(1200)].tolist()
