"""A policy on real processes decides as it does in replay: same seed, same samples, same decisions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.links.network import Link, Network, Tier
from offramp.planning.plan import GateSpec, Plan
from offramp.policies.bandits.splitee import SplitEES
from offramp.policies.base import Policy
from offramp.policies.hi_lcb import HILCB
from offramp.policies.hil_n import HilN
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream, stream_of
from offramp.policies.two_stage import two_stage
from offramp.runtime.device import Device
from offramp.runtime.local import LocalCluster
from tests.support.gated import TEMPERATURES, Gated, make_gated

pytestmark = pytest.mark.e2e

ROWS = 500


def two_stage_plan(gated: Gated) -> Plan:
    """The middle exit is off and goes with the last one to the cloud, so that one early exit decides."""
    return Plan(
        cascade=gated.cascade.name,
        cascade_fingerprint=gated.cascade.manifest.fingerprint,
        tiers=("device", "cloud"),
        placement=("device", "cloud", "cloud"),
        gates=(GateSpec(threshold=0.5), GateSpec(threshold=None)),
        temperatures=TEMPERATURES,
    )


def three_stage_plan(gated: Gated) -> Plan:
    """Both early exits on the device."""
    return Plan(
        cascade=gated.cascade.name,
        cascade_fingerprint=gated.cascade.manifest.fingerprint,
        tiers=("device", "cloud"),
        placement=("device", "device", "cloud"),
        gates=tuple(GateSpec.of(gate) for gate in gated.gates),
        temperatures=TEMPERATURES,
    )


def check(gated: Gated, plan: Plan, live: Policy, again: Policy, stream: Stream, folder: Path) -> list[int]:
    """Run live, replay, compare; gives the exits of the replay."""
    plan.save(folder / "plan.json")
    network = Network((Tier("device"), Tier("cloud")), (Link("device", "cloud", 50e6, 0.001),))
    with (
        LocalCluster(gated.cascade.path, [folder / "plan.json"], network, shaped=False) as cluster,
        Device(gated.cascade, plan, cluster.upstream_address, deadline_s=10.0, policy=live) as device,
    ):
        answers = [device.infer(row) for row in gated.inputs[:ROWS]]
    assert not any(answer.degraded for answer in answers)
    found = replay(again, stream)
    left_early = [answer.exit < 2 for answer in answers]
    assert left_early == (found.exit < stream.exits - 1).tolist()
    assert [answer.label for answer in answers] == found.label.tolist()
    return [int(exit_index) for exit_index in found.exit]


@pytest.mark.parametrize("kind", [HilN, HILCB], ids=lambda kind: kind.name)
def test_learners_at_one_early_exit(tmp_path: Path, kind: type[Policy]) -> None:
    gated, setting = make_gated(tmp_path), Setting((0.5,), price=0.8, horizon=ROWS, classes=3)
    stream = two_stage(stream_of(gated.records.take(np.arange(ROWS)), temperatures=TEMPERATURES))
    live, again = kind.start(setting, 7), kind.start(setting, 7)
    assert set(check(gated, two_stage_plan(gated), live, again, stream, tmp_path)) == {0, 1}
    assert live.to_json() == again.to_json()


def test_a_bandit_at_every_exit_of_the_device(tmp_path: Path) -> None:
    gated = make_gated(tmp_path, "max_probability")
    setting = Setting((0.5, 0.5), price=0.1, horizon=ROWS, layer_costs=(0.05, 0.1, 0.15), classes=3)
    stream = stream_of(gated.records.take(np.arange(ROWS)), temperatures=TEMPERATURES, gates=gated.gates)
    live, again = SplitEES.start(setting, 7), SplitEES.start(setting, 7)
    assert len(set(check(gated, three_stage_plan(gated), live, again, stream, tmp_path))) > 1
